"""Gradient ascent on a picture, octave by octave: the dream itself (Mordvintsev et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream.gradients import TINY, Conditioner, total_variation
from render.dream.objectives import Objective
from render.dream.octaves import octave_sizes
from render.dream.tiled import Gradients, TiledNetwork
from render.dream.tiles import Size
from render.dream.transforms import TransformRange, random_transform

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with the octave (coarsest first), the step, and the objective before it: a 0-d tensor, NaN
when the step changed nothing because its gradient was zero or not finite."""


@dataclass(frozen=True, kw_only=True)
class AscentSettings:
    """The settings of gradient ascent.

    Sizes of octaves differ by the factor `octave_scale`; `steps` holds the number of steps of each, the coarsest first,
    in a picture whose longer side is `reference_side` (None: whose side is that of any picture).
    Every step sees the picture under a random transform out of `transforms`. Its gradient goes through `conditioner`,
    is averaged with `momentum`, and is scaled to change a value in [0, 1] by `step_size` on average (over the part of
    the picture that the objective depends on). The scale falls linearly to `final_step_scale` at the last step of an
    octave. `total_variation` times the gradient of the total variation is subtracted. `step_scale` (1x1xHxW) multiplies
    the step at each place of the picture; None is 1 everywhere.
    """

    octave_scale: float
    steps: tuple[int, ...]
    reference_side: int | None = None
    step_size: float
    conditioner: Conditioner
    transforms: TransformRange = field(default_factory=TransformRange)
    final_step_scale: float = 1.0
    momentum: float = 0.0
    total_variation: float = 0.0
    step_scale: Tensor | None = None


@dataclass(frozen=True)
class Octave:
    """The objectives of one octave, each with its mask at the octave's size (None for the whole picture).

    `coverage` is the fraction of the picture that they depend on, `step_scale` that of the settings at this size.
    """

    index: int
    size: Size
    steps: int
    objectives: Sequence[Objective]
    masks: Sequence[Tensor | None]
    coverage: float
    step_scale: Tensor | None


def dream(
    image: Tensor,
    network: TiledNetwork,
    *,
    objective: Objective,
    settings: AscentSettings,
    seed: tuple[int, ...],
    on_step: OnStep | None = None,
) -> Tensor:
    """Returns the image, changed so that the objective rises.

    `image` is 1x3xHxW float32 RGB in [0, 1], on the network's device; so is the result. `seed` starts with the
    scene's seed and the frame: with octave and step it determines every random number, whatever was dreamed before.
    The detail of an octave is added to the next one's base as in Mordvintsev et al. 2015, so that without steps the
    image is returned exactly.
    """
    if not objective.layers:
        return image
    by_mask = objective.by_mask()
    objectives = [masked for _, masked in by_mask]
    detail = torch.zeros_like(image)
    octaves = octave_sizes(
        (image.shape[2], image.shape[3]),
        settings.steps,
        octave_scale=settings.octave_scale,
        reference_side=settings.reference_side,
    )
    for index, (size, steps) in enumerate(octaves):
        masks = [None if mask is None else _resize(mask, size) for mask, _ in by_mask]
        source = None if objective.source is None else _resize(objective.source, size)
        octave = Octave(
            index,
            size,
            steps,
            objectives=[masked if source is None else masked.of_source(source) for masked in objectives],
            masks=masks,
            coverage=objective.coverage(size),
            step_scale=None if settings.step_scale is None else _resize(settings.step_scale, size),
        )
        base = _resize(image, size)
        x = base + _inside(masks, _resize(detail, size))
        _ascend(x, network, octave=octave, settings=settings, seed=seed, on_step=on_step)
        detail = x - base
    return x


