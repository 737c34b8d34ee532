"""Camera paths of a few moves, and pictures moved along them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from render.choices import Border
from render.motion.camera import CameraPath, Move


def path_of(moves: Sequence[Move], size: tuple[int, int], *, border: Border = "mirror") -> CameraPath:
    """The path whose moves lead to frame 1, frame 2, and so on."""
    return CameraPath(lambda index: moves[index - 1], size, border)


def moved(picture: Tensor, moves: Sequence[Move], *, border: Border = "mirror") -> Tensor:
    """A picture (1x3xHxW) after all moves."""
    path = path_of(moves, (picture.shape[3], picture.shape[2]), border=border)
    return path.warp(picture, 0, len(moves))
