"""Closing a loop: the end of a film turns into the frames that lead up to its beginning.

A film that repeats is first dreamed from a frame before its blend up to its length: this is the lead-in, and its last
frame is frame 0. The film goes on from there. When it comes to the blend, the lead-in has for each frame the picture
that leads to frame 0 with the same camera, objectives and random numbers. The film is pulled toward it before it is
dreamed; places begin one after the other, and the dream joins each to its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from render.motion.camera import CameraPath, inverse_affine
from render.motion.interpolate import detail
from render.motion.propagate import ShotStart, StillInterval, StillPropagator, last_before
from render.motion.warp import Affine, warp_affine

CHANGING = 1.0
"""Time in which a place changes, relative to the time in which all places begin to: a longer one is calmer."""
COMPLETE = 0.9
"""Share of a blend after which the film is its lead-in everywhere, so that nothing changes at the join."""
DETAIL_RADIUS = 7
"""Pixels around a place whose fine detail is compared."""
TINY = 1e-6


@dataclass(frozen=True)
class Repeated:
    """Frames of a loop, the last one of which is also in its lead-in: its `canvas` is dreamed already."""

    frames: range
    canvas: Tensor

    @property
    def index(self) -> int:
        """The dreamed frame."""
        return self.frames[-1]


@dataclass(frozen=True)
class Blend:
    """How far the film has become its lead-in at each place, from frame `start` to frame `stop`.

    `order` (1x1xHxW in [0, 1]) says which places change first; it moves with the camera, as the picture does.
    """

    path: CameraPath
    start: int
    stop: int
    order: Tensor

    def share(self, index: int, *, at: int) -> Tensor:
        """The share of the lead-in at frame `index`, 1x1xHxW in [0, 1], for the places as they are at frame `at`."""
        progress = min(max((index - self.start) / (COMPLETE * (self.stop - self.start)), 0.0), 1.0)
        begun = (progress * (1 + CHANGING) - self._order_at(at)) / CHANGING
        begun = begun.clamp(0, 1)
        return begun * begun * (3 - 2 * begun)

    def is_complete(self, index: int) -> bool:
        """Whether the film is its lead-in everywhere at a frame."""
        return index - self.start >= COMPLETE * (self.stop - self.start)

    def pull(self, before: int, index: int) -> Tensor:
        """The part of the difference to the lead-in that goes at frame `index`, after `before`; 1x1xHxW in [0, 1]."""
        remaining = 1 - self.share(index, at=index)
        return (1 - remaining / (1 - self.share(before, at=index)).clamp_min(TINY)).clamp(0, 1)

    def _order_at(self, index: int) -> Tensor:
        """The order of the places of a frame; it is that of the blend's middle, so that it is magnified least."""
        middle = (self.start + self.stop) // 2
        reads: Affine = (
            np.asarray(self.path.between(index, middle)[:2], np.float64)
            if index <= middle
            else inverse_affine(self.path.between(middle, index))
        )
        return warp_affine(self.order.expand(1, 3, -1, -1), reads, border="mirror")[:, :1].clamp(0, 1)


@dataclass(frozen=True)
class LoopPropagator:
    """A film from noise or a picture that repeats.

    `still` moves its frames. The lead-in begins at frame `first` with the initial picture; `lead` returns its canvas
    at a dreamed frame from there on, up to the length.
    """

    still: StillPropagator
    blend: Blend
    lead: Callable[[int], Tensor]
    first: int

    def intervals(self, start: int) -> Generator[ShotStart | StillInterval | Repeated]:
        """See Propagator; the first frame ends the lead-in, and after a complete blend the film is it."""
        previous, length = last_before(self.still.dreamed, start), self.blend.stop
        for index in sorted(index for index in self.still.dreamed if index > previous):
            frames = range(previous + 1, index + 1)
            if index == 0:
                yield Repeated(frames, self.lead(length))
            elif self.blend.is_complete(index):
                yield Repeated(frames, self.lead(index))
            else:
                yield StillInterval(frames)
            previous = index

    def propagate(self, canvas: Tensor, interval: StillInterval, *, persistence: float) -> Tensor:
        """See Propagator; in the blend, pulled toward the lead-in."""
        moved = self.still.propagate(canvas, interval, persistence=persistence)
        before = interval.frames[0] - 1
        if before < self.blend.start:
            return moved
        target = self.still.propagate(self.lead(before), interval, persistence=persistence)
        return _mixed(moved, target, self.blend.pull(before, interval.index).to(moved.device))

    def motion(self, interval: StillInterval) -> None:
        """See Propagator."""

    def source(self, interval: ShotStart | StillInterval | Repeated, position: int = -1) -> Tensor:
        """See Propagator; the initial picture, moved through lead-in and film, and in the blend that of the lead-in."""
        path = self.still.path
        index = interval.index if isinstance(interval, ShotStart) else interval.frames[position]
        moves = path.between(0, index) @ path.between(self.first, self.blend.stop)
        moved = warp_affine(self.still.initial(), inverse_affine(moves), border=path.border).clamp(0, 1)
        if index <= self.blend.start:
            return moved
        share = self.blend.share(index, at=index).to(moved.device)
        return torch.lerp(moved, path.warp(self.still.initial(), self.first, index), share)

    def interpolate(self, earlier: Tensor, later: Tensor, *, interval: StillInterval, position: int) -> Tensor:
        """See Propagator."""
        return self.still.interpolate(earlier, later, interval=interval, position=position)


def _mixed(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Mixes a share (1x1xHxW in [0, 1]) of another picture into one, with as much fine detail as both have there.

    See `interpolate`: the mean of different pictures has less of it than each.
    """
    mixed = torch.lerp(own, other, share)
    variances = (_around(detail(picture).square().mean(1, keepdim=True)) for picture in (own, other, mixed))
    of_own, of_other, of_mixed = variances
    ratio = torch.lerp(of_own, of_other, share) / of_mixed.clamp_min(TINY**2)
    gain = torch.minimum(ratio.clamp_min(1), 1 / (share**2 + (1 - share) ** 2))
    return (mixed + detail(mixed) * (gain.sqrt() - 1)).clamp(0, 1)


def _around(values: Tensor) -> Tensor:
    """The mean of values (1x1xHxW) around each place."""
    return F.avg_pool2d(values, 2 * DETAIL_RADIUS + 1, stride=1, padding=DETAIL_RADIUS, count_include_pad=False)
