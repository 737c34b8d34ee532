"""Strict YAML as a tree of nodes with positions.

Scalars have the meaning of YAML 1.2's core schema (`on` and `1:30` are text, `1e3` is a number). Duplicate keys, tags
and a second document are errors; aliases are followed, within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yaml import nodes

from render.errors import SceneError, StorageError
from render.scene.field_errors import MAX_PROBLEMS, Loc
from render.scene.yaml_loader import LINE_BREAK, SourceText, compose, end_position, printable_position
from render.system.files import open_nonblocking
from render.text import Position, Problem, quote

MAX_BYTES = 200_000

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_NUMBER_LENGTH = 400
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
"""Characters that YAML does not allow. They may not be written as escapes either: a terminal would obey them."""


@dataclass(frozen=True)
class Node:
    """A scalar, a list or a mapping with its position, and (for a mapping) the positions of its keys."""

    value: Any
    position: Position
    keys: Mapping[str, Position] = field(default_factory=dict)

    def find(self, path: Loc) -> Node:
        """Returns the node at `path`, or the deepest existing one on the way to it."""
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

    def key_position(self, path: Loc) -> Position:
        """Returns the position of the key that ends `path`."""
        parent = self.find(path[:-1])
        return parent.keys.get(str(path[-1]), parent.position)

    def plain(self) -> Any:
        """Returns dicts, lists and scalars, without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def replaced(self, path: Loc, node: Node, *, key: Position) -> Node:
        """Returns this tree with `node` at `path`; mappings missing on the way are created.

        `key` is the position at which the path was written. Raises SceneError when a list has no such item.
        """
        if not path:
            return node
        step, rest = path[0], path[1:]
        if isinstance(self.value, list):
            if not isinstance(step, int) or step >= len(self.value):
                message = f"{quote(step)} is not an index of a list of {len(self.value)}, counted from 0"
                raise SceneError([Problem(message, key)])
            items = list(self.value)
            items[step] = items[step].replaced(rest, node, key=key)
            return Node(items, self.position)
        children = dict(self.value) if isinstance(self.value, dict) else {}
        child = children.get(str(step), Node(None, node.position))
        children[str(step)] = child.replaced(rest, node, key=key)
        return Node(children, self.position, {**self.keys, str(step): self.keys.get(str(step), key)})


def read_yaml(path: Path) -> Node:
    """Parses a YAML file. Raises StorageError when it cannot be read, SceneError when it is not strict YAML."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Reads a scene file's text. Raises StorageError when that fails, SceneError when it is too long or not UTF-8."""
    try:
        with open_nonblocking(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise StorageError(f"there is no scene file {path}") from None
    except IsADirectoryError:
        raise StorageError(f"{path} is a folder, not a scene") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise StorageError(f"{quote(path)} cannot be the name of a file") from None
    require_length(data, str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        data = error.object  # without the byte order mark, if there was one
        line, column = end_position(data[: error.start].decode())
        bad_line = LINE_BREAK.split(data.decode(errors="replace"))[line]
        position = printable_position(bad_line, name=str(path), line=line + 1, column=column + 1)
        raise SceneError([Problem("not UTF-8 text", position)]) from None


def require_length(data: bytes, name: str) -> None:
    """Raises SceneError when the text of a scene, as UTF-8, is too long; `name` is what positions call it."""
    if len(data) > MAX_BYTES:
        start = Position(name, 1, 1, text="")
        raise SceneError([Problem(f"too long for a scene, which has at most {MAX_BYTES} bytes", start)])


def parse_yaml(text: str, name: str, *, before: str = "") -> Node:
    """Parses a YAML text; `name` is what positions call it. Raises SceneError.

    `before` precedes the text on its first line wherever a position is printed; with it, an empty text is a null.
    """
    source = SourceText(text, name, before=before)
    root, problems = compose(source)
    if root is None:
        if before:
            return Node(None, source.position(0, 0))
        raise SceneError([Problem("the scene is empty", source.position(0, 0))])
    converter = _Converter(source, problems)
    tree = converter.convert(root)
    if problems:
        raise SceneError(converter.sorted_problems())
    return tree


class _Converter:
    """Converts PyYAML's nodes to Nodes; a node that an alias repeats is converted once."""

    def __init__(self, source: SourceText, problems: list[Problem]) -> None:
        self.source, self.problems = source, problems
        self.converted: dict[int, Node] = {}

    def convert(self, node: nodes.Node) -> Node:
        if id(node) not in self.converted:
            self.converted[id(node)] = self._convert(node)
        return self.converted[id(node)]

    def sorted_problems(self) -> list[Problem]:
        return sorted(
            self.problems, key=lambda each: (each.position.line, each.position.column) if each.position else (0, 0)
        )

    def _convert(self, node: nodes.Node) -> Node:
        position = self.source.at_mark(node.start_mark)
        if isinstance(node, nodes.SequenceNode):
            return Node([self.convert(item) for item in node.value], position)
        if isinstance(node, nodes.MappingNode):
            return self._mapping(node, position)
        is_plain = isinstance(node, nodes.ScalarNode) and node.style is None
        text = self._text(node, position)
        return Node(self._plain_scalar(text, position) if is_plain else text, position)

    def _mapping(self, node: nodes.MappingNode, position: Position) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        for key_node, value_node in node.value:
            key_position = self.source.at_mark(key_node.start_mark)
            key = self._text(key_node, key_position)
            if key in keys:
                self._report(f"duplicate key {quote(key)}; first on line {keys[key].line}", key_position)
            keys.setdefault(key, key_position)
            children[key] = self.convert(value_node)
        return Node(children, position, keys)

    def _plain_scalar(self, text: str, position: Position) -> Any:
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        numeric = _INT.fullmatch(text) or _FLOAT.fullmatch(text)
        if numeric and len(text) > _MAX_NUMBER_LENGTH:
            self._report(f"a number has at most {_MAX_NUMBER_LENGTH} characters", position)
            return 0
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if numeric:
            return float(text)
        if _SPECIAL_FLOAT.fullmatch(text):
            return float(text.replace(".", ""))
        return text

    def _text(self, node: nodes.Node, position: Position) -> str:
        text = str(node.value)
        if _FORBIDDEN.search(text):
            self._report("an escape of a character that YAML does not allow", position)
        return text

    def _report(self, message: str, position: Position) -> None:
        self.problems.append(Problem(message, position))
        if len(self.problems) >= MAX_PROBLEMS:
            raise SceneError(self.sorted_problems())
