"""From a scene file and `--set` arguments to a Scene, with every problem found and placed."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from render.errors import Place, Problem, SceneError, StorageError, UsageError, closest, did_you_mean, shown
from render.scene import yaml
from render.scene.faults import MOST, Fault, Faults, Loc
from render.scene.fields import Choice, Named, keys
from render.scene.layers import Catalogue
from render.scene.model import Scene

ROUNDS = 4
"""More than a scene's checks have stages: keys and values, what depends on others, what depends on time."""
Override = tuple[str, str, str]
"""The option it came by (`--set`), a dotted key, and a YAML text."""


@dataclass(frozen=True)
class Document:
    """What was written: the tree of the scene file with the overrides in it, and the file's path.

    `film` is what a film says of itself, when that is what the scene was read from.
    """

    root: yaml.Node
    path: Path
    film: Mapping[str, Any] | None = None

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
    try:
        root = yaml.read(path)
    except StorageError as error:
        raise StorageError(f"{error}{'' if os.path.lexists(path) else neighbour(path, '*.y*ml')}") from None
    return Document(overridden(root, overrides), path)


def overridden(root: yaml.Node, overrides: Sequence[Override]) -> yaml.Node:
    """The tree with the overrides in it. Raises SceneError (not YAML), UsageError (an override's form)."""
    for option, key, text in overrides:
        root = _override(root, option, key, text)
    return root


def validate(document: Document, catalogue: Catalogue) -> Scene:
    """The Scene of a document, checked against the networks of the catalogue.

    Raises SceneError with all problems, or MOST, in the order of the text.
    """
    written = document.root.plain()
    problems: list[Problem] = []
    left_out: list[Loc] = []
    # What is wrong is told and left out, so that what is wrong with the rest is told as well.
    for _ in range(ROUNDS):
        try:
            unknown = any(path in (("network",), ("network", "name")) for path in left_out)
            scene = Scene.model_validate(written, context=None if unknown else catalogue)
            if scene.follow is not None and scene.source.video is None and ("source",) not in (p[:1] for p in left_out):
                told = "there is nothing to follow without a clip, source.video; follow: null leaves it out"
                problems.append(document.problem(told, ("follow",), at_key=True))
            if scene.is_timed:
                _ = scene.timeline  # evaluated for its errors, so that they come before frame 0
            break
        except ValidationError as errors:
            for path, problem in islice(_problems(document, errors), MOST):
                if not any(gone[: len(path)] == path for gone in left_out):  # else it follows from leaving out
                    problems.append(problem)
                left_out.append(path)
                _leave_out(written, path)
            if len(problems) >= MOST:
                break
            _complete(written, catalogue)
        except Faults as faults:
            problems += [_placed(document, fault) for fault in faults.faults]
            break
    if problems:
        raise SceneError(sorted(problems[:MOST], key=_order))
    scene._document = document
    return scene


def check(document: Document, scene: Scene) -> None:
    """Checks what could not be before rate and length were known. Raises SceneError."""
    try:
        scene.check_times()
        _ = scene.timeline
    except Fault as fault:
        raise SceneError([_placed(document, fault)]) from None
    except Faults as faults:
        raise SceneError(sorted((_placed(document, fault) for fault in faults.faults), key=_order)) from None


def _complete(written: Any, catalogue: Catalogue) -> None:
    """Puts layers that there are in the place of those that something was left out of; a scene cannot be without."""
    if not isinstance(written, dict):
        return
    asked = written.get("layers")
    if (
        isinstance(asked, list)
        and asked
        and all(isinstance(each, dict) and each.keys() & {"layer", "class"} for each in asked)
    ):
        return
    network = written.get("network", Scene.model_fields["network"].default)
    name = network.get("name") if isinstance(network, dict) else network
    known = catalogue[name].layers if isinstance(name, str) and name in catalogue else ["any"]
    written["layers"] = [{"layer": next(iter(known))}]


def _leave_out(written: Any, path: Loc) -> None:
    """Deletes the key that ends the path, or the last one on the way that is there; a list loses no items."""
    holder, key = None, None
    for step in path:
        if isinstance(written, dict) and step in written:
            holder, key = written, step
        elif not (isinstance(written, list) and isinstance(step, int) and step < len(written)):
            break
        written = written[step]
    if holder is not None:
        del holder[key]


