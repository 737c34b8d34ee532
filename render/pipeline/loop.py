"""The loop: each frame is dreamed from the one before it.

source -> propagate (camera, flow) -> grade -> catch up -> dream -> finish -> frame
              ^                                               |
              +-----------------------------------------------+

`frames` runs it over the dreamed frames, and interpolates those that the scene's cadence skips. What finishes a frame
(view, mix, colours) feeds back into none.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.dream.ascent import OnStep, dream
from render.dream.grade import grade
from render.motion.closing import Repeated
from render.motion.progress import CatchUp, Progress, initial_progress, propagate_progress
from render.motion.propagate import Propagator, ShotStart, StillPropagator
from render.pipeline.build import BuiltObjective, ascent_settings, build_objectives, frame_objective
from render.pipeline.closing import loop_propagator
from render.pipeline.engine import Engine
from render.pipeline.finish import finish
from render.pipeline.inputs import propagator
from render.pipeline.scene import Scene

CATCH_UP_SEED = 1
"""Distinguishes the random numbers of catching up from those of the frame's own steps."""


@dataclass(frozen=True)
class State:
    """With the scene and its files, all that later frames depend on: the last dreamed frame.

    `canvas` is 1x3xHxW float32 RGB in [0, 1] on the engine's device. `progress` (HxW) says how far the dream of a clip
    has come at each place; None without a clip. Neither is modified afterwards.
    """

    canvas: Tensor
    progress: Progress | None = None

    def to_array(self) -> NDArray[np.float32]:
        """Returns the state as one array: the canvas, and the progress as a fourth plane."""
        canvas: NDArray[np.float32] = self.canvas.cpu().numpy()
        return canvas if self.progress is None else np.concatenate([canvas, self.progress[None, None]], axis=1)

    @classmethod
    def from_array(cls, array: NDArray[np.float32], device: torch.device) -> State:
        """Returns the state that was saved as an array."""
        canvas = torch.from_numpy(np.ascontiguousarray(array[:, :3])).to(device)
        return cls(canvas, np.ascontiguousarray(array[0, 3]) if array.shape[1] > 3 else None)


@dataclass(frozen=True)
class Frame:
    """A frame of a film: the `picture` that is encoded (as a canvas), and the `state` that the next ones depend on."""

    index: int
    picture: Tensor
    state: State


class FrameSource(Protocol):
    """What makes the frames of a film: `frames`, or what gives the same ones."""

    def __call__(
        self, engine: Engine, *, start: int = 0, state: State | None = None, on_step: OnStep | None = None
    ) -> Generator[Frame]:
        """See `frames`."""


def frames(
    engine: Engine, *, start: int = 0, state: State | None = None, on_step: OnStep | None = None
) -> Generator[Frame]:
    """Yields the frames of a film from `start` on, to its end.

    `state` is that of the frame before `start`; the start of a shot needs none. `on_step` is called after every step of
    ascent. Raises StorageError when a file cannot be read.
    """
    if state is None:
        state = State(torch.empty(0))
    scene, device = engine.plan.scene, engine.device.torch_device
    source: Propagator[Any] = propagator(engine.plan, device, memo=engine.memo)
    if scene.spec.loop is not None and isinstance(source, StillPropagator):
        source = loop_propagator(source, scene, partial(dreamed_alone, engine, on_step), device=device)
    with closing(source.intervals(start)) as intervals:
        dreamed_frames = Dreamer(engine, source, on_step).dreamed(intervals, state)
        yield from finished(dreamed_frames, source, scene, start=start)


@dataclass(frozen=True)
class Dreamer:
    """Dreams the frames of an engine's plan."""

    engine: Engine
    source: Propagator[Any]
    on_step: OnStep | None

    def dreamed(self, intervals: Iterator[Any], state: State) -> Iterator[tuple[Any, State, State]]:
        """Yields the dreamed frames: (interval, the state before it, the state after it)."""
        objectives = build_objectives(self.engine.plan.scene, self.engine.network.network, memo=self.engine.memo)
        for interval in intervals:
            earlier, state = state, self._frame(interval, state, objectives)
            yield interval, earlier, state

    def _frame(self, interval: Any, state: State, objectives: list[BuiltObjective]) -> State:
        """Dreams the frame of an interval."""
        if isinstance(interval, Repeated):
            return State(interval.canvas)
        scene, is_shot_start = self.engine.plan.scene, isinstance(interval, ShotStart)
        params = scene.params(interval.index, is_shot_start=is_shot_start)
        objective = frame_objective(objectives, params, source=partial(self.source.source, interval))
        ascend = partial(dream, network=self.engine.network, objective=objective, on_step=self.on_step)
        settings, seed = ascent_settings(scene.spec, params), (scene.spec.seed, interval.index)
        if is_shot_start:
            canvas = ascend(interval.picture, settings=settings, seed=seed)
            return State(canvas, self._initial_progress(canvas))
        canvas = self.source.propagate(state.canvas, interval, persistence=params.persistence)
        canvas = grade(canvas, **params.grade._asdict())
        catch_up = self._catch_up(interval, state, persistence=params.persistence)
        if catch_up is not None and catch_up.scale is not None:
            scale = torch.from_numpy(catch_up.scale)[None, None].to(canvas.device)
            behind = replace(settings, step_scale=scale)
            canvas = ascend(canvas, settings=behind, seed=(*seed, CATCH_UP_SEED))
        canvas = ascend(canvas, settings=settings, seed=seed)
        return State(canvas, None if catch_up is None else catch_up.dreamed())

    def _initial_progress(self, canvas: Tensor) -> Progress | None:
        """The progress of a shot's first frame; None without a clip, where nothing is uncovered."""
        scene = self.engine.plan.scene
        if scene.clip is None:
            return None
        height, width = canvas.shape[2:]
        return initial_progress((height, width), scene.spec.dream.first_frame_ratio)

    def _catch_up(self, interval: Any, state: State, *, persistence: float) -> CatchUp | None:
        """The progress that a frame starts from, and where it has to catch up; None where everything persists."""
        motion = self.source.motion(interval)
        if motion is None or state.progress is None:
            return None
        return propagate_progress(state.progress, motion, persistence=persistence)


def dreamed_alone(
    engine: Engine, on_step: OnStep | None, source: Propagator[Any], intervals: Iterator[Any]
) -> Iterator[tuple[int, Tensor]]:
    """Yields what a source's intervals are dreamed to, from the start of a shot on: (frame, canvas)."""
    for interval, _, later in Dreamer(engine, source, on_step).dreamed(intervals, State(torch.empty(0))):
        yield interval.index, later.canvas


def finished(
    dreamed_frames: Iterator[tuple[Any, State, State]], source: Propagator[Any], scene: Scene, *, start: int
) -> Generator[Frame]:
    """Yields every frame from `start` on: the dreamed ones, and before each those that the cadence skips; finished."""
    for interval, earlier, later in dreamed_frames:
        if not isinstance(interval, ShotStart):
            for position, index in enumerate(interval.frames[:-1]):
                if index >= start:
                    picture = source.interpolate(earlier.canvas, later.canvas, interval=interval, position=position)
                    picture = finish(scene, index, picture, source=partial(source.source, interval, position))
                    yield Frame(index, picture, earlier)
        if interval.index < scene.length:
            picture = finish(scene, interval.index, later.canvas, source=partial(source.source, interval))
            yield Frame(interval.index, picture, later)
