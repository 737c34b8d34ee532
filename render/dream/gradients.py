"""Raw gradient to conditioned gradient: what makes the pictures.

A conditioner is a function from a 1x3xHxW float32 gradient to one of the same shape; the ascent normalises its
length afterwards, so only its direction counts. Filters are built once a size and kept.
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
COLOR_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
TINY = 1e-30
FLAT = 1e-2
"""Differences of neighbours, of values in [0, 1], below which total variation sees none."""


def natural(power: float, color: float, lowest: float = 4.0) -> Conditioner:
    """Steepest ascent in a decorrelated Fourier basis, as one linear filter (after Lucid's parametrisation).

    Divides the spectrum by f^(2·power), f in cycles per pixel and at least `lowest` a side, and mixes the colours by
    (1 - color)·I + color·K, K the colour covariance scaled to trace 3. `power` and `color` in [0, 1].
    """
    return partial(_natural, power=power, color=color, lowest=lowest)


def gaussian(sigma: float) -> Conditioner:
    """The mean of three Gaussian blurs, of sigma/2, sigma and 2·sigma pixels (the practice of 2015's notebooks)."""
    return partial(_gaussian, sigma=sigma)


def laplacian(levels: int) -> Conditioner:
    """Each band of a Laplacian pyramid brought to unit strength (Mordvintsev 2015, `lap_normalize`)."""
    return partial(_laplacian, levels=levels)


def raw() -> Conditioner:
    """The gradient as it is."""
    return lambda gradient: gradient


def total_variation(image: Tensor) -> Tensor:
    """The gradient of the total variation Σ √(dx² + dy² + ε²) (Rudin, Osher & Fatemi 1992), shaped like the image.

    Each value is within 2 + √2 of zero.
    """
    right = F.pad(image.diff(dim=3), (0, 1))
    below = F.pad(image.diff(dim=2), (0, 0, 0, 1))
    length = (right.square() + below.square() + FLAT**2).sqrt()
    right, below = right / length, below / length
    return F.pad(right, (1, 0))[..., :-1] - right + F.pad(below, (0, 0, 1, 0))[..., :-1, :] - below


def _natural(gradient: Tensor, power: float, color: float, lowest: float) -> Tensor:
    height, width = gradient.shape[-2:]
    spectrum = torch.fft.rfft2(gradient).mul_(_spectral_weights(height, width, power, lowest, gradient.device))
    return torch.einsum(
        "ij,njhw->nihw", _color_mix(color, gradient.device), torch.fft.irfft2(spectrum, (height, width))
    )


@lru_cache(maxsize=32)
def _spectral_weights(height: int, width: int, power: float, lowest: float, device: torch.device) -> Tensor:
    """f^(-2·power) on the half plane of `rfft2`: Hx(W/2+1)."""
    rows = torch.fft.fftfreq(height, device=device).unsqueeze(1)
    columns = torch.fft.rfftfreq(width, device=device).unsqueeze(0)
    return torch.hypot(rows, columns).clamp_min(lowest / min(height, width)) ** (-2 * power)


@lru_cache(maxsize=32)
def _color_mix(color: float, device: torch.device) -> Tensor:
    root = torch.tensor(COLOR_ROOT, device=device)
    covariance = root @ root.T
    identity = torch.eye(3, device=device)
    return (1 - color) * identity + color * covariance * (3 / covariance.diagonal().sum())


def _gaussian(gradient: Tensor, sigma: float) -> Tensor:
    blurred = [_blur(gradient, factor * sigma) for factor in (0.5, 1.0, 2.0)]
    return torch.stack(blurred).mean(0)


def _blur(x: Tensor, sigma: float) -> Tensor:
    """A separable Gaussian blur, mirrored at the borders; the kernel reaches 3 sigma or as far as the picture does."""
    for axis in (2, 3):
        kernel = _gaussian_kernel(sigma, min(math.ceil(3 * sigma), x.shape[axis] - 1), x.device)
        radius = kernel.numel() // 2
        shape = (3, 1, -1, 1) if axis == 2 else (3, 1, 1, -1)
        pads = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        x = F.conv2d(F.pad(x, pads, mode="reflect"), kernel.expand(3, -1).reshape(shape), groups=3)
    return x


@lru_cache(maxsize=32)
def _gaussian_kernel(sigma: float, radius: int, device: torch.device) -> Tensor:
    positions = torch.arange(-radius, radius + 1, device=device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    return kernel / kernel.sum()


def _laplacian(gradient: Tensor, levels: int) -> Tensor:
    total = torch.zeros_like(gradient)
    size = (gradient.shape[2], gradient.shape[3])
    current = gradient
    for level in range(levels):
        last = level == levels - 1 or min(current.shape[-2:]) < 4
        half = current if last else F.interpolate(current, scale_factor=0.5, mode="bilinear", antialias=True)
        band = current if last else current - _resize(half, (current.shape[2], current.shape[3]))
        total = total + _resize(band / (band.square().mean().sqrt() + TINY), size)
        if last:
            break
        current = half
    return total


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
