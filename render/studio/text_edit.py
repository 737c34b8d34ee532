"""Edits that give a scene's text other values, and leave everything else of it as it is: comments, layout, order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from yaml.nodes import CollectionNode

from render.errors import SceneError, UsageError
from render.scene.field_errors import Loc
from render.scene.mapping import value_text
from render.scene.structure import keys_at
from render.scene.yaml_layout import Entry, Layout, TextEdit, apply_edits
from render.scene.yaml_loader import LINE_BREAK
from render.scene.yaml_tree import parse_yaml

__all__ = ["TextEdit", "apply_edits", "edits_to", "flow_text"]

NAME = "scene"
"""What positions in errors call the text."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%-]*( [A-Za-z0-9_.%-]+)*")
"""Scalars that need no quotes in any mapping."""


def edits_to(text: str, values: Mapping[str, Any]) -> tuple[TextEdit, ...]:
    """Returns the edits after which a text has other values: a whole scene, as dicts, lists and scalars.

    A key that is missing in the text is inserted after the key that comes before it in the model of the scene, or else
    in `values`. A single key that replaces another one takes its place. Raises SceneError when the text is not strict
    YAML, UsageError when it cannot be edited in place, because anchors or tags repeat a part of it.
    """
    now = parse_yaml(text, NAME).plain()
    difference = _Difference(Layout(text, NAME))
    if not isinstance(now, dict):
        raise UsageError("the text is no mapping, and so no scene")
    difference.visit((), now, values)
    edits = difference.sorted_edits()
    try:
        is_reached = is_same(parse_yaml(apply_edits(text, edits), NAME).plain(), values)
    except SceneError:
        is_reached = False
    if not is_reached:
        raise UsageError("the text cannot be changed there without changing something else; change it by hand")
    return edits


