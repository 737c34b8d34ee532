"""What `render batch` is given: scenes, films, patterns of their names, and lists in YAML, as entries.

scale: 0.5                   # for all scenes of the list
set: {dream.steps: 8}
scenes:
  - zoom.yaml                # relative to the list, as are patterns: shots/*.yaml
  - scene: class.yaml
    set: {seed: 4}           # beside those above; values as in a scene
    output: tench.png        # relative to the current folder
    frames: 0:48
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from render.choices import DEVICES, PRECISIONS
from render.errors import SceneError, StorageError, UsageError
from render.jobs.submit import Entry
from render.pipeline.embedded import is_film
from render.pipeline.load import MAX_SCALE
from render.scene.document import Override
from render.scene.field_errors import MAX_PROBLEMS
from render.scene.mapping import value_text
from render.scene.yaml_tree import Node, parse_yaml, read_text
from render.text import Position, Problem, did_you_mean, quote, similar_file

SCENES = "scenes"
"""The key that makes a YAML file a list, which no scene has."""
SHARED_KEYS = ("set", "scale", "device", "precision")
"""Keys of a list, and of each of its scenes."""
OWN_KEYS = ("scene", "output", "frames")
"""Keys of a scene of a list alone."""
WILDCARD = re.compile(r"[*?\[]")
MAX_FILES = 10_000
"""Files that the scenes and patterns of a batch name, at most."""


def entries_of(names: Sequence[str], common: Entry) -> list[Entry]:
    """Returns an entry for each scene that the names list, in their order; `common` has the options of all.

    Raises StorageError for a file that is missing or a pattern that matches none, SceneError for what is wrong in a
    list, with its position, UsageError for too many files.
    """
    entries: list[Entry] = []
    for name in names:
        for path in _files(name):
            entries += _entries_of_file(path, common)
            if len(entries) > MAX_FILES:
                raise UsageError(f"more than {MAX_FILES} scenes; several batches render more")
    return entries


def _files(name: str, folder: Path = Path()) -> list[Path]:
    """Returns the files of a name or a pattern. Raises StorageError when there is none."""
    path = folder / name
    if os.path.lexists(path):
        if path.is_dir():
            raise StorageError(f"{path} is a folder, not a scene; '{path}/*.yaml' names the scenes in it")
        return [path]
    if not WILDCARD.search(name):
        raise StorageError(f"there is no scene file {path}{similar_file(path, '*.y*ml')}")
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # the pattern may be absolute
    files = [Path(each) for each in found if Path(each).is_file()]
    if not files:
        raise StorageError(f"no file matches {quote(path)}")
    return files


def _entries_of_file(path: Path, common: Entry) -> Iterator[Entry]:
    root = None if is_film(path) else _list_root(path)
    if root is None:
        yield replace(common, scene=path)
    else:
        yield from _List(path, root).entries(common)


def _list_root(path: Path) -> Node | None:
    """Returns the tree of a list; None for a scene, whose mistakes are found when it is loaded."""
    text = read_text(path)
    if not re.search(rf"""^\s*[{{"']?\s*["']?{SCENES}["']?\s*:""", text, re.MULTILINE):
        return None
    try:
        root = parse_yaml(text, str(path))
    except SceneError:
        if re.search(r"^objectives\s*:", text, re.MULTILINE):
            return None
        raise
    return root if isinstance(root.value, dict) and SCENES in root.value else None


class _List:
    """A list in YAML, and what is wrong in it."""

    def __init__(self, path: Path, root: Node) -> None:
        self._path, self._root = path, root
        self._problems: list[Problem] = []

    def entries(self, common: Entry) -> list[Entry]:
        """Returns the entries. Raises SceneError with all problems, StorageError for files that are missing."""
        shared = self._options(self._root, common, (SCENES, *SHARED_KEYS))
        scenes = self._root.value[SCENES]
        if not isinstance(scenes.value, list) or not scenes.value:
            self._report("'scenes' must be a list of scene files, such as [zoom.yaml, class.yaml]", scenes.position)
            raise SceneError(self._problems)
        entries = [entry for node in scenes.value[: MAX_FILES + 1] for entry in self._scene(node, shared)]
        if self._problems:
            raise SceneError(self._problems[:MAX_PROBLEMS])
        return entries

    def _scene(self, node: Node, shared: Entry) -> list[Entry]:
        if isinstance(node.value, str):
            return self._located(node, shared)
        if not isinstance(node.value, dict):
            self._report(f"expected the path of a scene, or a mapping with the key 'scene', not {_shown(node)}", node)
            return []
        entry = self._options(node, shared, (*OWN_KEYS, *SHARED_KEYS))
        scene = node.value.get("scene")
        if scene is None:
            self._report("the key 'scene' is missing: the path of the scene file", node)
            return []
        if not isinstance(scene.value, str):
            self._report(f"scene must be the path of a scene file, not {_shown(scene)}", scene)
            return []
        entries = self._located(scene, entry)
        if len(entries) > 1 and entry.output is not None:
            self._report(f"{len(entries)} scenes match, and one output; the films would be one", node.value["output"])
        return entries

    def _located(self, node: Node, entry: Entry) -> list[Entry]:
        """Returns an entry for each file that a name or pattern names, relative to the list."""
        position = f"{self._path}:{node.position.line}"
        try:
            files = _files(node.value, self._path.parent)
        except StorageError as error:
            self._report(str(error), node)
            return []
        return [replace(entry, scene=file, position=position) for file in files]

    def _options(self, node: Node, entry: Entry, keys: Sequence[str]) -> Entry:
        """Returns the entry with the options that a mapping sets."""
        values: dict[str, Any] = {}
        for key, child in node.value.items():
            if key not in keys:
                self._report(f"unknown key {quote(key)}{did_you_mean(key, keys)}", node.key_position((key,)))
            elif key in ("scale", "frames", "output", "device", "precision"):
                values[key] = getattr(self, f"_{key}")(child)
            elif key == "set":
                values["overrides"] = (*entry.overrides, *self._overrides(child))
        return replace(entry, **{key: value for key, value in values.items() if value is not None})

    def _overrides(self, node: Node) -> list[Override]:
        if not isinstance(node.value, dict):
            self._report("set must be a mapping of dotted keys, such as {camera.zoom: 1.02}", node)
            return []
        return [("--set", key, value_text(child.plain())) for key, child in node.value.items()]

    def _scale(self, node: Node) -> float | None:
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_SCALE:
            return float(value)
        self._report(f"a scale is above 0 and at most {MAX_SCALE}, not {_shown(node)}", node)
        return None

    def _frames(self, node: Node) -> tuple[int, int] | None:
        match = re.fullmatch("([0-9]{1,9}):([0-9]{1,9})", str(node.value))
        if match is None:
            self._report(f"frames are A:B, the first frame and the one after the last, not {_shown(node)}", node)
            return None
        return int(match[1]), int(match[2])

    def _output(self, node: Node) -> str | None:
        if isinstance(node.value, str) and node.value:
            return node.value
        self._report(f"output must be the path of a film, not {_shown(node)}", node)
        return None

    def _device(self, node: Node) -> str | None:
        return self._word(node, "device", DEVICES)

    def _precision(self, node: Node) -> str | None:
        return self._word(node, "precision", ("auto", *PRECISIONS))

    def _word(self, node: Node, name: str, words: Sequence[str]) -> str | None:
        if node.value in words:
            return str(node.value)
        self._report(f"unknown {name} {_shown(node)}{did_you_mean(str(node.value), words)}", node)
        return None

    def _report(self, message: str, where: Node | Position) -> None:
        self._problems.append(Problem(message, where.position if isinstance(where, Node) else where))


def _shown(node: Node) -> str:
    if isinstance(node.value, Mapping | list):
        return "a mapping" if isinstance(node.value, Mapping) else "a list"
    return quote(node.value)
