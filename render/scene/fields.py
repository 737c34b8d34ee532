"""What the scene's parts are built from: tracks as fields, rates, durations, mappings, choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from render.errors import did_you_mean, shown
from render.scene.faults import Fault, Loc, Made, gathered
from render.scene.tracks import Rule, Time, Track, parse_time, parse_track, track_schema

MAX_SIDE = 16384
MIN_SIDE = 16
LONGEST_PATH = 4096
SLOWEST, FASTEST = Fraction(1, 100), Fraction(1000)
"""Frames a second."""
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3}|/[1-9][0-9]{0,5})?")


@dataclass(frozen=True)
class Keyframeable(Rule):
    """Marks a field as a track within a rule: `Annotated[Track, Keyframeable(low=0)]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda raw: parse_track(raw, self),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda track: track.raw),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return track_schema(self.motion)


@dataclass(frozen=True)
class KeyframeableTogether(Keyframeable):
    """Marks a field as a track, or a list of them: `Annotated[Track | tuple[Track, ...], KeyframeableTogether()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parsed,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: [track.raw for track in value] if isinstance(value, tuple) else value.raw
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [track_schema(self.motion), {"type": "array", "items": track_schema(self.motion)}]}

    def _parsed(self, raw: Any) -> Track | tuple[Track, ...]:
        return (
            parsed_each(raw, lambda item: parse_track(item, self)) if isinstance(raw, list) else parse_track(raw, self)
        )


@dataclass(frozen=True)
class NamesFile:
    """Marks a field that holds a file's path, unless it is one of `words`: `Annotated[str | None, NamesFile("clip")]`.

    A `clip` is a video's path, or the pattern of a sequence of pictures.
    """

    kind: Literal["picture", "weights", "clip", "sound"]
    words: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_path, handler(source))


@dataclass(frozen=True)
class OneOrMore:
    """Marks a field as a tuple that may be written as one value: `Annotated[tuple[int, ...], OneOrMore(int_of, {…})]`.

    `item` parses a value or raises Fault, `schema` is its JSON Schema.
    """

    item: Callable[[Any], Any]
    schema: dict[str, Any] = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._parsed)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [self.schema, {"type": "array", "items": self.schema, "minItems": 1}]}

    def _parsed(self, raw: Any) -> tuple[Any, ...]:
        if raw == []:
            raise Fault("at least one is needed")
        return parsed_each(raw, self.item) if isinstance(raw, list | tuple) else (self.item(raw),)


def _path(name: str | None) -> str | None:
    if name is not None and len(name) > LONGEST_PATH:
        raise Fault(f"a path has at most {LONGEST_PATH} characters, this one has {len(name)}")
    return name


Weight = Annotated[Track | tuple[Track, ...], KeyframeableTogether(-1e6, 1e6)]
Picture = Annotated[str | None, NamesFile("picture")]
Clip = Annotated[str | None, NamesFile("clip")]
Fractional = Annotated[float, Field(ge=0, le=1)]
Growth = Annotated[float, Field(ge=0.25, le=4)]
Zoom = Annotated[Track, Keyframeable(0.01, 100, motion=True, geometric=True)]
Turn = Annotated[Track, Keyframeable(-1e5, 1e5, motion=True)]
Shift = Annotated[Track, Keyframeable(-100, 100, motion=True)]
Lean = Annotated[Track, Keyframeable(-0.9, 0.9, motion=True)]
Place = Annotated[Track, Keyframeable(-100, 100)]
Share = Annotated[Track, Keyframeable(0, 1)]
Pixels = Annotated[Track, Keyframeable(0, MAX_SIDE)]


