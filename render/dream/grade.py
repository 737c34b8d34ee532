"""A gentle pull of each frame toward a mean and a contrast, so that long films neither darken nor saturate."""

from __future__ import annotations

from torch import Tensor

FLAT = 1 / 255
"""Standard deviation below which a picture has no contrast that could be raised; only its mean is pulled."""


def grade(image: Tensor, strength: float, mean: float, contrast: float) -> Tensor:
    """(x - m)·(1 - a + a·s0/s) + m + a·(m0 - m), in [0, 1]; the same tensor at strength 0.

    m are the means of the channels, s the mean of their standard deviations, at least FLAT; a is `strength` in [0, 1],
    m0 `mean`, s0 `contrast`. `image` is 1x3xHxW float32 in [0, 1].
    """
    if strength == 0:
        return image
    m = image.mean((2, 3), keepdim=True)
    s = image.std((2, 3), keepdim=True).mean().clamp_min(FLAT)
    gain = 1 - strength + strength * contrast / s
    return ((image - m) * gain + m + strength * (mean - m)).clamp(0, 1)
