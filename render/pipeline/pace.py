"""The pace of a run: frames a second, and the seconds that remain."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MEASURED_FRAMES = 3
"""Frames after the first from which on the rate says how long the others take."""


@dataclass
class Pace:
    """Measures the rate of a run's frames from its first one on, which waits for the network to load."""

    clock: Callable[[], float] = time.monotonic
    _first: int | None = None
    _since: float = field(default=0.0)

    def measure(self, frame: int, last: int) -> tuple[float | None, float | None]:
        """Counts a finished frame; returns frames a second and the seconds until the one before `last` is finished.

        Both are None until they are measured.
        """
        now = self.clock()
        if self._first is None:
            self._first, self._since = frame, now
        done, elapsed = frame - self._first, now - self._since
        if done < MEASURED_FRAMES or elapsed <= 0:
            return None, None
        rate = done / elapsed
        return round(rate, 3), round((last - 1 - frame) / rate, 1)
