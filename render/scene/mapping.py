"""Scenes and values from Python, as the text of a scene file: its positions are those of their error messages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any

from render.errors import SceneError
from render.scene.field_errors import Loc
from render.scene.yaml_loader import MAX_DEPTH
from render.text import Problem, quote

YAML_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON allows in a text, and YAML takes for line breaks, or forbids."""
MAX_BITS = 1024
"""Of a whole number; longer ones take long to print."""


def scene_text(value: Mapping[Any, Any]) -> str:
    """Returns a mapping as a scene file of one key or value per line. Raises SceneError for what no scene can hold."""
    return _yaml(value, indent=1)


def value_text(value: object) -> str:
    """Returns a value as YAML in one line. Raises SceneError for what no scene can hold."""
    return _yaml(value, indent=None)


def _yaml(value: object, *, indent: int | None) -> str:
    text = json.dumps(_plain(value, ()), ensure_ascii=False, allow_nan=False, indent=indent)
    return YAML_BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _plain(value: Any, path: Loc) -> Any:
    """Returns dicts with names, lists and scalars; of paths, their text, and of fractions `30000/1001`."""
    if len(path) > MAX_DEPTH:
        raise _error(f"nested more than {MAX_DEPTH} deep", path[:1])
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, path)
        case PathLike():
            return _text(fspath(value), path)
        case Mapping():
            return {_key(key, path): _plain(item, (*path, str(key))) for key, item in value.items()}
        case list() | tuple() | range():
            return [_plain(item, (*path, index)) for index, item in enumerate(value)]
        case Integral() if int(value).bit_length() <= MAX_BITS:
            return int(value)
        case Fraction():
            return str(value)
        case Real() if not isinstance(value, Integral) and math.isfinite(value):
            return float(value)
        case Real():
            raise _error("is not a finite number that a scene can hold", path)
    raise _error(
        f"is {quote(type(value).__name__)}, which a scene cannot hold; it has numbers, text, lists and dicts", path
    )


def _key(key: object, path: Loc) -> str:
    if isinstance(key, str):
        return _text(key, path)
    if isinstance(key, int | float) and not isinstance(key, bool):
        return str(key)  # a frame of a keyframe
    raise _error(f"has the key {quote(key)}, which is no text", path)


def _text(text: object, path: Loc) -> str:
    if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
        raise _error("is not text", path)
    return text


def _error(message: str, path: Loc) -> SceneError:
    name = ".".join(map(str, path)) or "the scene"
    return SceneError([Problem(f"{name} {message}")])
