"""Transforms: each step of ascent sees the picture shifted, rotated, scaled and flipped at random.

This makes the result independent of the grid of the network's strides, and robust: it holds from more than one view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor, arange, minimum, roll, tensor

from render.choices import TransformBorder

Point = tuple[float, float]
"""(x, y) as fractions of width and height, from the first pixel."""


MAX_SHIFT = 0.25
"""Largest shift of a picture that is mirrored at its borders, as a fraction of its side: more would hide too much."""


@dataclass(frozen=True)
class Transform:
    """A translation by (down, right) pixels, then a scaling by `scale` and a rotation by `angle` degrees, then a flip.

    Scaling and rotation are about the middle of the picture, `flip` exchanges left and right. `border` is what a
    translation brings into the picture: its mirror image, or its opposite side (`wrap`, as in Mordvintsev et al. 2015).
    Scaling and rotation mirror the picture at its borders. `size` is (height, width).
    """

    size: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    scale: float = 1.0
    angle: float = 0.0
    flip: bool = False
    border: TransformBorder = "mirror"

    def apply(self, image: Tensor) -> Tensor:
        """Returns the transformed picture, 1xCxHxW like `image`."""
        if self.border == "wrap":
            image = roll(image, self.shift, (2, 3))
        if not self._is_translation:
            image = self._resample(image, self._from_transformed(), padding_mode="reflection")
        elif any(self._mirrored_shift):
            for axis, shift in zip((2, 3), self._mirrored_shift, strict=True):
                image = image.index_select(axis, _mirrored(image.shape[axis], shift).to(image.device))
        return image.flip(3) if self.flip else image

    def invert(self, gradient: Tensor) -> Tensor:
        """Returns a gradient of the transformed picture, transformed back; zero where the original is not visible."""
        if self.flip:
            gradient = gradient.flip(3)
        down, right = self._mirrored_shift
        if not self._is_translation:
            gradient = self._resample(gradient, self._to_transformed(), padding_mode="zeros")
        elif down or right:
            gradient = F.pad(gradient, (-right, right, -down, down))  # negative padding cuts off
        return roll(gradient, (-self.shift[0], -self.shift[1]), (2, 3)) if self.border == "wrap" else gradient

    def locate(self, point: Point) -> Point | None:
        """Returns where a point of the picture is in the transformed picture; None when it is not visible there."""
        height, width = self.size
        x, y = (min(fraction * side, side - 0.5) for fraction, side in zip(point, (width, height), strict=True))
        x, y = x + self.shift[1], y + self.shift[0]
        if self.border == "wrap":
            x, y = x % width, y % height
        cos, sin = self._scaled_cos_sin(self.scale)
        x, y = x - width / 2, y - height / 2
        x, y = (cos * x + sin * y) / width + 0.5, (-sin * x + cos * y) / height + 0.5
        x = math.nextafter(1 - x, 0) if self.flip else x
        return (x, y) if 0 <= x < 1 and 0 <= y < 1 else None

    @property
    def _is_translation(self) -> bool:
        """Whether pixels are moved without resampling."""
        return self.scale == 1 and self.angle == 0

    @property
    def _mirrored_shift(self) -> tuple[int, int]:
        """The shift, but for one that wraps around."""
        return (0, 0) if self.border == "wrap" else self.shift

    def _from_transformed(self) -> list[list[float]]:
        """Returns the 2x3 matrix from a pixel of the transformed picture to its pixel in the original."""
        down, right = self._mirrored_shift
        cos, sin = self._scaled_cos_sin(1 / self.scale)
        return [[cos, -sin, -right], [sin, cos, -down]]

    def _to_transformed(self) -> list[list[float]]:
        """Returns the 2x3 matrix from a pixel of the original to its pixel in the transformed picture."""
        down, right = self._mirrored_shift
        cos, sin = self._scaled_cos_sin(self.scale)
        return [[cos, sin, cos * right + sin * down], [-sin, cos, cos * down - sin * right]]

    def _scaled_cos_sin(self, factor: float) -> tuple[float, float]:
        return factor * math.cos(math.radians(self.angle)), factor * math.sin(math.radians(self.angle))

    def _resample(self, image: Tensor, matrix: list[list[float]], *, padding_mode: str) -> Tensor:
        """Samples `image` where the matrix says, bilinearly; pixels are relative to the middle of the picture."""
        height, width = self.size
        (xx, xy, x), (yx, yy, y) = matrix
        # In affine_grid's coordinates, where the picture reaches from -1 to 1.
        theta = [[xx, xy * height / width, 2 * x / width], [yx * width / height, yy, 2 * y / height]]
        grid = F.affine_grid(tensor([theta]), [1, 1, height, width], align_corners=False).to(image.device)
        return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding_mode, align_corners=False)


@dataclass(frozen=True)
class TransformRange:
    """The ranges of random transforms: shifts of up to `jitter` pixels, rotations of up to `rotate` degrees.

    With `flip`, half of the transforms exchange left and right.
    """

    jitter: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    flip: bool = False
    border: TransformBorder = "mirror"


def random_transform(size: tuple[int, int], ranges: TransformRange, *, seed: tuple[int, ...]) -> Transform:
    """Returns a transform for pictures of (height, width) `size`; every number is uniform in its range."""
    random = np.random.default_rng(seed)
    limits = [ranges.jitter if ranges.border == "wrap" else min(ranges.jitter, int(MAX_SHIFT * side)) for side in size]
    down, right = (int(random.integers(-limit, limit, endpoint=True)) for limit in limits)
    scale = float(random.uniform(*ranges.scale))
    angle = float(random.uniform(-ranges.rotate, ranges.rotate))
    flip = bool(ranges.flip and random.random() < 0.5)
    return Transform(size, (down, right), scale=scale, angle=angle, flip=flip, border=ranges.border)


def _mirrored(side: int, shift: int) -> Tensor:
    """Returns the pixels along an axis that a shifted picture shows, mirrored at its borders as often as needed."""
    position = (arange(side) - shift).remainder(2 * side)
    return minimum(position, 2 * side - 1 - position)
