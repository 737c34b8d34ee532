"""Strict YAML with positions: a tree of nodes that know their place in the text.

Scalars mean what YAML 1.2's core schema says (`on`, `1:30` are text, `1e3` is a number); a key given twice, a tag and
a second document are errors; aliases are followed, within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml import events

from render.errors import Place, Problem, SceneError, StorageError, shown
from render.scene.faults import MOST, Loc

MAX_BYTES = 200_000
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_LINE = 160

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_NO_CHARACTER = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
"""What YAML does not allow may not be written as an escape either: a terminal would obey it."""


@dataclass(frozen=True)
class Node:
    """A scalar, a list or a mapping, where it starts, and (for a mapping) where its keys are."""

    value: Any
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)

    def find(self, path: Loc) -> Node:
        """The node at `path`, or the deepest one on the way there."""
        node = self
        for step in path:
            inner = node.value
            if isinstance(inner, dict) and str(step) in inner:
                node = inner[str(step)]
            elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
                node = inner[step]
            else:
                break
        return node

    def key_place(self, path: Loc) -> Place:
        """Where the key that ends `path` stands."""
        parent = self.find(path[:-1])
        return parent.keys.get(str(path[-1]), parent.place)

    def extent(self) -> tuple[int, int]:
        """How many nodes it is, aliases followed, and how many of them stand one in another below it."""
        inner = (
            self.value.values() if isinstance(self.value, dict) else self.value if isinstance(self.value, list) else ()
        )
        extents = [node.extent() for node in inner]
        return 1 + sum(count for count, _ in extents), max((1 + below for _, below in extents), default=0)

    def plain(self) -> Any:
        """Dicts, lists and scalars, without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def replaced(self, path: Loc, node: Node, key: Place) -> Node:
        """This tree with `node` put at `path`; mappings that are missing on the way are made.

        `key` is where the path was written. Raises SceneError when a list has no such item.
        """
        if not path:
            return node
        step, rest = path[0], path[1:]
        if isinstance(self.value, list):
            if not isinstance(step, int) or step >= len(self.value):
                raise SceneError(
                    [Problem(f"{shown(step)} is none of a list of {len(self.value)}, counted from 0", key)]
                )
            items = list(self.value)
            items[step] = items[step].replaced(rest, node, key)
            return Node(items, self.place)
        children = dict(self.value) if isinstance(self.value, dict) else {}
        children[str(step)] = children.get(str(step), Node(None, node.place)).replaced(rest, node, key)
        return Node(children, self.place, {**self.keys, str(step): self.keys.get(str(step), key)})


