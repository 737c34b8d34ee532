"""Scenes of footage, and clips of photos that move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from render import load, loop
from render.dream.networks import Network
from render.scene.model import Scene
from tests.conftest import photo_tensor
from tests.film.clips import Frames

SCENE = """
seed: 3
source: {video: c.mp4}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 1, jitter: 4, first: {steps: 3}}
"""
STILL = ("dream", "{steps: 0}")


def scene_of(folder: Path, *sets: tuple[str, str]) -> Scene:
    (folder / "scene.yaml").write_text(SCENE)
    return load(folder / "scene.yaml", [("--set", key, value) for key, value in sets])


def filmed(photo: Tensor) -> Frames:
    """1xHxWx3 of a 1x3xHxW."""
    picture: Frames = np.rint(255 * photo.permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    return picture


def panned(name: str, count: int) -> Frames:
    """A photo that moves two pixels a frame."""
    photo = photo_tensor(name, 160, 64)
    return np.concatenate([filmed(photo[..., 2 * i : 2 * i + 96]) for i in range(count)])


def whole(scene: Scene, network: Network) -> list[Tensor]:
    return [frame for _, frame, _ in loop.frames(scene, network)]
