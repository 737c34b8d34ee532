"""What a render shows while it works: a live line on a terminal, now and then a line elsewhere, or JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from render.errors import StorageError

if TYPE_CHECKING:
    from render.pieces import Progress as Made
    from render.production import Film

PLAIN_INTERVAL = 10.0
"""Seconds between the lines of a log."""


class Display:
    """Shows progress on standard error, the result (or JSON) on standard output."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet, self._json = quiet, as_json
        self._console = Console(stderr=True)
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[objective]}"),
            console=self._console,
            transient=True,
            disable=quiet or as_json or not self._console.is_terminal,
        )
        self._task = self._live.add_task("getting ready", total=None, rate="", objective="")
        self._begun = self._told = self._previous = self._steady = time.monotonic()
        self._seen = self._steps = 0

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def step(self, octave: int, step: int, objective: object) -> None:
        """Hears of every step; the first frame may take many."""
        self._steps += 1
        if self._seen == 0:
            self._live.update(self._task, description=f"first frame, step {self._steps}")

    def frame(self, progress: Made) -> None:
        """Hears of a finished frame."""
        if self._quiet:
            return
        now = time.monotonic()
        if self._seen == 0 and progress.index > 0 and not self._json:
            self._console.print(f"going on at frame {progress.index}", highlight=False)
        self._seen += 1
        if self._seen == 2:  # the first frame waits for the network to load, and may be dreamed longer
            self._steady = self._previous
        rate = (self._seen - 1) / (now - self._steady) if self._seen > 1 else 1 / (now - self._begun)
        self._previous = now
        left = (progress.last - progress.index - 1) / rate
        objective = "" if progress.objective is None else f"objective {progress.objective:.4g}"
        if self._json:
            told = {"event": "frame", "frame": progress.index, "first": progress.first, "last": progress.last}
            self._say_json({**told, "rate": round(rate, 3), "left": round(left, 1), "objective": progress.objective})
        elif self._live.disable:
            if now - self._told >= PLAIN_INTERVAL:
                self._told = now
                done = f"frame {progress.index + 1} of {progress.last}, {rate:.2f}/s, {left:.0f} s left"
                self._console.print(f"{done}, {objective}".rstrip(", "), highlight=False)
        else:
            self._live.update(
                self._task,
                description=f"frame {progress.index + 1} of {progress.last}",
                completed=progress.index + 1,
                total=progress.last,
                rate=f"{rate:.2f}/s",
                objective=objective,
            )

    def warn(self, sentence: str) -> None:
        """Hears of what is no error."""
        if self._json:
            self._say_json({"event": "warning", "message": sentence})
        elif not self._quiet:
            self._console.print(f"render: {sentence}", highlight=False, markup=False, soft_wrap=True)

    def done(self, film: Film) -> None:
        """Hears of the finished film."""
        width, height = film.size
        if self._quiet:
            return
        if self._json:
            self._say_json(
                {"event": "film", "path": str(film.path), "frames": film.frames, "fps": str(film.fps)}
                | {"width": width, "height": height, "made": film.made}
            )
        elif film.made:
            seconds = time.monotonic() - self._begun
            what = f"{film.frames} frame{'s' if film.frames > 1 else ''} of {width}x{height} at {film.fps} a second"
            say(f"{film.path}: {what}, made in {seconds:.0f} s")
        else:
            say(f"{film.path} is this film already; nothing to do")

    def _say_json(self, value: object) -> None:
        say(json.dumps(value, allow_nan=False))


@contextmanager
def counted(quiet: bool, what: str) -> Iterator[Callable[[int, int], None]]:
    """A live line on a terminal that counts: called with how many are done, of how many."""
    console = Console(stderr=True)
    columns = (TextColumn(f"{what} {{task.completed:.0f}} of {{task.total:.0f}}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as live:
        task = live.add_task("", total=1)
        yield lambda done, total: live.update(task, completed=done, total=total)


def say(text: str) -> None:
    """Prints a line on standard output, at once. Raises StorageError when nobody reads it or its disk is full."""
    try:
        print(text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end
        raise StorageError(f"cannot write to standard output: {error.strerror}") from None
