"""Statistics: objectives that hold the channels of layers to a mean and a standard deviation.

With those that a network's batch norms had over its training pictures, a dream keeps the statistics of photographs (the
prior of DeepInversion, Yin et al. 2020, arXiv:1912.08795, there over batches, here over the positions of one picture).
With those of a painting, it takes on its style (Li et al. 2017, arXiv:1701.01036).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from render.dream.objectives import Distance, MomentMeasure, Objective, Term
from render.models.moments import moments

MIN_RELATIVE_SCALE = 1e-2
"""Scales, relative to the mean, below which a channel is ignored: it is constant, as far as float32 can tell."""
WITHIN_A_PICTURE = 0.8
"""Deviation within one photograph, relative to that over all training pictures, whose means differ as well: the median
over photographs and norms (tests/dream/test_statistics.py)."""
VARIANCE_FLOOR = 1e-4
"""Added to a squared relative deviation, so that a constant channel has a gradient."""


class ChannelTarget(NamedTuple):
    """Mean and standard deviation of each channel of a layer, and the scale of differences from them: C values each."""

    mean: Tensor
    deviation: Tensor
    scale: Tensor

    @classmethod
    def natural(cls, statistics: Tensor) -> ChannelTarget:
        """Returns the target, for one picture, of a batch norm's own statistics, 2xC.

        Differences count relative to its deviations.
        """
        mean, deviation = statistics
        return cls(mean, WITHIN_A_PICTURE * deviation, deviation)

    @classmethod
    def of(cls, activation: Tensor) -> ChannelTarget:
        """Returns the target of a picture's activation.

        Differences count relative to its deviations, where these are not much smaller than those of other channels.
        """
        mean, square = moments(activation)
        variance = (square - mean.square()).clamp_min(0)
        return cls(mean, variance.sqrt(), ((variance + variance.mean()) / 2).sqrt())


def statistics(targets: Mapping[str, ChannelTarget], *, first_weight: float = 1.0) -> Objective:
    """Returns minus the distance of layers, by name, to their targets; that of the first has a weight.

    R = Σ_layers mean_c ((m - μ)/a)² + mean_c ((s - σ)/a)², with m and s over the positions of the picture, and a the
    scale of the target.
    """
    weights = [first_weight, *[1.0] * (len(targets) - 1)]
    terms = (
        Term(-weight, layer, MomentMeasure(_distance(target)))
        for weight, (layer, target) in zip(weights, targets.items(), strict=True)
    )
    return Objective(tuple(terms))


def _distance(target: ChannelTarget) -> Distance:
    is_used = target.scale > MIN_RELATIVE_SCALE * target.mean.abs()
    share = is_used / is_used.sum().clamp_min(1)
    unit = torch.where(is_used, target.scale, 1).reciprocal()
    relative = torch.stack([target.mean, target.deviation]) * unit

    def distance(moments: Tensor) -> Tensor:
        result: Tensor = _Distance.apply(moments, relative, unit, share)
        return result

    return distance


class _Distance(torch.autograd.Function):
    """The distance of one layer, with its gradient in closed form: of many small operations, a third of the time."""

    @staticmethod
    def forward(ctx: Any, moments: Tensor, relative: Tensor, unit: Tensor, share: Tensor) -> Tensor:
        mean, square = moments
        variance = torch.addcmul(square, mean, mean, value=-1).clamp_min_(0).mul_(unit).mul_(unit).add_(VARIANCE_FLOOR)
        inverse = variance.rsqrt()
        difference = torch.stack([mean * unit, variance * inverse]).sub_(relative)
        slope = share * difference * unit
        slope[1].mul_(inverse).mul_(unit)
        slope[0].addcmul_(mean, slope[1], value=-1).mul_(2)
        ctx.save_for_backward(slope)
        return (difference.square_() * share).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None, None
