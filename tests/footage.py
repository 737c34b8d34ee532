"""Scenes of footage, and clips of photos that move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from render import Options, load
from render.models.network import Network
from render.pipeline import loop
from render.pipeline.inputs import propagator
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from tests.conftest import engine_of, photo_tensor
from tests.media.clips import Frames

SCENE = """
seed: 3
source: {video: c.mp4}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}, first_frame: {steps: 3}}
"""
STILL = ("dream", "{steps: 0}")


def scene_of(folder: Path, *sets: tuple[str, str]) -> Scene:
    """The scene of the clip c.mp4 in a folder, with these settings."""
    (folder / "scene.yaml").write_text(SCENE)
    return load(folder / "scene.yaml", [("--set", key, value) for key, value in sets])


def clip_of(photo: Tensor) -> Frames:
    """A clip of one frame, 1xHxWx3 in 8 bits, of a photo (1x3xHxW in [0, 1])."""
    picture: Frames = np.rint(255 * photo.permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    return picture


def panned(name: str, count: int) -> Frames:
    """A clip of a photo that moves two pixels per frame."""
    photo = photo_tensor(name, 160, 64)
    return np.concatenate([clip_of(photo[..., 2 * i : 2 * i + 96]) for i in range(count)])


def pictures_of(scene: Scene, network: Network) -> list[Tensor]:
    """All pictures of a scene."""
    return [frame.picture for frame in loop.frames(engine_of(scene, network))]


def dream_at_end(scene: Scene, dreamed: Tensor) -> Tensor:
    """The last canvas of a film whose first frame is the clip's with `dreamed` added to it."""
    planned = plan(scene, Options(device="cpu", precision="float32"))
    follow = propagator(planned, planned.device.torch_device)
    start, *intervals = follow.intervals(0)
    canvas: Tensor = start.picture + dreamed
    for interval in intervals:
        canvas = follow.propagate(canvas, interval, persistence=1)
    return canvas
