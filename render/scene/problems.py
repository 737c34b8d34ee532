"""Translates pydantic's errors to problems with positions, in the words of a scene file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from render.scene.document import Document
from render.scene.field_errors import FieldError, FieldErrors, Loc
from render.scene.structure import key_paths, keys_at
from render.text import Problem, did_you_mean, quote

_NEEDED = {
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "finite_number": "finite",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_too_short": "at least {min_length} character(s) long",
}
"""What a value must be, by the type of pydantic's error and with the numbers of its context."""


def field_problems(document: Document, errors: ValidationError) -> Iterator[tuple[Loc, Problem]]:
    """Yields every error as a problem, with the path to the wrong key or value."""
    for error in errors.errors(include_url=False):
        path = _written_path(document, error["loc"])
        match error.get("ctx", {}).get("error"):
            case FieldError() as inner:
                yield path + inner.path, document.field_problem(inner.within(path))
            case FieldErrors(errors=several):
                for inner in several:
                    yield path + inner.path, document.field_problem(inner.within(path))
            case _:
                yield path, _problem(document, error, path)


def _written_path(document: Document, path: Loc) -> Loc:
    """Returns the path without an index into a value that is written alone, and not as a list of one."""
    parent = document.root.find(path[:-1]).value
    is_index = bool(path) and isinstance(path[-1], int)
    return path[:-1] if is_index and not isinstance(parent, list) else path


def _problem(document: Document, error: Any, path: Loc) -> Problem:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    match kind:
        case "extra_forbidden":
            return document.problem(f"unknown key {quote(path[-1])}{_hint(path)}", path, at_key=True)
        case "missing" if isinstance(path[-1], int):
            return document.problem(f"{_name(path[:-1])} needs {path[-1] + 1} values", path[:-1])
        case "missing":
            inside = f" in '{_name(path[:-1])}'" if path[:-1] else ""
            return document.problem(f"the key '{path[-1]}' is missing{inside}", path[:-1])
        case "literal_error":
            words = [word or number for word, number in re.findall(r"'([^']*)'|(\d+)", context["expected"])]
            return document.problem(f"unknown value {quote(value)}{did_you_mean(str(value), words)}", path)
        case "model_type" | "model_attributes_type":
            return document.problem(f"{_name(path)} must be a mapping of {', '.join(keys_at(path))}", path)
        case "tuple_type":
            return document.problem(f"{_name(path)} must be a list", path)
        case "too_long":
            return document.problem(f"{_name(path)} has at most {context['max_length']} values", path)
    if kind in _NEEDED:
        needed = _NEEDED[kind].format(**context)
        return document.problem(f"{_name(path)} must be {needed}, not {quote(value)}", path)
    return document.problem(error["msg"].replace("Input should", f"{_name(path)} should"), path)


def _name(path: Loc) -> str:
    return ".".join(str(step) for step in path) or "scene"


def _hint(path: Loc) -> str:
    """Returns the end of an unknown key's message: the sections that have the key, or the most similar known key."""
    key, known = str(path[-1]), keys_at(path[:-1])
    similar = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    parents = [] if similar else [other[:-1] for other in key_paths() if other[-1] == key]
    if parents:
        return "; it belongs " + " or ".join(f"in '{_name(parent)}'" if parent else "at the top" for parent in parents)
    return did_you_mean(key, known)