def _ascend(
    x: Tensor,
    network: TiledNetwork,
    *,
    octave: Octave,
    settings: AscentSettings,
    seed: tuple[int, ...],
    on_step: OnStep | None,
) -> None:
    """Takes all steps of an octave, in place."""
    averages: list[Tensor] = []
    for step in range(octave.steps):
        step_seed = (*seed, octave.index, step)
        gradients, value = _conditioned_gradients(x, network, octave=octave, settings=settings, seed=step_seed)
        averages = averages or gradients
        for average, gradient in zip(averages, gradients, strict=True):
            average.lerp_(gradient, 1 - settings.momentum)
        is_change = torch.stack([gradient.abs().sum() for gradient in gradients]).sum() > 0
        _update(x, averages, is_change, octave=octave, settings=settings, step=step)
        if on_step is not None:
            on_step(octave.index, step, torch.where(is_change, value, torch.nan))


def _conditioned_gradients(
    x: Tensor, network: TiledNetwork, *, octave: Octave, settings: AscentSettings, seed: tuple[int, ...]
) -> Gradients:
    """Returns the gradient of each objective under a random transform, transformed back and conditioned."""
    transform = random_transform(octave.size, settings.transforms, seed=seed)
    gradients, value = network.gradients(
        transform.apply(x), objectives=octave.objectives, transform=transform, seed=(*seed, 1)
    )
    return [_finite_or_zero(settings.conditioner(transform.invert(gradient))) for gradient in gradients], value


def _update(
    x: Tensor,
    gradients: Sequence[Tensor],
    is_change: Tensor,
    *,
    octave: Octave,
    settings: AscentSettings,
    step: int,
) -> None:
    """x += η·g/‖g‖ - η·λ·∇TV(x), clamped to [0, 1], in place; nothing where `is_change`, a 0-d tensor, is false.

    η is the step size, ‖g‖ the mean strength of the gradients, λ the weight of the total variation.
    """
    step_size = _step_size(settings, step, steps=octave.steps) * octave.coverage
    direction, strength = _direction(gradients, octave.masks)
    smoothing = is_change * _smoothing(x, octave.masks) if settings.total_variation else None
    if octave.step_scale is not None:
        direction = octave.step_scale * direction
        smoothing = None if smoothing is None else octave.step_scale * smoothing
    x.addcmul_(direction, is_change / (strength + TINY), value=step_size)
    if smoothing is not None:
        x.sub_(smoothing, alpha=step_size * settings.total_variation)
    x.clamp_(0, 1)


def _step_size(settings: AscentSettings, step: int, *, steps: int) -> float:
    """Falls linearly from `step_size` to `final_step_scale` times that at the last step."""
    return settings.step_size * (1 + (settings.final_step_scale - 1) * step / max(steps - 1, 1))


def _finite_or_zero(gradient: Tensor) -> Tensor:
    """Returns the gradient, or zeros when any of its values, and so its sum, is not finite; without a device sync."""
    return torch.where(gradient.sum().isfinite(), gradient, 0)


def _direction(gradients: Sequence[Tensor], masks: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Returns the sum of the masked gradients, and the mean of the strongest unmasked one at each value.

    Gradients of several objectives may cancel each other in the sum; their strengths do not.
    """
    strength = reduce(torch.maximum, [gradient.abs() for gradient in gradients]).mean()
    masked = [g if mask is None else mask * g for g, mask in zip(gradients, masks, strict=True)]
    return reduce(torch.add, masked), strength


def _smoothing(x: Tensor, masks: Sequence[Tensor | None]) -> Tensor:
    """Returns the gradient of the total variation, within the masks."""
    union = _union(masks)
    return total_variation(x) if union is None else union * total_variation(x)


def _inside(masks: Sequence[Tensor | None], detail: Tensor) -> Tensor:
    """Returns the detail where any mask is not black, and zero elsewhere."""
    union = _union(masks)
    return detail if union is None else detail * (union > 0)


def _union(masks: Sequence[Tensor | None]) -> Tensor | None:
    """Returns the maximum of the masks; None when one of them is the whole picture."""
    tensors = [mask for mask in masks if mask is not None]
    return torch.stack(tensors).amax(0) if len(tensors) == len(masks) else None


def _resize(x: Tensor, size: Size) -> Tensor:
    """Resizes bilinearly with antialiasing, which never leaves [0, 1]; returns the same tensor at the same size."""
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True)
