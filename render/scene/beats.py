"""Beats as times: the tempo of a film, from the scene or from its sound, converts beats to seconds and back."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
DECIMALS = 9
"""Of numbers of beats and periods, so that no rounding error delays what happens at a whole one by a frame."""


@dataclass(frozen=True)
class Beats:
    """The times of a film's beats in seconds: those of `times`, and evenly spaced before and after them.

    `times` has at least two, ascending; beat 0 is that of number `zero`. `per_bar` is the number of beats in a bar; bar
    0 starts at beat 0.
    """

    times: tuple[Fraction, ...]
    per_bar: int = 4
    zero: int = 0

    @classmethod
    def steady(cls, bpm: Fraction, *, offset: Fraction = Fraction(0), per_bar: int = 4) -> Beats:
        """Returns the beats of a constant tempo in beats per minute; `offset` is the time of beat 0 in seconds."""
        return cls((offset, offset + 60 / bpm), per_bar)

    def time(self, beat: Fraction) -> Fraction:
        """Returns the time of a beat, also of a fraction of one, in seconds; exact."""
        number = beat + self.zero
        start = min(max(math.floor(number), 0), len(self.times) - 2)
        first, second = self.times[start : start + 2]
        return first + (number - start) * (second - first)

    def fitted(self, count: Fraction, seconds: Fraction) -> Beats:
        """Returns beats of a slightly different tempo, of which exactly `count` are in the first `seconds`; exact."""
        at = min(max(bisect_right(self.times, 0) - 1, 0), len(self.times) - 2)
        first, second = self.times[at : at + 2]
        factor = seconds / self.time(at - self.zero - first / (second - first) + count)
        return replace(self, times=tuple(time * factor for time in self.times))

    @property
    def median_bpm(self) -> float:
        """The tempo of half of the beats is at most this, in beats per minute."""
        return float(60 / np.median(np.diff([float(time) for time in self.times])))

    def beat(self, seconds: Values) -> Values:
        """Returns the number of beats from beat 0 to some times, negative before it."""
        return self._interval(seconds)[0]

    def bpm(self, seconds: Values) -> Values:
        """Returns the tempo at some times in beats per minute."""
        return self._interval(seconds)[1]

    def _interval(self, seconds: Values) -> tuple[Values, Values]:
        """The beat and the tempo at some times."""
        times = np.array([float(time) for time in self.times])
        start = np.clip(np.searchsorted(times, seconds, side="right") - 1, 0, len(times) - 2)
        length = np.diff(times)[start]
        number = start - self.zero + (seconds - times[start]) / length
        return np.round(number, DECIMALS), 60 / length
