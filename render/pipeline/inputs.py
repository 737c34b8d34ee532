"""Per-frame inputs: the first picture of a film from noise or a picture; of a clip every frame, and how it moves."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from render.media.clip import clip_frames
from render.media.image import load_image
from render.media.noise import noise
from render.models.weights_file import read_weights
from render.motion import flow
from render.motion.camera import inverse_affine
from render.motion.flow import Estimator, Motion, motion_through_camera
from render.motion.propagate import ClipFrame, FootagePropagator, Propagator, ShotStart, StillPropagator
from render.motion.warp import Matrix, warp_affine
from render.pipeline.camera import camera_path
from render.pipeline.memo import Memo
from render.pipeline.plan import Plan
from render.pipeline.scene import Scene
from render.scene.source import NoiseSpec
from render.system.workers import prefetch


def propagator(plan: Plan, device: torch.device, *, memo: Memo | None = None) -> Propagator[Any]:
    """The propagator of a plan's source; `memo` keeps a clip's flow. Raises StorageError when it cannot be read."""
    scene, cadence = plan.scene, plan.scene.spec.dream.cadence
    repeats = scene.spec.loop is not None
    dreamed = dreamed_frames(plan.shots, scene.length, cadence=cadence, repeats=repeats)
    if scene.clip is None:
        initial = cache(partial(_initial_picture, scene, device))  # the content of every frame may be compared with it
        return StillPropagator(initial, camera_path(scene), dreamed)
    mode = "residual" if scene.spec.follow is None else scene.spec.follow.mode

    def frames(start: int) -> Generator[ShotStart | ClipFrame]:
        return prefetch(_footage(plan, device, start, memo=memo or Memo()), cadence)

    return FootagePropagator(frames, dreamed, mode)


def dreamed_frames(shots: Iterable[int], length: int, *, cadence: int, repeats: bool = False) -> frozenset[int]:
    """The frames that the network dreams: of each shot the first, every `cadence`-th from there, and the last.

    Of a film that `repeats`, frame `length`, which is the first one again, takes the place of the last one.
    """
    starts = sorted(shots)
    ends = [*starts[1:], length + 1 if repeats else length]
    return frozenset(
        index for start, end in zip(starts, ends, strict=True) for index in (*range(start, end, cadence), end - 1)
    )


@dataclass(frozen=True)
class ClipView:
    """A frame of a clip, `still`, and the `picture` of it that the camera shows, each 1x3xHxW in [0, 1].

    `camera` is 3x3, from a pixel of the still to its place in the picture.
    """

    still: Tensor
    picture: Tensor
    camera: Matrix


def clip_views(scene: Scene, start: int = 0) -> Iterator[ClipView]:
    """Yields the frames of a scene's clip from `start` on, on the CPU; none without a clip. Raises StorageError."""
    if scene.clip is None:
        return
    path, source = camera_path(scene), scene.spec.source
    frames, fit = range(start, scene.length), source.fit or "cover"
    stills = clip_frames(scene.clip, scene.size, fps=scene.fps, frames=frames, fit=fit, start=scene.spec.start)
    for still, camera in zip(stills, islice(path.from_start(), start, None), strict=False):
        picture = warp_affine(still, inverse_affine(camera), border=path.border).clamp(0, 1)
        yield ClipView(still, picture, camera)


def _initial_picture(scene: Scene, device: torch.device) -> Tensor:
    """The picture that the film begins from, 1x3xHxW in [0, 1]. Raises StorageError."""
    match scene.spec.source.chosen:
        case NoiseSpec(grain=grain, contrast=contrast, color=color):
            picture = noise(scene.size, grain=grain, contrast=contrast, color=color, seed=scene.spec.seed)
        case _:
            picture = load_image(scene.paths["source", "image"], scene.size)
    return picture.to(device)


def _footage(plan: Plan, device: torch.device, start: int, *, memo: Memo) -> Generator[ShotStart | ClipFrame]:
    """Yields each frame of the clip from `start` on, with its motion but for the first and where a shot begins."""
    scene = plan.scene
    estimate, both_ways = _estimator(plan, device), scene.spec.dream.cadence > 1
    before: ClipView | None = None
    for index, view in enumerate(clip_views(scene, start), start):
        picture = view.picture.to(device)
        if before is None or index in plan.shots:
            yield ShotStart(index, picture)
        else:
            key = (*_flow_key(scene), both_ways, index)
            motions = memo.get(key, partial(_motions, before, view, estimate=estimate, both_ways=both_ways))
            backward, forward = _through_camera(motions, before, view, both_ways=both_ways)
            yield ClipFrame(index, picture, backward=backward, forward=forward)
        before = view


def _flow_key(scene: Scene) -> tuple[Hashable, ...]:
    """What the flow of a clip depends on."""
    spec = scene.spec
    return "flow", scene.clip, scene.size, scene.fps, spec.start, spec.source.fit, spec.follow and spec.follow.flow


def _motions(before: ClipView, view: ClipView, *, estimate: Estimator | None, both_ways: bool) -> tuple[Motion, Motion]:
    """The clip's motion back from a frame to the one before; and, for `both_ways`, the other one."""
    if estimate is None:
        motion = flow.identity_motion(view.still)
        return motion, motion
    if both_ways:
        return flow.estimate_both_ways(before.still, view.still, estimate=estimate)
    motion = flow.estimate_motion(before.still, view.still, estimate=estimate)
    return motion, motion


def _through_camera(
    motions: tuple[Motion, Motion], before: ClipView, view: ClipView, *, both_ways: bool
) -> tuple[Motion, Motion | None]:
    """The motions of `_motions` as the camera sees them; None for the second unless `both_ways`."""
    backward, forward = motions
    backward = motion_through_camera(backward, view.still, before=before.camera, now=view.camera)
    if not both_ways:
        return backward, None
    return backward, motion_through_camera(forward, view.still, before=view.camera, now=before.camera)


def _estimator(plan: Plan, device: torch.device) -> Estimator | None:
    """What estimates the flow of the clip; None when the dream does not follow it. Raises MissingError."""
    match plan.scene.spec.follow and plan.scene.spec.follow.flow:
        case "dis":
            return flow.dis
        case "farneback":
            return flow.farneback
        case "raft_small" | "raft_large" as name if plan.flow_weights is not None:
            return flow.raft(name, read_weights(plan.flow_weights.ensure(quiet=plan.options.quiet)), device=device)
    return None
