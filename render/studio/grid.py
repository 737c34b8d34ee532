"""A grid without end, which shows any motion at any magnification: its lines divide as it comes closer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from render.motion.warp import Affine

Pixels = NDArray[np.uint8]
Coordinate = NDArray[np.float32]
"""A coordinate of the first frame, or another number, for each pixel."""

Axis = tuple[float, float, float]
"""A coordinate (a, b, c) of the first frame, a x + b y + c for the pixel (x, y)."""

CELLS = 6
"""Cells along the longer side of the first frame."""
BACKGROUND = (20, 24, 32)
LINES = (122, 162, 247)
FRAME = (255, 170, 90)
"""Colour of the first frame's edge."""


def draw_grid(picture: Pixels, reads: Affine, *, opacity: float = 1.0) -> Pixels:
    """Draws the grid over a picture, HxWx3; `reads` leads from its pixels to those of the first frame."""
    height, width = picture.shape[:2]
    magnification = magnification_of(reads)
    octave = math.log2(magnification)
    spacing = max(width, height) / CELLS / 2.0 ** math.floor(octave)
    lines, outside = np.zeros((height, width), np.float32), np.full((height, width), -np.inf, np.float32)
    for (along_x, along_y, offset), side in zip(reads.tolist(), (width, height), strict=True):
        axis = (along_x, along_y, offset - (side - 1) / 2)
        for distance, share in ((spacing, 1.0), (spacing / 2, octave % 1)):
            away = _to_whole(axis, distance, size=(width, height)) * np.float32(distance * magnification)
            np.maximum(lines, (1.25 - away) * np.float32(share), out=lines)
        np.maximum(outside, (np.abs(_values(axis, (width, height))) - np.float32(side / 2)), out=outside)
    picture = _blend(picture, np.minimum(lines, 1) * np.float32(opacity), LINES)
    edge = np.clip(2 - np.abs(outside * np.float32(magnification)), 0, 1)
    return _blend(picture, edge * np.float32(opacity), FRAME)


def empty_picture(size: tuple[int, int]) -> Pixels:
    """Returns the background of a grid of (width, height) pixels."""
    return np.full((size[1], size[0], 3), BACKGROUND, np.uint8)


def coordinates(reads: Affine, size: tuple[int, int]) -> tuple[Coordinate, Coordinate]:
    """Returns the place (x, y) in the first frame for each pixel of (width, height)."""
    x, y = reads.tolist()
    return _values(x, size), _values(y, size)


def magnification_of(reads: Affine) -> float:
    """Returns how large the first frame's pixels are."""
    return 1 / math.sqrt(abs(float(np.linalg.det(reads[:, :2]))))


def _to_whole(axis: Axis, unit: float, *, size: tuple[int, int]) -> Coordinate:
    """Returns how far the coordinate of each pixel is from a multiple of `unit`, in units."""
    along_x, along_y, offset = (value / unit for value in axis)
    phase = _values((along_x, along_y, offset - round(offset)), size)  # small numbers, which float32 distinguishes
    return np.abs(phase - np.rint(phase))


def _values(axis: Axis, size: tuple[int, int]) -> Coordinate:
    """Returns a coordinate of the first frame for each pixel of (width, height)."""
    along_x, along_y, offset = axis
    columns, rows = along_x * np.arange(size[0]), along_y * np.arange(size[1]) + offset
    values: Coordinate = columns.astype(np.float32)[None] + rows.astype(np.float32)[:, None]
    return values


def _blend(picture: Pixels, share: Coordinate, color: tuple[int, int, int]) -> Pixels:
    blended = cv2.blendLinear(np.full_like(picture, color), picture, share, 1 - share)
    return blended.astype(np.uint8)