def _override(root: yaml.Node, option: str, key: str, text: str) -> yaml.Node:
    """The tree with the override in it; of a choice's other keys, the ones it replaces are left out."""
    steps = key.split(".")
    if not all(steps) or re.search(r"\s", key) or len(steps) > yaml.MAX_DEPTH:
        raise UsageError(f"{option} needs dotted.key=value, not {shown(f'{key}={text}')}")
    before = f"{key}=" if option == "--set" else f"{option} "
    value = yaml.parse(text, option, before)
    path: Loc = tuple(int(step) if re.fullmatch("[0-9]{1,6}", step) else step for step in steps)
    here = Place(option, 1, 1, value.place.text)
    for depth in range(1, len(path)):
        alone = root.find(path[:depth])
        if isinstance(alone.value, str) and any(issubclass(model, Named) for model in _models_at(path[:depth])):
            root = root.replaced((*path[:depth], "name"), alone, here)  # a name alone becomes part of a mapping
    root = root.replaced(path, value, here)
    for depth, step in enumerate(path):
        choice = root.find(path[:depth]).value
        for model in _models_at(path[:depth]):
            if issubclass(model, Choice) and step in model.choices():
                gone = set(model.choices()) - {step}
                gone |= {key for key, owner in model.beside.items() if owner in gone}
                for other in choice.keys() & gone:
                    del choice[other]
    return root


def _placed(document: Document, fault: Fault) -> Problem:
    return document.problem(str(fault), fault.path, fault.offset, fault.at_key)


def _problems(document: Document, errors: ValidationError) -> Iterator[tuple[Loc, Problem]]:
    """Pydantic's errors in our words, at their places, with the ways to what is wrong."""
    for error in errors.errors(include_url=False):
        path: Loc = tuple(error["loc"])
        match error.get("ctx", {}).get("error"):
            case Fault() as fault:
                yield path + fault.path, _placed(document, fault.within(path))
            case Faults() as faults:
                for fault in faults.faults:
                    yield path + fault.path, _placed(document, fault.within(path))
            case _:
                yield path, _problem(document, error, path)


def _problem(document: Document, error: Any, path: Loc) -> Problem:
    match error["type"]:
        case "extra_forbidden":
            return document.problem(f"unknown key {shown(path[-1])}{_hint(path)}", path, at_key=True)
        case "missing" if isinstance(path[-1], int):
            return document.problem(f"{_name(path[:-1])} needs {path[-1] + 1} values", path[:-1])
        case "missing":
            return document.problem(f"the key '{path[-1]}' is missing{_inside(path[:-1])}", path[:-1])
        case "literal_error":
            options = re.findall(r"'([^']*)'|(\d+)", error["ctx"]["expected"])
            known = [word or number for word, number in options]
            return document.problem(
                f"{shown(error['input'])} is not known{did_you_mean(str(error['input']), known)}", path
            )
        case "model_type" | "model_attributes_type":
            return document.problem(f"a mapping of {', '.join(_fields(path))} belongs here", path)
        case "tuple_type":
            return document.problem("a list belongs here", path)
        case "too_long":
            return document.problem(f"{_name(path)} has at most {error['ctx']['max_length']} values", path)
    return document.problem(error["msg"].replace("Input should", f"{_name(path)} should"), path)


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.name, place.line, place.column) if place else ("", 0, 0)


def _name(path: Loc) -> str:
    return ".".join(str(step) for step in path) or "scene"


def _inside(path: Loc) -> str:
    return f" in '{_name(path)}'" if path else ""


def _hint(path: Loc) -> str:
    """For an unknown key: the sections it belongs in, or the known key that is like it."""
    near = difflib.get_close_matches(str(path[-1]), _fields(path[:-1]), n=1, cutoff=0.8)
    homes = [] if near else [home[:-1] for home in _homes(Scene, ()) if home[-1] == path[-1]]
    if homes:
        return "; it belongs " + " or ".join(f"in '{_name(home)}'" if home else "at the top" for home in homes)
    return did_you_mean(str(path[-1]), _fields(path[:-1]))


def _homes(model: type[BaseModel], path: Loc) -> Iterator[Loc]:
    """The way to every key of a scene."""
    for key, field in keys(model).items():
        yield (*path, key)
        for part in _models(field.annotation):
            yield from _homes(part, (*path, key))


def _fields(path: Loc) -> list[str]:
    """The keys that the mapping at `path` may have."""
    return [key for model in _models_at(path) for key in keys(model)]


def _models_at(path: Loc) -> list[type[BaseModel]]:
    """The models that may stand at `path`."""
    models: list[type[BaseModel]] = [Scene]
    for step in path:
        if isinstance(step, str):
            fields = [keys(model).get(step) for model in models]
            models = [part for field in fields if field is not None for part in _models(field.annotation)]
    return models


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions, `Noise` of `Noise | None` or `Layer` of `tuple[Layer, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def neighbour(path: Path, pattern: str = "*") -> str:
    """`; did you mean 'zoom.yaml'?` when a file of nearly that name lies there."""
    try:
        meant = closest(path.name, [file.name for file in path.parent.glob(pattern)])
    except (OSError, ValueError):
        return ""
    return f"; did you mean '{meant}'?" if meant else ""
