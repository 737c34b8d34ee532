"""A film survives: killed at any moment or stopped, the next run does the right thing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
    Moment,
    Process,
    contents,
    footage_in,
    make,
    stopping_at,
)

# Real processes, killed and stopped.


def started(folder: Path, *arguments: str) -> Process:
    """`render film.yaml` in a folder, a process as from a terminal of its own."""
    (folder / "film.yaml").write_text(SCENE)
    if arguments[: len(FOLLOWING)] == FOLLOWING and not (folder / CLIP).exists():
        footage_in(folder)
    return subprocess.Popen(
        [sys.executable, "-m", "render", "film.yaml", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def frame(number: int) -> Moment:
    """When a frame is done."""

    def reached(process: Process, folder: Path) -> bool:
        assert process.stdout is not None
        return any(json.loads(line).get("frame") == number for line in process.stdout)

    return reached


def there(name: str) -> Moment:
    """When a file is there."""

    def reached(process: Process, folder: Path) -> None:
        while process.poll() is None and not (folder / name).exists():
            time.sleep(0.0005)

    return reached


def later(seconds: float) -> Moment:
    """A while after the folder of the film is open."""

    def reached(process: Process, folder: Path) -> None:
        there(f"{FILM}.parts/film.json")(process, folder)
        time.sleep(seconds)

    return reached


def strays(folder: Path) -> list[str]:
    """The processes that work in a folder."""
    running = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in running.splitlines() if str(folder) in line]


def survived(folder: Path, moments: Sequence[Moment], *arguments: str) -> list[int]:
    """Exit statuses of runs of the same command, each killed with `kill -9` at its moment, and of the last one."""
    statuses = []
    for moment in moments:
        with started(folder, *arguments, "--json") as process:
            moment(process, folder)
            process.kill()
        statuses.append(process.returncode)
    with started(folder, *arguments, "--json") as process:
        _, errors = process.communicate(timeout=120)
    assert not errors
    return [*statuses, process.returncode]


def stopped(folder: Path, moment: Moment, number: signal.Signals, *arguments: str) -> tuple[int, str, str, list[str]]:
    """Exit status, output, errors and stray processes of a run that got a signal at a moment, as from a terminal."""
    with started(folder, *arguments) as process:
        moment(process, folder)
        os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors, strays(folder)


RANDOM = random.Random(7)
KILLS: dict[str, tuple[tuple[Moment, ...], tuple[str, ...]]] = {
    "its start, a segment's end and start, and its middle": (
        (frame(0), frame(SEGMENT - 1), frame(SEGMENT), frame(9)),
        (),
    ),
    "a segment not yet kept, the last frame, and the join": (
        (there(f"{FILM}.parts/00001.mp4"), frame(FRAMES - 1), there(f"{FILM}.parts/segments.txt")),
        (),
    ),
    "random moments": (tuple(later(RANDOM.uniform(0, 0.5)) for _ in range(3)), ()),
    "moments of footage": (
        (there(f"{FOLLOWED}.parts/film.json"), frame(9), frame(13), there(f"{FOLLOWED}.parts/sound.mp4")),
        FOLLOWING,
    ),
    "moments of a sequence": ((frame(7), frame(FRAMES - 1), there("frames/003.png")), DEEP),
}


@pytest.fixture(scope="module", autouse=True)
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Future[list[int]]]]]:
    """The killed films, made two at a time while the other tests run."""
    with ThreadPoolExecutor(2) as pool:
        folders = {name: tmp_path_factory.mktemp("killed") for name in KILLS}
        yield {
            name: (folders[name], pool.submit(survived, folders[name], moments, *arguments))
            for name, (moments, arguments) in KILLS.items()
        }


def test_ctrl_c_ends_tidily_and_says_how_to_go_on(here: Path, whole: dict[str, str]) -> None:
    status, output, errors, left = stopped(here, frame(9), signal.SIGINT, "--json")
    assert status == 130
    event = json.loads(output.splitlines()[-1])
    assert event["event"] == "error"
    assert event["status"] == 130
    safe = re.match(rf"stopped; (\d+) of {FRAMES} frames are safe in {FILM}.parts, ", event["message"])
    assert safe is not None
    assert "the same command goes on" in event["message"]
    assert not errors
    assert not left
    assert not list(here.rglob("*.tmp*"))
    assert not (here / FILM).exists()
    seen: list[int] = []
    make(watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(int(safe[1]), FRAMES))
    assert 8 <= int(safe[1]) < FRAMES
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_without_json_is_told_in_a_line(here: Path, whole: dict[str, str], number: signal.Signals) -> None:
    status, output, errors, left = stopped(here, there(f"{FILM}.parts/00000.json"), number)
    assert status == 130
    assert not output
    assert errors.startswith("render: stopped; ")
    assert "the same command goes on" in errors
    assert errors.count("\n") == 1
    assert not left
    make()
    assert contents(here) == {FILM: whole[FILM]}


def test_ctrl_c_during_the_join_says_how_to_go_on_too(here: Path, whole: dict[str, str]) -> None:
    segment, aside = here / f"{FILM}.parts" / "00000.mp4", here / "00000.mp4"
    pipes: list[int] = []

    def joining(process: Process, folder: Path) -> None:
        there(f"{FILM}.parts/00000.json")(process, folder)
        segment.rename(aside)
        os.mkfifo(segment)  # holds the join up
        while not pipes and process.poll() is None:
            with contextlib.suppress(OSError):  # nobody reads it yet
                pipes.append(os.open(segment, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.001)
        aside.rename(segment)

    status, output, errors, left = stopped(here, joining, signal.SIGINT)
    for pipe in pipes:
        os.close(pipe)
    assert status == 130
    assert not output
    assert not left
    assert not list(here.rglob("*.tmp*"))
    assert errors.startswith("render: stopped; ")
    assert "the same command goes on" in errors
    make(watch=stopping_at(0))
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


# Last, because they are being made meanwhile.


@pytest.mark.parametrize("when", KILLS)
def test_a_film_killed_at_any_moment_is_the_film_of_an_uninterrupted_run(
    when: str, whole: dict[str, str], work: dict[str, tuple[Path, Future[list[int]]]]
) -> None:
    folder, statuses = work[when]
    *killed, last = statuses.result()
    assert last == 0
    if when == "random moments":
        assert -signal.SIGKILL in killed
    else:
        assert killed == [-signal.SIGKILL] * len(killed)
    kind = {"moments of a sequence": ".png", "moments of footage": FOLLOWED}.get(when, FILM)
    right = {name: data for name, data in whole.items() if name.endswith(kind)}
    assert contents(folder) == right
    assert not list(folder.rglob("*.parts"))
    assert not strays(folder)
