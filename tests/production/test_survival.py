"""A film that is killed at any moment, or stopped, resumes to the same film."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from render.errors import Interrupted
from tests.production.films import (
    FILM,
    FOLLOWED,
    FOLLOWED_ARGUMENTS,
    FRAMES,
    PARTS,
    SEGMENT_FRAMES,
    SEQUENCE,
    SEQUENCE_ARGUMENTS,
    checksums,
    interrupt_at,
    make,
    write_clip,
)
from tests.production.processes import Run, run_render, running_processes

# Processes, killed and stopped.

Moment = Callable[[Run], Run]


def frame(number: int) -> Moment:
    """When a frame is finished."""
    return lambda run: run.wait_for_frame(number)


def file(name: str) -> Moment:
    """When a file exists."""
    return lambda run: run.wait_for_file(name)


def kill_and_finish(folder: Path, moments: Sequence[Moment], *arguments: str) -> list[int | None]:
    """Repeats a command, killing it with `kill -9` at each of the moments, then to its end; returns the statuses."""
    command = ("film.yaml", *arguments, "--json")
    statuses = [moment(Run(folder, *command)).kill().status for moment in moments]
    last = run_render(folder, *command)
    assert not last.err
    return [*statuses, last.status]


KILLS: dict[str, tuple[tuple[Moment, ...], tuple[str, ...], str]] = {
    "first frame, end of a segment, start of a segment, middle of a segment": (
        (frame(0), frame(SEGMENT_FRAMES - 1), frame(SEGMENT_FRAMES), frame(9)),
        (),
        FILM,
    ),
    "segment without record, last frame, concatenation": (
        (file(f"{PARTS}/00001.mp4"), frame(FRAMES - 1), file(f"{PARTS}/segments.txt")),
        (),
        FILM,
    ),
    "footage": (
        (file(f"{FOLLOWED}.parts/film.json"), frame(9), frame(13), file(f"{FOLLOWED}.parts/sound.mp4")),
        FOLLOWED_ARGUMENTS,
        FOLLOWED,
    ),
    "sequence": ((frame(7), frame(FRAMES - 1), file("frames/003.png")), SEQUENCE_ARGUMENTS, ".png"),
}
"""Moments, arguments, and what the names of the resulting files end in."""


@pytest.mark.parametrize("kind", KILLS)
def test_a_film_killed_at_any_moment_is_the_film_of_an_uninterrupted_run(
    workspace: Path, kind: str, reference: dict[str, str]
) -> None:
    write_clip(workspace)
    moments, arguments, suffix = KILLS[kind]
    *killed, last = kill_and_finish(workspace, moments, *arguments)
    assert last == 0
    assert killed == [-signal.SIGKILL] * len(killed)
    assert checksums(workspace) == {name: data for name, data in reference.items() if name.endswith(suffix)}
    assert not list(workspace.rglob("*.parts"))
    assert not running_processes(workspace)


def test_a_second_render_is_refused_with_the_process_of_the_first_which_finishes(
    workspace: Path, reference: dict[str, str]
) -> None:
    first = Run(workspace, "film.yaml", "--json").wait_for_frame(3)
    os.kill(first.pid, signal.SIGSTOP)  # so that it does not finish first
    second = run_render(workspace, "film.yaml")
    assert second.status == 4
    assert second.err == f"render: {PARTS} is in use by another render, process {first.pid}\n"
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait().status == 0
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_the_lock_of_a_killed_render_is_no_obstacle(workspace: Path, reference: dict[str, str]) -> None:
    run = Run(workspace, "film.yaml", "--json").wait_for_frame(5)
    assert run.kill().status == -signal.SIGKILL
    assert (workspace / PARTS / "lock").read_text() == str(run.pid)
    assert run_render(workspace, "film.yaml").status == 0
    assert checksums(workspace) == {FILM: reference[FILM]}


# Interrupted by the API, which costs no process.


@pytest.mark.parametrize(
    ("gradient", "border", "last"),
    [("natural", "mirror", 0), ("gaussian", "edge", 4), ("laplacian", "wrap", 5), ("raw", "black", 7)],
)
def test_every_gradient_and_border_resumes_to_the_same_frames(
    workspace: Path, gradient: str, border: str, last: int
) -> None:
    settings = (
        f"dream.gradient={gradient}",
        f"camera.border={border}",
        "camera.zoom=0.98",
        "camera.pan=[0.01, 0.02]",
        "dream.octaves=2",
        "dream.steps=2",
        "dream.first_frame.steps=4",
        "duration=8",
        "objectives=[{layer: blocks.2, weight: {0: 1, 7: 0}}, {layer: blocks.4, weight: {0: 0, 7: 1}}]",
        f"output.path={SEQUENCE}",
        "output.bit_depth=16",
        "output.segment_frames=3",
    )
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(last))
    make(*settings)
    resumed = checksums(workspace / "frames")
    shutil.rmtree(workspace / "frames")
    make(*settings)
    assert checksums(workspace / "frames") == resumed
    assert len(resumed) == 8
