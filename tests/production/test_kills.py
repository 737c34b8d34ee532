"""Thirty random kills of a film with sound, and the very same film."""

from __future__ import annotations

import random
import time
from pathlib import Path

from render.film import ffmpeg, sound
from tests.production.films import FILM
from tests.production.kills import attack, is_survived
from tests.production.processes import Run, rendered, strays

FAULTS = 30
SONG = "song.m4a"


def test_a_film_with_sound_survives_thirty_random_kills(here: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(here / SONG))
    arguments = ("film.yaml", "--set", f"output.audio={SONG}")
    for _ in range(2):  # the first process waits for the server that it is forked from
        begun = time.monotonic()
        assert rendered(here, *arguments, "--overwrite").status == 0
        seconds = time.monotonic() - begun
    right = (here / FILM).read_bytes()
    assert sound.probe(here / FILM) is not None
    (here / FILM).unlink()
    chance = random.Random(6)
    faults: list[str] = []
    while len(faults) < FAULTS:
        killed, ended = attack(lambda: Run(here, *arguments), chance, seconds)
        assert is_survived(killed, ended), (killed, ended)
        if killed:
            faults.append(killed)
        if (here / FILM).exists():
            assert rendered(here, *arguments).status == 0  # clears away what a kill after the join left
            assert (here / FILM).read_bytes() == right
            (here / FILM).unlink()
    assert rendered(here, *arguments).status == 0
    assert (here / FILM).read_bytes() == right
    assert {"render", "ffmpeg", "both"} == set(faults)
    assert not list(here.glob("*.parts"))
    assert not strays(here)
