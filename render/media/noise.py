"""Smooth random noise, the initial canvas of a film without a picture or a clip."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def noise(size: tuple[int, int], *, grain: float, contrast: float, color: float, seed: int) -> Tensor:
    """Returns smooth noise around 0.5, 1x3xHxW in [0, 1].

    Blobs of `grain` pixels; values of standard deviation `contrast`; `color` from 0 (grey) to 1 (independent channels).
    """
    random = np.random.default_rng((seed, 0x6E6F697365))
    along_y, along_x = (_cubic(side, grain) for side in (size[1], size[0]))
    cells = (along_y.shape[1], along_x.shape[1])
    grey, colored = random.standard_normal((1, *cells)), random.standard_normal((3, *cells))
    smooth = along_y @ (math.sqrt(1 - color) * grey + math.sqrt(color) * colored) @ along_x.T
    values = 0.5 + contrast * (smooth - smooth.mean()) / (smooth.std() + 1e-12)
    return torch.from_numpy(np.ascontiguousarray(np.clip(values, 0, 1).astype(np.float32))).unsqueeze(0)


def _cubic(side: int, grain: float) -> NDArray[np.float64]:
    """Returns the matrix, side x cells, that interpolates values `grain` pixels apart (Catmull & Rom 1974)."""
    position = np.arange(side) / max(grain, 1) + 1
    distance = np.abs(position[:, None] - np.arange(math.floor(position[-1]) + 3))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
