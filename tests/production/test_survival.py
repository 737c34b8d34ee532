"""A film survives: killed at any moment or stopped, the next run does the right thing."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from render.errors import Interrupted
from tests.production.films import (
    CLIP,
    DEEP,
    FILM,
    FOLLOWED,
    FOLLOWING,
    FRAMES,
    SCENE,
    SEGMENT,
    SEQUENCE,
    contents,
    footage_in,
    make,
    stopping_at,
)
from tests.production.processes import Run, strays

# Real processes, killed and stopped.

Moment = Callable[[Run], Run]


def started(folder: Path, *arguments: str) -> Run:
    """`render film.yaml` in a folder."""
    (folder / "film.yaml").write_text(SCENE)
    if arguments[: len(FOLLOWING)] == FOLLOWING and not (folder / CLIP).exists():
        footage_in(folder)
    return Run(folder, "film.yaml", *arguments)


def frame(number: int) -> Moment:
    """When a frame is done."""
    return lambda run: run.until_frame(number)


def there(name: str) -> Moment:
    """When a file is there."""
    return lambda run: run.until_there(name)


def survived(folder: Path, moments: Sequence[Moment], *arguments: str) -> list[int | None]:
    """Exit statuses of runs of the same command, each killed with `kill -9` at its moment, and of the last one."""
    statuses = [moment(started(folder, *arguments, "--json")).kill().status for moment in moments]
    last = started(folder, *arguments, "--json").ended()
    assert not last.err
    return [*statuses, last.status]


KILLS: dict[str, tuple[tuple[Moment, ...], tuple[str, ...]]] = {
    "its start, a segment's end and start, and its middle": (
        (frame(0), frame(SEGMENT - 1), frame(SEGMENT), frame(9)),
        (),
    ),
    "a segment not yet kept, the last frame, and the join": (
        (there(f"{FILM}.parts/00001.mp4"), frame(FRAMES - 1), there(f"{FILM}.parts/segments.txt")),
        (),
    ),
    "moments of footage": (
        (there(f"{FOLLOWED}.parts/film.json"), frame(9), frame(13), there(f"{FOLLOWED}.parts/sound.mp4")),
        FOLLOWING,
    ),
    "moments of a sequence": ((frame(7), frame(FRAMES - 1), there("frames/003.png")), DEEP),
}


@pytest.mark.parametrize("when", KILLS)
def test_a_film_killed_at_any_moment_is_the_film_of_an_uninterrupted_run(
    here: Path, when: str, whole: dict[str, str]
) -> None:
    moments, arguments = KILLS[when]
    *killed, last = survived(here, moments, *arguments)
    assert last == 0
    assert killed == [-signal.SIGKILL] * len(killed)
    kind = {"moments of a sequence": ".png", "moments of footage": FOLLOWED}.get(when, FILM)
    assert contents(here) == {name: data for name, data in whole.items() if name.endswith(kind)}
    assert not list(here.rglob("*.parts"))
    assert not strays(here)


def test_a_second_render_is_refused_and_told_of_the_first_which_goes_on(here: Path, whole: dict[str, str]) -> None:
    first = started(here, "--json").until_frame(3)
    os.kill(first.pid, signal.SIGSTOP)  # it takes its time
    second = started(here).ended()
    assert second.status == 4
    assert second.err == f"render: {FILM}.parts is in use by another render, process {first.pid}\n"
    os.kill(first.pid, signal.SIGCONT)
    assert first.ended().status == 0
    assert contents(here) == {FILM: whole[FILM]}


def test_the_lock_of_a_render_that_was_killed_is_no_obstacle(here: Path, whole: dict[str, str]) -> None:
    killed = started(here, "--json").until_frame(5)
    assert killed.kill().status == -signal.SIGKILL
    assert (here / f"{FILM}.parts" / "lock").read_text() == str(killed.pid)
    assert started(here).ended().status == 0
    assert contents(here) == {FILM: whole[FILM]}


# Stopped by the API, which costs no process.


@pytest.mark.parametrize(
    ("gradient", "border", "frame_stopped"),
    [("natural", "mirror", 0), ("gaussian", "edge", 4), ("laplacian", "wrap", 5), ("raw", "black", 10)],
)
def test_every_kind_of_dream_goes_on_as_if_nothing_had_been(
    here: Path, gradient: str, border: str, frame_stopped: int
) -> None:
    settings = (
        f"dream.gradient={gradient}",
        f"camera.border={border}",
        "camera.zoom=0.98",
        "camera.pan=[0.01, 0.02]",
        "dream.octaves=2",
        "dream.first.steps=4",
        "duration=11",
        "layers=[{layer: blocks.2, weight: {0: 1, 10: 0}}, {layer: blocks.4, weight: {0: 0, 10: 1}}]",
        f"output.path={SEQUENCE}",
        "output.depth=16",
        "output.segment=3",
    )
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(frame_stopped))
    make(*settings)
    resumed = contents(here / "frames")
    shutil.rmtree(here / "frames")
    make(*settings)
    assert contents(here / "frames") == resumed
    assert len(resumed) == 11