def read(path: Path) -> Node:
    """The tree of a YAML file. Raises StorageError when it cannot be read, SceneError when it is not strict YAML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise StorageError(f"there is no scene file {path}") from None
    except IsADirectoryError:
        raise StorageError(f"{path} is a folder, not a scene") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise StorageError(f"{shown(path)} cannot be the name of a file") from None
    if len(data) > MAX_BYTES:
        start = Place(str(path), 1, 1, "")
        raise SceneError([Problem(f"too long for a scene, which has at most {MAX_BYTES} bytes", start)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        data = error.object  # without the byte order mark, if there was one
        line, column = _end(data[: error.start].decode())
        bad = _LINE_BREAK.split(data.decode(errors="replace"))[line]
        raise SceneError([Problem("not UTF-8 text", _place(str(path), bad, line + 1, column + 1))]) from None
    return parse(text, str(path))


def parse(text: str, name: str, before: str = "") -> Node:
    """The tree of a YAML text; `name` is what positions call it.

    `before` stands before the text on its first line, where positions are shown; with it, an empty text is a null.
    Raises SceneError.
    """
    return _Composer(text, name, before).compose()


def _end(text: str) -> tuple[int, int]:
    """Line and column after the last character, counted from 0."""
    lines = _LINE_BREAK.split(text)
    return len(lines) - 1, len(lines[-1])


def _place(name: str, text: str, line: int, column: int) -> Place:
    """A place whose line is safe to print: no control characters, and only the part around the column."""
    start = max(0, column - 1 - MAX_LINE // 2) if len(text) > MAX_LINE else 0
    shown = text[start : start + MAX_LINE]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else " " for c in shown)
    return Place(name, line, column, shown, start)


class _Composer:
    """Builds the tree from the parser's events, which come without recursion or construction of objects."""

    def __init__(self, text: str, name: str, before: str) -> None:
        self.text, self.name, self.before = text, name, before
        self.lines = _LINE_BREAK.split(text)
        self.lines[0] = before + self.lines[0]
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.count = 0
        self.last = self._at(0, 0)

    def compose(self) -> Node:
        try:
            self.events: Iterator[Any] = iter(yaml.parse(self.text, Loader=yaml.SafeLoader))
            root = self._document()
        except yaml.reader.ReaderError as error:
            place = self._at(*_end(self.text[: error.position]))
            code = error.character if isinstance(error.character, int) else ord(error.character)
            raise SceneError([Problem(f"a character that YAML does not allow: U+{code:04X}", place)]) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            if mark is None or mark.line >= len(self.lines):  # the end of the text; where it began says more
                mark = error.context_mark or mark
            place = self._at(mark.line, mark.column) if mark else self._at(0, 0)
            raise SceneError([*self.problems, Problem(f"not YAML: {error.problem}", place)]) from None
        except (ValueError, OverflowError):  # an escape such as \UFFFFFFFF, which PyYAML does not check
            raise SceneError([*self.problems, Problem("an escape of no character", self.last)]) from None
        if self.problems:
            raise SceneError(self.problems)
        return root

    def _document(self) -> Node:
        next(self.events)  # stream start
        if isinstance(next(self.events), events.StreamEndEvent):
            if self.before:
                return Node(None, self._at(0, 0))
            raise SceneError([Problem("the scene is empty", self._at(0, 0))])
        root = self._node(next(self.events), 0)
        next(self.events)  # document end
        after = next(self.events)
        if not isinstance(after, events.StreamEndEvent):
            raise SceneError([Problem("a second document; a scene is one", self._mark(after))])
        return root

    def _node(self, event: Any, depth: int) -> Node:
        place = self._mark(event)
        if isinstance(event, events.AliasEvent):
            node = self.anchors.get(str(event.anchor))
            if node is None:
                raise SceneError([Problem(f"{shown('*' + str(event.anchor))} names nothing above it", place)])
            count, below = node.extent()
            self._grow(count, depth + below, place)
            return node
        self._grow(1, depth, place)
        if event.tag is not None and event.tag != "!":
            self._wrong(f"the tag {shown(event.tag)} means nothing in a scene", place)
        if isinstance(event, events.ScalarEvent):
            node = Node(self._scalar(event, place), place)
        elif isinstance(event, events.SequenceStartEvent):
            node = Node(list(self._items(events.SequenceEndEvent, lambda e: self._node(e, depth + 1))), place)
        else:
            node = self._mapping(place, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _mapping(self, place: Place, depth: int) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for event in self._items(events.MappingEndEvent, lambda e: e):
            where = self._mark(event)
            if not isinstance(event, events.ScalarEvent):
                raise SceneError([Problem("a key is a word or a number", where)])
            key = self._text(event, where)
            if key in keys:
                self._wrong(f"the key {shown(key)} stands here twice; first in line {keys[key].line}", where)
            keys.setdefault(key, where)
            children[key] = self._node(next(self.events), depth + 1)
        return Node(children, place, keys)

    def _items(self, end: type, make: Callable[[Any], Any]) -> Iterator[Any]:
        while not isinstance(event := next(self.events), end):
            yield make(event)

    def _wrong(self, message: str, place: Place) -> None:
        self.problems.append(Problem(message, place))
        if len(self.problems) >= MOST:
            raise SceneError(self.problems)

    def _grow(self, count: int, depth: int, place: Place) -> None:
        self.count += count
        if depth > MAX_DEPTH:
            raise SceneError([Problem(f"nested deeper than {MAX_DEPTH}", place)])
        if self.count > MAX_NODES:
            raise SceneError([Problem(f"more than {MAX_NODES} values, aliases counted", place)])

    def _scalar(self, event: Any, place: Place) -> Any:
        text = self._text(event, place)
        if event.style is not None or event.tag == "!":
            return text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        numeric = _INT.fullmatch(text) or _FLOAT.fullmatch(text)
        if numeric and len(text) > _LONGEST_NUMBER:
            self._wrong("a number this long", place)
            return 0
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if numeric:
            return float(text)
        if _SPECIAL_FLOAT.fullmatch(text):
            return float(text.replace(".", ""))
        return text

    def _text(self, event: Any, place: Place) -> str:
        text = str(event.value)
        if _NO_CHARACTER.search(text):
            self._wrong("an escape of a character that YAML does not allow", place)
        return text

    def _mark(self, event: Any) -> Place:
        self.last = self._at(event.start_mark.line, event.start_mark.column)
        return self.last

    def _at(self, line: int, column: int) -> Place:
        line = min(line, len(self.lines) - 1)
        return _place(self.name, self.lines[line], line + 1, (0 if line else len(self.before)) + column + 1)
