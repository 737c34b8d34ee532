"""A dot, whose place is known to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def dot(x: float, y: float) -> Tensor:
    """A soft dot on black, 1x3x96x128."""
    columns, rows = np.meshgrid(np.arange(128.0), np.arange(96.0))
    picture = 0.8 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    return torch.from_numpy(picture).float().expand(1, 3, -1, -1).contiguous()


def centre(picture: Tensor) -> tuple[float, float]:
    """The centre of mass (x, y)."""
    values = picture[0, 0].double().numpy()
    columns, rows = np.meshgrid(np.arange(128.0), np.arange(96.0))
    return float((values * columns).sum() / values.sum()), float((values * rows).sum() / values.sum())
