"""The moments of a layer: mean and mean square of each channel over all positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BATCH_NORM_DEVICES = ("cpu", "cuda")
"""Devices for which torch has batch norm's sums."""


def moments(activation: Tensor) -> Tensor:
    """Returns the mean and the mean square of each channel of an activation, 1xC or 1xCxhxw: 2xC float32 or better."""
    return with_moments(activation, 1)[1]


def with_moments(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Returns `x`, whose channels are along `axis`, and its moments.

    What is computed from the returned `x` and from the moments has one gradient, computed while it is in the cache.
    """
    result: tuple[Tensor, Tensor] = _WithMoments.apply(x, axis)
    return result


class _WithMoments(torch.autograd.Function):
    """Batch norm's own sums, which are 20 times as fast as torch.var_mean for channels last on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        ctx.axis = axis
        precise = x.movedim(axis, 1).to(torch.promote_types(x.dtype, torch.float32))
        if x.device.type in BATCH_NORM_DEVICES:
            mean, variance = torch.batch_norm_update_stats(precise, None, None, 0.0)
        else:
            places = [each for each in range(precise.dim()) if each != 1]
            variance, mean = torch.var_mean(precise, places, correction=0)
        return x, torch.stack([mean, variance + mean.square()])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, moments_gradient: Tensor | None) -> tuple[Tensor | None, None]:
        if moments_gradient is None:
            return gradient, None
        (x,) = ctx.saved_tensors
        shape = [-1 if i == ctx.axis else 1 for i in range(x.dim())]
        per_position = (moments_gradient / (x.numel() // x.shape[ctx.axis])).to(x.dtype)
        offset, slope = per_position[0].view(shape), 2 * per_position[1].view(shape)
        if gradient is None:
            return torch.addcmul(offset, x, slope), None
        return torch.addcmul(gradient, x, slope).add_(offset), None
