"""Statistics: objectives that hold the channels of layers to a mean and a standard deviation.

With those that a network's batch norms had over its training pictures, a dream keeps the statistics of photographs (the
prior of DeepInversion, Yin et al. 2020, arXiv:1912.08795, there over batches, here over the positions of one picture).
With those of a painting, it takes on its style (Li et al. 2017, arXiv:1701.01036).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from render.dream.moment_target import MomentTarget
from render.dream.objectives import MomentMeasure, Objective, Term
from render.models.moments import moments

MIN_RELATIVE_SCALE = 1e-2
"""Scales, relative to the mean, below which a channel is ignored: it is constant, as far as float32 can tell."""
WITHIN_A_PICTURE = 0.8
"""Deviation within one photograph, relative to that over all training pictures, whose means differ as well: the median
over photographs and norms (tests/dream/test_statistics.py)."""


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
        Term(-weight, layer, MomentMeasure(_moment_target(target)))
        for weight, (layer, target) in zip(weights, targets.items(), strict=True)
    )
    return Objective(tuple(terms))


def _moment_target(target: ChannelTarget) -> MomentTarget:
    is_used = target.scale > MIN_RELATIVE_SCALE * target.mean.abs()
    unit = torch.where(is_used, target.scale, 1).reciprocal()
    relative = torch.stack([target.mean, target.deviation]) * unit
    return MomentTarget(relative, unit, share=is_used / is_used.sum().clamp_min(1))
