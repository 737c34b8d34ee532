"""Grading: each frame is pulled gently toward a mean and a contrast, so that long films neither darken nor saturate."""

from __future__ import annotations

import math

from torch import Tensor

MIN_STD = 1 / 255
"""Standard deviation below which a picture has no contrast that could be raised; only its mean is pulled."""
MIN_MEAN = 1e-6
"""Mean below which a picture is black and has no colour."""


def grade(image: Tensor, *, strength: float, mean: float, contrast: float, cast: float) -> Tensor:
    """Returns (x - m)·(1 - a + a·s0/s) + m + a·(t - m), clamped to [0, 1]; the same tensor at strength 0.

    m are the means of the channels, s the mean of their standard deviations, at least MIN_STD; a is `strength` in
    [0, 1], s0 `contrast`. The target t has the mean `mean` and the hue and saturation of m, or a smaller saturation
    where the colour cast of m (see `color_cast`) is more than `cast`. `image` is 1x3xHxW float32 in [0, 1].
    """
    if strength == 0:
        return image
    m = image.mean((2, 3), keepdim=True)
    s = image.std((2, 3), keepdim=True).mean().clamp_min(MIN_STD)
    gain = 1 - strength + strength * contrast / s
    target = mean * (1 + _kept_color(m, cast)) if cast > 0 else mean
    return ((image - m) * gain + m + strength * (target - m)).clamp(0, 1)


def color_cast(means: Tensor) -> Tensor:
    """The cast of a mean colour (1x3x1x1), from 0 for grey to 1 for a pure red, green or blue: a 0-d tensor."""
    return _color(means).square().mean().sqrt() / math.sqrt(2)


def _kept_color(means: Tensor, cast: float) -> Tensor:
    return _color(means) * (cast / color_cast(means).clamp_min(MIN_MEAN)).clamp(max=1)


def _color(means: Tensor) -> Tensor:
    """The relative differences of the channels from their mean."""
    return (means - means.mean()) / means.mean().clamp_min(MIN_MEAN)
