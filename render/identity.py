"""All that a film's bytes depend on, in plain JSON: the film carries it, and it guards what is begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
import torch
import torchvision

from render import __version__, sources
from render.dream.networks import Network
from render.film import clip, ffmpeg
from render.film.checkpoint import differences
from render.film.files import sha256
from render.machine import Machine
from render.scene.model import Scene


def identity(scene: Scene, network: Network, chosen: Machine, span: tuple[int, int]) -> dict[str, Any]:
    """What frames `span` (first, one after last) of a scene depend on. Files are known by name and checksum, so that
    they may lie elsewhere the next time, and a film by no name. Raises StorageError when one cannot be read."""
    flow = sources.flow_weights(scene)
    return {
        "scene": _written(scene),
        "frames": list(span),
        "files": checksums(scene),
        "weights": network.sha256 if flow is None else {"network": network.sha256, "flow": sha256(flow)},
        "machine": {**chosen.describe(), "tile": network.tile},
        "versions": {
            "render": __version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "scenedetect": version("scenedetect-headless"),
            "ffmpeg": ffmpeg.version(),
        },
    }


def checksums(scene: Scene) -> dict[str, str]:
    """Of each file that a scene names, by the key that names it. Raises StorageError when one cannot be read."""
    return {".".join(map(str, path)): clip.checksum(scene.locate(name, path)) for path, name, _ in scene.files()}


def unlike(film: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What makes a film come out otherwise than it did, its scene apart: `versions.torch was "2.8.0", is "2.9.0"`."""
    for part in ("files", "weights", "machine", "versions"):
        yield from differences(film.get(part), now[part], part)


def _written(scene: Scene) -> dict[str, Any]:
    written = scene.model_dump(mode="json", exclude_none=True, by_alias=True)
    del written["output"]["path"]
    for path, name, _ in scene.files():
        holder: Any = written
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = PurePath(name).name
    return written
