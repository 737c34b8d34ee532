"""Times of a film: frames, seconds, per cent, beats and bars; and what the names of expressions mean at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from render.scene import expressions
from render.scene.beats import Beats
from render.scene.field_errors import FieldError
from render.text import quote

Values = NDArray[np.float64]
Curve = Callable[[Values], Values]
"""From frame numbers, also between whole ones, to values."""
Unit = Literal["", "s", "%", "b", "bar"]
NUMBER_PATTERN = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
TIME_PATTERN = rf"({NUMBER_PATTERN})\s*(s|%|b|)|bar\s*({NUMBER_PATTERN})"
MAX_NUMBER_LENGTH = 40
MAX_TIME = 1e7
"""Seconds, frames, per cent or beats; a bound for the arithmetic, far above that of a film's length."""
NO_TEMPO = "needs a tempo; add bpm: 120, or bpm: auto to find it in the sound"


@dataclass(frozen=True)
class Clock:
    """The exact frame rate and the number of frames, which convert times to frames and back.

    `beats` are those of the film, None without a tempo. `signals` are the values over time that expressions refer to.
    `loops` says whether the film's end is its beginning, so that what is random repeats.
    """

    fps: Fraction
    length: int
    beats: Beats | None = None
    signals: Mapping[str, Curve] = field(default_factory=dict)
    loops: bool = False

    def seconds(self, frames: Values) -> Values:
        """Returns the times of frames in seconds, each the nearest float."""
        return frames * self.fps.denominator / self.fps.numerator


@dataclass(frozen=True)
class Time:
    """A point in the film: a frame number (unit ""), seconds ("s"), per cent of the time of the last frame ("%"), or a
    beat ("b") or bar ("bar"), both counted from 0."""

    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        number = f"{float(self.value):.15g}"
        return f"bar {number}" if self.unit == "bar" else f"{number}{self.unit}"

    @property
    def needs_beats(self) -> bool:
        """Whether the time is one of a beat."""
        return self.unit in ("b", "bar")

    def beats(self, beats: Beats) -> Fraction:
        """Returns the number of a time that is a beat or bar, in beats."""
        return self.value * (beats.per_bar if self.unit == "bar" else 1)

    def frames(self, clock: Clock) -> Fraction:
        """Returns the exact number of frames before the time. Raises FieldError for a beat without a tempo."""
        match self.unit:
            case "s":
                return self.value * clock.fps
            case "%":
                return self.value / 100 * (clock.length - 1)
            case "b" | "bar":
                if clock.beats is None:
                    raise FieldError(f"{self} {NO_TEMPO}")
                return clock.beats.time(self.beats(clock.beats)) * clock.fps
            case _:
                return self.value

    def span(self, clock: Clock) -> Fraction:
        """Returns the exact number of frames of a duration: of beats, those from the first on."""
        start = Time(Fraction(0), self.unit).frames(clock) if self.needs_beats else 0
        return self.frames(clock) - start


def parse_time(text: str) -> Time:
    """Parses `48`, `2s`, `50%`, `end`, `4b` or `bar 3`. Raises FieldError."""
    if text == "end":
        return Time(Fraction(100), "%")
    match = re.fullmatch(TIME_PATTERN, text) if len(text) <= MAX_NUMBER_LENGTH else None
    if match is None:
        raise FieldError(f"{quote(text)} is not a time: a frame number, 2s, 50%, end, 4b or bar 3")
    number, unit = (match[3], "bar") if match[1] is None else (match[1], match[2])
    value = float(number)
    if not (0 <= value <= MAX_TIME):
        raise FieldError(f"the time {quote(text)} must be from 0 to {MAX_TIME:.0f}")
    return Time(Fraction(number) if value else Fraction(0), cast(Unit, unit))  # the pattern allows no others


def names_at(frames: Values, clock: Clock, names: Collection[str]) -> dict[str, Values]:
    """Returns what some names of an expression mean at each of some frames, also between whole ones.

    Raises FieldError for a beat without a tempo, KeyError for an unknown name.
    """
    seconds = clock.seconds(frames)
    values: dict[str, Values] = {"t": seconds}
    for name in names:
        match name:
            case "frame":
                values[name] = frames
            case "fps":
                values[name] = np.asarray(float(clock.fps))
            case "duration":
                values[name] = clock.seconds(np.asarray(float(clock.length)))
            case "beat" | "bar" | "bpm":
                values[name] = _beats_at(seconds, clock, name)
            case expressions.LOOP_SECONDS | expressions.LOOP_BEATS:
                values[name] = _loop(clock, in_beats=name == expressions.LOOP_BEATS)
            case _ if name in clock.signals:
                values[name] = clock.signals[name](frames)
            case _ if name not in values:
                values[name] = np.asarray(float(parse_time(name).frames(clock) / clock.fps))
    return values


def _beats_at(seconds: Values, clock: Clock, name: str) -> Values:
    """The beat, the bar or the tempo at some times."""
    beats = clock.beats
    if beats is None:
        raise FieldError(f"'{name}' {NO_TEMPO}")
    if name == "bpm":
        return beats.bpm(seconds)
    return beats.beat(seconds) / (beats.per_bar if name == "bar" else 1)


def _loop(clock: Clock, *, in_beats: bool) -> Values:
    """The duration of a film that loops, in seconds or beats; infinite for others."""
    ends = clock.seconds(np.array([0.0, clock.length]))
    if in_beats and clock.beats is not None:
        ends = clock.beats.beat(ends)
    return np.asarray(ends[1] - ends[0] if clock.loops else math.inf)
