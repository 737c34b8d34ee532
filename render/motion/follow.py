"""How a dream follows footage: from the dreamed frame before to what this frame is dreamed from."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from render.motion.flow import Motion, within
from render.motion.warp import Matrix, grid, resample, through

Mode = Literal["residual", "linear"]


def follow(dreamed: Tensor, before: Tensor, now: Tensor, moved: Motion, keep: float, mode: Mode) -> Tensor:
    """What a frame is dreamed from, in [0, 1]: the source, with the dream of the frame before where that has moved to.

    `dreamed` and `before` are the frame before, dreamed and as the source shows it, `now` the source's frame, each
    1x3xHxW in [0, 1] on one device; `keep` in [0, 1] of the dream goes on where the motion is trusted, elsewhere the
    source shows.
    """
    share = keep * torch.from_numpy(moved.confidence).to(now.device)
    return laid(now, followed(carried(dreamed, before, mode), moved), share, mode)


def carried(dreamed: Tensor, source: Tensor, mode: Mode) -> Tensor:
    """What the motion carries of a dreamed frame: `residual`, what the dream has changed; `linear`, the whole of it."""
    return dreamed - source if mode == "residual" else dreamed


def laid(source: Tensor, what: Tensor, share: Tensor, mode: Mode) -> Tensor:
    """The source with a share (HxW in [0, 1]) of what has been carried here on it, in [0, 1]."""
    return (source + share * what if mode == "residual" else torch.lerp(source, what, share)).clamp(0, 1)


def followed(picture: Tensor, moved: Motion) -> Tensor:
    """A picture (1x3xHxW) of the frame before, where its pixels are now, read with the camera's kernel."""
    return resample(picture, moved.x, moved.y, "edge")


def seen(moved: Motion, picture: Tensor, before: Matrix, now: Matrix) -> Motion:
    """The clip's motion as the camera shows it, which has moved from `before` to `now` meanwhile; the same when it
    stands where the clip is.

    `before` and `now` lead from a pixel of the clip to where the camera shows it; `picture` is a frame of it. A place
    of the film is looked up in the clip, followed there, and looked up in the film.
    """
    if np.array_equal(before, np.eye(3)) and np.array_equal(now, np.eye(3)):
        return moved
    at_x, at_y = through(np.asarray(np.linalg.inv(now), np.float64), *grid(picture))
    x, y, confidence = (
        cv2.remap(values, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for values in (moved.x - grid(picture)[0], moved.y - grid(picture)[1], moved.confidence)
    )
    x, y = through(before, at_x + x, at_y + y)
    return Motion(x, y, np.asarray(confidence * within(x, y, picture), np.float32))
