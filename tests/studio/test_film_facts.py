"""What is said of films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from render.film.preview import Preview
from render.studio.film_facts import duration, facts, share_done, stage_text
from render.studio.films import FilmState
from render.studio.finished import Finished

PREVIEW = Preview(frame=59, first=0, last=240, objective=1.5312, rate=3.21, eta_s=56.1, rss=612_000_000)
MAKING = FilmState(Path("/a/zoom.mp4"), "zoom.mp4", "making", is_own=True, preview=PREVIEW)


def test_a_film_that_is_made_has_its_numbers() -> None:
    assert facts(MAKING) == "frame 60 of 240 · 3.21 frames/s · 56 s left · objective 1.531 · 612 MB"
    assert share_done(MAKING) == 0.25
    assert stage_text(MAKING) == "is being made"
    assert stage_text(replace(MAKING, is_own=False, maker="4711")) == "is being made by process 4711"
    part = PREVIEW.model_copy(update={"first": 40, "last": 80})
    assert share_done(replace(MAKING, preview=part)) == 0.5


def test_what_is_not_known_is_not_said() -> None:
    assert facts(replace(MAKING, preview=None)) == "starting"
    assert facts(replace(MAKING, preview=Preview(frame=0, first=0, last=9))) == "frame 1 of 9"
    stopped = replace(MAKING, stage="stopped")
    assert facts(stopped) == "frame 60 of 240 · objective 1.531"
    assert facts(replace(stopped, preview=None)) == ""
    assert share_done(replace(stopped, preview=None)) is None


def test_a_finished_film_has_its_length_and_its_bytes() -> None:
    film = replace(MAKING, stage="finished", finished=Finished(MAKING.path, 3_400_000, 0.0, frames=240, seconds=10.0))
    assert facts(film) == "10 s, 240 frames, 3.4 MB"
    assert share_done(film) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.04 s"), (4, "4 s"), (59.4, "59 s"), (65, "1:05"), (7384, "2:03:04")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
