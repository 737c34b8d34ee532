"""The pace of a running task: frames a second, and the seconds that remain."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from render.jobs.messages import FrameEvent
from render.jobs.model import Progress

MEASURED_FRAMES = 3
"""Frames after the first from which on the rate says how long the others take."""


@dataclass
class Pace:
    """Measures the rate of a task's frames from its first one on, which waits for the network to load."""

    clock: Callable[[], float] = time.monotonic
    _first: FrameEvent | None = None
    _since: float = field(default=0.0)

    def progress(self, event: FrameEvent) -> Progress:
        """Counts a finished frame."""
        now = self.clock()
        if self._first is None:
            self._first, self._since = event, now
        done, elapsed = event.frame - self._first.frame, now - self._since
        rate = done / elapsed if done >= MEASURED_FRAMES and elapsed > 0 else None
        eta = None if rate is None else (event.last - 1 - event.frame) / rate
        return Progress(
            frame=event.frame,
            first=event.first,
            last=event.last,
            rate=None if rate is None else round(rate, 3),
            eta_s=None if eta is None else round(eta, 1),
        )
