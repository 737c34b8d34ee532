"""A film as a scene: the metadata that it embeds, as text, and as the document that `load` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from render.choices import CONTAINERS
from render.errors import StorageError
from render.film.metadata import read_metadata
from render.media.clip import clip_checksum
from render.scene.document import Document, Override, apply_overrides
from render.scene.renames import upgraded_path, upgraded_tree
from render.scene.yaml_tree import Node, parse_yaml
from render.system.files import is_file
from render.text import escape


def is_film(path: Path) -> bool:
    """Whether a path names a film or a picture, by its suffix, and not a scene file."""
    return path.suffix.lower() in CONTAINERS


def embedded_metadata(film: Path) -> dict[str, Any]:
    """The metadata that a film embeds; that of an earlier version with today's keys.

    Raises StorageError when it embeds none, or cannot be read; SceneError when it exceeds what a scene may hold.
    """
    if not is_file(film):
        raise StorageError(f"there is no film {film}")
    metadata = read_metadata(film)
    if metadata is None:
        raise StorageError(f"{film} embeds no scene, as films made by render do")
    return upgraded_metadata(metadata, str(film))


def upgraded_metadata(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Metadata with today's keys, in the scene and for its files, and with no folder of the film. Raises SceneError."""
    # parse_yaml bounds the scene's depth and length before anything recursive visits it
    old = parse_yaml(json.dumps(metadata["scene"], ensure_ascii=False), name)
    scene = upgraded_tree(old).plain()
    output = scene.get("output")
    if isinstance(output, dict) and isinstance(output.get("path"), str):  # a film chooses no folder on this machine
        output["path"] = PurePath(output["path"]).name
    upgraded = {**metadata, "scene": scene}
    files = metadata.get("files")
    if isinstance(files, dict):
        upgraded["files"] = {upgraded_path(key, _value(old, key)): checksum for key, checksum in files.items()}
    return upgraded


def embedded_scene(film: Path) -> str:
    """The scene that a film embeds, as YAML; one of an earlier version with today's keys.

    Raises StorageError, or SceneError when it exceeds what a scene may hold.
    """
    return _scene_text(embedded_metadata(film))


def read_film(film: Path, overrides: Sequence[Override] = ()) -> Document:
    """The document of the scene that a film embeds; positions are those in `embedded_scene`.

    The files that the film was made from are looked up beside it and in the current folder, and identified by their
    checksums. Raises as `embedded_scene`, and UsageError for a bad override.
    """
    metadata = embedded_metadata(film)
    root = parse_yaml(_scene_text(metadata), str(film))
    overrides = [*_files_in_current_folder(root, metadata.get("files"), folder=film.parent), *overrides]
    return Document(apply_overrides(root, overrides), film, metadata)


def _files_in_current_folder(scene: Node, checksums: object, *, folder: Path) -> Iterator[Override]:
    """Overrides that name the files which lie in the current folder and not in the film's `folder`."""
    for key, checksum in checksums.items() if isinstance(checksums, dict) else ():
        name = _value(scene, key)
        if not isinstance(name, str):
            continue
        name = PurePath(name).name
        if _has_checksum(folder / name, checksum):
            continue
        if _has_checksum(Path(name), checksum):
            yield "current folder", key, json.dumps(name, ensure_ascii=False)


def _value(scene: Node, key: str) -> Any:
    """The value at a dotted key."""
    return scene.find(tuple(int(step) if step.isdecimal() else step for step in key.split("."))).value


def _scene_text(metadata: Mapping[str, Any]) -> str:
    text: str = yaml.dump(
        metadata["scene"], Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes a text whose characters are escaped in print (see text.escape) in quotes, where YAML has such escapes."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Represents a text."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if escape(text) == text else '"')


_Dumper.add_representer(str, _Dumper.represent_text)


def _has_checksum(path: Path, checksum: object) -> bool:
    try:
        return clip_checksum(path) == checksum
    except StorageError:
        return False
