"""Tracks: a number that may change over the film, as a constant, as keyframes or as an expression.

1.02      "1.8/s"      {0s: 1, 2s: {value: 1.03, ease: smooth}}      "1 + 0.02 * sin(t)"
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from render.errors import did_you_mean, shown
from render.scene import expressions
from render.scene.easings import EASINGS
from render.scene.expressions import Expression
from render.scene.faults import Fault, Loc, gathered

Values = NDArray[np.float64]
Curve = Callable[[Values], Values]
"""From seconds to values."""

_PER_SECOND = re.compile(r"(.*)/\s*s\s*", re.DOTALL)
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_LONGEST_NUMBER = 40
_TIME = re.compile(rf"({_NUMBER})\s*(s|%|)")
LONGEST = 1e7
"""Seconds, frames or per cent; a bound on what is computed with, well above the scene's own."""


@dataclass(frozen=True)
class Clock:
    """What turns times into frames and back: the exact rate and the number of frames."""

    fps: Fraction
    length: int

    @property
    def end(self) -> float:
        """The time of the last frame."""
        return (self.length - 1) / float(self.fps)


@dataclass(frozen=True)
class Time:
    """A point in the film: a frame number, seconds, or per cent of the way to the last frame."""

    value: float
    unit: Literal["", "s", "%"]

    def __str__(self) -> str:
        return f"{self.value:.12g}{self.unit}"

    def seconds(self, clock: Clock) -> float:
        """The time on that clock."""
        match self.unit:
            case "s":
                return self.value
            case "%":
                return self.value / 100 * clock.end
            case _:
                return self.value / float(clock.fps)


def parse_time(text: str) -> Time:
    """`48`, `2s`, `50%` or `end`. Raises Fault."""
    if text == "end":
        return Time(100.0, "%")
    match = _TIME.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        raise Fault(f"{shown(text)} is not a time: a frame number, 2s, 50% or end")
    value = float(match[1])
    if not (0 <= value <= LONGEST):
        raise Fault(f"the time {shown(text)} is not within the film")
    return Time(value, match[2])  # type: ignore[arg-type]  # the pattern allows just these


@dataclass(frozen=True)
class Rule:
    """What a track's numbers may be: from `low` to `high`. `motion` may be given per second; `geometric` interpolates
    by ratio, and needs a `low` above zero."""

    low: float = -math.inf
    high: float = math.inf
    motion: bool = False
    geometric: bool = False

    def __str__(self) -> str:
        return f"at least {self.low:g}" if math.isinf(self.high) else f"from {self.low:g} to {self.high:g}"

    def allows(self, value: float) -> bool:
        """Whether a value is within the rule."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Key:
    """A keyframe: the value at a time, and the easing that shapes the way to it."""

    time: Time
    value: float
    ease: str


ROUNDING = 1e-14
"""A key at a rule's end is within it, though exp(log(100)) is more than 100."""
PART = 65536
"""Frames worked out at once, so that memory does not grow with film and expression together."""
_WORK_OF_KEYS = 20
# Gauss-Legendre quadrature on [0, 1]: exact for polynomials of degree 5, and never at the ends, where a `hold` jumps.
_GAUSS = ((0.5 - math.sqrt(0.15), 5 / 18), (0.5, 8 / 18), (0.5 + math.sqrt(0.15), 5 / 18))