def is_same(a: Any, b: Any) -> bool:
    """Returns whether two plain values mean the same in a scene: numbers of any type, keys in any order."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and (a == b or repr(a) == repr(b) == "nan")


def flow_text(value: Any) -> str:
    """Returns a value as YAML in one line, with quotes where they are needed: `{0s: 1, end: "1.8/s"}`."""
    match value:
        case Mapping():
            return f"{{{', '.join(f'{_key_text(key)}: {flow_text(item)}' for key, item in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(flow_text, value))}]"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case str() if _PLAIN.fullmatch(value) and parse_yaml(value, NAME).plain() == value:
            return value
    return value_text(value)


def _key_text(key: object) -> str:
    """Returns a key as YAML; all keys are text."""
    return str(key) if _PLAIN.fullmatch(str(key)) else value_text(str(key))


class _Difference:
    """Collects the edits that lead from the values of a text to others."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.edits: list[TextEdit] = []

    def sorted_edits(self) -> tuple[TextEdit, ...]:
        """Returns the edits in the order of the text; insertions at one place are one edit, the innermost first."""

        def place(edit: TextEdit) -> tuple[int, int]:
            return edit.start, edit.end

        groups = groupby(sorted(self.edits, key=place), key=place)
        return tuple(TextEdit(*at, "".join(edit.text for edit in edits)) for at, edits in groups)

    def visit(self, path: Loc, now: Any, wanted: Any) -> None:
        """Collects the edits at a path of the text, which has the value `now`."""
        if is_same(now, wanted):
            return
        entry = self._entry(path)
        is_alias = entry is not None and self.layout.text.startswith("*", entry.value_start)
        if (
            not is_alias
            and isinstance(now, dict)
            and isinstance(wanted, Mapping)
            and self._visit_keys(path, now, wanted)
        ):
            return
        if not is_alias and isinstance(now, list) and isinstance(wanted, list | tuple) and 0 < len(now) <= len(wanted):
            self._visit_items(path, now, wanted)
        elif entry is None:
            raise UsageError("nothing of the scene would remain")
        else:
            self._replace(entry, flow_text(wanted), is_block=not isinstance(now, str) and not self._is_flow(path))

    def _visit_keys(self, path: Loc, now: dict[str, Any], wanted: Mapping[str, Any]) -> bool:
        """Collects the edits of a mapping, and returns whether there is a key to begin with."""
        removed = [key for key in now if key not in wanted]
        added = [key for key in wanted if key not in now]
        if len(removed) == len(added) == 1:
            (old,), (new,) = removed, added
            renamed = self.layout.replace_scalar(self.layout.key((*path, old)), new)  # in the same quotes
            self._edit(renamed.start, renamed.end, renamed.text if _PLAIN.fullmatch(new) else _key_text(new))
            self.visit((*path, old), now[old], wanted[new])
            removed = added = []
        elif len(removed) == len(now):
            return False
        for key in now.keys() & wanted.keys():
            self.visit((*path, key), now[key], wanted[key])
        self._remove(path, removed)
        self._add(path, wanted, added=added, removed=removed)
        return True

    def _visit_items(self, path: Loc, now: list[Any], wanted: Sequence[Any]) -> None:
        for i, item in enumerate(now):
            self.visit((*path, i), item, wanted[i])
        items, further = self.layout.items(path), [flow_text(item) for item in wanted[len(now) :]]
        if further:
            is_flow = self._is_flow(path)
            self._insert(items[-1], further if is_flow else [f"- {text}" for text in further], is_flow=is_flow)

    def _entry(self, path: Loc) -> Entry | None:
        """The entry or item of the text that ends a path; None for the whole text."""
        if not path:
            return None
        if isinstance(path[-1], int):
            return self.layout.items(path[:-1])[path[-1]]
        return next(entry for entry in self.layout.entries(path[:-1]) if entry.key == path[-1])

    def _is_flow(self, path: Loc) -> bool:
        node = self.layout.node(path)
        return not isinstance(node, CollectionNode) or bool(node.flow_style)

    def _add(self, path: Loc, wanted: Mapping[str, Any], *, added: Sequence[str], removed: Sequence[str]) -> None:
        """Inserts keys, each after those of the text that come before it."""
        entries = [entry for entry in self.layout.entries(path) if entry.key not in removed]
        order = {key: rank for rank, key in enumerate(wanted)} | {key: rank for rank, key in enumerate(keys_at(path))}
        places: dict[int, list[str]] = {}
        for key in sorted(added, key=order.__getitem__):
            before = [i for i, entry in enumerate(entries) if order[str(entry.key)] < order[key]]
            places.setdefault(max(before, default=-1), []).append(f"{_key_text(key)}: {flow_text(wanted[key])}")
        for place, texts in places.items():
            if place < 0:
                self._insert_before(entries[0], texts, is_flow=self._is_flow(path))
            else:
                self._insert(entries[place], texts, is_flow=self._is_flow(path))

    def _insert(self, entry: Entry, texts: Sequence[str], *, is_flow: bool) -> None:
        """Inserts entries or items after one, on lines of their own where that one ends its line."""
        layout = self.layout
        comma = layout.comma_end(entry) if is_flow else None
        line_end, line_break = layout.line_end(entry.end), layout.line_break(layout.line_start(entry.start))
        ends_line = not layout.text[comma or entry.end : line_end].split("#")[0].strip()
        if is_flow and not (ends_line and self._starts_line(entry)):
            self._edit(entry.end, entry.end, "".join(f", {text}" for text in texts))
            return
        indent = " " * (entry.start - layout.line_start(entry.start))
        separator = "," if is_flow else ""
        lines = f"{separator}{line_break}".join(indent + text for text in texts)
        if is_flow and comma is None:
            self._edit(entry.end, entry.end, ",")
        elif is_flow:
            lines += ","
        is_whole = LINE_BREAK.search(layout.text, entry.end, line_end) is not None
        self._edit(line_end, line_end, f"{lines}{line_break}" if is_whole else f"{line_break}{lines}")

    def _insert_before(self, entry: Entry, texts: Sequence[str], *, is_flow: bool) -> None:
        """Inserts entries before the first one."""
        column = entry.start - self.layout.line_start(entry.start)
        new_line = self.layout.line_break(self.layout.line_start(entry.start)) + " " * column
        has_own_line = not is_flow or self._starts_line(entry)
        joint = ("," if is_flow else "") + (new_line if has_own_line else " ")
        self._edit(entry.start, entry.start, "".join(text + joint for text in texts))

    def _remove(self, path: Loc, keys: Sequence[str]) -> None:
        """Removes entries of a mapping of which others remain."""
        layout, entries = self.layout, self.layout.entries(path)
        is_flow = self._is_flow(path)
        first_kept = next(i for i, entry in enumerate(entries) if entry.key not in keys)
        if first_kept and (is_flow or not self._starts_line(entries[0])):
            self._edit(entries[0].start, entries[first_kept].start, "")
        for i, entry in enumerate(entries):
            if entry.key not in keys or (i < first_kept and (is_flow or not self._starts_line(entries[0]))):
                continue
            if is_flow:
                self.edits += layout.remove_from_flow(entry, previous=entries[i - 1])
            else:
                self._edit(layout.line_start(entry.start), layout.line_end(entry.end), "")

    def _replace(self, entry: Entry, text: str, *, is_block: bool) -> None:
        """Replaces a value by one that fits on the line of its key."""
        layout = self.layout
        if entry.value_start == entry.end:  # a null that is not written
            has_indicator = layout.text[entry.end - 1] in ":-"
            self._edit(entry.end, entry.end, f" {text}" if has_indicator else f": {text}")
        elif is_block and layout.has_line_break(layout.text[entry.indicator_end : entry.value_start]):
            self._edit(entry.indicator_end, entry.indicator_end, f" {text}")
            self._edit(layout.line_start(entry.value_start), layout.line_end(entry.end), "")
        else:
            self._edit(entry.value_start, entry.end, text)

    def _starts_line(self, entry: Entry) -> bool:
        """Whether nothing is before an entry on its line."""
        return not self.layout.text[self.layout.line_start(entry.start) : entry.start].strip()

    def _edit(self, start: int, end: int, text: str) -> None:
        self.edits.append(TextEdit(start, end, text))
