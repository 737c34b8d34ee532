"""Validation: from a document to a SceneSpec, with every problem at its position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from pydantic import ValidationError

from render.errors import SceneError
from render.scene.document import Document
from render.scene.field_errors import MAX_PROBLEMS, FieldError, FieldErrors, Loc
from render.scene.model import SceneSpec
from render.scene.names import check_names
from render.scene.objectives import ModelInfo
from render.scene.problems import field_problems
from render.scene.renames import KeyRename, find_renames, upgraded_tree
from render.text import Problem

MAX_ROUNDS = 4
"""More than the stages of a scene's checks: keys and values, what depends on others, what depends on time."""


def validate(document: Document, catalogue: Mapping[str, ModelInfo]) -> SceneSpec:
    """Returns the spec of a document, checked against the networks of the catalogue.

    Raises SceneError with all problems, or MAX_PROBLEMS, in the order of the text.
    """
    document, problems = _with_current_keys(document)
    plain = document.root.plain()
    removed: list[Loc] = []
    # A wrong value is reported and removed, so that the remaining ones are checked as well.
    for _ in range(MAX_ROUNDS):
        try:
            has_network = not any(path in (("network",), ("network", "name")) for path in removed)
            has_source = not any(path[:1] == ("source",) for path in removed)
            scene = SceneSpec.model_validate(plain, context=catalogue if has_network else None)
            problems += _problems_of_valid_fields(document, scene, has_source=has_source)
            break
        except ValidationError as errors:
            for path, problem in islice(field_problems(document, errors), MAX_PROBLEMS):
                if not any(other[: len(path)] == path for other in removed):  # else the removal is its cause
                    problems.append(problem)
                removed.append(path)
                _remove(plain, path)
            if len(problems) >= MAX_PROBLEMS:
                break
            _restore_objectives(plain, catalogue)
            if any(path[:1] == ("bpm",) for path in removed):
                plain["bpm"] = "auto"  # beats mean something, at times that are not known
    if problems:
        raise SceneError(sorted(problems[:MAX_PROBLEMS], key=_order))
    return scene


def check_timing(document: Document, scene: SceneSpec) -> None:
    """Checks what depends on rate and length, once these are known. Raises SceneError."""
    try:
        scene.check_times()
        _ = scene.timeline
    except FieldError as error:
        raise SceneError([document.field_problem(error)]) from None
    except FieldErrors as errors:
        raise SceneError(sorted((document.field_problem(error) for error in errors.errors), key=_order)) from None


def _with_current_keys(document: Document) -> tuple[Document, list[Problem]]:
    """Returns the document with today's keys, and a problem for each old one."""
    problems = []
    for path, rename in islice(find_renames(document.root.plain()), MAX_PROBLEMS):
        can_upgrade = document.film is None and document.is_in_file(path)
        hint = "; `render upgrade SCENE` rewrites the file" if can_upgrade else ""
        problems.append(document.problem(f"{rename}{hint}", path, at_key=isinstance(rename, KeyRename)))
    return (replace(document, root=upgraded_tree(document.root)) if problems else document), problems


def _problems_of_valid_fields(document: Document, scene: SceneSpec, *, has_source: bool) -> list[Problem]:
    """Returns the problems of a scene whose fields are valid: nothing to follow, unknown names, tracks with values
    out of range."""
    problems = []
    if scene.follow is not None and scene.source.video is None and has_source:
        message = "'follow' needs a clip, source.video; follow: null removes it"
        problems.append(document.problem(message, ("follow",), at_key=True))
    written = document.root.plain().get("signals")
    names = written.keys() if isinstance(written, dict) else ()
    try:
        check_names(scene, scene.signals, written=names)
    except FieldErrors as errors:
        problems += [document.field_problem(error) for error in errors.errors]
    if scene.is_timed and scene.signals.keys() == set(names) and not problems:
        try:
            _ = scene.timeline
        except FieldErrors as errors:
            problems += [document.field_problem(error) for error in errors.errors]
    return problems


def _restore_objectives(plain: Any, catalogue: Mapping[str, ModelInfo]) -> None:
    """Replaces objectives that have no layer or class after `_remove` by a valid one, which every scene needs."""
    if not isinstance(plain, dict):
        return
    objectives = plain.get("objectives")
    if isinstance(objectives, list) and objectives and all(_has_subject(each) for each in objectives):
        return
    default = SceneSpec.model_fields["network"].default
    network = plain.get("network", default)
    name = network.get("name", default) if isinstance(network, dict) else network
    layers = catalogue[name].layers if isinstance(name, str) and name in catalogue else ["any"]
    plain["objectives"] = [{"layer": next(iter(layers))}]


def _has_subject(objective: Any) -> bool:
    return isinstance(objective, dict) and bool(objective.keys() & {"layer", "class"})


def _remove(plain: Any, path: Loc) -> None:
    """Deletes the key that ends the path, or the last one on the way to it that exists; lists keep their items."""
    parent, key = None, None
    for step in path:
        if isinstance(plain, dict) and step in plain:
            parent, key = plain, step
        elif not (isinstance(plain, list) and isinstance(step, int) and step < len(plain)):
            break
        plain = plain[step]
    if parent is not None:
        del parent[key]


def _order(problem: Problem) -> tuple[str, int, int]:
    position = problem.position
    return (position.name, position.line, position.column) if position else ("", 0, 0)