@dataclass(frozen=True)
class Track:
    """A number at every frame. `raw` is what the scene said, `shape` what it means, times `factor`."""

    raw: Any
    rule: Rule
    shape: float | Expression | tuple[Key, ...]
    per_second: bool
    factor: float = 1.0

    def values(self, clock: Clock) -> Values:
        """One float64 a frame, finite and, before the factor, within the rule. A constant takes no memory.

        A track per second is integrated over the frame's own interval, from the frame before, so that a film moves
        the same at any rate. Raises Fault, naming the frame.
        """
        shape = self.shape
        if isinstance(shape, float):
            return np.broadcast_to(shape * self.factor, (clock.length,))
        with np.errstate(all="ignore"):
            at = self._expressed(shape, clock) if isinstance(shape, Expression) else self._keyed(shape, clock)
            values = np.empty(clock.length)
            for first in range(0, clock.length, PART):
                frames = range(first, min(first + PART, clock.length))
                values[frames.start : frames.stop] = self._values(at, frames, clock)
            return values

    @property
    def work(self) -> int:
        """What `values` takes for each frame, where an operation takes 1, and keeping the value 10."""
        match self.shape:
            case float():
                return 0
            case Expression(size=size):
                operations = size
            case tuple():
                operations = _WORK_OF_KEYS
        return 10 + operations * (1 + len(_GAUSS) * self.per_second)

    def scaled(self, factor: float) -> Track:
        """The track with every value multiplied; `raw` says so too, for the record."""
        match self.shape:
            case Expression(text=text):
                raw: Any = f"({text.strip()}) * {factor!r}" + "/s" * self.per_second
            case tuple():
                raw = {time: _scaled_key(key, factor) for time, key in self.raw.items()}
            case float(value):
                raw = value * factor
        return replace(self, raw=raw, factor=self.factor * factor)

    def _values(self, at: Curve, frames: range, clock: Clock) -> Values:
        seconds = np.arange(frames.start, frames.stop) / float(clock.fps)
        values = self._checked(at(seconds), frames, clock)
        if self.per_second:
            step = 1 / float(clock.fps)
            samples = ((at(seconds - step * (1 - u)), weight) for u, weight in _GAUSS)
            total = sum(weight * self._linear(self._checked(sample, frames, clock)) for sample, weight in samples)
            values = self._checked(self._inverse(np.asarray(total * step)), frames, clock)
        return values * self.factor

    def _expressed(self, expression: Expression, clock: Clock) -> Curve:
        fps = float(clock.fps)
        fixed = {"fps": np.asarray(fps), "duration": np.asarray(clock.length / fps)}

        def at(seconds: Values) -> Values:
            seconds = np.maximum(seconds, 0.0)
            return expression({"t": seconds, "frame": seconds * fps, **fixed})

        return at

    def _keyed(self, keys: tuple[Key, ...], clock: Clock) -> Curve:
        pairs = sorted(((key.time.seconds(clock), key) for key in keys), key=lambda pair: pair[0])
        times = np.array([time for time, _ in pairs])
        levels = self._linear(np.array([key.value for _, key in pairs]))
        names = list(dict.fromkeys(key.ease for _, key in pairs))
        eases = np.array([names.index(key.ease) for _, key in pairs])

        def at(seconds: Values) -> Values:
            passed = np.searchsorted(times, seconds, side="right")  # of keys at one time the last counts: a jump
            start, end = np.maximum(passed - 1, 0), np.minimum(passed, len(pairs) - 1)
            values = levels[start]
            for i, name in enumerate(names):
                here = np.flatnonzero((start < end) & (eases[end] == i))
                a, b = start[here], end[here]
                u = (seconds[here] - times[a]) / (times[b] - times[a])
                values[here] += (levels[b] - levels[a]) * EASINGS[name](u)
            return self._inverse(values)

        return at

    def _linear(self, values: Values) -> Values:
        """To where interpolation and sums are arithmetic."""
        return np.asarray(np.log(values)) if self.rule.geometric else values

    def _inverse(self, values: Values) -> Values:
        return np.asarray(np.exp(values)) if self.rule.geometric else values

    def _checked(self, values: Values, frames: range, clock: Clock) -> Values:
        """The values. Raises Fault for the first that is not finite or, but for rounding, not within the rule."""
        allowed = np.clip(values, self.rule.low, self.rule.high)
        bad = ~(np.abs(values - allowed) <= ROUNDING * np.abs(allowed))
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            value, frame = values[first], frames[first]
            complaint = f"must be {self.rule}" if np.isfinite(value) else "is not a finite number"
            raise Fault(f"{value:g} at frame {frame} ({frame / float(clock.fps):.2f} s) {complaint}")
        return allowed


