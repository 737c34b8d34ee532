"""Machines that lack something (an ffmpeg, a codec, memory): an error before the first frame, or smaller tiles."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from render.errors import Interrupted, MissingError
from render.media import ffmpeg
from render.pipeline import preflight, segments
from tests.production.films import checksums, interrupt_at, make, must_not_dream
from tests.production.messages import SMALLER_TILES
from tests.production.processes import run_render

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the memory limit of a process")


def write_script(path: Path, script: str) -> str:
    """Writes a shell script in ffmpeg's place; returns its path."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def script_without(codec: str) -> str:
    """The script of an ffmpeg that was built without a codec."""
    real = f'"{ffmpeg.binary()}" "$@"'
    return f'case "$*" in *-encoders*) {real} | grep -v " {codec} ";; *) exec {real};; esac'


def write_damaged_program(path: Path, mode: int) -> str:
    """Writes a file that is no program in ffmpeg's place; returns its path."""
    path.write_bytes(b"\x7fELF and nothing else")
    path.chmod(mode)
    return str(path)


FFMPEGS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (str, "cannot run "),
    "not executable": (partial(write_damaged_program, mode=0o644), "cannot run "),
    "damaged": (partial(write_damaged_program, mode=0o755), "cannot run "),
    "a folder": (lambda path: str(path.parent), "cannot run "),
    "another program": (partial(write_script, script="echo hello"), " is not an ffmpeg"),
    "without x264": (
        partial(write_script, script=script_without("libx264")),
        " has no encoder libx264; set IMAGEIO_FFMPEG_EXE",
    ),
}


@pytest.mark.parametrize("kind", FFMPEGS)
def test_an_unusable_ffmpeg_is_reported_before_the_first_frame(workspace: Path, kind: str) -> None:
    install, message = FFMPEGS[kind]
    environment = {"IMAGEIO_FFMPEG_EXE": install(workspace.parent / f"{workspace.name} ffmpeg")}
    result = run_render(workspace, "film.yaml", "--json", environment=environment)
    assert result.status == 3, result
    assert [event["event"] for event in result.events] == ["error"]
    assert message in result.events[0]["message"]
    assert not result.err
    assert checksums(workspace) == {}


def test_a_missing_audio_codec_is_reported_before_the_first_frame(workspace: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(workspace / "song.wav"))
    path = write_script(workspace.parent / f"{workspace.name} ffmpeg", script_without("aac"))
    arguments = ("film.yaml", "--set", "output.audio=song.wav")
    result = run_render(workspace, *arguments, environment={"IMAGEIO_FFMPEG_EXE": path})
    assert result.status == 3, result
    assert " has no encoder aac; set IMAGEIO_FFMPEG_EXE" in result.err
    assert not list(workspace.glob("*.parts"))


SETTINGS = (
    "size=[768, 640]",
    "duration=1",
    "objectives=[{layer: blocks.2}, {statistics: none}]",
    "dream.tile_size=off",
)
LARGE = [*(f"--set={setting}" for setting in SETTINGS), "--precision=float32"]
"""Arguments for a film that begins without tiles, however little memory the machine has free."""


def limit_memory(megabytes: int) -> None:
    """Limits the process to this much more memory than it has now; without oneDNN, which may crash at the limit."""
    torch.backends.mkldnn.set_flags(False)
    status = re.search(r"VmSize:\s*(\d+)", Path("/proc/self/status").read_text())
    assert status is not None
    limit = int(status[1]) * 1024 + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@needs_linux
def test_too_little_memory_makes_smaller_tiles(workspace: Path) -> None:
    result = run_render(workspace, "film.yaml", *LARGE, preexec=partial(limit_memory, 320))
    assert result.status == 0, result
    sizes = [int(size) for size in re.findall(SMALLER_TILES, result.err)]
    assert sizes in ([384], [384, 192])  # other allocators need more


@needs_linux
def test_far_too_little_memory_is_an_error_message(workspace: Path) -> None:
    """With somewhat more, memory may end where glibc starts a thread, which aborts."""
    result = run_render(workspace, "film.yaml", *LARGE, preexec=partial(limit_memory, 40))
    assert result.status == 3, result
    *_, last = result.err.strip().splitlines()
    assert last.startswith("render: not enough memory")
    assert "Traceback" not in result.err


def test_a_frame_that_cannot_fit_into_memory_is_refused_before_the_first(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_memory", lambda device: 100 * 2**20)
    with pytest.raises(MissingError, match=r"a frame of 2048x1024 takes 252 MB of memory and more, 105 MB are free"):
        make("size=[2048, 1024]", "duration=1", "output.path=a.png", on_frame=must_not_dream)


def test_a_film_resumes_in_smaller_tiles_when_less_memory_is_free(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Linux ended the first run because memory ran out."""
    settings = ("size=[320, 256]", "duration=6", "output.segment_frames=2")
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(3))
    monkeypatch.setattr(segments, "free_memory", lambda device: 20 * 2**20)
    warnings: list[str] = []
    make(*settings, on_warning=warnings.append)
    assert len(warnings) == 1
    message = re.fullmatch(SMALLER_TILES, warnings[0])
    assert message is not None, warnings
    assert int(message[1]) == 160
