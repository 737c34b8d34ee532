"""Random kills of a film with sound, and of one that repeats; thirty of them with ./scripts/test -m slow."""

from __future__ import annotations

import random
import time
from itertools import chain
from pathlib import Path

import pytest

from render.media import ffmpeg
from render.media.audio import probe_audio
from tests.production.films import FILM
from tests.production.kills import is_proper_end, kill_at_random
from tests.production.processes import Run, run_render, running_processes
from tests.sound.made import clicks, write_sound

SONG = "song.m4a"
VICTIMS = {"render", "ffmpeg", "both"}


@pytest.mark.parametrize("count", [6, pytest.param(30, marks=pytest.mark.slow)])
def test_a_film_with_sound_survives_random_kills(workspace: Path, count: int) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(workspace / SONG))
    survive_random_kills(workspace, f"output.audio={SONG}", count=count)
    assert probe_audio(workspace / FILM) is not None


@pytest.mark.parametrize("count", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_a_loop_that_follows_sound_survives_random_kills(workspace: Path, count: int) -> None:
    """Before its first frame, between frames and in the blend, whose lead-in is dreamed again."""
    write_sound(workspace / "song.wav", clicks([0.1, 0.35, 0.6], 1))
    signals = "signals={hit: {audio: song.wav, onsets: true}}"
    steps, view = "dream.step_size=0.01 + 0.01 * hit", "view.zoom=1 + 0.1 * hit"
    survive_random_kills(workspace, "loop.blend=12", signals, steps, view, count=count)


def survive_random_kills(workspace: Path, *settings: str, count: int) -> None:
    """Makes the film of a scene with settings; kills it `count` times, and checks its bytes each time it is made."""
    arguments = ["film.yaml", *chain.from_iterable(("--set", setting) for setting in settings)]
    for _ in range(2):  # the first process waits for the server that it is forked from
        start = time.monotonic()
        assert run_render(workspace, *arguments, "--overwrite").status == 0
        seconds = time.monotonic() - start
    expected = (workspace / FILM).read_bytes()
    (workspace / FILM).unlink()
    rng = random.Random(6)
    faults: list[str] = []
    while len(faults) < count or set(faults) < VICTIMS:
        killed, result = kill_at_random(lambda: Run(workspace, *arguments), rng, seconds=seconds)
        assert is_proper_end(killed, result), (killed, result)
        if killed:
            faults.append(killed)
        if (workspace / FILM).exists():
            assert run_render(workspace, *arguments).status == 0  # removes the segments after a kill that came late
            assert (workspace / FILM).read_bytes() == expected
            (workspace / FILM).unlink()
    assert run_render(workspace, *arguments).status == 0
    assert (workspace / FILM).read_bytes() == expected
    assert not list(workspace.glob("*.parts"))
    assert not running_processes(workspace)