def track_schema(motion: bool) -> dict[str, Any]:
    """The JSON Schema of a track; `motion` allows numbers per second."""
    value = {"type": ["number", "string"]} if motion else {"type": "number"}
    eased = {
        "type": "object",
        "properties": {"value": value, "ease": {"enum": list(EASINGS)}},
        "required": ["value"],
        "additionalProperties": False,
    }
    keys = {
        "type": "object",
        "patternProperties": {rf"^({_TIME.pattern}|end)$": {"anyOf": [value, eased]}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [{"type": "number"}, {"type": "string"}, keys]}


def parse_track(raw: Any, rule: Rule) -> Track:
    """The track that a scene's value describes. Raises Fault, or Faults for several."""
    match raw:
        case bool():
            raise Fault("a number, keyframes or an expression is needed here, not true or false")
        case int() | float():
            return Track(raw, rule, _number(raw, rule, ()), per_second=False)
        case str():
            text, per_second = _split_unit(raw, rule)
            return Track(raw, rule, expressions.parse(text), per_second)
        case dict():
            return _parse_keys(raw, rule)
    raise Fault("a number, keyframes or an expression is needed here")


def _parse_keys(raw: Mapping[str, Any], rule: Rule) -> Track:
    if not raw:
        raise Fault("keyframes without a key; write {0s: 1, 2s: 0}")
    parsed = gathered((((name,), (name, item)) for name, item in raw.items()), lambda each: _parse_key(*each, rule))
    keys, units = zip(*parsed.values(), strict=True)
    if len(set(units)) > 1:
        raise Fault("either all keys of a track are per second or none")
    return Track(dict(raw), rule, keys, units[0])


def _parse_key(name: str, item: Any, rule: Rule) -> tuple[Key, bool]:
    """A keyframe, and whether its value is per second."""
    try:
        time = parse_time(name)
    except Fault as fault:
        raise Fault(str(fault), at_key=True) from None
    if not isinstance(item, dict):
        value, per_second = _key_value(item, rule, ())
        return Key(time, value, "linear"), per_second
    for unknown in item.keys() - {"value", "ease"}:
        raise Fault(f"unknown key {shown(unknown)}{did_you_mean(unknown, ['value', 'ease'])}", (unknown,), at_key=True)
    if "value" not in item:
        raise Fault("a key needs a value")
    ease = item.get("ease", "linear")
    if not isinstance(ease, str) or ease not in EASINGS:
        raise Fault(f"unknown easing {shown(ease)}{did_you_mean(str(ease), EASINGS)}", ("ease",))
    value, per_second = _key_value(item["value"], rule, ("value",))
    return Key(time, value, ease), per_second


def _key_value(value: Any, rule: Rule, path: Loc) -> tuple[float, bool]:
    """A key's number, and whether it is per second."""
    if isinstance(value, str):
        text, per_second = _split_unit(value, rule, path)
        if len(text) <= _LONGEST_NUMBER and re.fullmatch(_NUMBER, text.strip()) and per_second:
            return _number(float(text), rule, path), True
        raise Fault(f"{shown(value)} is not a number" + ' or a number per second, "1.8/s"' * rule.motion, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault("a number is needed here", path)
    return _number(value, rule, path), False


def _number(value: float, rule: Rule, path: Loc) -> float:
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise Fault(f"{shown(value)} is not a finite number", path)
    if not rule.allows(number):
        raise Fault(f"{number:g} must be {rule}", path)
    return number


def _split_unit(text: str, rule: Rule, path: Loc = ()) -> tuple[str, bool]:
    match = _PER_SECOND.fullmatch(text)
    if match is None:
        return text, False
    if not rule.motion:
        raise Fault("this number is not a motion, it cannot be per second", path, len(match[1]))
    return match[1], True


def _scaled_key(key: Any, factor: float) -> Any:
    if isinstance(key, dict):
        return {**key, "value": _scaled_key(key["value"], factor)}
    return f"{float(key[: key.rindex('/')]) * factor!r}/s" if isinstance(key, str) else key * factor
