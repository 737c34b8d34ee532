"""A film as a scene: what it carries, as a text, and as what `load` reads, so that it can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml as pyyaml

from render.errors import StorageError
from render.film import clip, encoder
from render.scene import document, yaml
from render.scene.document import Document, Override
from render.scene.output import CONTAINERS


def is_film(path: Path) -> bool:
    """Whether a path is a film's, and not a scene's, by its name."""
    return path.suffix.lower() in CONTAINERS


def carried(film: Path) -> dict[str, Any]:
    """What a film says of itself. Raises StorageError when it is none of ours, or cannot be read."""
    if not film.is_file():
        raise StorageError(f"there is no film {film}")
    found = encoder.carried(film)
    if found is None:
        raise StorageError(f"{film} carries no scene, as the films of render do")
    return found


def text(film: Path) -> str:
    """The scene that a film carries, YAML. Raises StorageError; SceneError when it is more than a scene may be."""
    return _text(carried(film), film)


def read(film: Path, overrides: Sequence[Override] = ()) -> Document:
    """The document of the scene that a film carries; positions are those of `text`.

    The files that it was made from are looked for beside the film and in the current folder, and known by their
    checksums. Raises as `text`, and UsageError for an override's form.
    """
    found = carried(film)
    root = yaml.parse(_text(found, film), str(film))
    files = found.get("files")
    here = [
        ("here", key, json.dumps(name, ensure_ascii=False))
        for key, checksum in (files.items() if isinstance(files, dict) else ())
        if isinstance(name := _value(root, key), str)
        and not _is(film.parent / name, checksum)
        and _is(Path(name), checksum)
    ]
    return Document(document.overridden(root, [*here, *overrides]), film, found)


def _text(found: Mapping[str, Any], film: Path) -> str:
    # By way of our own parser, which bounds depth and length, before anything goes through it recursively.
    plain = yaml.parse(json.dumps(found["scene"], ensure_ascii=False), str(film)).plain()
    written: str = pyyaml.safe_dump(plain, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    return written


def _value(root: yaml.Node, key: str) -> Any:
    return root.find(tuple(int(step) if step.isdecimal() else step for step in key.split("."))).value


def _is(path: Path, checksum: object) -> bool:
    try:
        return clip.checksum(path) == checksum
    except StorageError:
        return False
