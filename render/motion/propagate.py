"""Propagation: from one dreamed frame to the canvas that the next one is dreamed from, and to the frames between.

A film is dreamed at some of its frames. An interval holds the frames after one of these, up to and including the next.
`StillPropagator` moves the dreamed frame along the camera's path. `FootagePropagator` starts from the clip's own frame
and adds what the dream changed, moved along the clip's optical flow and the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from render.choices import FollowMode
from render.motion.camera import CameraPath
from render.motion.composite import composite, dream_layer, warp_by_motion
from render.motion.flow import Motion, compose_motions
from render.motion.interpolate import interpolate_by_camera, interpolate_by_flow


@dataclass(frozen=True)
class ShotStart:
    """The first frame of a film or a shot, dreamed from its `picture` (1x3xHxW in [0, 1]) alone."""

    index: int
    picture: Tensor


@dataclass(frozen=True)
class StillInterval:
    """Frames of a film from noise or a picture: their indices, the last one dreamed."""

    frames: range

    @property
    def index(self) -> int:
        """The dreamed frame."""
        return self.frames[-1]


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip, as the camera sees it: 1x3xHxW in [0, 1].

    `backward` leads to each pixel's place in the frame before, `forward` from the frame before to this one; the
    latter is None in a film all of whose frames are dreamed, which needs no interpolation.
    """

    index: int
    picture: Tensor
    backward: Motion
    forward: Motion | None


@dataclass(frozen=True)
class FootageInterval:
    """Frames of a clip, the last one dreamed, and the `source` picture of the dreamed frame before them."""

    source: Tensor
    clip_frames: tuple[ClipFrame, ...]

    @property
    def index(self) -> int:
        """The dreamed frame."""
        return self.clip_frames[-1].index

    @property
    def frames(self) -> range:
        """The indices of the frames."""
        return range(self.clip_frames[0].index, self.index + 1)


IntervalT = TypeVar("IntervalT", StillInterval, FootageInterval)


class Propagator(Protocol[IntervalT]):
    """What the loop needs of a source."""

    def intervals(self, start: int) -> Generator[ShotStart | IntervalT]:
        """Yields the intervals of the film from frame `start` on, from the last dreamed frame before it."""

    def propagate(self, canvas: Tensor, interval: IntervalT, *, persistence: float) -> Tensor:
        """Returns what the interval's dreamed frame is dreamed from; `canvas` is the dreamed frame before it."""

    def motion(self, interval: IntervalT) -> Motion | None:
        """Returns the motion over an interval; None where everything persists."""

    def source(self, interval: ShotStart | IntervalT, position: int = -1) -> Tensor:
        """Returns a frame of the interval, by default the dreamed one, as it is without any dream."""

    def interpolate(self, earlier: Tensor, later: Tensor, *, interval: IntervalT, position: int) -> Tensor:
        """Returns the interval's frame at `position`, between the dreamed frames `earlier` and `later`."""


@dataclass(frozen=True)
class StillPropagator:
    """A film from noise or a picture: dreamed frames are moved along the camera's path.

    `initial` makes the picture of the `first` frame, `dreamed` holds the indices of the dreamed frames.
    """

    initial: Callable[[], Tensor]
    path: CameraPath
    dreamed: frozenset[int]
    first: int = 0

    def intervals(self, start: int) -> Generator[ShotStart | StillInterval]:
        """See Propagator."""
        previous = last_before(self.dreamed, start)
        for index in sorted(index for index in self.dreamed if index > previous):
            yield (
                ShotStart(index, self.initial())
                if index == self.first
                else StillInterval(range(previous + 1, index + 1))
            )
            previous = index

    def propagate(self, canvas: Tensor, interval: StillInterval, *, persistence: float) -> Tensor:
        """See Propagator; everything persists."""
        return self.path.warp(canvas, interval.frames[0] - 1, interval.index)

    def motion(self, interval: StillInterval) -> None:
        """See Propagator."""

    def source(self, interval: ShotStart | StillInterval, position: int = -1) -> Tensor:
        """See Propagator; the initial picture, moved at once."""
        index = interval.index if isinstance(interval, ShotStart) else interval.frames[position]
        return self.path.warp(self.initial(), self.first, index)

    def interpolate(self, earlier: Tensor, later: Tensor, *, interval: StillInterval, position: int) -> Tensor:
        """See Propagator."""
        frames = (interval.frames[0] - 1, interval.frames[position], interval.index)
        return interpolate_by_camera(earlier, later, path=self.path, frames=frames)


@dataclass(frozen=True)
class FootagePropagator:
    """A film that follows a clip.

    `shots` are the frames that begin a shot, `dreamed` the dreamed frames. `clip_frames` yields the clip from a frame
    on: that frame's picture first, then each frame with its motion, or its picture alone where a shot begins.
    """

    clip_frames: Callable[[int], Generator[ShotStart | ClipFrame]]
    dreamed: frozenset[int]
    mode: FollowMode

    def intervals(self, start: int) -> Generator[ShotStart | FootageInterval]:
        """See Propagator."""
        previous = last_before(self.dreamed, start)
        frames: list[ClipFrame] = []
        with closing(self.clip_frames(max(previous, 0))) as clip_frames:
            for frame in clip_frames:
                if isinstance(frame, ShotStart):
                    source = frame.picture
                    if frame.index > previous:
                        yield frame
                    continue
                frames.append(frame)
                if frame.index in self.dreamed:
                    yield FootageInterval(source, tuple(frames))
                    source, frames = frame.picture, []

    def propagate(self, canvas: Tensor, interval: FootageInterval, *, persistence: float) -> Tensor:
        """The clip's frame, and on it `persistence` of what the dream changed, as far as the motion is trusted."""
        picture = interval.clip_frames[-1].picture
        motion = self.motion(interval)
        share = persistence * torch.from_numpy(motion.confidence).to(picture.device)
        layer = warp_by_motion(dream_layer(canvas, interval.source, self.mode), motion)
        return composite(picture, layer, share=share, mode=self.mode)

    def motion(self, interval: FootageInterval) -> Motion:
        """See Propagator; composed of the frames' motions."""
        return compose_motions([frame.backward for frame in reversed(interval.clip_frames)])

    def source(self, interval: ShotStart | FootageInterval, position: int = -1) -> Tensor:
        """See Propagator; the clip's frame."""
        return interval.picture if isinstance(interval, ShotStart) else interval.clip_frames[position].picture

    def interpolate(self, earlier: Tensor, later: Tensor, *, interval: FootageInterval, position: int) -> Tensor:
        """See Propagator."""
        frames = interval.clip_frames
        back = compose_motions([frame.backward for frame in reversed(frames[: position + 1])])
        ahead = compose_motions([frame.forward for frame in frames[position + 1 :] if frame.forward is not None])
        layers = (
            dream_layer(earlier, interval.source, self.mode),
            dream_layer(later, frames[-1].picture, self.mode),
        )
        share = (position + 1) / len(frames)
        return interpolate_by_flow(layers, (back, ahead), share=share, source=frames[position].picture, mode=self.mode)


def last_before(dreamed: Iterable[int], start: int) -> int:
    """The last dreamed frame before `start`, -1 when there is none."""
    return max((index for index in dreamed if index < start), default=-1)
