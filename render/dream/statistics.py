"""Statistics: objectives that hold the channels of layers to a mean and a standard deviation.

With those that a network's batch norms had over its training pictures, a dream keeps the statistics of photographs (the
prior of DeepInversion, Yin et al. 2020, arXiv:1912.08795, there over batches, here over the positions of one picture).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from render.dream.objectives import Distance, MomentMeasure, Objective, Term

MIN_RELATIVE_DEVIATION = 1e-2
"""Deviations, relative to the mean, below which a channel is ignored: it is constant, as far as float32 can tell."""
VARIANCE_FLOOR = 1e-4
"""Added to a squared relative deviation, so that a constant channel has a gradient."""


def statistics(targets: Iterable[tuple[str, Tensor]]) -> Objective:
    """Returns minus the distance of layers to their targets, each 2xC: mean and standard deviation of each channel.

    R = Σ_layers mean_c ((m - μ)/σ)² + mean_c (s/σ - 1)², with m and s over the positions of the picture.
    """
    return Objective(tuple(Term(-1.0, layer, MomentMeasure(_distance(target))) for layer, target in targets))


def _distance(target: Tensor) -> Distance:
    mean, deviation = target.double()
    is_used = deviation > MIN_RELATIVE_DEVIATION * mean.abs()
    share = is_used.float() / is_used.sum().clamp_min(1)
    mean, deviation = target
    deviation = torch.where(is_used, deviation, 1)

    def distance(moments: Tensor) -> Tensor:
        first, second = moments
        variance = (second - first.square()) / deviation.square()
        shift = (first - mean) / deviation
        spread = (variance.clamp_min(0) + VARIANCE_FLOOR).sqrt() - 1
        total: Tensor = (share * (shift.square() + spread.square())).sum()
        return total

    return distance
