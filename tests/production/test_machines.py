"""Machines that lack something: an ffmpeg, a codec, memory. It is found before the first frame, or mended."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from render import machine
from render.errors import Interrupted, MissingError
from render.film import ffmpeg
from tests.production.films import contents, make, stopping_at
from tests.production.processes import rendered


def an_ffmpeg(path: Path, script: str) -> str:
    """A program in ffmpeg's place."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def without(codec: str) -> str:
    """A script of an ffmpeg that was built without a codec."""
    real = f'"{ffmpeg.binary()}" "$@"'
    return f'case "$*" in *-encoders*) {real} | grep -v " {codec} ";; *) exec {real};; esac'


def no_program(path: Path, mode: int) -> str:
    """A file in ffmpeg's place."""
    path.write_bytes(b"\x7fELF and nothing else")
    path.chmod(mode)
    return str(path)


FFMPEGS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (str, "cannot run "),
    "not executable": (partial(no_program, mode=0o644), "cannot run "),
    "damaged": (partial(no_program, mode=0o755), "cannot run "),
    "a folder": (lambda path: str(path.parent), "cannot run "),
    "another program": (partial(an_ffmpeg, script="echo hello"), " is not an ffmpeg"),
    "without x264": (partial(an_ffmpeg, script=without("libx264")), " has no encoder libx264; set IMAGEIO_FFMPEG_EXE"),
}


@pytest.mark.parametrize("which", FFMPEGS)
def test_an_ffmpeg_that_will_not_do_is_told_before_the_first_frame(here: Path, which: str) -> None:
    given, told = FFMPEGS[which]
    environment = {"IMAGEIO_FFMPEG_EXE": given(here.parent / f"{here.name} ffmpeg")}
    ended = rendered(here, "film.yaml", "--json", environment=environment)
    assert ended.status == 3, ended
    assert [event["event"] for event in ended.events] == ["error"]
    assert told in ended.events[0]["message"]
    assert not ended.err
    assert contents(here) == {}


def test_a_codec_for_the_sound_that_is_missing_is_told_too(here: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(here / "song.wav"))
    poor = an_ffmpeg(here.parent / f"{here.name} ffmpeg", without("aac"))
    arguments = ("film.yaml", "--set", "output.audio=song.wav")
    ended = rendered(here, *arguments, environment={"IMAGEIO_FFMPEG_EXE": poor})
    assert ended.status == 3, ended
    assert " has no encoder aac; set IMAGEIO_FFMPEG_EXE" in ended.err
    assert not list(here.glob("*.parts"))


LARGE = ["--set=size=[768, 640]", "--set=duration=2", "--set=layers=[{layer: blocks.2}]", "--precision=float32"]


def with_so_much_more_memory(megabytes: int) -> None:
    """Lets the process have no more than that beyond what it has now; asked for too much, oneDNN may crash, and is left
    out."""
    torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]  # torch has no types here
    found = re.search(r"VmSize:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    most = int(found[1]) * 1024 + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to their memory")
def test_too_little_memory_makes_smaller_tiles(here: Path) -> None:
    ended = rendered(here, "film.yaml", *LARGE, before=partial(with_so_much_more_memory, 420))
    assert ended.status == 0, ended
    assert re.search(r"memory is short; from here on the picture is dreamed in tiles of (384|192) pixels", ended.err)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to their memory")
@pytest.mark.parametrize("megabytes", [40, 120])
def test_far_too_little_memory_is_a_sentence(here: Path, megabytes: int) -> None:
    ended = rendered(here, "film.yaml", *LARGE, before=partial(with_so_much_more_memory, megabytes))
    assert ended.status == 3, ended
    *_, last = ended.err.strip().splitlines()
    assert last.startswith("render: the memory is not enough")
    assert "Traceback" not in ended.err


def test_a_frame_that_cannot_fit_is_refused_before_the_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda device: 100 * 2**20)
    with pytest.raises(MissingError, match=r"a frame of 2048x1024 takes 252 MB of memory and more, 105 MB are free"):
        make("size=[2048, 1024]", "duration=1", "output.path=a.png", watch=stopping_at(0))


def test_a_film_that_was_ended_for_want_of_memory_goes_on_in_smaller_tiles(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("size=[320, 256]", "duration=6", "output.segment=2")
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(3))
    monkeypatch.setattr(machine, "free_memory", lambda device: 20 * 2**20)
    told: list[str] = []
    make(*settings, warn=told.append)
    assert told == ["memory is short; from here on the picture is dreamed in tiles of 160 pixels"]
