"""Tracks: numbers that may change over the film, written as a constant, keyframes or an expression.

1.02      "1.8/s"      {0s: 1, 2s: {value: 1.03, ease: smooth}}      "1 + 0.02 * sin(t)"
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from render.scene import expressions
from render.scene.clock import (
    MAX_NUMBER_LENGTH,
    NUMBER_PATTERN,
    TIME_PATTERN,
    Clock,
    Curve,
    Time,
    Values,
    names_at,
    parse_time,
)
from render.scene.easings import EASINGS
from render.scene.expressions import Expression
from render.scene.field_errors import FieldError, Loc, collect
from render.text import did_you_mean, quote


@dataclass(frozen=True)
class ValueRange:
    """The range of a track's values, `low` to `high`.

    `motion` allows values per second. `geometric` interpolates by ratio and needs a `low` above 0. Values that differ
    by multiples of `period` are the same: 360 degrees.
    """

    low: float = -math.inf
    high: float = math.inf
    motion: bool = False
    geometric: bool = False
    period: float = math.inf

    def __str__(self) -> str:
        return f"at least {self.low:g}" if math.isinf(self.high) else f"from {self.low:g} to {self.high:g}"

    def difference(self, first: float, last: float) -> float:
        """Returns how much a value is above another one, without whole periods."""
        return math.remainder(last - first, self.period)

    def allows(self, value: float) -> bool:
        """Returns whether a value is in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Keyframe:
    """A value at a time, and the easing of the interpolation that ends there."""

    time: Time
    value: float
    ease: str


ROUNDING = 1e-14
"""Relative tolerance of a range's ends, because exp(log(100)) is greater than 100."""
CHUNK_FRAMES = 65536
"""Frames evaluated at once, so that memory does not grow with the product of film and expression length."""
_KEYFRAME_WORK = 20
# Points and weights of Gauss-Legendre quadrature on [0, 1]: exact for polynomials of degree 5, and never at the ends,
# where a `hold` jumps.
_GAUSS = ((0.5 - math.sqrt(0.15), 5 / 18), (0.5, 8 / 18), (0.5 + math.sqrt(0.15), 5 / 18))


@dataclass(frozen=True)
class Track:
    """A number at every frame. `raw` is the value as written in the scene, None where the scene does not write it."""

    raw: Any
    bounds: ValueRange
    shape: float | Expression | tuple[Keyframe, ...]
    per_second: bool

    def values(self, clock: Clock, frames: range | None = None) -> Values:
        """Returns a float64 for each of some frames, or of all, finite and in the range. A constant takes no memory.

        A track per second is integrated over the interval from the previous frame to each frame, so that the motion
        is the same at any rate. Raises FieldError, which names the frame.
        """
        shape, span = self.shape, range(clock.length) if frames is None else frames
        if isinstance(shape, float):
            return np.broadcast_to(shape, (len(span),))
        with np.errstate(all="ignore"):
            at = self.curve(clock)
            values = np.empty(len(span))
            for first in range(0, len(span), CHUNK_FRAMES):
                chunk = span[first : first + CHUNK_FRAMES]
                values[first : first + len(chunk)] = self._values(at, chunk, clock)
            return values

    @property
    def work(self) -> int:
        """The cost of `values` for one frame: 1 for each operation, 10 for storing the value."""
        match self.shape:
            case float():
                return 0
            case Expression(size=size):
                operations = size
            case tuple():
                operations = _KEYFRAME_WORK
        return 10 + operations * (1 + len(_GAUSS) if self.per_second else 1)

    def _values(self, at: Curve, frames: range, clock: Clock) -> Values:
        numbers = np.arange(frames.start, frames.stop, dtype=np.float64)
        values = self._checked(at(numbers), frames, clock)
        if self.per_second:
            samples = ((at(numbers - (1 - u)), weight) for u, weight in _GAUSS)
            total = sum(weight * self._linear(self._checked(sample, frames, clock)) for sample, weight in samples)
            values = self._checked(self._inverse(np.asarray(total / float(clock.fps))), frames, clock)
        return values

    def curve(self, clock: Clock) -> Curve:
        """Returns the values at any frame, also between whole ones; they are not checked."""
        shape = self.shape
        if isinstance(shape, float):
            return lambda frames: np.full_like(frames, shape)
        return self._expressed(shape, clock) if isinstance(shape, Expression) else self._keyed(shape, clock)

    def times(self) -> Iterator[tuple[Loc, Time]]:
        """Yields the time of each keyframe with its path."""
        if isinstance(self.shape, tuple):
            yield from (((name,), key.time) for name, key in zip(self.raw, self.shape, strict=True))

    def _expressed(self, expression: Expression, clock: Clock) -> Curve:
        def at(frames: Values) -> Values:
            return expression(names_at(np.maximum(frames, 0.0), clock, expression.names))

        return at

    def _keyed(self, keys: tuple[Keyframe, ...], clock: Clock) -> Curve:
        pairs = sorted(((key.time.frames(clock), key) for key in keys), key=lambda pair: pair[0])
        times = np.array([float(time) for time, _ in pairs])
        levels = self._linear(np.array([key.value for _, key in pairs]))
        names = list(dict.fromkeys(key.ease for _, key in pairs))
        eases = np.array([names.index(key.ease) for _, key in pairs])

        def at(frames: Values) -> Values:
            elapsed = np.searchsorted(times, frames, side="right")  # the last of several keys at one time: a jump
            start, end = np.maximum(elapsed - 1, 0), np.minimum(elapsed, len(pairs) - 1)
            values = levels[start]
            for i, name in enumerate(names):
                eased = np.flatnonzero((start < end) & (eases[end] == i))
                a, b = start[eased], end[eased]
                u = (frames[eased] - times[a]) / (times[b] - times[a])
                values[eased] += (levels[b] - levels[a]) * EASINGS[name](u)
            return self._inverse(values)

        return at

    def _linear(self, values: Values) -> Values:
        """Maps values to the scale on which they are interpolated and summed: logarithmic when geometric."""
        return np.asarray(np.log(values)) if self.bounds.geometric else values

    def _inverse(self, values: Values) -> Values:
        return np.asarray(np.exp(values)) if self.bounds.geometric else values

    def _checked(self, values: Values, frames: range, clock: Clock) -> Values:
        """Returns the values clipped within ROUNDING. Raises FieldError for the first out of range or not finite."""
        allowed = np.clip(values, self.bounds.low, self.bounds.high)
        bad = ~(np.abs(values - allowed) <= ROUNDING * np.abs(allowed))
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            value, frame = values[first], frames[first]
            complaint = f"must be {self.bounds}" if np.isfinite(value) else "is not a finite number"
            raise FieldError(f"{value:g} at frame {frame} ({frame / float(clock.fps):.2f} s) {complaint}")
        return allowed


