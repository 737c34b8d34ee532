"""The display of a render in progress, with a clock that the tests set."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from render.cli.progress import LOG_INTERVAL, Display, JsonDisplay, TextDisplay, open_display
from render.pipeline.job import Film
from render.pipeline.segments import FrameProgress
from tests.cli.program import strict_json
from tests.production.processes import Run

FILM = Film(Path("f.mp4"), 10, Fraction(24), size=(64, 48), made=True)


class Clock:
    """A clock that moves only by `advance`."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Advances the clock."""
        self.seconds += seconds


def finish_frames(display: Display, clock: Clock, frames: Iterable[tuple[int, float]], *, last: int = 10) -> None:
    """Finishes frames (index, seconds that it took)."""
    for index, seconds in frames:
        clock.advance(seconds)
        display.frame(FrameProgress(index, 0, last, objective=1.5))


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock()


@pytest.fixture
def json_frames(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> Callable[[Iterable[tuple[int, float]]], list[dict[str, Any]]]:
    """Finishes frames with a display of JSON; returns what it prints."""

    def run(frames: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
        finish_frames(JsonDisplay(clock=clock), clock, frames)
        return [strict_json(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_the_first_frame_does_not_count_in_the_rate(json_frames: Any) -> None:
    events = json_frames([(0, 60.0), (1, 0.5), (2, 0.5), (3, 0.5), (4, 0.5)])
    assert [event["rate"] for event in events[3:]] == [2.0, 2.0]
    assert [event["eta_s"] for event in events[3:]] == [3.0, 2.5]


def test_the_first_frames_say_nothing_about_the_others(json_frames: Any) -> None:
    events = json_frames([(0, 60.0), (1, 3.0), (2, 0.5)])
    assert [event["eta_s"] for event in events] == [None] * 3


def test_after_the_last_frame_nothing_remains(json_frames: Any) -> None:
    events = json_frames([(8, 60.0), (9, 3.0)])
    assert [event["eta_s"] for event in events] == [None, 0.0]


def test_a_log_tells_the_first_frames_own_longer_dream_and_no_time_before_it_is_known(clock: Clock) -> None:
    log = io.StringIO()
    display = TextDisplay(console=Console(file=log, width=100), clock=clock)
    for step in range(4):
        clock.advance(6)
        display.step(0, step, torch.zeros(()))
    finish_frames(display, clock, [(0, 6), (1, 6), (2, 6), (3, 6), (4, 6)])
    assert log.getvalue().splitlines() == [
        "first frame, step 2",
        "first frame, step 4",
        "frame 2 of 10, objective 1.5",
        "frame 4 of 10, 0.17/s, 36 s remaining, objective 1.5",
    ]


def test_frames_of_an_earlier_run_do_not_count_in_the_rate(json_frames: Any) -> None:
    events = json_frames([(5, 5.0), (6, 0.25), (7, 0.25), (8, 0.25)])
    assert (events[-1]["rate"], events[-1]["eta_s"]) == (4.0, 0.2)


def test_frames_that_take_minutes_have_a_rate(json_frames: Any) -> None:
    events = json_frames([(0, 500.0), (1, 200.0), (2, 200.0), (3, 200.0)])
    assert (events[-1]["rate"], events[-1]["eta_s"]) == (0.005, 1200.0)


def test_a_log_has_a_line_every_ten_seconds(clock: Clock) -> None:
    log = io.StringIO()
    display = TextDisplay(console=Console(file=log, width=100), clock=clock)
    with display:
        finish_frames(display, clock, [(i, LOG_INTERVAL / 2) for i in range(10)], last=12)
    assert log.getvalue().splitlines()[:2] == [
        "frame 2 of 12, objective 1.5",
        "frame 4 of 12, 0.20/s, 40 s remaining, objective 1.5",
    ]
    assert len(log.getvalue().splitlines()) == 5


def test_a_resumed_render_says_where(clock: Clock) -> None:
    log = io.StringIO()
    finish_frames(TextDisplay(console=Console(file=log), clock=clock), clock, [(4, 0.1), (5, 0.1)])
    assert log.getvalue() == "resuming at frame 4\n"


def test_a_warning_is_printed_on_one_line_as_it_is(clock: Clock) -> None:
    log = io.StringIO()
    message = "[bold]a path[/bold] " * 10
    TextDisplay(console=Console(file=log, width=40), clock=clock).warning(message)
    assert log.getvalue() == f"render: {message}\n"


def test_a_quiet_render_displays_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with open_display(quiet=True, as_json=False) as display:
        display.step(0, 0, torch.zeros(()))
        display.frame(FrameProgress(0, 0, 1, objective=None))
        display.warning("a warning")
    display.film(FILM)
    assert capfd.readouterr() == ("", "")


def test_the_film_is_printed_with_the_time_that_it_took(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = TextDisplay(clock=clock)
    clock.advance(83)
    display.film(FILM)
    assert capsys.readouterr().out == "f.mp4: 10 frames of 64x48 at 24 fps, rendered in 83 s\n"


def attach_terminal(name: str) -> None:
    """Makes a terminal the standard output and standard error of the program."""
    terminal = os.open(name, os.O_WRONLY)
    sys.stdout, sys.stderr = (os.fdopen(terminal, "w", closefd=False) for _ in range(2))
    os.write(1, b"attached")


def test_a_terminal_displays_frame_rate_remaining_time_and_objective(folder: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {"COLUMNS": "100", "TERM": "xterm"}
    settings = ["--set", "dream.first_frame.steps=60", "--set", "size=[64, 64]", "--set", "duration=60"]
    attach = partial(attach_terminal, os.ttyname(theirs))
    run = Run(folder, "s.yaml", *settings, environment=environment, preexec=attach)
    run.wait_until(lambda: run.result().out == "attached")
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # Linux raises it when the other side is closed
        while part := os.read(ours, 4096):
            output += part
    os.close(ours)
    text = output.decode()
    assert run.wait().status == 0
    for pattern in ("first frame, step ", "frame 60 of 60", "/s", "0:0", "objective", "s.mp4: 60 frames"):
        assert pattern in text
