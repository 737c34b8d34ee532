"""Building blocks of the scene's sections: tracks as fields, rates, durations, mappings, choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from render.choices import MAX_SIDE, MIN_SIDE
from render.scene.clock import Time
from render.scene.field_errors import FieldError, Loc, Parsed, collect
from render.scene.tracks import Track, ValueRange, is_keyframes, parse_track, track_schema
from render.text import did_you_mean, quote

MAX_PATH_LENGTH = 4096
_OF_KEY = ("title", "description", "default")
"""What the schema of a key says besides which values it has."""


@dataclass(frozen=True)
class TrackField(ValueRange):
    """Marks a field as a track with values in a range: `Annotated[Track, TrackField(low=0)]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda raw: parse_track(raw, self),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda track: track.raw),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.schema

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema; its bounds apply to constants."""
        bounds = {"minimum": self.low, "maximum": self.high}
        return track_schema(self.motion) | {key: bound for key, bound in bounds.items() if math.isfinite(bound)}


@dataclass(frozen=True)
class TrackListField(TrackField):
    """Marks a field as a track or a list of tracks: `Annotated[Track | tuple[Track, ...], TrackListField()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: [track.raw for track in value] if isinstance(value, tuple) else value.raw
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [self.schema, {"type": "array", "items": self.schema}]}

    def _parse(self, raw: Any) -> Track | tuple[Track, ...]:
        if isinstance(raw, list):
            return parse_each(raw, lambda item: parse_track(item, self))
        return parse_track(raw, self)


@dataclass(frozen=True)
class FileField:
    """Marks a field as a file's path or one of `words`: `Annotated[str | None, FileField("clip")]`.

    A `clip` is the path of a video, or the pattern of a picture sequence.
    """

    kind: Literal["picture", "weights", "clip", "sound", "table"]
    words: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_bounded_path, handler(source))


def _bounded_path(name: str | None) -> str | None:
    if name is not None and len(name) > MAX_PATH_LENGTH:
        raise FieldError(f"a path has at most {MAX_PATH_LENGTH} characters, this one has {len(name)}")
    return name


@dataclass(frozen=True)
class OneOrMany:
    """Marks a tuple field that may be written as one value or as a list: `Annotated[tuple[int, ...], OneOrMany()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._tuple, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        array = handler(schema) | {"minItems": 1}
        return {"anyOf": [array["items"], array]}

    def _tuple(self, raw: Any) -> tuple[Any, ...]:
        values = tuple(raw) if isinstance(raw, list | tuple) else (raw,)
        if not values:
            raise FieldError("at least one value is needed")
        return values


@dataclass(frozen=True)
class WordOr:
    """Marks a field that is one of `words` or of another type: `Annotated[int | str, WordOr(int, ("auto",))]`."""

    other: Any
    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        other = handler.generate_schema(self.other)
        serialization = core_schema.wrap_serializer_function_ser_schema(
            lambda value, serialize_other: value if isinstance(value, str) else serialize_other(value), schema=other
        )
        return core_schema.no_info_wrap_validator_function(self._parse, other, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.words)}, handler(schema["schema"])]}

    def _parse(self, raw: Any, parse_other: Callable[[Any], Any]) -> Any:
        if not isinstance(raw, str):
            return parse_other(raw)
        if raw not in self.words:
            raise FieldError(f"unknown word {quote(raw)}{did_you_mean(raw, self.words)}")
        return raw


Weight = Annotated[Track | tuple[Track, ...], TrackListField(-1e6, 1e6)]
ImagePath = Annotated[str | None, FileField("picture")]
ClipPath = Annotated[str | None, FileField("clip")]
UnitFloat = Annotated[float, Field(ge=0, le=1)]
ScaleFactor = Annotated[float, Field(ge=0.25, le=4)]
Zoom = Annotated[Track, TrackField(0.01, 100, motion=True, geometric=True)]
Rotation = Annotated[Track, TrackField(-1e5, 1e5, motion=True)]
Shift = Annotated[Track, TrackField(-100, 100, motion=True)]
Shear = Annotated[Track, TrackField(-0.9, 0.9, motion=True)]
Coordinate = Annotated[Track, TrackField(-100, 100)]
Fraction01 = Annotated[Track, TrackField(0, 1)]
Pixels = Annotated[Track, TrackField(0, MAX_SIDE)]


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]


def parse_each(items: Iterable[Any], parse: Callable[[Any], Parsed]) -> tuple[Parsed, ...]:
    """Parses every item of a list. Raises FieldErrors with the paths to the wrong items."""
    return tuple(collect((((i,), item) for i, item in enumerate(items)), parse).values())


def section_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Returns the fields of a section by the keys they have in a scene file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def track_field(default: Any, **options: Any) -> Any:
    """Returns a field whose default is written as in a scene file and parsed in the same way."""
    return Field(default, validate_default=True, **options)


class Section(BaseModel):
    """A mapping of the scene file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def tracks(self, path: Loc = ()) -> Iterator[tuple[Loc, Track]]:
        """Yields every track below this section with its path."""
        for value_path, value, _ in self._values(path):
            if isinstance(value, Track):
                yield value_path, value
            elif isinstance(value, Section):
                yield from value.tracks(value_path)

    def times(self, path: Loc = ()) -> Iterator[tuple[Loc, Time, bool]]:
        """Yields every time below this section with its path, and whether it is the key of a keyframe."""
        for value_path, value, _ in self._values(path):
            if isinstance(value, Time):
                yield value_path, value, False
            elif isinstance(value, Track):
                yield from (((*value_path, *inner), time, True) for inner, time in value.times())
            elif isinstance(value, Section):
                yield from value.times(value_path)

    def files(self, path: Loc = ()) -> Iterator[tuple[Loc, str, FileField]]:
        """Yields every file named below this section: its path in the scene, its name, and its kind."""
        for value_path, value, info in self._values(path):
            mark = next((mark for mark in info.metadata if isinstance(mark, FileField)), None)
            if mark is not None and value is not None and value not in mark.words:
                yield value_path, value, mark
            elif isinstance(value, Section):
                yield from value.files(value_path)

    def _values(self, path: Loc) -> Iterator[tuple[Loc, Any, FieldInfo]]:
        """Yields the value of each key; of a list or an open mapping, each item."""
        for name, info in type(self).model_fields.items():
            value_path, value = (*path, info.alias or name), getattr(self, name)
            if isinstance(value, tuple):
                yield from (((*value_path, i), item, info) for i, item in enumerate(value))
            elif isinstance(value, dict):
                yield from (((*value_path, key), item, info) for key, item in value.items())
            else:
                yield value_path, value, info


