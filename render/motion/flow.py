"""Optical flow: where the pixels of a frame were in the frame before, and how far that can be trusted.

A flow is on the grid of one frame and points into another, HxWx2 float32, (right, down) in pixels: the pixel at x
corresponds to x + flow(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from render.motion.warp import Coordinates, Matrix, pixel_grid, resample, transform_points

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

Flow = NDArray[np.float32]
Grey = NDArray[np.uint8]
Estimator = Callable[[Tensor, Tensor], Flow]
"""From two frames (1x3xHxW in [0, 1], on any device) to the flow on the first one's grid, pointing into the second."""

Raft = Literal["raft_small", "raft_large"]
RAFT_STRIDE, RAFT_MIN_SIDE = 8, 128
"""Pixels: RAFT takes sides that are multiples of the first and at least the second."""
NO_INITIAL_FLOW: Any = None
"""No initial flow; OpenCV's stubs do not allow it."""
MEDIAN_WINDOW = 5
"""Pixels a side of the median filter that removes a flow's outliers (Sun et al. 2010)."""
PHOTOMETRIC_WINDOW = 7
"""Pixels a side of the window over which two pictures are compared."""
MAX_PHOTOMETRIC_DIFFERENCE = 0.0125
"""Mean difference, of values in [0, 1] over a window, up to which two pictures match."""
MAX_RETURN_DISTANCE = 2.0
"""Pixels by which a pixel, followed back and forward again, may miss its own place."""
CLOSE_RETURN_DISTANCE = 0.25
"""The same in pixels, up to which a pixel is trusted whatever moves around it: water bends everywhere, and returns."""
SOFTNESS = 1.5
"""Pixels over which confidence rises from the edge of an untrusted area."""


@dataclass(frozen=True)
class Motion:
    """For each pixel of a frame its place (x, y) in the frame before, and the confidence in it in [0, 1]; HxW."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    confidence: NDArray[np.float32]


def dis(first: Tensor, second: Tensor) -> Flow:
    """Dense inverse search (Kroeger et al. 2016), medium preset; refined to single pixels, a third of its error."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    return _without_outliers(search.calc(_grey(first), _grey(second), NO_INITIAL_FLOW))


def farneback(first: Tensor, second: Tensor) -> Flow:
    """Polynomial expansion (Farnebäck 2003), five scales, windows of 21 pixels."""
    flow = cv2.calcOpticalFlowFarneback(_grey(first), _grey(second), NO_INITIAL_FLOW, 0.5, 5, 21, 3, 7, 1.5, 0)
    return _without_outliers(flow)


def raft_weights(name: Raft) -> WeightsEnum:
    """The published weights of torchvision's RAFT."""
    from torchvision.models import optical_flow

    return optical_flow.Raft_Small_Weights.DEFAULT if name == "raft_small" else optical_flow.Raft_Large_Weights.DEFAULT


def raft(name: Raft, state: Mapping[str, Tensor], *, device: torch.device) -> Estimator:
    """torchvision's RAFT (Teed & Deng 2020) with the weights of `state`. Raises RuntimeError when they do not fit."""
    from torchvision.models import optical_flow

    model = {"raft_small": optical_flow.raft_small, "raft_large": optical_flow.raft_large}[name]()
    model.load_state_dict(state)
    model.to(device).eval().requires_grad_(False)

    def estimate(first: Tensor, second: Tensor) -> Flow:
        height, width = first.shape[2:]
        pads = [_padding(side) for side in (width, height)]
        frames = (F.pad(2 * frame.to(device) - 1, (*pads[0], *pads[1]), mode="replicate") for frame in (first, second))
        with torch.no_grad():
            padded = model(*frames)[-1]
        (x, _), (y, _) = pads
        flow: Flow = padded[0, :, y : y + height, x : x + width].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(flow)

    return estimate


def estimate_motion(before: Tensor, now: Tensor, *, estimate: Estimator) -> Motion:
    """Estimates where each pixel of `now` was in `before`, both 1x3xHxW in [0, 1].

    A pixel is trusted where following it back and forward again returns to it, away from motion edges (Sundaram et al.
    2010, with the constants of Ruder et al. 2016); or where it returns closely; or where it nearly returns and the
    pictures match. What came from outside the frame is not trusted.
    """
    backward, forward = estimate(now, before), estimate(before, now)
    return _trusted_motion(before, now, flows=(backward, forward))


def estimate_both_ways(before: Tensor, now: Tensor, *, estimate: Estimator) -> tuple[Motion, Motion]:
    """Estimates the motion of `now` from `before`, as estimate_motion, and that of `before` from `now`."""
    backward, forward = estimate(now, before), estimate(before, now)
    return (
        _trusted_motion(before, now, flows=(backward, forward)),
        _trusted_motion(now, before, flows=(forward, backward)),
    )


