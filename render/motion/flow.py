"""Where the pixels of a frame were in the frame before, and how far that can be trusted.

A flow is on the grid of one frame and points into another, HxWx2 float32, (right, down) in pixels: the pixel at x is
found at x + flow(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from render.motion.warp import Coordinates, resample

Flow = NDArray[np.float32]
Grey = NDArray[np.uint8]
Estimator = Callable[[Tensor, Tensor], Flow]
"""From two frames (1x3xHxW in [0, 1], on any device) to the flow on the first one's grid, pointing into the second."""

RAFT_STRIDE, RAFT_SMALLEST = 8, 128
"""Pixels: RAFT's sides are multiples of the one and at least the other."""
NO_GUESS: Any = None
"""No flow to begin from; OpenCV's stubs do not know that this is allowed."""
SOFTNESS = 4.0
"""Pixels over which confidence rises from an edge."""


@dataclass(frozen=True)
class Motion:
    """For each pixel of a frame its place (x, y) in the frame before, and the confidence in it, HxW in [0, 1]."""

    x: Coordinates
    y: Coordinates
    confidence: NDArray[np.float32]


def dis(first: Tensor, second: Tensor) -> Flow:
    """Dense inverse search (Kroeger et al. 2016), its medium preset down to single pixels: a third of the error."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    return np.asarray(search.calc(_grey(first), _grey(second), NO_GUESS), np.float32)


def farneback(first: Tensor, second: Tensor) -> Flow:
    """Polynomial expansion (Farnebäck 2003), five scales, windows of 21 pixels."""
    found = cv2.calcOpticalFlowFarneback(_grey(first), _grey(second), NO_GUESS, 0.5, 5, 21, 3, 7, 1.5, 0)
    return np.asarray(found, np.float32)


def raft(size: Literal["small", "large"], state: Mapping[str, Tensor], device: torch.device) -> Estimator:
    """RAFT (Teed & Deng 2020), torchvision's, with the weights of `state`. Raises RuntimeError when they don't fit."""
    from torchvision.models import optical_flow  # noqa: PLC0415  # a second that only this kind needs

    model = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[size]()
    model.load_state_dict(state)
    model.to(device).eval().requires_grad_(False)

    def estimate(first: Tensor, second: Tensor) -> Flow:
        height, width = first.shape[2:]
        pads = [_padding(side) for side in (width, height)]
        frames = (F.pad(2 * frame.to(device) - 1, (*pads[0], *pads[1]), mode="replicate") for frame in (first, second))
        with torch.no_grad():
            found = model(*frames)[-1]
        (left, _), (top, _) = pads
        inner: Flow = found[0, :, top : top + height, left : left + width].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(inner)

    return estimate


def motion(before: Tensor, now: Tensor, estimate: Estimator) -> Motion:
    """Where each pixel of `now` was in `before`; both 1x3xHxW in [0, 1].

    Not trusted is what does not come back to where it was when followed forward again, edges of motion, and what came
    from outside the frame (Sundaram et al. 2010, with the constants of Ruder et al. 2016).
    """
    back, forward = estimate(now, before), estimate(before, now)
    height, width = back.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = columns + back[..., 0], rows + back[..., 1]
    there = np.asarray(cv2.remap(forward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    length = _squared(there) + _squared(back)
    returns = _squared(there + back) <= 0.01 * length + 0.5
    slope = sum(np.square(np.gradient(back, axis=axis)).sum(-1) for axis in (0, 1))
    smooth = slope <= 0.01 * _squared(back) + 0.002
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    return Motion(x, y, _soft(returns & smooth & inside))


def followed(picture: Tensor, moved: Motion) -> Tensor:
    """A picture (1x3xHxW) of the frame before, where its pixels are now, read with the camera's kernel."""
    return resample(picture, moved.x, moved.y, "edge")


def _soft(trusted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 well within, falling to 0 at the edges of what is not trusted."""
    distance = cv2.distanceTransform(np.pad(trusted, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)
    soft: NDArray[np.float32] = np.clip((distance[1:-1, 1:-1] - 1) / SOFTNESS, 0, 1).astype(np.float32)
    return soft


def _squared(vectors: Flow) -> NDArray[np.float32]:
    total: NDArray[np.float32] = np.square(vectors).sum(-1)
    return total


def _grey(frame: Tensor) -> Grey:
    """ITU-R BT.601's luma in 8 bits, as the estimators expect."""
    picture = np.ascontiguousarray(frame[0].permute(1, 2, 0).cpu().numpy())
    return np.rint(255 * np.clip(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 0, 1)).astype(np.uint8)


def _padding(side: int) -> tuple[int, int]:
    """Pixels before and after, up to a side that RAFT takes."""
    total = max(RAFT_SMALLEST, -(-side // RAFT_STRIDE) * RAFT_STRIDE) - side
    return total // 2, total - total // 2
