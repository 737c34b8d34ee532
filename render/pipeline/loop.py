"""The loop: each frame is dreamed from the one before it.

source -> propagate (camera, flow) -> grade -> dream -> frame
              ^                                  |
              +----------------------------------+

`frames` runs it over the dreamed frames, and interpolates those that the scene's cadence skips.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from render.dream.ascent import OnStep, dream
from render.dream.grade import grade
from render.motion.propagate import Propagator, ShotStart
from render.pipeline.build import ascent_settings, build_objectives, frame_objective
from render.pipeline.engine import Engine
from render.pipeline.inputs import propagator


@dataclass(frozen=True)
class Frame:
    """A frame of a film: `picture` is what is encoded, `canvas` the dreamed frame that the next ones depend on.

    Both are 1x3xHxW float32 RGB in [0, 1] on the engine's device; they are not modified afterwards.
    """

    index: int
    picture: Tensor
    canvas: Tensor


def frames(
    engine: Engine, *, start: int = 0, canvas: Tensor | None = None, on_step: OnStep | None = None
) -> Generator[Frame]:
    """Yields the frames of a film from `start` on, to its end.

    `canvas` is that of the frame before `start`: with the scene and its files, all that the later frames depend on.
    `on_step` is called after every step of ascent. Raises StorageError when a file cannot be read.
    """
    if canvas is None:
        canvas = torch.empty(0)  # a film begins with the start of a shot, which needs none
    source = propagator(engine.plan, engine.device.torch_device)
    with closing(source.intervals(start)) as intervals:
        yield from with_between(dreamed(engine, source, intervals, canvas=canvas, on_step=on_step), source, start=start)


def dreamed(
    engine: Engine, source: Propagator[Any], intervals: Iterator[Any], *, canvas: Tensor, on_step: OnStep | None
) -> Iterator[tuple[Any, Tensor, Tensor]]:
    """Yields the dreamed frames: (interval, the canvas before it, the canvas after it)."""
    scene = engine.plan.scene
    objectives = build_objectives(scene, engine.network.network)
    for interval in intervals:
        is_shot_start = isinstance(interval, ShotStart)
        params = scene.params(interval.index, is_shot_start=is_shot_start)
        if is_shot_start:
            initial = interval.picture
        else:
            initial = grade(
                source.propagate(canvas, interval, persistence=params.persistence), **params.grade._asdict()
            )
        objective = frame_objective(objectives, params)
        if objective.compares_source:
            objective = objective.of_source(source.source(interval))
        earlier, canvas = (
            canvas,
            dream(
                initial,
                engine.network,
                objective=objective,
                settings=ascent_settings(scene.spec, params),
                seed=(scene.spec.seed, interval.index),
                on_step=on_step,
            ),
        )
        yield interval, earlier, canvas


def with_between(
    dreamed_frames: Iterator[tuple[Any, Tensor, Tensor]], source: Propagator[Any], *, start: int
) -> Generator[Frame]:
    """Yields every frame from `start` on: the dreamed ones, and before each those that the cadence skips."""
    for interval, earlier, later in dreamed_frames:
        if not isinstance(interval, ShotStart):
            for position, index in enumerate(interval.frames[:-1]):
                if index >= start:
                    picture = source.interpolate(earlier, later, interval=interval, position=position)
                    yield Frame(index, picture, earlier)
        yield Frame(interval.index, later, later)
