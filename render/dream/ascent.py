"""One image to one dreamed image: octaves, and gradient ascent in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream.gradients import TINY, Conditioner
from render.dream.networks import Network
from render.dream.objectives import Objective

SMALLEST_SIDE = 32
"""Pixels; a coarser octave is left out, the networks see nothing in it."""

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with the octave (coarsest first), the step, and the objective before it (a 0-d tensor)."""


@dataclass(frozen=True)
class Ascent:
    """How to ascend: octaves `octave_scale` apart, steps in each of `step_size` (mean change of a value in [0, 1]),
    shifts of up to `jitter` pixels, and the conditioner."""

    octaves: int
    octave_scale: float
    steps: int
    step_size: float
    jitter: int
    condition: Conditioner


def dream(
    image: Tensor,
    network: Network,
    objective: Objective,
    ascent: Ascent,
    seed: tuple[int, int],
    on_step: OnStep | None = None,
) -> Tensor:
    """The image, changed so that the network sees more of what the objective asks for.

    `image` is 1x3xHxW float32 RGB in [0, 1], on the network's device; so is the result. `seed` is (scene's seed,
    frame): with the octave and the step it determines every random number, whatever was dreamed before. Detail is
    carried from octave to octave as in Mordvintsev et al. 2015, so that no steps return the image exactly.
    """
    if not objective.layers:
        return image
    detail = torch.zeros_like(image)
    for octave, size in enumerate(octave_sizes(image.shape[2], image.shape[3], ascent)):
        base = _resize(image, size)
        x = base + _resize(detail, size)
        for step in range(ascent.steps):
            shift = _shift((*seed, octave, step), ascent.jitter)
            gradient, value = _gradient(torch.roll(x, shift, (2, 3)), network, objective)
            gradient = ascent.condition(torch.roll(gradient, (-shift[0], -shift[1]), (2, 3)))
            x = (x + ascent.step_size * gradient / (gradient.abs().mean() + TINY)).clamp(0, 1)
            if on_step is not None:
                on_step(octave, step, value)
        detail = x - base
    return x


def octave_sizes(height: int, width: int, ascent: Ascent) -> list[tuple[int, int]]:
    """(height, width) of each octave, coarsest first; the last is the picture's own."""
    scales = [ascent.octave_scale**-o for o in reversed(range(1, ascent.octaves))]
    coarse = [(round(height * s), round(width * s)) for s in scales]
    return [size for size in coarse if min(size) >= SMALLEST_SIDE] + [(height, width)]


def _gradient(x: Tensor, network: Network, objective: Objective) -> tuple[Tensor, Tensor]:
    """d objective / d x, float32, and the objective."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        value = objective(network.activations(x, objective.layers))
    (gradient,) = torch.autograd.grad(value, x)
    return gradient, value.detach()


def _shift(seed: tuple[int, ...], jitter: int) -> tuple[int, int]:
    """Rows and columns, each uniform in -jitter … jitter."""
    down, right = np.random.default_rng(seed).integers(-jitter, jitter, size=2, endpoint=True)
    return int(down), int(right)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear and antialiased, so that it never leaves [0, 1]; the same tensor when the size is right."""
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True)
