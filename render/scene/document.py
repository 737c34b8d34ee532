"""Documents: the tree of a scene file with `--set` overrides in it, and the positions of its keys and values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.errors import SceneError, StorageError, UsageError
from render.scene.field_errors import FieldError, Loc
from render.scene.fields import OneOf, ShortForm, section_fields
from render.scene.habits import remedy
from render.scene.mapping import scene_text, value_text
from render.scene.structure import sections_at
from render.scene.yaml_loader import MAX_DEPTH
from render.scene.yaml_tree import Node, parse_yaml, read_yaml
from render.text import Position, Problem, quote, similar_file

Override = tuple[str, str, str]
"""The option that gives it (`--set`), a dotted key, and a YAML text."""
KEY_OPTIONS = ("--set", "--vary", "replace")
"""Options whose text names the key; others stand for one key."""
MAPPING_NAME = "scene"
"""What positions call a scene that is no file; it also names the film."""


@dataclass(frozen=True)
class Document:
    """The tree of a scene file with the overrides in it, and the file's path.

    `film` is the metadata of the film that the scene was read from; None for a scene file.
    """

    root: Node
    path: Path
    film: Mapping[str, Any] | None = None

    def problem(self, message: str, path: Loc, *, offset: int = 0, at_key: bool = False) -> Problem:
        """Returns a problem with the value (or the key) at `path`, at the character `offset` of the value."""
        value = None if at_key else self.root.find(path).value
        instead = remedy(value) if isinstance(value, str) else None
        if instead is not None:
            return Problem(f"{quote(value)} is no number of a scene; write {instead}", self._value_position(path, 0))
        return Problem(message, self.root.key_position(path) if at_key else self._value_position(path, offset))

    def field_problem(self, error: FieldError) -> Problem:
        """Returns the problem of an error whose path starts at the scene."""
        return self.problem(str(error), error.path, offset=error.offset, at_key=error.at_key)

    def is_in_file(self, path: Loc) -> bool:
        """Returns whether the value at `path` is in the file, and not in an override."""
        return self.root.find(path).position.name == str(self.path)

    def folder(self, path: Loc) -> Path:
        """Returns the folder of relative paths at `path`: the file's, or the current one for an override."""
        return self.path.parent if self.is_in_file(path) else Path()

    def _value_position(self, path: Loc, offset: int) -> Position:
        position = self.root.find(path).position
        is_quoted = position.text[position.column - 1 - position.skipped :][:1] in ("'", '"')
        return position.moved(offset + is_quoted) if offset else position


def read_document(path: Path, overrides: Sequence[Override] = ()) -> Document:
    """Reads a scene file. Raises StorageError, SceneError (not YAML), UsageError (the form of an override)."""
    try:
        root = read_yaml(path)
    except StorageError as error:
        raise StorageError(f"{error}{'' if os.path.lexists(path) else similar_file(path, '*.y*ml')}") from None
    return Document(apply_overrides(root, overrides), path)


def document_of(mapping: Mapping[Any, Any], overrides: Sequence[Override] = ()) -> Document:
    """Returns the document of a scene given as a mapping; its paths are relative to the current folder.

    Raises SceneError for what no scene can hold, UsageError for the form of an override.
    """
    root = parse_yaml(scene_text(mapping), MAPPING_NAME)
    return Document(apply_overrides(root, overrides), Path(MAPPING_NAME))


def replacement(key: object, value: object) -> Override:
    """Returns the override that replaces a value by a Python value. Raises SceneError for what no scene can hold."""
    if not isinstance(key, str):
        raise SceneError([Problem(f"a key is a text such as 'camera.zoom', not {quote(key)}")])
    return "replace", key, value_text(value)


def key_path(key: str) -> Loc:
    """Returns the path of a dotted key; what is a number may be an index of a list."""
    return tuple(int(step) if re.fullmatch("[0-9]{1,6}", step) else step for step in key.split("."))


def apply_overrides(root: Node, overrides: Sequence[Override]) -> Node:
    """Returns the tree with the overrides in it. Raises SceneError (not YAML), UsageError (the form of an override)."""
    for override in overrides:
        root = _override(root, override)
    return root


def _override(root: Node, override: Override) -> Node:
    """Returns the tree with one override in it."""
    match override:
        case (str(option), str(key), str(text)):
            pass
        case _:
            problem = f"an override is (option, dotted key, YAML text), three texts, not {quote(override)}"
            raise SceneError([Problem(problem)])
    steps = key.split(".")
    if not all(steps) or re.search(r"\s", key) or len(steps) > MAX_DEPTH:
        raise UsageError(f"{option} needs dotted.key=value, not {quote(f'{key}={text}')}")
    value = parse_yaml(text, option, before=f"{key}=" if option in KEY_OPTIONS else f"{option} ")
    path = key_path(key)
    position = Position(option, 1, 1, text=value.position.text)
    for depth in range(1, len(path)):
        node = root.find(path[:depth])
        for section in sections_at(path[:depth]):
            if node.value is None or path[depth] not in section_fields(section):
                continue
            if issubclass(section, ShortForm) and section.is_alone(node.plain()):
                mapping = Node({section.alone: node}, node.position, {section.alone: position})
                root = root.replaced(path[:depth], mapping, key=position)
    root = root.replaced(path, value, key=position)
    _remove_other_choices(root, path)
    return root


def _remove_other_choices(root: Node, path: Loc) -> None:
    """Removes the keys that `path` replaces: of a mapping of exactly one key, the others and their modifiers."""
    for depth, step in enumerate(path):
        for section in sections_at(path[:depth]):
            if issubclass(section, OneOf) and step in section.choices():
                others = set(section.choices()) - {step}
                others |= {modifier for modifier, owner in section.modifiers.items() if owner in others}
                mapping = root.find(path[:depth]).value
                for other in mapping.keys() & others:
                    del mapping[other]
