"""The camera's moves from frame to frame: zoom, rotation, pan and shear about a pivot, any number as one affine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from render.motion.warp import Affine, Border, Matrix, warp_affine

FARTHEST = 1e6
"""How much larger or smaller moves together may make a picture: beyond, a pixel fills it, or it is none."""


@dataclass(frozen=True)
class Move:
    """What the picture does in one frame: it grows by `zoom`, turns by `rotate` degrees counter-clockwise, leans by
    `shear` (slopes), all about `pivot`, and shifts by `pan` (right and down); pivot and pan in widths and heights."""

    zoom: float = 1.0
    rotate: float = 0.0
    pan: tuple[float, float] = (0.0, 0.0)
    shear: tuple[float, float] = (0.0, 0.0)
    pivot: tuple[float, float] = (0.5, 0.5)


def move(image: Tensor, moves: Sequence[Move], border: Border) -> Tensor:
    """The image (1x3xHxW in [0, 1]) after the moves, in [0, 1]; the same tensor when nothing moves."""
    warped = warp_affine(image, backward_affine(moves, image.shape[3], image.shape[2]), border)
    return warped if warped is image else warped.clamp(0, 1)


def backward_affine(moves: Sequence[Move], width: int, height: int) -> Affine:
    """2x3, from a pixel after the moves to where it was before; exactly the identity when nothing moves."""
    return np.asarray(np.linalg.inv(travelled(moves, width, height))[:2], np.float64)


def travelled(moves: Sequence[Move], width: int, height: int) -> Matrix:
    """3x3, from a pixel (x, y, 1) to where the moves put it, one after the other."""
    affine: Matrix = np.eye(3)
    for by in moves:
        affine = onward(affine, by, width, height)
    return affine


def onward(affine: Matrix, by: Move, width: int, height: int) -> Matrix:
    """An affine after one move more; the same when that would lead farther than anything can be seen."""
    moved: Matrix = forward_affine(by, width, height) @ affine
    largest, smallest = np.linalg.svd(moved[:2, :2], compute_uv=False)
    return moved if 1 / FARTHEST <= smallest <= largest <= FARTHEST else affine


def forward_affine(by: Move, width: int, height: int) -> Matrix:
    """3x3, from a pixel (x, y, 1) to where the move puts it: T(pan) · T(pivot) · R · S · Z · T(-pivot)."""
    angle = math.radians(by.rotate)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    lean = np.array([[1.0, by.shear[0]], [by.shear[1], 1.0]])
    linear = turn @ lean * by.zoom
    pivot = np.array([by.pivot[0] * width - 0.5, by.pivot[1] * height - 0.5])
    shift = np.array([by.pan[0] * width, by.pan[1] * height])
    affine = np.eye(3)
    affine[:2, :2] = linear
    affine[:2, 2] = pivot - linear @ pivot + shift
    return affine
