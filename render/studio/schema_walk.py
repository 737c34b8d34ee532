"""The JSON Schema of scenes at a path: what may be there, and which further keys a mapping may have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from render.scene.field_errors import Loc
from render.scene.objectives import KINDS
from render.scene.schema import scene_schema
from render.scene.signals import SOURCES

Schema = Mapping[str, Any]
NAME = "$name"
"""In a schema that was referred to: its name among the definitions, such as `Track`."""
KEYFRAMES = {"0s": "The value at the beginning.", "end": "The value at the end."}
_KINDS: Mapping[str, Mapping[str, Sequence[str]]] = {"objectives": KINDS, "signals": SOURCES}
"""Of mappings in a list or under a name: the keys of which they have one, and those that go with each."""


@lru_cache
def schema() -> Schema:
    """Returns the schema of scenes."""
    return scene_schema()


def alternatives_at(path: Loc) -> list[Schema]:
    """Returns the schemas of what may be at a path, references resolved and alternatives apart."""
    found = list(forms_of(schema()))
    for step in path:
        found = [inner for each in found for part in _children(each, step) for inner in forms_of(part)]
    return found


def forms_of(part: Schema) -> Iterator[Schema]:
    """Yields the alternatives of a schema, with references resolved; null is none of them."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/")[-1]
        part = {**schema()["$defs"][name], **{key: value for key, value in part.items() if key != "$ref"}, NAME: name}
    options = [option for option in part.get("anyOf", ()) if option.keys() != {"required"}]
    if options:
        shared = {key: part[key] for key in ("description", NAME) if key in part}
        yield from (inner for option in options for inner in forms_of({**shared, **option}))
    elif part.get("type") != "null":
        yield part


def _children(part: Schema, step: str | int) -> Iterator[Schema]:
    """Yields the schemas of the item or the value of the key `step`."""
    if isinstance(step, int):
        prefix = part.get("prefixItems", ())
        if step < len(prefix):
            yield prefix[step]
        elif part.get("items"):
            yield part["items"]
        return
    if step in part.get("properties", {}):
        yield part["properties"][step]
        return
    yield from (inner for pattern, inner in part.get("patternProperties", {}).items() if re.search(pattern, step))
    if isinstance(part.get("additionalProperties"), dict):
        yield part["additionalProperties"]


def is_mapping(part: Schema) -> bool:
    """Whether a schema is that of a mapping."""
    return "properties" in part or "patternProperties" in part or isinstance(part.get("additionalProperties"), dict)


def further_keys(alternatives: Iterable[Schema], path: Loc, present: Collection[str]) -> dict[str, Schema]:
    """Returns the keys, with their schemas, that a mapping at a path may have besides those that are present."""
    mappings = [each for each in alternatives if is_mapping(each)]
    most = max((_known(each, present) for each in mappings), default=0)
    keys: dict[str, Schema] = {}
    for mapping in mappings:
        if _known(mapping, present) < most:
            continue
        properties = mapping.get("properties", {})
        if "patternProperties" in mapping:
            properties = {key: {"description": text} for key, text in KEYFRAMES.items()}
        for key, part in properties.items():
            if key not in present and _fits(key, mapping, present) and _is_of_kind({*present, key}, path):
                keys.setdefault(key, part)
    return keys


def _known(mapping: Schema, present: Collection[str]) -> int:
    return sum(any(True for _ in _children(mapping, key)) for key in present)


def _fits(key: str, mapping: Schema, present: Collection[str]) -> bool:
    """Whether a mapping may have a key besides others: of some it has one only, and some belong to others."""
    choices = {name for choice in mapping.get("oneOf", ()) for name in choice.get("required", ())}
    if key in choices and not choices.isdisjoint(present):
        return False
    owners = mapping.get("dependentRequired", {}).get(key, ())
    return len(present) < mapping.get("maxProperties", len(present) + 1) and all(owner in present for owner in owners)


def _is_of_kind(keys: Collection[str], path: Loc) -> bool:
    """Whether the keys of an objective or a signal go together."""
    kinds = _KINDS.get(str(path[0])) if len(path) == 2 else None
    if kinds is None:
        return True
    given = next((kind for kind in kinds if kind in keys), None)
    if given is None:
        return False
    misplaced = {*kinds, *(key for further in kinds.values() for key in further)} - {given, *kinds[given]}
    return misplaced.isdisjoint(keys)
