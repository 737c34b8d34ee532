"""The structure of scenes as the model declares it: which sections and keys may be at a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from render.scene.field_errors import Loc
from render.scene.fields import FileField, section_fields
from render.scene.model import SceneSpec


def sections_at(path: Loc) -> list[type[BaseModel]]:
    """Returns the sections that may be at `path`."""
    sections: list[type[BaseModel]] = [SceneSpec]
    for step in path:
        if isinstance(step, str):
            fields = [section_fields(section).get(step) for section in sections]
            sections = [inner for field in fields if field is not None for inner in sections_of(field.annotation)]
    return sections


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
        for inner in sections_of(field.annotation):
            yield from key_paths(inner, (*path, key))


def sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the sections that an annotation mentions: `NoiseSpec` of `NoiseSpec | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections_of(argument)
