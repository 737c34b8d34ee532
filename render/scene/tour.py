"""Tours: classes or channels that take turns, cross-faded; each turn is an objective with a track as its weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

import numpy as np

from render.scene.clock import Clock, Time, Values
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


def _parts(duration: Time, clock: Clock) -> tuple[Fraction, Fraction]:
    """Returns a duration as beats and as frames, one of which is 0. Raises FieldError for a beat without a tempo."""
    if not duration.needs_beats or clock.beats is None:
        return Fraction(0), duration.frames(clock)
    return duration.beats(clock.beats), Fraction(0)


def turns(things: Iterable[Thing], clock: Clock, *, hold: Time, fade: Time) -> Iterator[Turn]:
    """Yields the turns that come within the film.

    Turn i, from 0, has the whole weight from i * (hold + fade) on, for `hold`; it fades out as the next one fades in.
    Turns in beats change on the beats.
    """

    (hold_beats, hold_frames), (fade_beats, fade_frames) = _parts(hold, clock), _parts(fade, clock)
    has_beats = bool(hold_beats or fade_beats)

    def after(holds: int, fades: int) -> Fraction:
        frames = holds * hold_frames + fades * fade_frames
        return frames + Time(holds * hold_beats + fades * fade_beats, "b").frames(clock) if has_beats else frames

    fades_in = full = Fraction(0)
    for number, thing in enumerate(things):
        times = fades_in, full, after(number + 1, number), after(number + 1, number + 1)
        fades_in, full = times[2:]
        if math.ceil(times[0]) >= clock.length:
            return
        frames = range(math.floor(times[0]), min(math.ceil(times[-1]), clock.length))
        keys = (Keyframe(Time(time, ""), value, "linear") for time, value in zip(times, SHARES, strict=True))
        share = Track(None, ValueRange(0, 1), tuple(keys), per_second=False)
        yield Turn(thing, times, share, frames=frames, values=share.values(clock, frames))
