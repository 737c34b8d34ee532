"""The ffmpeg processes: what they say when something is wrong, and that none outlives its use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from render.errors import MissingError, StorageError
from render.film import ffmpeg

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
    ("arguments", "named"),
    [
        (("-f", "lavfi", "-i", "color", "-t", "1", "-c:v", "nocodec", "-f", "null", "-"), "nocodec"),
        (("-i", "nothing.mp4", "-f", "null", "-"), "nothing.mp4"),
    ],
)
def test_a_failure_names_what_is_wrong_on_one_line(arguments: tuple[str, ...], named: str) -> None:
    with pytest.raises(StorageError) as failure:
        ffmpeg.run(*ffmpeg.QUIET, *arguments)
    assert named in str(failure.value)
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
def test_a_full_disk_is_called_a_full_disk(tmp_path: Path) -> None:
    full = tmp_path / "film.mp4"
    full.symlink_to("/dev/full")

    def fill() -> None:
        with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "-c:v", "rawvideo", "-f", "nut", str(full)]) as writer:
            for _ in range(200):
                writer.write(FRAME)
            writer.finish()

    with pytest.raises(StorageError, match="the disk is full"):
        fill()


def test_writing_to_an_ffmpeg_that_gave_up_says_why() -> None:
    def feed() -> None:
        with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "/nowhere/film.mp4"]) as writer:
            for _ in range(200):
                writer.write(FRAME)
            writer.finish()

    with pytest.raises(StorageError, match=r"No such file or directory"):
        feed()


def test_leaving_the_context_ends_the_process(tmp_path: Path) -> None:
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, str(tmp_path / "film.mp4")]) as writer:
        writer.write(FRAME)
        process = writer._process
        assert process.poll() is None
    assert process.returncode == -9


def test_a_keyboard_interrupt_does_not_reach_ffmpeg(tmp_path: Path) -> None:
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, str(tmp_path / "film.mp4")]) as writer:
        assert os.getpgid(writer._process.pid) != os.getpgid(0)


@pytest.mark.parametrize(("program", "status"), [("/nowhere/ffmpeg", "No such file"), ("/etc/passwd", "denied")])
def test_a_binary_that_cannot_run_is_missing(program: str, status: str) -> None:
    code = "from render.film import ffmpeg\ntry: ffmpeg.version()\nexcept ffmpeg.MissingError as error: print(error)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "IMAGEIO_FFMPEG_EXE": program},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert program in said
    assert status in said


def test_an_unfinished_writer_is_left_at_once() -> None:
    begun = time.monotonic()
    with ffmpeg.Writer([*ffmpeg.QUIET, *RAW, "-f", "null", "-"]):
        pass
    assert time.monotonic() - begun < 5
