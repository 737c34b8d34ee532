"""One image to one dreamed image: octaves, and gradient ascent in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream import tiles
from render.dream.gradients import TINY, Conditioner, total_variation
from render.dream.networks import Network
from render.dream.objectives import Objective, Part
from render.dream.views import View, random_view
from render.errors import is_out_of_memory

SMALLEST_SIDE = 32
"""Pixels; a coarser octave is left out, the networks see nothing in it."""

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with the octave (coarsest first), the step, and the objective before it: a 0-d tensor, not a
number when the step changed nothing, because its gradient was zero or held what is not a number."""


@dataclass(frozen=True)
class Ascent:
    """How to ascend.

    Octaves are `octave_scale` apart, `steps` holds a number for each, the coarsest first. A step sees the picture
    shifted by up to `jitter` pixels, scaled by a factor in `scale` and turned by up to `rotate` degrees. The
    conditioned gradient, averaged with `momentum`, is scaled to change a value in [0, 1] by `step_size` on average
    (over the share of the picture that a neuron sees), an octave's last one by `last_step` times that; then
    `total_variation` times the gradient of the total variation is taken off it.
    """

    octave_scale: float
    steps: tuple[int, ...]
    step_size: float
    jitter: int
    condition: Conditioner
    last_step: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    momentum: float = 0.0
    total_variation: float = 0.0


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
    parts = objective.by_mask()
    detail = torch.zeros_like(image)
    for octave, (size, steps) in enumerate(octaves(image.shape[2], image.shape[3], ascent)):
        masks = [None if mask is None else _resize(mask, size) for mask, _ in parts]
        share = objective.share(size)
        base = _resize(image, size)
        reach = _union(masks)
        carried = _resize(detail, size)
        x = base + (carried if reach is None else carried * (reach > 0))
        averages: list[Tensor] = []
        for step in range(steps):
            key = (*seed, octave, step)
            view = random_view(key, size, ascent.jitter, ascent.scale, ascent.rotate)
            gradients, value = _gradients(view.look(x), network, [part for _, part in parts], view, (*key, 1))
            conditioned = [_usable(ascent.condition(view.back(gradient))) for gradient in gradients]
            averages = averages or conditioned
            for average, now in zip(averages, conditioned, strict=True):
                average.lerp_(now, 1 - ascent.momentum)
            step_size = ascent.step_size * (1 + (ascent.last_step - 1) * step / max(steps - 1, 1))
            direction, strength = _direction(averages, masks)
            moves = torch.stack([gradient.abs().sum() for gradient in conditioned]).sum() > 0
            smoother = moves * _smoother(x, masks) if ascent.total_variation else None
            x.addcmul_(direction, moves / (strength + TINY), value=step_size * share)
            if smoother is not None:
                x.sub_(smoother, alpha=step_size * share * ascent.total_variation)
            x.clamp_(0, 1)
            if on_step is not None:
                on_step(octave, step, torch.where(moves, value, torch.nan))
        detail = x - base
    return x


def octaves(height: int, width: int, ascent: Ascent) -> list[tuple[tuple[int, int], int]]:
    """((height, width), steps) of each octave, coarsest first; the last is the picture's own."""
    found = []
    for octave, steps in enumerate(ascent.steps, 1 - len(ascent.steps)):
        scale = ascent.octave_scale**octave
        size = (round(height * scale), round(width * scale))
        if octave == 0 or min(size) >= SMALLEST_SIDE:
            found.append((size, steps))
    return found


def _gradients(
    x: Tensor, network: Network, parts: Sequence[Objective], view: View, seed: tuple[int, ...]
) -> tuple[list[Tensor], Tensor]:
    """d objective / d x for each part of it, float32, and the whole objective; in tiles where the network says so.

    When memory runs out, the tiles are halved.
    """
    while True:
        try:
            return _in_tiles(x, network, parts, view, seed)
        except (RuntimeError, MemoryError) as error:  # torch's own kind of error is for GPUs only
            if not is_out_of_memory(error):
                raise
        network.halve_tile((x.shape[2], x.shape[3]))


def _in_tiles(
    x: Tensor, network: Network, parts: Sequence[Objective], view: View, seed: tuple[int, ...]
) -> tuple[list[Tensor], Tensor]:
    layers = {name: network.layers[name] for part in parts for name in part.layers}
    gradients: list[Tensor] = []
    values: list[Tensor] = []
    places: dict[str, tuple[int, int]] = {}
    for tile in reversed(tiles.grid((x.shape[2], x.shape[3]), network.tile, list(layers.values()), seed)):
        seen = tile.cut(x).detach().requires_grad_(True)
        with torch.enable_grad():
            found = network.activations(seen, layers.keys())
            own: dict[str, Part] = {}
            for name in layers.keys() if not tile.is_whole else ():
                places.setdefault(name, tile.places(layers[name], found[name]))  # of the first, at the bottom right
                found[name], own[name] = tile.part(layers[name], found[name], places[name], view)
            wanted = [part(found, view, own) for part in parts]
        last = len(parts) - 1
        of_tile = [torch.autograd.grad(value, seen, retain_graph=i < last)[0] for i, value in enumerate(wanted)]
        values += (value.detach() for value in wanted)
        if tile.is_whole:
            gradients = of_tile
        else:
            gradients = gradients or [torch.zeros_like(x) for _ in parts]
            for whole, gradient in zip(gradients, of_tile, strict=True):
                tile.cut(whole).add_(gradient)
    return gradients, sum(values[1:], values[0])


def _usable(gradient: Tensor) -> Tensor:
    """The gradient; zeros when any of it is infinite or not a number, as then its sum is. Only the device knows."""
    return torch.where(gradient.sum().isfinite(), gradient, 0)


def _direction(gradients: Sequence[Tensor], masks: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Where to step, and how strong that is on average, of the strongest part of each pixel, before masks."""
    strength = reduce(torch.maximum, [gradient.abs() for gradient in gradients]).mean()  # parts may cancel, this not
    masked = [g if mask is None else mask * g for g, mask in zip(gradients, masks, strict=True)]
    return reduce(torch.add, masked), strength


def _smoother(x: Tensor, masks: Sequence[Tensor | None]) -> Tensor:
    """The gradient of the total variation, within the masks."""
    whole = _union(masks)
    return total_variation(x) if whole is None else whole * total_variation(x)


def _union(masks: Sequence[Tensor | None]) -> Tensor | None:
    """Where any of the masks lets something change, and how much; None when it is everywhere."""
    given = [mask for mask in masks if mask is not None]
    return torch.stack(given).amax(0) if len(given) == len(masks) else None


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear and antialiased, so that it never leaves [0, 1]; the same tensor when the size is right."""
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True)
