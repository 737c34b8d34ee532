"""Tours: classes or channels that take turns, cross-faded; each turn is an objective with a track as its weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

import numpy as np

from render.scene.clock import Clock, Time, Unit, Values
from render.scene.tracks import Keyframe, Track, ValueRange

Thing = str | int
"""A class by its name, or a channel by its number."""
SHARES = (0.0, 1.0, 1.0, 0.0)
"""Of the tour's weight: when a turn fades in, has faded in, fades out, and has faded out."""
MIN_THINGS = 2
"""Of a tour; with one, nothing comes next."""
RANDOM_STREAM = 0x746F7572
"""Separates a tour's random numbers from others of the same seed."""
TURN_WORK = 20_000
"""The cost of a turn, in the units of `Track.work`: 0.1 ms."""


@dataclass(frozen=True)
class Turn:
    """The turn of a class or channel in a tour.

    `share` is its share of the tour's weight: a track that has the values SHARES at `times`, which are exact frame
    numbers. `frames` are those of the film in between, `values` the share at each.
    """

    thing: Thing
    times: tuple[Fraction, Fraction, Fraction, Fraction]
    share: Track
    frames: range
    values: Values

    def share_at(self, frame: int) -> float:
        """Returns the share at a frame, in [0, 1]."""
        return float(self.values[frame - self.frames.start]) if frame in self.frames else 0.0


def shuffled(things: Sequence[Thing], seed: int) -> Iterator[Thing]:
    """Yields at least two things without end: in a random order, then in another, and so on.

    Each comes once before any comes again, and none twice in a row.
    """
    last = None
    for number in count():
        random = np.random.default_rng((seed, RANDOM_STREAM, number))
        order = [things[i] for i in random.permutation(len(things))]
        if order[0] == last:
            order = [*order[1:], last]
        yield from order
        last = order[-1]


def _after(durations: Sequence[tuple[Time, int]], clock: Clock) -> Fraction:
    """Returns the frame after some durations, each so many times; those of one unit are added before."""
    totals: dict[Unit, Fraction] = {}
    for time, times in durations:
        totals[time.unit] = totals.get(time.unit, Fraction(0)) + time.value * times
    return sum((Time(value, unit).frames(clock) for unit, value in totals.items()), Fraction(0))


def turns(things: Iterable[Thing], clock: Clock, *, hold: Time, fade: Time) -> Iterator[Turn]:
    """Yields the turns that come within the film.

    Turn i, from 0, has the whole weight from i * (hold + fade) on, for `hold`; it fades out as the next one fades in.
    Turns in beats change on the beats.
    """

    def after(holds: int, fades: int) -> Fraction:
        return _after([(hold, holds), (fade, fades)], clock)

    for number, thing in enumerate(things):
        begin = after(number, number - 1), after(number, number)
        first, full = (max(time, Fraction(0)) for time in begin) if number else (Fraction(0), Fraction(0))
        times = first, full, after(number + 1, number), after(number + 1, number + 1)
        if math.ceil(times[0]) >= clock.length:
            return
        frames = range(math.floor(times[0]), min(math.ceil(times[-1]), clock.length))
        keys = (Keyframe(Time(time, ""), value, "linear") for time, value in zip(times, SHARES, strict=True))
        share = Track(None, ValueRange(0, 1), tuple(keys), per_second=False)
        yield Turn(thing, times, share, frames=frames, values=share.values(clock, frames))
