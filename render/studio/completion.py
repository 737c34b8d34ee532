"""What may be written at a place of a scene's text, also while the text is no valid YAML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from render.scene.structure import file_field_at
from render.studio.outline import Cursor, Outline, outline
from render.studio.schema_walk import NAME, Schema, alternatives_at, forms_of, further_keys, is_mapping
from render.studio.vocabulary import Named, expression_names, files, names_at

MAX_OPTIONS = 100
MAX_DETAIL = 80
"""Characters."""
TRACKS = ("Track", "Motion")
"""Definitions of the schema."""
INDENT = "  "
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*\Z")
_REST = re.compile(r"\w*")
_OPERAND = re.compile(r"(?:\A|[-+*/%(,<>=]|\b(?:if|else))\s*\Z")
"""The end of a text after which a name may follow."""
_PLAIN = re.compile(r"[\w./]|[\w./][\w ./'()+%-]*[\w./')(+%-]")
_OTHER_MEANING = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?|0[xo][0-9a-fA-F]+|true|false|null", re.IGNORECASE)
"""Texts that are numbers, booleans or null without quotes."""


@dataclass(frozen=True)
class Option:
    """A completion: what is displayed, what it is, and the text that replaces the range."""

    label: str
    detail: str
    insert: str


@dataclass(frozen=True)
class Completions:
    """Options for the range of a text from `start` to `end`, the best first."""

    start: int
    end: int
    options: list[Option]


def complete(text: str, offset: int, path: Path) -> Completions:
    """Returns what may be written at an offset of the text of the scene file at `path`, MAX_OPTIONS at most.

    Options that begin with what is typed come before those that contain it.
    """
    offset = min(max(offset, 0), len(text))
    written = outline(text, offset)
    cursor = written.cursor
    if cursor is None:
        return Completions(offset, offset, [])
    typed = text[cursor.start : max(offset, cursor.start)]
    alternatives = alternatives_at(cursor.path)
    options: list[Option] = []
    if cursor.place in ("key", "either"):
        options += _keys(cursor, written.keys.get(cursor.path, ()), alternatives)
    if cursor.place != "key":
        is_track = any(each.get(NAME) in TRACKS and each.get("type") == "string" for each in alternatives)
        names = list(expression_names(written)) if is_track else []
        if names and typed:
            return _in_expression(text, offset, cursor, names=names)
        options += _values(cursor, written, alternatives, files_of=(path.parent, typed))
        options += _templates(cursor, alternatives)
        options += [Option(name.rstrip("("), detail, name) for name, detail in names]
    lead = " " if cursor.is_adjacent else ""
    lead += "- " if cursor.place == "item" else ""
    options = [replace(option, insert=lead + option.insert) for option in options] if lead else options
    return Completions(cursor.start, cursor.end, _ranked(options, typed))


def _keys(cursor: Cursor, present: Sequence[str], alternatives: Sequence[Schema]) -> Iterator[Option]:
    """Yields the further keys of a mapping; in a block, a key of a mapping or of a list of mappings begins a line."""
    for key, part in further_keys(alternatives, cursor.path, present).items():
        insert = key if cursor.has_colon else f"{key}: "
        if cursor.column is not None and not cursor.has_colon:
            forms = alternatives_at((*cursor.path, key))
            below = f"{key}:\n{' ' * cursor.column}{INDENT}"
            if forms and all(is_mapping(form) for form in forms):
                insert = below
            elif forms and all(_item_mappings(form) for form in forms):
                insert = f"{below}- "
        yield Option(key, _detail(part), insert)


def _templates(cursor: Cursor, alternatives: Sequence[Schema]) -> Iterator[Option]:
    """Yields mappings of one key in brackets: `{layer: }`, and of a list of mappings the list or its first item."""
    is_item = cursor.place == "item" or isinstance(cursor.path[-1], int)
    for each in alternatives:
        if is_mapping(each) and (cursor.place != "either" or is_item):
            required = each.get("required", ())
            for key, part in further_keys([each], cursor.path, ()).items():
                if key in required or not required:
                    yield Option(f"{{{key}: }}", _detail(part), f"{{{key}: }}")
        for inner in _item_mappings(each):
            for key, part in further_keys([inner], (*cursor.path, 0), ()).items():
                item = f"- {{{key}: }}" if cursor.place == "either" else f"[{{{key}: }}]"
                yield Option(item, _detail(part), item)


def _item_mappings(part: Schema) -> list[Schema]:
    """Returns the schemas of the mappings that are the items of a list."""
    items = part.get("items")
    return [each for each in forms_of(items) if is_mapping(each)] if isinstance(items, dict) else []


def _values(
    cursor: Cursor, written: Outline, alternatives: Sequence[Schema], *, files_of: tuple[Path, str]
) -> Iterator[Option]:
    """Yields names, words, examples and files; `files_of` is the scene's folder, and what is typed."""
    for value, detail in names_at(cursor.path, written):
        yield Option(str(value), detail, _scalar(value, cursor.quote))
    for each in alternatives:
        values = each.get("enum", [each["const"]] if "const" in each else each.get("examples", ()))
        values = (True, False) if each.get("type") == "boolean" else values
        for value in values:
            label = value if isinstance(value, str) else json.dumps(value)
            yield Option(label, _detail(each), _scalar(value, cursor.quote))
    mark = file_field_at(cursor.path)
    for name, detail in files(*files_of, mark) if mark is not None else ():
        yield Option(name, detail, _scalar(name, cursor.quote))


def _in_expression(text: str, offset: int, cursor: Cursor, *, names: Iterable[Named]) -> Completions:
    """Returns the names that may be written at an offset of an expression."""
    before = text[cursor.start : offset]
    word = _WORD.search(before)
    typed = word[0] if word else ""
    if not word and not _OPERAND.search(before):
        return Completions(offset, offset, [])
    rest = _REST.match(text, offset)
    end = min(rest.end(), cursor.end) if rest else offset
    is_called = text[end : end + 1] == "("
    options = [Option(name.rstrip("("), detail, name.rstrip("(") if is_called else name) for name, detail in names]
    return Completions(offset - len(typed), end, _ranked(options, typed))


def _ranked(options: Iterable[Option], typed: str) -> list[Option]:
    """Returns the options that contain what is typed: first those that begin with it, then those with such a word."""
    query = _folded(typed)
    ranked: list[tuple[int, Option]] = []
    for option in dict.fromkeys(options):
        name = _folded(option.label.lstrip("-[{ "))
        if query in name:
            rank = 0 if name.startswith(query) else 1 if f" {query}" in name else 2
            ranked.append((rank, option))
    return [option for _, option in sorted(ranked, key=itemgetter(0))[:MAX_OPTIONS]]


def _folded(text: str) -> str:
    return text.casefold().replace("_", " ").strip()


def _detail(part: Schema) -> str:
    return textwrap.shorten(str(part.get("description", "")), MAX_DETAIL, placeholder=" …")


def _scalar(value: object, quote: str) -> str:
    """Returns a value as a scalar of YAML, or, with a quote that is there already, as what is in the quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    if quote == "'":
        return value.replace("'", "''")
    if quote:
        return json.dumps(value, ensure_ascii=False)[1:-1]
    is_plain = _PLAIN.fullmatch(value) and not _OTHER_MEANING.fullmatch(value)
    return value if is_plain else json.dumps(value, ensure_ascii=False)
