"""Provenance: all that a film's bytes depend on, as plain JSON. A film embeds it, and it guards unfinished ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import torch

from render import __version__
from render.film.checkpoint import diff_json
from render.media import ffmpeg
from render.pipeline.engine import Engine
from render.pipeline.identity import portable_scene
from render.system.checksum import sha256


def provenance(engine: Engine) -> dict[str, Any]:
    """What the frames of a run depend on.

    Files are identified by name and checksum, so that they may lie elsewhere the next time, and the film's own path is
    excluded. Raises StorageError when a file cannot be read, or has changed since the scene was loaded.
    """
    plan, network = engine.plan, engine.network.network
    flow = plan.flow_weights
    weights: Any = network.sha256
    if flow is not None:
        weights = {"network": network.sha256, "flow": sha256(flow.ensure(quiet=plan.options.quiet))}
    return {
        "scene": portable_scene(plan.scene),
        "frames": [plan.frames.start, plan.frames.stop],
        **({} if plan.repeat == 1 else {"repeat": plan.repeat}),
        "files": plan.sources.checksums(),
        "weights": weights,
        "machine": engine.describe(),
        "versions": {
            "render": __version__,
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "pillow": version("pillow"),
            "scenedetect": version("scenedetect-headless"),
            "ffmpeg": ffmpeg.version(),
        },
    }


def provenance_diff(film: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[str]:
    """What makes a film differ from an earlier one of the same scene: `versions.torch was "2.8.0", is "2.9.0"`."""
    for part in ("files", "weights", "versions", "machine"):
        yield from diff_json(film.get(part), current[part], name=part)
