"""The display of a render in progress: a live line on a terminal, a line now and then in a log, or JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from render.cli.output import film_summary, print_json_line, print_line
from render.pipeline.pace import MEASURED_FRAMES
from render.text import escape, escape_lines

if TYPE_CHECKING:
    from torch import Tensor

    from render.pipeline.job import Film
    from render.pipeline.segments import FrameProgress
    from render.text import Problem

LOG_INTERVAL = 10.0
"""Seconds between the lines of a log."""


class SpeedColumn(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        """Renders the column, empty until the second frame."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


class RemainingColumn(TimeRemainingColumn):
    """The time remaining."""

    def render(self, task: Task) -> Text:
        """Renders the column, empty until enough frames are measured."""
        return super().render(task) if task.fields["is_measured"] else Text("")


class FrameRate:
    """The rate of finished frames, measured by a task of rich's.

    The first frame does not count: it waits for the network to load, and may be dreamed longer. Frames may take longer
    than rich's usual 30 s period of samples, so that there is no such period.
    """

    def __init__(self, live: Progress) -> None:
        self._live = live
        self._id = live.add_task("preparing", total=None, objective="", is_measured=False)
        self._finished = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the display was opened."""
        return self._task.elapsed or 0.0

    @property
    def frames_per_second(self) -> float:
        """The mean over the last 1000 frames; of the first frame alone, how long it took to be there."""
        return self._task.speed or 1 / max(self.elapsed, 1e-9)

    @property
    def seconds_remaining(self) -> float | None:
        """The time that the remaining frames take; None until MEASURED_FRAMES are finished after the first."""
        is_measured = self._task.fields["is_measured"] or not self._task.remaining
        return (self._task.remaining or 0.0) / self.frames_per_second if is_measured else None

    def describe(self, description: str) -> None:
        """Sets the description on the live line."""
        self._live.update(self._id, description=description)

    def finish_frame(self, progress: FrameProgress, *, objective: str = "") -> None:
        """Counts a frame, and sets the text on the live line."""
        self._finished += 1
        self._live.update(
            self._id,
            description=f"frame {progress.index + 1} of {progress.last}",
            completed=progress.index + 1,
            total=progress.last,
            objective=objective,
            is_measured=self._finished > MEASURED_FRAMES,
        )

    @property
    def _task(self) -> Task:
        return self._live.tasks[0]


class Display:
    """Displays nothing: --quiet. Its methods are the callbacks of a render, for the subclasses to override."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends the display."""

    def step(self, octave: int, step: int, objective: Tensor) -> None:
        """Displays a step of ascent."""

    def frame(self, progress: FrameProgress) -> None:
        """Displays a finished frame."""

    def warning(self, message: str) -> None:
        """Displays a warning."""

    def problem(self, problem: Problem) -> None:
        """Displays what is probably wrong in the scene, and where."""
        self.warning(str(problem))

    def film(self, film: Film) -> None:
        """Displays the finished film."""


class JsonDisplay(Display):
    """Prints a JSON object per line on standard output."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = FrameRate(Progress(disable=True, get_time=clock, speed_estimate_period=math.inf))

    def frame(self, progress: FrameProgress) -> None:
        """Prints a finished frame, with frames per second and seconds remaining."""
        self._rate.finish_frame(progress)
        remaining = self._rate.seconds_remaining
        print_json_line(
            {
                "event": "frame",
                "frame": progress.index,
                "first": progress.first,
                "last": progress.last,
                "rate": round(self._rate.frames_per_second, 3),
                "eta_s": None if remaining is None else round(remaining, 1),
                "objective": progress.objective,
            }
        )

    def warning(self, message: str) -> None:
        """Prints a warning."""
        print_json_line({"event": "warning", "message": message})

    def problem(self, problem: Problem) -> None:
        """Prints a warning with its position."""
        print_json_line({"event": "warning", **problem.as_json()})

    def film(self, film: Film) -> None:
        """Prints the finished film."""
        width, height = film.size
        summary = {"path": str(film.path), "frames": film.frames, "fps": str(film.fps)}
        print_json_line({"event": "film", **summary, "width": width, "height": height, "made": film.made})


class TextDisplay(Display):
    """Displays progress on standard error, a live line on a terminal, and prints the film on standard output."""

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            SpeedColumn(),
            RemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[objective]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            get_time=clock,
            speed_estimate_period=math.inf,
        )
        self._rate = FrameRate(self._live)
        self._next_log = LOG_INTERVAL
        self._steps = 0
        self._has_frames = False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Clears the live line."""
        self._live.stop()

    def step(self, octave: int, step: int, objective: Tensor) -> None:
        """Displays a step of the first frame, which may take many."""
        self._steps += 1
        if not self._has_frames:
            self._rate.describe(f"first frame, step {self._steps}")
            if self._is_log_due():
                self._console.print(f"first frame, step {self._steps}", highlight=False)

    def frame(self, progress: FrameProgress) -> None:
        """Displays a finished frame."""
        if not self._has_frames and progress.index > progress.begin:
            self._console.print(f"resuming at frame {progress.index}", highlight=False)
        self._has_frames = True
        objective = "" if progress.objective is None else f"objective {progress.objective:.4g}"
        self._rate.finish_frame(progress, objective=objective)
        if self._is_log_due():
            count = f"frame {progress.index + 1} of {progress.last}"
            remaining = self._rate.seconds_remaining
            rate = "" if remaining is None else f"{self._rate.frames_per_second:.2f}/s, {remaining:.0f} s remaining"
            self._console.print(", ".join(filter(None, (count, rate, objective))), highlight=False)

    def _is_log_due(self) -> bool:
        """Returns whether a log, which has no live line, gets its next line now."""
        if not self._live.disable or self._rate.elapsed < self._next_log:
            return False
        self._next_log = self._rate.elapsed + LOG_INTERVAL
        return True

    def warning(self, message: str) -> None:
        """Displays a warning."""
        self._console.print(f"render: {escape_lines(message)}", highlight=False, markup=False, soft_wrap=True)

    def film(self, film: Film) -> None:
        """Prints the finished film."""
        if not film.made:
            print_line(f"{escape(film.path)} exists already; nothing to render")
            return
        summary = film_summary(film.frames, film.size, fps=film.fps)
        print_line(f"{escape(film.path)}: {summary}, rendered in {self._rate.elapsed:.0f} s")


def open_display(*, quiet: bool, as_json: bool) -> Display:
    """Returns the display that the options of the command line choose."""
    if quiet:
        return Display()
    return JsonDisplay() if as_json else TextDisplay()


@contextmanager
def progress_bar(noun: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Displays `picture 3 of 18` on a terminal; yields a function of how many are done, and of all."""
    console = Console(stderr=True)
    columns = (TextColumn(f"{noun} {{task.completed:.0f}} of {{task.total:.0f}}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as live:
        task = live.add_task("", total=1)
        yield lambda done, total: live.update(task, completed=done, total=total)
