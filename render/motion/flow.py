"""Where the pixels of a frame were in the frame before, and how far that can be trusted.

A flow is on the grid of one frame and points into another, HxWx2 float32, (right, down) in pixels: the pixel at x is
found at x + flow(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models import WeightsEnum, optical_flow

from render.motion.warp import Coordinates, grid, resample

Flow = NDArray[np.float32]
Grey = NDArray[np.uint8]
Estimator = Callable[[Tensor, Tensor], Flow]
"""From two frames (1x3xHxW in [0, 1], on any device) to the flow on the first one's grid, pointing into the second."""

Raft = Literal["raft_small", "raft_large"]
RAFT_STRIDE, RAFT_SMALLEST = 8, 128
"""Pixels: RAFT's sides are multiples of the one and at least the other."""
NO_GUESS: Any = None
"""No flow to begin from; OpenCV's stubs do not know that this is allowed."""
MEDIAN = 5
"""Pixels a side of the median filter over a flow, which takes its outliers out (Sun et al. 2010)."""
WINDOW = 7
"""Pixels a side over which two pictures are compared."""
ALIKE = 0.0125
"""Mean difference, of values in [0, 1] over a window, up to which two pictures show the same thing there."""
NEAR = 2.0
"""Pixels from where it was, up to which a pixel that comes back may still be the same."""
SOFTNESS = 1.5
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
    return _without_outliers(search.calc(_grey(first), _grey(second), NO_GUESS))


def farneback(first: Tensor, second: Tensor) -> Flow:
    """Polynomial expansion (Farnebäck 2003), five scales, windows of 21 pixels."""
    found = cv2.calcOpticalFlowFarneback(_grey(first), _grey(second), NO_GUESS, 0.5, 5, 21, 3, 7, 1.5, 0)
    return _without_outliers(found)


def trained(name: Raft) -> WeightsEnum:
    """The published weights of torchvision's RAFT."""
    return optical_flow.Raft_Small_Weights.DEFAULT if name == "raft_small" else optical_flow.Raft_Large_Weights.DEFAULT


def raft(name: Raft, state: Mapping[str, Tensor], device: torch.device) -> Estimator:
    """RAFT (Teed & Deng 2020), torchvision's, with the weights of `state`. Raises RuntimeError when they don't fit."""
    model = {"raft_small": optical_flow.raft_small, "raft_large": optical_flow.raft_large}[name]()
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

    Trusted is what comes back to where it was when followed forward again, away from edges of motion (Sundaram et al.
    2010, with the constants of Ruder et al. 2016), or nearly so and shows there what it showed before. What came from
    outside the frame is not.
    """
    return _trusted(before, now, estimate(now, before), estimate(before, now))


def back_and_forth(before: Tensor, now: Tensor, estimate: Estimator) -> tuple[Motion, Motion]:
    """The same, and where each pixel of `before` is in `now`."""
    back, forward = estimate(now, before), estimate(before, now)
    return _trusted(before, now, back, forward), _trusted(now, before, forward, back)


def chained(motions: Sequence[Motion]) -> Motion:
    """The motion over several frames, of the motions from each to the next; trusted where all of them are."""
    whole, *others = motions
    for nearer in others:
        columns, rows = grid(nearer.x)
        x, y, confidence = (
            cv2.remap(values, whole.x, whole.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for values in (nearer.x - columns, nearer.y - rows, nearer.confidence)
        )
        whole = Motion(whole.x + x, whole.y + y, whole.confidence * np.asarray(confidence, np.float32))
    return whole


def standstill(now: Tensor) -> Motion:
    """Every pixel where it is, and trusted."""
    columns, rows = grid(now)
    return Motion(columns, rows, np.ones_like(columns))


def within(x: Coordinates, y: Coordinates, picture: Tensor) -> NDArray[np.float32]:
    """1 for places in the picture, falling to 0 outside."""
    height, width = picture.shape[2:]
    outside = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1), np.zeros_like(x)])
    return np.asarray(np.clip(1 - outside / SOFTNESS, 0, 1), np.float32)


def consistent(before: Tensor, now: Tensor, estimate: Estimator) -> Motion:
    """As `motion`, with a confidence of 0 or 1 and without a look at the pictures: what flow is judged by elsewhere."""
    back, forward = estimate(now, before), estimate(before, now)
    columns, rows = grid(now)
    x, y = columns + back[..., 0], rows + back[..., 1]
    inside = within(x, y, now) == 1
    return Motion(x, y, (_consistent(back, _at(forward, x, y)) & inside).astype(np.float32))


def _trusted(before: Tensor, now: Tensor, back: Flow, forward: Flow) -> Motion:
    columns, rows = grid(now)
    x, y = columns + back[..., 0], rows + back[..., 1]
    there = _at(forward, x, y)
    near = _squared(there + back) <= NEAR**2  # it is not where something has been uncovered
    trusted = _consistent(back, there) | near & _alike(before, now, x, y)
    return Motion(x, y, _soft(trusted) * within(x, y, now))


def _consistent(back: Flow, there: Flow) -> NDArray[np.bool_]:
    """Where a flow is undone by its opposite, which is given as found `there`, and smooth."""
    returns = _squared(there + back) <= 0.01 * (_squared(there) + _squared(back)) + 0.5
    slope = sum(np.square(np.gradient(back, axis=axis)).sum(-1) for axis in (0, 1))
    smooth = slope <= 0.01 * _squared(back) + 0.002
    return np.asarray(returns & smooth)


def _at(found: Flow, x: Coordinates, y: Coordinates) -> Flow:
    """A flow, read at the places that another points to."""
    return np.asarray(cv2.remap(found, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _alike(before: Tensor, now: Tensor, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
    """Where the frame before, moved, looks like this one."""
    difference = (resample(before, x, y, "edge") - now).abs().mean(1)[0].cpu().numpy()
    return np.asarray(cv2.blur(difference, (WINDOW, WINDOW)) < ALIKE)


def _without_outliers(found: Any) -> Flow:
    return np.asarray(cv2.medianBlur(np.asarray(found, np.float32), MEDIAN), np.float32)


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
