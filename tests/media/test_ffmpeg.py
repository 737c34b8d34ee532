"""ffmpeg processes: their output, their errors and their end."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from render.errors import MissingError, StorageError
from render.media import ffmpeg

RAW = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x64", "-r", "24", "-i", "-")
FRAME = memoryview(bytes(64 * 64 * 3))


def test_version_names_ffmpeg() -> None:
    assert ffmpeg.version().startswith("ffmpeg version ")


def test_a_written_file_holds_the_frames(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, str(film)]) as writer:
        for _ in range(5):
            writer.write(FRAME)
        writer.finish()
    pixels = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-f", "rawvideo", "-pix_fmt", "gray", "-")
    assert len(pixels) == 5 * 64 * 64


def test_an_encoder_that_this_ffmpeg_lacks_is_missing() -> None:
    ffmpeg.require_encoder("libx264")
    with pytest.raises(MissingError, match=r"no encoder libx26;.*IMAGEIO_FFMPEG_EXE"):
        ffmpeg.require_encoder("libx26")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("-f", "lavfi", "-i", "color", "-t", "1", "-c:v", "nocodec", "-f", "null", "-"), "nocodec"),
        (("-i", "nothing.mp4", "-f", "null", "-"), "nothing.mp4"),
    ],
)
def test_a_failure_is_an_error_of_one_line_that_names_the_cause(arguments: tuple[str, ...], cause: str) -> None:
    with pytest.raises(StorageError) as failure:
        ffmpeg.run(*ffmpeg.QUIET, *arguments)
    assert cause in str(failure.value)
    assert "\n" not in str(failure.value)


def test_only_local_files_are_opened(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        listing.write_text(f"file 'http://127.0.0.1:{server.getsockname()[1]}/film.mp4'\n")
        with pytest.raises(StorageError):
            ffmpeg.run(
                *ffmpeg.QUIET, *ffmpeg.LOCAL_ONLY, "-f", "concat", "-safe", "0", "-i", str(listing), "-t", "1", "-"
            )
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path) -> None:
    full = tmp_path / "film.mp4"
    full.symlink_to("/dev/full")

    def fill() -> None:
        with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "-c:v", "rawvideo", "-f", "nut", str(full)]) as writer:
            for _ in range(200):
                writer.write(FRAME)
            writer.finish()

    with pytest.raises(StorageError, match="the disk is full"):
        fill()


def test_writing_to_an_ffmpeg_that_has_failed_raises_its_error() -> None:
    def feed() -> None:
        with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "/nowhere/film.mp4"]) as writer:
            for _ in range(200):
                writer.write(FRAME)
            writer.finish()

    with pytest.raises(StorageError, match=r"No such file or directory"):
        feed()


def test_the_end_of_the_context_kills_the_process(tmp_path: Path) -> None:
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, str(tmp_path / "film.mp4")]) as writer:
        writer.write(FRAME)
        process = writer._process
        assert process.poll() is None
    assert process.returncode == -9


def test_a_keyboard_interrupt_does_not_reach_ffmpeg(tmp_path: Path) -> None:
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, str(tmp_path / "film.mp4")]) as writer:
        assert os.getpgid(writer._process.pid) != os.getpgid(0)


@pytest.mark.parametrize(("program", "reason"), [("/nowhere/ffmpeg", "No such file"), ("/etc/passwd", "denied")])
def test_a_binary_that_cannot_run_is_missing(program: str, reason: str) -> None:
    code = "from render.media import ffmpeg\ntry: ffmpeg.version()\nexcept ffmpeg.MissingError as error: print(error)"
    output = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "IMAGEIO_FFMPEG_EXE": program},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert program in output
    assert reason in output


def test_the_context_of_an_unfinished_writer_ends_at_once() -> None:
    start_time = time.monotonic()
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "-f", "null", "-"]):
        pass
    assert time.monotonic() - start_time < 5


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE])
def test_an_ffmpeg_that_cannot_be_started_may_be_started_later(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for start in (lambda: ffmpeg.run("-version"), lambda: ffmpeg.Reader([]), lambda: ffmpeg.Writer([])):
        with pytest.raises(ffmpeg.KilledError, match=f"ffmpeg cannot be started: {os.strerror(number)}; run the same"):
            start()


NEAR_THE_LIMIT = """
import os, resource, subprocess
from render.media import ffmpeg
ffmpeg.binary()
status = open("/proc/self/status").read()
used = 1024 * int(status.split("VmSize:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + 2**18, resource.RLIM_INFINITY))
for start in (lambda: ffmpeg.run("-version"), lambda: ffmpeg.Reader([]), lambda: ffmpeg.Writer([])):
    try:
        start()
    except ffmpeg.KilledError as error:
        print(error)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no process remains")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_process_near_its_limit_of_memory_starts_no_ffmpeg_and_says_so() -> None:
    ended = subprocess.run([sys.executable, "-c", NEAR_THE_LIMIT], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    line = "ffmpeg cannot be started: Cannot allocate memory; run the same command to resume"
    assert ended.stdout.splitlines() == [line] * 3 + ["no process remains"]
