"""How a step of ascent sees the picture: a little shifted, turned and scaled at random, so that what it paints does not
hang on the grid of the network's strides, and is found from more than one side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor, roll, tensor

Place = tuple[float, float]
"""A point in widths and heights from the top left."""


@dataclass(frozen=True)
class View:
    """A picture shifted by (down, right) pixels, then scaled by `scale` and turned by `angle` degrees about its middle.

    Only shifted, it wraps around; else it is mirrored at its borders. `size` is (height, width).
    """

    size: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    scale: float = 1.0
    angle: float = 0.0

    @property
    def is_shift(self) -> bool:
        """Whether pixels stay pixels."""
        return self.scale == 1 and self.angle == 0

    def look(self, image: Tensor) -> Tensor:
        """The picture as seen, 1xCxHxW like the picture."""
        return roll(image, self.shift, (2, 3)) if self.is_shift else self._sampled(image, False, "reflection")

    def back(self, gradient: Tensor) -> Tensor:
        """What was found in the view, where it belongs in the picture; zero in what was not seen."""
        if self.is_shift:
            return roll(gradient, (-self.shift[0], -self.shift[1]), (2, 3))
        return self._sampled(gradient, True, "zeros")

    def locate(self, place: Place) -> Place | None:
        """Where a place of the picture is in the view, None when it is not seen."""
        height, width = self.size
        x, y = (min(share * side, side - 0.5) for share, side in zip(place, (width, height), strict=True))
        x, y = x + self.shift[1], y + self.shift[0]
        if self.is_shift:
            return x / width % 1, y / height % 1
        cos, sin = self._turn(self.scale)
        x, y = x - width / 2, y - height / 2
        x, y = (cos * x + sin * y) / width + 0.5, (-sin * x + cos * y) / height + 0.5
        return (x, y) if 0 <= x < 1 and 0 <= y < 1 else None

    def _turn(self, factor: float) -> Place:
        """The factor times the cosine and sine of the angle."""
        return factor * math.cos(math.radians(self.angle)), factor * math.sin(math.radians(self.angle))

    def _sampled(self, image: Tensor, inverse: bool, padding: str) -> Tensor:
        height, width = self.size
        down, right = self.shift
        if inverse:  # from a pixel of the picture to its place in the view
            cos, sin = self._turn(self.scale)
            rows = [[cos, sin, cos * right + sin * down], [-sin, cos, cos * down - sin * right]]
        else:
            cos, sin = self._turn(1 / self.scale)
            rows = [[cos, -sin, -right], [sin, cos, -down]]
        # In affine_grid's coordinates, where the picture reaches from -1 to 1.
        (xx, xy, x), (yx, yy, y) = rows
        theta = [[xx, xy * height / width, 2 * x / width], [yx * width / height, yy, 2 * y / height]]
        grid = F.affine_grid(tensor([theta]), [1, 1, height, width], align_corners=False).to(image.device)
        return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def random_view(
    seed: tuple[int, ...], size: tuple[int, int], jitter: int, scale: tuple[float, float], rotate: float
) -> View:
    """A view whose every number is uniform in its range, and follows from the seed."""
    random = np.random.default_rng(seed)
    down, right = random.integers(-jitter, jitter, size=2, endpoint=True)
    return View(size, (int(down), int(right)), float(random.uniform(*scale)), float(random.uniform(-rotate, rotate)))