EASING_SCHEMA = {"enum": list(EASINGS)}
"""JSON Schema of the name of an easing."""


def track_schema(motion: bool) -> dict[str, Any]:
    """Returns the JSON Schema of a track; `motion` allows numbers per second."""
    value = {"type": ["number", "string"]} if motion else {"type": "number"}
    eased = {
        "type": "object",
        "properties": {"value": value, "ease": EASING_SCHEMA},
        "required": ["value"],
        "additionalProperties": False,
    }
    keys = {
        "type": "object",
        "patternProperties": {rf"^({TIME_PATTERN}|end)$": {"anyOf": [value, eased]}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [{"type": "number"}, {"type": "string"}, keys]}


def is_keyframes(raw: Mapping[str, Any]) -> bool:
    """Returns whether a mapping is one of keyframes: its first key is a time."""
    first = next(iter(raw), "")
    return (
        first == "end" or re.fullmatch(f"{NUMBER_PATTERN}|{TIME_PATTERN}", first[: MAX_NUMBER_LENGTH + 1]) is not None
    )


def parse_track(raw: Any, bounds: ValueRange) -> Track:
    """Parses a value of the scene into a track. Raises FieldError, or FieldErrors for several."""
    match raw:
        case bool():
            raise FieldError("a number, keyframes or an expression is needed here, not true or false")
        case int() | float():
            return Track(raw, bounds, _number(raw, bounds, ()), per_second=False)
        case str():
            text, per_second = _split_unit(raw, bounds)
            return Track(raw, bounds, expressions.parse(text), per_second=per_second)
        case dict():
            return _parse_keys(raw, bounds)
    raise FieldError("a number, keyframes or an expression is needed here")


def _parse_keys(raw: Mapping[str, Any], bounds: ValueRange) -> Track:
    if not raw:
        raise FieldError("at least one keyframe is needed: {0s: 1, 2s: 0}")
    parsed = collect((((name,), (name, item)) for name, item in raw.items()), lambda each: _parse_key(*each, bounds))
    keys, units = zip(*parsed.values(), strict=True)
    if len(set(units)) > 1:
        raise FieldError("the keyframes of a track are either all per second or none")
    return Track(dict(raw), bounds, keys, per_second=units[0])


def _parse_key(name: str, item: Any, bounds: ValueRange) -> tuple[Keyframe, bool]:
    """Returns a keyframe, and whether its value is per second."""
    try:
        time = parse_time(name)
    except FieldError as error:
        raise FieldError(str(error), at_key=True) from None
    if not isinstance(item, dict):
        value, per_second = _key_value(item, bounds, ())
        return Keyframe(time, value, "linear"), per_second
    for unknown in item.keys() - {"value", "ease"}:
        raise FieldError(
            f"unknown key {quote(unknown)}{did_you_mean(unknown, ['value', 'ease'])}", (unknown,), at_key=True
        )
    if "value" not in item:
        raise FieldError("the key 'value' is missing in the keyframe")
    ease = parse_easing(item.get("ease", "linear"), ("ease",))
    value, per_second = _key_value(item["value"], bounds, ("value",))
    return Keyframe(time, value, ease), per_second


def parse_easing(name: Any, path: Loc = ()) -> str:
    """Returns the name of an easing. Raises FieldError."""
    if not isinstance(name, str) or name not in EASINGS:
        raise FieldError(f"unknown easing {quote(name)}{did_you_mean(str(name), EASINGS)}", path)
    return name


def _key_value(value: Any, bounds: ValueRange, path: Loc) -> tuple[float, bool]:
    """Returns a keyframe's number, and whether it is per second."""
    if isinstance(value, str):
        text, per_second = _split_unit(value, bounds, path)
        if len(text) <= MAX_NUMBER_LENGTH and re.fullmatch(NUMBER_PATTERN, text.strip()) and per_second:
            return _number(float(text), bounds, path), True
        hint = ' or a number per second, "1.8/s"' if bounds.motion else ""
        raise FieldError(f"{quote(value)} is not a number{hint}", path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError("a number is needed here", path)
    return _number(value, bounds, path), False


def _number(value: float, bounds: ValueRange, path: Loc) -> float:
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(f"{quote(value)} is not a finite number", path)
    if not bounds.allows(number):
        raise FieldError(f"{number:g} must be {bounds}", path)
    return number


def _split_unit(text: str, bounds: ValueRange, path: Loc = ()) -> tuple[str, bool]:
    value, slash, unit = text.rpartition("/")
    if not slash or unit.strip() != "s":
        return text, False
    if not bounds.motion:
        raise FieldError("only camera motion can be per second; write the number without /s", path, offset=len(value))
    return value, True
