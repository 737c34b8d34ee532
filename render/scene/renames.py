"""Keys and values of 0.5.0 that have other names today: one table for the errors, the upgrade and the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from render.scene.field_errors import Loc
from render.scene.yaml_tree import Node
from render.text import Position

ANY = "*"
"""In a path of the table: any item of a list."""


def _always(value: Any) -> bool:
    return True


def _is_path(value: Any) -> bool:
    """Returns whether a value of `network.weights` is a file and not the name of published weights."""
    return isinstance(value, str) and any(sign in value for sign in "./\\")


@dataclass(frozen=True)
class KeyRename:
    """A key `old` in the section at `parent` became `new`, a path relative to that section.

    `parent` consists of today's keys. `applies` decides by the value where `old` is also one of today's keys.
    """

    parent: Loc
    old: str
    new: tuple[str, ...]
    applies: Callable[[Any], bool] = _always

    @property
    def is_move(self) -> bool:
        """Whether the key is in another section today."""
        return len(self.new) > 1

    def __str__(self) -> str:
        return f"'{self.old}' was {'moved' if self.is_move else 'renamed'} to '{'.'.join(self.new)}'"


@dataclass(frozen=True)
class ValueRename:
    """The value `old` of the key at `path` became `new`."""

    path: Loc
    old: str
    new: str

    def __str__(self) -> str:
        return f"'{self.old}' was renamed to '{self.new}'"


KEYS = (
    KeyRename((), "layers", ("objectives",)),
    KeyRename(("objectives", ANY), "neuron", ("position",)),
    KeyRename(("network",), "training", ("weights",)),
    KeyRename(("network",), "weights", ("weights_file",), applies=_is_path),
    KeyRename(("dream", "gradient", "natural"), "power", ("decay_power",)),
    KeyRename(("dream", "gradient", "natural"), "color", ("color_correlation",)),
    KeyRename(("dream", "gradient", "natural"), "lowest", ("min_frequency",)),
    KeyRename(("dream",), "every", ("cadence",)),
    KeyRename(("dream",), "first", ("first_frame",)),
    KeyRename(("dream",), "last_step", ("final_step_scale",)),
    KeyRename(("dream",), "jitter", ("transforms", "jitter")),
    KeyRename(("dream",), "scale", ("transforms", "scale")),
    KeyRename(("dream",), "rotate", ("transforms", "rotate")),
    KeyRename(("dream",), "tile", ("tile_size",)),
    KeyRename(("follow",), "keep", ("persistence",)),
    KeyRename(("output",), "segment", ("segment_frames",)),
    KeyRename(("output",), "depth", ("bit_depth",)),
)
VALUES = (ValueRename(("follow", "mode"), "linear", "blend"),)
_OLD_KEYS = frozenset(rename.old for rename in KEYS)


def find_renames(tree: Any, *, path: Loc = (), current: Loc = ()) -> Iterator[tuple[Loc, KeyRename | ValueRename]]:
    """Yields every old key and value of a plain tree with its path, in the order of the tree.

    `path` leads from the scene to the tree; `current` is the same path in today's keys.
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            rename = key_rename(current, key, value=value)
            if rename is not None:
                yield (*path, key), rename
            new = (key,) if rename is None else rename.new
            yield from find_renames(value, path=(*path, key), current=(*current, *new))
    elif isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from find_renames(item, path=(*path, i), current=(*current, i))
    else:
        for value_rename in VALUES:
            if tree == value_rename.old and value_rename.path == current:
                yield path, value_rename


def key_rename(parent: Loc, key: str, *, value: Any) -> KeyRename | None:
    """Returns the rename of a key in the section at `parent`, a path of today's keys; None for one of today's keys."""
    if key not in _OLD_KEYS:
        return None
    for rename in KEYS:
        if rename.old == key and _matches(parent, rename.parent) and rename.applies(value):
            return rename
    return None


def upgraded_path(dotted: str, value: Any = None) -> str:
    """Returns a dotted key in today's names: `dream.jitter` becomes `dream.transforms.jitter`."""
    steps = dotted.split(".")
    current: Loc = ()
    for i, step in enumerate(steps):
        rename = key_rename(current, step, value=value if i == len(steps) - 1 else None)
        current = (*current, *((step,) if rename is None else rename.new))
    return ".".join(map(str, current))


def _matches(path: Loc, pattern: Loc) -> bool:
    return len(path) == len(pattern) and all(b in (a, ANY) for a, b in zip(path, pattern, strict=True))


def upgraded_tree(node: Node, current: Loc = ()) -> Node:
    """Returns the tree with today's keys and values at the positions of the old ones.

    `current` is the path of `node` in today's keys. Where a section has an old key and its new one, the first counts.
    """
    if isinstance(node.value, list):
        return Node([upgraded_tree(item, (*current, i)) for i, item in enumerate(node.value)], node.position)
    if isinstance(node.value, dict):
        return _upgraded_mapping(node, current)
    for rename in VALUES:
        if node.value == rename.old and rename.path == current:
            return Node(rename.new, node.position)
    return node


def _upgraded_mapping(node: Node, current: Loc) -> Node:
    children: dict[str, Node] = {}
    keys: dict[str, Position] = {}
    for old, child in node.value.items():
        rename = key_rename(current, old, value=child.value)
        new = (old,) if rename is None else rename.new
        upgraded = upgraded_tree(child, (*current, *new))
        for inner in reversed(new[1:]):
            upgraded = Node({inner: upgraded}, node.keys[old], {inner: node.keys[old]})
        children[new[0]] = _merged(children[new[0]], upgraded) if new[0] in children else upgraded
        keys.setdefault(new[0], node.keys[old])
    return Node(children, node.position, keys)


def _merged(first: Node, second: Node) -> Node:
    """Returns a mapping of the keys of both; the first node where they are not both mappings."""
    if not (isinstance(first.value, dict) and isinstance(second.value, dict)):
        return first
    return Node({**second.value, **first.value}, first.position, {**second.keys, **first.keys})
