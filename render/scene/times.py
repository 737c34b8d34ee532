"""Types of fields that are rates, times and durations."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from render.scene.clock import Time, parse_time
from render.scene.field_errors import FieldError
from render.text import quote

MIN_FPS, MAX_FPS = Fraction(1, 100), Fraction(1000)
"""Frames per second."""
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3}|/[1-9][0-9]{0,5})?")


def _parse_fps(raw: Any) -> Fraction:
    """Parses 24, 29.97 (the broadcast rate 30000/1001) or "30000/1001" into an exact rate."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise FieldError("a rate is needed: 24, 29.97 or 30000/1001")
    text = str(raw).strip()
    if not _RATE.fullmatch(text):
        raise FieldError(f"{quote(raw)} is not a rate: 24, 29.97 or 30000/1001")
    fps = Fraction(text)
    if not MIN_FPS <= fps <= MAX_FPS:
        raise FieldError(f"{text} frames per second; a rate is from {MIN_FPS} to {MAX_FPS}")
    broadcast = Fraction(round(fps) * 1000, 1001)
    return broadcast if fps != broadcast and fps.denominator > 1 and abs(fps - broadcast) < Fraction(1, 200) else fps


def _parse_duration(raw: Any) -> Time:
    """Parses `10s` or a number of frames; at least one frame."""
    time = _parse_span(raw, name="duration")
    if time.value == 0:
        raise FieldError(f"{quote(raw)} is not a duration: 10s, 64b, or a number of frames")
    return time


def _parse_film_time(raw: Any) -> Time:
    """Parses `48`, `2s`, `50%` or `end`."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise FieldError("a time is needed: 48, 2s, 50% or end")
    return parse_time(str(raw))


def _parse_span(raw: Any, *, name: str = "time") -> Time:
    """Parses `2s` or a number of frames, from 0."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise FieldError(f"a {name} is needed: 10s, 64b, or a number of frames")
    time = parse_time(str(raw))
    if time.unit == "%" or (time.unit == "" and time.value != int(time.value)):
        raise FieldError(f"{quote(raw)} is not a {name}: 10s, 64b, or a number of frames")
    return time


def _parse_interval(raw: Any) -> Time:
    """Parses `0.1s`, `1b` or `bar 1`: what is the same at any frame rate."""
    time = parse_time(raw) if isinstance(raw, str) else None
    if time is None or time.unit not in ("s", "b", "bar"):
        raise FieldError(f"{quote(raw)} has no unit: 0.1s, or beats, 1b")
    return time


def _parse_period(raw: Any) -> Time:
    """Parses `3s` or `4b`, above 0."""
    time = _parse_interval(raw)
    if time.value == 0:
        raise FieldError(f"{quote(raw)} is no time in which anything changes; a longer one is needed")
    return time


def _parse_delay(raw: Any) -> Time:
    """Parses `0.1s`, `1b` or `-0.1s`."""
    if isinstance(raw, str) and raw.startswith("-"):
        time = _parse_interval(raw[1:].lstrip())
        return Time(-time.value, time.unit)
    return _parse_interval(raw)


Fps = Annotated[
    Fraction,
    PlainValidator(_parse_fps),
    PlainSerializer(str),
    WithJsonSchema({"type": ["number", "string"], "examples": [24, 29.97, "30000/1001"]}),
]
Duration = Annotated[
    Time,
    PlainValidator(_parse_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["10s", 240]}),
]
Span = Annotated[
    Time,
    PlainValidator(_parse_span),
    PlainSerializer(str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["2s", 48]}),
]
FilmTime = Annotated[
    Time,
    PlainValidator(_parse_film_time),
    PlainSerializer(str),
    WithJsonSchema({"type": ["number", "string"], "examples": [48, "2s", "50%", "end"]}),
]
_INTERVAL_SCHEMA = {"type": "string", "examples": ["0.1s", "1b"]}
Interval = Annotated[Time, PlainValidator(_parse_interval), PlainSerializer(str), WithJsonSchema(_INTERVAL_SCHEMA)]
Period = Annotated[Time, PlainValidator(_parse_period), PlainSerializer(str), WithJsonSchema(_INTERVAL_SCHEMA)]
Delay = Annotated[
    Time,
    PlainValidator(_parse_delay),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["0.1s", "-0.1s", "1b"]}),
]