def compose_motions(motions: Sequence[Motion]) -> Motion:
    """Composes the motions from each frame to the next, in that order; trusted where all of them are."""
    composed, *others = motions
    for motion in others:
        columns, rows = pixel_grid(motion.x)
        x, y, confidence = (
            cv2.remap(values, composed.x, composed.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for values in (motion.x - columns, motion.y - rows, motion.confidence)
        )
        confidence = composed.confidence * np.asarray(confidence, np.float32)
        composed = Motion(composed.x + x, composed.y + y, confidence)
    return composed


def identity_motion(picture: Tensor) -> Motion:
    """Every pixel stays where it is, and is trusted."""
    columns, rows = pixel_grid(picture)
    return Motion(columns, rows, np.ones_like(columns))


def motion_through_camera(motion: Motion, picture: Tensor, *, before: Matrix, now: Matrix) -> Motion:
    """The clip's motion as the camera shows it, which moved from `before` to `now`; unchanged when both are identities.

    `before` and `now` are 3x3, from a pixel of the clip to its place in the film; `picture` is a frame of the clip. A
    pixel of the film is looked up in the clip, followed there, and looked up in the film again.
    """
    if np.array_equal(before, np.eye(3)) and np.array_equal(now, np.eye(3)):
        return motion
    columns, rows = pixel_grid(picture)
    clip_x, clip_y = _as_float32(transform_points(np.asarray(np.linalg.inv(now), np.float64), columns, rows))
    x, y, confidence = (
        cv2.remap(values, clip_x, clip_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for values in (motion.x - columns, motion.y - rows, motion.confidence)
    )
    x, y = _as_float32(transform_points(before, clip_x + x, clip_y + y))
    return Motion(x, y, np.asarray(confidence * inside_mask(x, y, picture), np.float32))


def inside_mask(x: Coordinates, y: Coordinates, picture: Tensor) -> NDArray[np.float32]:
    """1 for places inside the picture, falling to 0 over SOFTNESS pixels outside it."""
    height, width = picture.shape[2:]
    outside = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1), np.zeros_like(x)])
    return np.asarray(np.clip(1 - outside / SOFTNESS, 0, 1), np.float32)


def consistent_motion(before: Tensor, now: Tensor, *, estimate: Estimator) -> Motion:
    """Estimates motion as estimate_motion, with a confidence of 0 or 1 that depends on the flows alone.

    This is the check that published steadiness measures use (Ruder et al. 2016).
    """
    backward, forward = estimate(now, before), estimate(before, now)
    columns, rows = pixel_grid(now)
    x, y = columns + backward[..., 0], rows + backward[..., 1]
    is_inside = inside_mask(x, y, now) == 1
    is_consistent = _is_consistent(backward, _sample(forward, x, y))
    return Motion(x, y, (is_consistent & is_inside).astype(np.float32))


def _trusted_motion(before: Tensor, now: Tensor, *, flows: tuple[Flow, Flow]) -> Motion:
    """The motion of the flow from `now` to `before`, trusted in view of both flows, (backward, forward)."""
    backward, forward = flows
    columns, rows = pixel_grid(now)
    x, y = columns + backward[..., 0], rows + backward[..., 1]
    returning = _sample(forward, x, y)
    distance = _squared(returning + backward)
    nearly_returns = distance <= MAX_RETURN_DISTANCE**2  # not where something was uncovered
    matches = nearly_returns & _photometric_match(before, now, places=(x, y))
    is_trusted = _is_consistent(backward, returning) | (distance <= CLOSE_RETURN_DISTANCE**2) | matches
    return Motion(x, y, _soft_edges(is_trusted) * inside_mask(x, y, now))


def _is_consistent(backward: Flow, returning: Flow) -> NDArray[np.bool_]:
    """Where a flow is undone by the opposite one, sampled at its ends, and is smooth."""
    returns = _squared(returning + backward) <= 0.01 * (_squared(returning) + _squared(backward)) + 0.5
    slope = sum(np.square(np.gradient(backward, axis=axis)).sum(-1) for axis in (0, 1))
    is_smooth = slope <= 0.01 * _squared(backward) + 0.002
    return np.asarray(returns & is_smooth)


def _sample(flow: Flow, x: Coordinates, y: Coordinates) -> Flow:
    """Reads a flow at places of its grid."""
    return np.asarray(cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _photometric_match(before: Tensor, now: Tensor, *, places: tuple[Coordinates, Coordinates]) -> NDArray[np.bool_]:
    """Where the frame before, read at the places, looks like this one."""
    difference = (resample(before, *places, border="edge") - now).abs().mean(1)[0].cpu().numpy()
    return np.asarray(cv2.blur(difference, (PHOTOMETRIC_WINDOW, PHOTOMETRIC_WINDOW)) < MAX_PHOTOMETRIC_DIFFERENCE)


def _without_outliers(flow: Any) -> Flow:
    return np.asarray(cv2.medianBlur(np.asarray(flow, np.float32), MEDIAN_WINDOW), np.float32)


def _soft_edges(is_trusted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 inside the trusted areas, falling to 0 at their edges."""
    padded = np.pad(is_trusted, 1, mode="edge").astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    soft: NDArray[np.float32] = np.clip((distance - 1) / SOFTNESS, 0, 1).astype(np.float32)
    return soft


def _as_float32(points: tuple[Coordinates, Coordinates]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates as OpenCV takes them."""
    return points[0].astype(np.float32), points[1].astype(np.float32)


def _squared(vectors: Flow) -> NDArray[np.float32]:
    """The squared lengths of vectors."""
    lengths: NDArray[np.float32] = np.square(vectors).sum(-1)
    return lengths


def _grey(frame: Tensor) -> Grey:
    """ITU-R BT.601's luma in 8 bits, as the estimators expect."""
    picture = np.ascontiguousarray(frame[0].permute(1, 2, 0).cpu().numpy())
    return np.rint(255 * np.clip(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 0, 1)).astype(np.uint8)


def _padding(side: int) -> tuple[int, int]:
    """Pixels before and after, up to a side that RAFT takes."""
    total = max(RAFT_MIN_SIDE, -(-side // RAFT_STRIDE) * RAFT_STRIDE) - side
    return total // 2, total - total // 2