class ShortForm(Section):
    """A mapping, or the value of its key `alone` by itself: `{name: vgg16, weights_file: a.pth}`, or `vgg16`."""

    alone: ClassVar[str]

    @classmethod
    def is_alone(cls, data: Any) -> bool:
        """Returns whether data is the value of `alone`, as keyframes are, and not a mapping of keys."""
        return not isinstance(data, dict) or is_keyframes(data)

    @model_validator(mode="before")
    @classmethod
    def _with_key(cls, data: Any) -> Any:
        return {cls.alone: data} if cls.is_alone(data) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler.resolve_ref_schema(handler(schema))
        by_itself = {key: part for key, part in mapping["properties"][cls.alone].items() if key not in _OF_KEY}
        options, nothing = by_itself.get("anyOf", []), {"type": "null"}
        forms = [option for option in options if option != nothing] if nothing in options else [by_itself]
        return {"anyOf": [*forms, dict(mapping)], "description": mapping.get("description", "")}


class OneOf(Section):
    """A mapping with exactly one of its keys, `{image: p.jpg}`; or that key as a word, `noise`, with its defaults.

    `modifiers` are further keys, each of which belongs to one of them: `{video: c.mp4, start: 2s}`.
    """

    words: ClassVar[tuple[str, ...]] = ()
    """The keys that may be written alone."""
    modifiers: ClassVar[dict[str, str]] = {}
    """Each modifier and the key it belongs to."""

    @classmethod
    def choices(cls) -> list[str]:
        """Returns the keys of which exactly one is present."""
        return [name for name in cls.model_fields if name not in cls.modifiers]

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, data: Any) -> Any:
        choices = cls.choices()
        if isinstance(data, str):
            if data not in cls.words:
                raise FieldError(f"unknown word {quote(data)}{did_you_mean(data, cls.words)}")
            return {data: {}}
        if not isinstance(data, dict) or not data.keys() <= set(cls.model_fields):
            return data
        chosen = data.keys() & set(choices)
        if len(chosen) != 1:
            raise FieldError(f"exactly one of {', '.join(choices)} belongs here, not {len(chosen)}")
        for key in data.keys() - chosen:
            if cls.modifiers[key] not in chosen:
                raise FieldError(f"'{key}' belongs to '{cls.modifiers[key]}'", (key,), at_key=True)
        return {key: {} if value is None and key in cls.words else value for key, value in data.items()}

    @property
    def chosen(self) -> Any:
        """The value of the one key."""
        values = (getattr(self, name) for name in self.choices())
        return next(value for value in values if value is not None)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler.resolve_ref_schema(handler(schema))
        for name, info in mapping["properties"].items():
            info.pop("default", None)
            options = [option for option in info.pop("anyOf", []) if option.get("type") != "null"]
            mapping["properties"][name] = {**(options[0] if options else {}), **info}
        if cls.modifiers:
            mapping["oneOf"] = [{"required": [name]} for name in cls.choices()]
            mapping["dependentRequired"] = {name: [owner] for name, owner in cls.modifiers.items()}
        else:
            mapping.update(minProperties=1, maxProperties=1)
        if not cls.words:
            return mapping
        return {"anyOf": [{"enum": list(cls.words)}, dict(mapping)], "description": mapping.get("description", "")}
