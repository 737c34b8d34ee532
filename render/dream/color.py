"""Colours of a finished frame: exposure in linear light, saturation and hue at constant luminance."""

from __future__ import annotations

import torch
from torch import Tensor

from render.dream.chroma import chroma_matrix


def adjust(image: Tensor, *, exposure: float, saturation: float, hue: float) -> Tensor:
    """Returns an image (1x3xHxW in [0, 1]) with other colours, clamped to [0, 1]; the same tensor when nothing changes.

    `exposure` is in stops: linear light is multiplied by 2 to this power. `saturation` multiplies the distance from
    grey, and `hue` turns colours by degrees around it, from red through green to blue.
    """
    if exposure != 0:
        image = from_linear(to_linear(image) * 2.0**exposure).clamp(0, 1)
    if saturation != 1 or hue % 360 != 0:
        matrix = torch.tensor(chroma_matrix(saturation, hue), dtype=image.dtype, device=image.device)
        image = torch.einsum("ij,njhw->nihw", matrix, image).clamp(0, 1)
    return image


def to_linear(image: Tensor) -> Tensor:
    """Returns sRGB values (IEC 61966-2-1) as linear light."""
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def from_linear(light: Tensor) -> Tensor:
    """Returns linear light as sRGB values (IEC 61966-2-1)."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
