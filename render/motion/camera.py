"""The camera: zoom, rotation, pan and shear about a pivot from frame to frame, composed to one affine transform."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from render.choices import Border

if TYPE_CHECKING:
    from torch import Tensor

    from render.motion.warp import Affine, Matrix

MAX_MAGNIFICATION = 1e6
"""Factor by which moves together may enlarge or shrink a picture; beyond it there is nothing to see."""


@dataclass(frozen=True)
class Move:
    """What the picture does in one frame.

    It grows by `zoom`, rotates by `rotate` degrees counter-clockwise and is sheared by `shear` (slopes), all about
    `pivot`, and shifts by `pan` (right and down). Pivot and pan are in widths and heights.
    """

    zoom: float = 1.0
    rotate: float = 0.0
    pan: tuple[float, float] = (0.0, 0.0)
    shear: tuple[float, float] = (0.0, 0.0)
    pivot: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class CameraPath:
    """The camera's way through a film of (width, height) `size` pixels.

    `move` gives the move that leads to a frame from the one before it. `border` is what enters from outside.
    """

    move: Callable[[int], Move]
    size: tuple[int, int]
    border: Border

    def between(self, first: int, last: int) -> Matrix:
        """3x3, from a pixel (x, y, 1) of frame `first` to its place in frame `last`."""
        return compose_moves([self.move(index) for index in range(first + 1, last + 1)], self.size)

    def from_start(self) -> Iterator[Matrix]:
        """For each frame from 0 on, the 3x3 matrix from a pixel of frame 0 to its place there."""
        matrix: Matrix = np.eye(3)
        for index in count():
            if index > 0:
                matrix = append_move(matrix, self.move(index), self.size)
            yield matrix

    def warp(self, image: Tensor, first: int, last: int) -> Tensor:
        """Moves frame `first` (1x3xHxW in [0, 1]) to where frame `last` has it; the same tensor when nothing moves."""
        from render.motion.warp import warp_affine  # imports torch

        warped = warp_affine(image, inverse_affine(self.between(first, last)), border=self.border)
        return warped if warped is image else warped.clamp(0, 1)


def inverse_affine(matrix: Matrix) -> Affine:
    """2x3, the inverse of a 3x3 matrix: from a pixel after the moves to its place before them."""
    return np.asarray(np.linalg.inv(matrix)[:2], np.float64)


def compose_moves(moves: Sequence[Move], size: tuple[int, int]) -> Matrix:
    """3x3, from a pixel (x, y, 1) to its place after the moves, one after the other; `size` is (width, height)."""
    matrix: Matrix = np.eye(3)
    for move in moves:
        matrix = append_move(matrix, move, size)
    return matrix


def append_move(matrix: Matrix, move: Move, size: tuple[int, int]) -> Matrix:
    """Appends a move; of one that leads beyond MAX_MAGNIFICATION, only the pan."""
    moved: Matrix = move_matrix(move, size) @ matrix
    largest, smallest = _singular_values(*moved[:2, :2].flat)
    if 1 / MAX_MAGNIFICATION <= smallest <= largest <= MAX_MAGNIFICATION:
        return moved
    panned: Matrix = move_matrix(Move(pan=move.pan), size) @ matrix
    return panned


def move_matrix(move: Move, size: tuple[int, int]) -> Matrix:
    """3x3, from a pixel (x, y, 1) to its place after one move: T(pan) · T(pivot) · R · S · Z · T(-pivot)."""
    width, height = size
    angle = math.radians(move.rotate)
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    shear = np.array([[1.0, move.shear[0]], [move.shear[1], 1.0]])
    linear = rotation @ shear * move.zoom
    pivot = np.array([move.pivot[0] * width - 0.5, move.pivot[1] * height - 0.5])
    shift = np.array([move.pan[0] * width, move.pan[1] * height])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = pivot - linear @ pivot + shift
    return matrix


def _singular_values(xx: float, xy: float, yx: float, yy: float) -> tuple[float, float]:
    """The singular values of a 2x2 matrix, the largest first."""
    similar, mirrored = math.hypot(xx + yy, yx - xy) / 2, math.hypot(xx - yy, yx + xy) / 2
    return similar + mirrored, abs(similar - mirrored)
