"""The structure of scenes as the model declares it: which sections and keys may be at a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_origin

from pydantic import BaseModel

from render.scene.field_errors import Loc
from render.scene.fields import FileField, section_fields
from render.scene.model import SceneSpec

ANY_NAME = "NAME"
"""Stands for the names that a scene chooses, of signals, in the path of a key."""


def sections_at(path: Loc) -> list[type[BaseModel]]:
    """Returns the sections that may be at `path`."""
    sections: list[type[BaseModel]] = [SceneSpec]
    is_open = False  # whether the next step is a name that the scene chooses
    for step in path:
        if is_open:
            is_open = False
        elif isinstance(step, str):
            fields = [field for section in sections if (field := section_fields(section).get(step)) is not None]
            sections = [inner for field in fields for inner in sections_of(field.annotation)]
            is_open = any(_is_open(field.annotation) for field in fields)
    return [] if is_open else sections


def keys_at(path: Loc) -> list[str]:
    """Returns the keys that the mapping at `path` may have."""
    return [key for section in sections_at(path) for key in section_fields(section)]


def file_field_at(path: Loc) -> FileField | None:
    """Returns what marks the key that ends `path` as the name of a file; None for other keys."""
    fields = (section_fields(section).get(str(path[-1])) for section in sections_at(path[:-1]))
    marks = (mark for field in fields if field is not None for mark in field.metadata)
    return next((mark for mark in marks if isinstance(mark, FileField)), None)


def key_paths(section: type[BaseModel] = SceneSpec, path: Loc = ()) -> Iterator[Loc]:
    """Yields the path of every key below a section, without list indices."""
    for key, field in section_fields(section).items():
        yield (*path, key)
        below = (*path, key, ANY_NAME) if _is_open(field.annotation) else (*path, key)
        for inner in sections_of(field.annotation):
            yield from key_paths(inner, below)


def _is_open(annotation: Any) -> bool:
    """Whether an annotation is a mapping whose keys the scene chooses: `dict[str, SignalSpec]`."""
    return get_origin(annotation) is dict


def sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the sections that an annotation mentions: `NoiseSpec` of `NoiseSpec | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections_of(argument)