def _fps(raw: Any) -> Fraction:
    """24, 29.97 (the broadcast rate 30000/1001) or "30000/1001"."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Fault("a rate is needed: 24, 29.97 or 30000/1001")
    text = str(raw).strip()
    if not _RATE.fullmatch(text):
        raise Fault(f"{shown(raw)} is not a rate: 24, 29.97 or 30000/1001")
    fps = Fraction(text)
    if not SLOWEST <= fps <= FASTEST:
        raise Fault(f"{text} frames a second; a rate is from {SLOWEST} to {FASTEST}")
    broadcast = Fraction(round(fps) * 1000, 1001)
    return broadcast if fps != broadcast and fps.denominator > 1 and abs(fps - broadcast) < Fraction(1, 200) else fps


def _duration(raw: Any) -> Time:
    """`10s` or a number of frames."""
    time = _span(raw, "duration")
    if time.value == 0:
        raise Fault(f"{shown(raw)} is not a duration: 10s, or a number of frames")
    return time


def _start(raw: Any) -> Time:
    """`2s` or a number of frames, from the beginning on."""
    return _span(raw, "start")


def _span(raw: Any, name: str) -> Time:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Fault(f"a {name} is needed: 10s, or a number of frames")
    time = parse_time(str(raw))
    if time.unit == "%" or (time.unit == "" and time.value != int(time.value)):
        raise Fault(f"{shown(raw)} is not a {name}: 10s, or a number of frames")
    return time


Fps = Annotated[
    Fraction,
    PlainValidator(_fps),
    PlainSerializer(str),
    WithJsonSchema({"type": ["number", "string"], "examples": [24, 29.97, "30000/1001"]}),
]
Duration = Annotated[
    Time,
    PlainValidator(_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["10s", 240]}),
]
Start = Annotated[
    Time,
    PlainValidator(_start),
    PlainSerializer(str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["2s", 48]}),
]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]


def parsed_each(items: Iterable[Any], parse: Callable[[Any], Made]) -> tuple[Made, ...]:
    """Every item of a list, parsed. Raises Faults with the ways to what is wrong."""
    return tuple(gathered((((i,), item) for i, item in enumerate(items)), parse).values())


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a part by the keys they have in a scene file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def parsed(default: Any, **options: Any) -> Any:
    """A field whose default is written as in a scene file, and parsed like it."""
    return Field(default, validate_default=True, **options)


class Part(BaseModel):
    """A mapping of the scene file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def tracks(self, path: Loc = ()) -> Iterator[tuple[Loc, Track]]:
        """Every track below, with the way to it."""
        for here, value, _ in self._values(path):
            if isinstance(value, Track):
                yield here, value
            elif isinstance(value, Part):
                yield from value.tracks(here)

    def files(self, path: Loc = ()) -> Iterator[tuple[Loc, str, NamesFile]]:
        """Every file that is named below, with the way to it and what it is for."""
        for here, value, info in self._values(path):
            mark = next((mark for mark in info.metadata if isinstance(mark, NamesFile)), None)
            if mark is not None and value is not None and value not in mark.words:
                yield here, value, mark
            elif isinstance(value, Part):
                yield from value.files(here)

    def _values(self, path: Loc) -> Iterator[tuple[Loc, Any, FieldInfo]]:
        """What each key holds, and each item of a list."""
        for name, info in type(self).model_fields.items():
            here, value = (*path, info.alias or name), getattr(self, name)
            if isinstance(value, tuple):
                yield from (((*here, i), item, info) for i, item in enumerate(value))
            else:
                yield here, value, info


class Named(Part):
    """A mapping, or the value of its key `name` alone: `googlenet`, or `{name: googlenet, weights: my.pth}`."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string"}, dict(made)], "description": made.get("description", "")}


class Choice(Part):
    """A mapping of exactly one key, `{image: p.jpg}`; or that key as a word, `noise`, with its defaults.

    `beside` are keys that say more of one of them, `{video: c.mp4, start: 2s}`.
    """

    words: ClassVar[tuple[str, ...]] = ()
    """The keys that may stand alone."""
    beside: ClassVar[dict[str, str]] = {}
    """Keys that may stand beside the one they belong to."""

    @classmethod
    def choices(cls) -> list[str]:
        """The keys of which there is one."""
        return [name for name in cls.model_fields if name not in cls.beside]

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, data: Any) -> Any:
        known = cls.choices()
        if isinstance(data, str):
            if data not in cls.words:
                raise Fault(f"unknown word {shown(data)}{did_you_mean(data, cls.words)}")
            return {data: {}}
        if not isinstance(data, dict) or not data.keys() <= set(cls.model_fields):
            return data
        chosen = data.keys() & set(known)
        if len(chosen) != 1:
            raise Fault(f"exactly one of {', '.join(known)} belongs here, not {len(chosen)}")
        for key in data.keys() - chosen:
            if cls.beside[key] not in chosen:
                raise Fault(f"'{key}' belongs to '{cls.beside[key]}'", (key,), at_key=True)
        return {key: {} if value is None and key in cls.words else value for key, value in data.items()}

    @property
    def chosen(self) -> Any:
        """What the one key holds."""
        return next(value for name in self.choices() if (value := getattr(self, name)) is not None)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        for name, info in made["properties"].items():
            info.pop("default", None)
            made["properties"][name] = {
                **next((o for o in info.pop("anyOf", []) if o.get("type") != "null"), {}),
                **info,
            }
        if cls.beside:
            made["oneOf"] = [{"required": [name]} for name in cls.choices()]
            made["dependentRequired"] = {name: [other] for name, other in cls.beside.items()}
        else:
            made.update(minProperties=1, maxProperties=1)
        if not cls.words:
            return made
        return {"anyOf": [{"enum": list(cls.words)}, dict(made)], "description": made.get("description", "")}
