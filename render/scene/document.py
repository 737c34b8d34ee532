"""From a scene file and `--set` arguments to a Scene, with every problem found and placed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from render.errors import Place, Problem, SceneError, StorageError, UsageError, did_you_mean
from render.scene import yaml
from render.scene.faults import Fault, Faults, Loc
from render.scene.model import Scene

_SECTIONS = ("camera", "dream", "grade", "output")
Override = tuple[str, str, str]
"""The option it came by (`--set`), a dotted key, and a YAML text."""


@dataclass(frozen=True)
class Document:
    """What was written: the tree of the scene file with the overrides in it, and the file's path."""

    root: yaml.Node
    path: Path

    def problem(self, message: str, path: Loc, offset: int = 0, at_key: bool = False) -> Problem:
        """A problem with the value (or the key) at `path`."""
        return Problem(message, self.root.key_place(path) if at_key else self._value_place(path, offset))

    def folder(self, path: Loc) -> Path:
        """The folder that a relative path written at `path` starts from: the file's, or here for an override."""
        in_file = self.root.find(path).place.name == str(self.path)
        return self.path.parent if in_file else Path()

    def _value_place(self, path: Loc, offset: int) -> Place:
        place = self.root.find(path).place
        quoted = place.text[place.column - 1 - place.skipped :][:1] in ("'", '"')
        return place.moved(offset + quoted) if offset else place


def read(path: Path, overrides: Sequence[Override] = ()) -> Document:
    """The document of a scene file. Raises StorageError, SceneError (not YAML), UsageError (an override's form)."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder, not a scene")
    if not path.exists():
        raise StorageError(f"there is no scene file {path}{_neighbour(path)}")
    root = yaml.read(path)
    for option, key, text in overrides:
        root = _override(root, option, key, text)
    return Document(root, path)


def validate(document: Document, layers: Mapping[str, Sequence[str]]) -> Scene:
    """The Scene of a document; `layers` are the layers of every network there is.

    Raises SceneError with all problems, in the order of the text.
    """
    try:
        scene = Scene.model_validate(document.root.plain(), context=layers)
    except ValidationError as errors:
        problems = [problem for error in errors.errors(include_url=False) for problem in _problems(document, error)]
        raise SceneError(sorted(problems, key=_order)) from None
    scene._document = document
    try:
        scene.timeline  # noqa: B018  # evaluated for its errors, so that they come before frame 0
    except Faults as faults:
        raise SceneError([_placed(document, fault) for fault in faults.faults]) from None
    return scene


def _override(root: yaml.Node, option: str, key: str, text: str) -> yaml.Node:
    if not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", key):
        raise UsageError(f"{option} needs dotted.key=value, not '{key}={text}'")
    shown = f"{key}={text}" if option == "--set" else text
    before = len(shown) - len(text)
    tree = yaml.parse(" " * before + text, option) if text.strip() else yaml.Node(None, Place(option, 1, 1, shown))
    tree = _relabel(tree, shown)
    steps = tuple(int(step) if step.isdigit() else step for step in key.split("."))
    return root.replaced(steps, tree, Place(option, 1, 1, shown))


def _relabel(node: yaml.Node, shown: str) -> yaml.Node:
    """The tree with the whole argument as the line of its places."""

    def place(p: Place) -> Place:
        return Place(p.name, p.line, p.column, shown if p.line == 1 and not p.skipped else p.text, p.skipped)

    value = node.value
    if isinstance(value, dict):
        value = {key: _relabel(child, shown) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_relabel(child, shown) for child in value]
    return yaml.Node(value, place(node.place), {key: place(p) for key, p in node.keys.items()})


def _placed(document: Document, fault: Fault) -> Problem:
    return document.problem(str(fault), fault.path, fault.offset, fault.at_key)


def _problems(document: Document, error: Any) -> list[Problem]:
    """Pydantic's error in our words, at its place."""
    path: Loc = tuple(error["loc"])
    match error.get("ctx", {}).get("error"):
        case Fault() as fault:
            return [_placed(document, fault.within(path))]
        case Faults() as faults:
            return [_placed(document, fault.within(path)) for fault in faults.faults]
    return [_problem(document, error, path)]


def _problem(document: Document, error: Any, path: Loc) -> Problem:
    match error["type"]:
        case "extra_forbidden":
            key = str(path[-1])
            hint = did_you_mean(key, _fields(path[:-1]))
            homes = [] if "did you mean" in hint else [home for home in _SECTIONS if key in _fields((home,))]
            return document.problem(
                f"unknown key '{key}'" + (f"; it belongs in '{homes[0]}'" if homes else hint), path, at_key=True
            )
        case "missing":
            return document.problem(f"the key '{path[-1]}' is missing{_inside(path[:-1])}", path[:-1])
        case "literal_error":
            options = re.findall(r"'([^']*)'|(\d+)", error["ctx"]["expected"])
            known = [word or number for word, number in options]
            return document.problem(f"'{error['input']}' is not known{did_you_mean(str(error['input']), known)}", path)
        case "model_type" | "model_attributes_type":
            return document.problem(f"a mapping of {', '.join(_fields(path))} belongs here", path)
    message = (
        error["msg"]
        .replace("Input should", f"'{_name(path)}' should")
        .replace("Tuple should", f"'{_name(path)}' should")
    )
    return document.problem(message, path)


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.name, place.line, place.column) if place else ("", 0, 0)


def _name(path: Loc) -> str:
    return ".".join(str(step) for step in path) or "scene"


def _inside(path: Loc) -> str:
    return f" in '{_name(path)}'" if path else ""


def _fields(path: Loc) -> list[str]:
    """The keys that the mapping at `path` may have."""
    models = [Scene]
    for step in path:
        annotations = [m.model_fields[str(step)].annotation for m in models if str(step) in m.model_fields]
        models = [m for a in annotations for m in _models(a)] or models * isinstance(step, int)
    return [name for model in models for name in model.model_fields]


def _models(annotation: Any) -> Iterator[Any]:
    """The models that an annotation mentions, `Noise` of `Noise | None` or `Layer` of `tuple[Layer, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _neighbour(path: Path) -> str:
    folder = path.parent
    scenes = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
    return did_you_mean(path.name, scenes) if scenes else ""
