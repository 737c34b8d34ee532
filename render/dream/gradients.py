"""Conditioners: from the raw gradient to the one that is followed. They shape the pictures more than anything else.

A conditioner is a function from a 1x3xHxW float32 gradient to one of the same shape. The ascent normalises its length
afterwards, so only its direction matters. Filters are cached by size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

Conditioner = Callable[[Tensor], Tensor]

# Square root of the covariance of ImageNet's colours (Olah et al. 2017, "Feature Visualization"; Lucid, color.py).
COLOR_CORRELATION_SQRT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
TINY = 1e-30
"""Added to a norm before a division, so that a gradient of zeros stays zeros."""
TOTAL_VARIATION_EPSILON = 1e-2
"""ε of the total variation: differences of neighbours, of values in [0, 1], below it hardly count."""


def natural(decay_power: float, color_correlation: float, *, min_frequency: float = 4.0) -> Conditioner:
    """Returns steepest ascent in a decorrelated Fourier basis, as one linear filter (after Lucid's parametrisation).

    It divides the spectrum by f^(2·decay_power), f in cycles per pixel and at least `min_frequency` cycles per side,
    and mixes the colours by (1 - c)·I + c·K, where c is `color_correlation` and K the colour covariance scaled to
    trace 3. `decay_power` and `color_correlation` are in [0, 1].
    """
    return partial(_natural, decay_power=decay_power, color_correlation=color_correlation, min_frequency=min_frequency)


def gaussian(sigma: float) -> Conditioner:
    """Returns the mean of three Gaussian blurs, of sigma/2, sigma and 2·sigma pixels (as in the notebooks of 2015)."""
    return partial(_gaussian, sigma=sigma)


def laplacian(levels: int) -> Conditioner:
    """Returns a Laplacian pyramid whose bands have unit strength (Mordvintsev 2015, `lap_normalize`)."""
    return partial(_laplacian, levels=levels)


def raw() -> Conditioner:
    """Returns the identity."""
    return lambda gradient: gradient


def total_variation(image: Tensor) -> Tensor:
    """Returns the gradient of the total variation Σ √(dx² + dy² + ε²) (Rudin, Osher & Fatemi 1992).

    It is shaped like the image. Each value is within 2 + √2 of zero.
    """
    dx = F.pad(image.diff(dim=3), (0, 1))
    dy = F.pad(image.diff(dim=2), (0, 0, 0, 1))
    length = (dx.square() + dy.square() + TOTAL_VARIATION_EPSILON**2).sqrt()
    dx, dy = dx / length, dy / length
    return F.pad(dx, (1, 0))[..., :-1] - dx + F.pad(dy, (0, 0, 1, 0))[..., :-1, :] - dy


def _natural(gradient: Tensor, *, decay_power: float, color_correlation: float, min_frequency: float) -> Tensor:
    height, width = gradient.shape[-2:]
    weights = _spectral_weights(
        height, width, decay_power=decay_power, min_frequency=min_frequency, device=gradient.device
    )
    spectrum = torch.fft.rfft2(gradient).mul_(weights)
    filtered = torch.fft.irfft2(spectrum, (height, width))
    return torch.einsum("ij,njhw->nihw", _color_mix(color_correlation, gradient.device), filtered)


@lru_cache(maxsize=32)
def _spectral_weights(
    height: int, width: int, *, decay_power: float, min_frequency: float, device: torch.device
) -> Tensor:
    """Returns f^(-2·decay_power) on the half plane of `rfft2`: Hx(W/2+1)."""
    rows = torch.fft.fftfreq(height, device=device).unsqueeze(1)
    columns = torch.fft.rfftfreq(width, device=device).unsqueeze(0)
    return torch.hypot(rows, columns).clamp_min(min_frequency / min(height, width)) ** (-2 * decay_power)


@lru_cache(maxsize=32)
def _color_mix(color_correlation: float, device: torch.device) -> Tensor:
    root = torch.tensor(COLOR_CORRELATION_SQRT, device=device)
    covariance = root @ root.T
    identity = torch.eye(3, device=device)
    return (1 - color_correlation) * identity + color_correlation * covariance * (3 / covariance.diagonal().sum())


def _gaussian(gradient: Tensor, sigma: float) -> Tensor:
    blurred = [_blur(gradient, factor * sigma) for factor in (0.5, 1.0, 2.0)]
    return torch.stack(blurred).mean(0)


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Blurs with a separable Gaussian, mirrored at the borders; its radius is 3 sigma, less than the picture's side."""
    for axis in (2, 3):
        kernel = _gaussian_kernel(sigma, min(math.ceil(3 * sigma), x.shape[axis] - 1), device=x.device)
        radius = kernel.numel() // 2
        shape = (3, 1, -1, 1) if axis == 2 else (3, 1, 1, -1)
        padding = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        x = F.conv2d(F.pad(x, padding, mode="reflect"), kernel.expand(3, -1).reshape(shape), groups=3)
    return x


@lru_cache(maxsize=32)
def _gaussian_kernel(sigma: float, radius: int, *, device: torch.device) -> Tensor:
    positions = torch.arange(-radius, radius + 1, device=device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    return kernel / kernel.sum()


def _laplacian(gradient: Tensor, levels: int) -> Tensor:
    total = torch.zeros_like(gradient)
    size = (gradient.shape[2], gradient.shape[3])
    current = gradient
    for level in range(levels):
        is_last = level == levels - 1 or min(current.shape[-2:]) < 4
        half = current if is_last else F.interpolate(current, scale_factor=0.5, mode="bilinear", antialias=True)
        band = current if is_last else current - _resize(half, (current.shape[2], current.shape[3]))
        total = total + _resize(band / (band.square().mean().sqrt() + TINY), size)
        if is_last:
            break
        current = half
    return total


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
