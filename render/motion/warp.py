"""One resampler for every warp: backward, Lanczos, float32; OpenCV's for CPU tensors, the same in torch for others.

Feedback resamples a picture thousands of times, so the kernel decides whether a long film turns to mush (bilinear),
to noise (bicubic), or stays (Lanczos).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Border = Literal["mirror", "edge", "wrap", "black"]
Coordinates = NDArray[np.float32]
Affine = NDArray[np.float64]
"""2x3, from an output pixel's (x, y) to the place in the input it is read from; pixel centres at whole numbers."""
Matrix = NDArray[np.float64]
"""3x3, the same of a pixel (x, y, 1)."""

LOBES = 4
FRACTIONS = 32
"""Positions are rounded to 1/32 pixel, as OpenCV does, so that the kernel's weights come from a table."""
MILD_MINIFICATION = 0.9
"""Above this scale a zoom out is left unfiltered: the sharpest tenth of the spectrum aliases a little, but a filter
there, applied on every frame of a feedback loop, would blur the film."""

_CV_BORDERS = {
    "mirror": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "wrap": cv2.BORDER_WRAP,
    "black": cv2.BORDER_CONSTANT,
}


def warp_affine(image: Tensor, affine: Affine, border: Border) -> Tensor:
    """The image as seen through `affine`, 1x3xHxW float32 like the input; values may overshoot a little.

    An identity returns the same tensor. When the picture shrinks, it is low-passed first.
    """
    if np.array_equal(affine, [[1, 0, 0], [0, 1, 0]]):
        return image
    scale = 1 / float(np.linalg.svd(affine[:, :2], compute_uv=False)[0])
    return resample(_low_pass(image, scale, border), *through(affine, *grid(image)), border)


def grid(picture: Tensor | Coordinates) -> tuple[Coordinates, Coordinates]:
    """The place (x, y) of each pixel of a picture, whose last sides are HxW; HxW each."""
    height, width = picture.shape[-2:]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns, rows


def through(affine: Affine | Matrix, x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Where an affine puts the places (x, y)."""
    (xx, xy, x0), (yx, yy, y0) = affine[:2]
    return (xx * x + xy * y + x0).astype(np.float32), (yx * x + yy * y + y0).astype(np.float32)


def resample(image: Tensor, x: Coordinates, y: Coordinates, border: Border) -> Tensor:
    """The image (1x3xHxW) read at (x, y), each hxw in pixels of it: 1x3xhxw on the image's device."""
    body = _resample_opencv if image.device.type == "cpu" else resample_torch
    return body(image, _near(x, image.shape[3], border), _near(y, image.shape[2], border), border)


def _near(position: Coordinates, side: int, border: Border) -> Coordinates:
    """The same places, brought to where OpenCV's 16-bit positions reach."""
    if border == "wrap":
        return np.mod(position, np.float32(side))
    if border == "mirror":
        return np.mod(position, np.float32(max(2 * side - 2, 1)))
    return np.clip(position, np.float32(-2 * LOBES), np.float32(side + 2 * LOBES))


def _resample_opencv(image: Tensor, x: Coordinates, y: Coordinates, border: Border) -> Tensor:
    picture = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    read = cv2.remap(picture, x, y, cv2.INTER_LANCZOS4, borderMode=_CV_BORDERS[border])
    return torch.from_numpy(read).permute(2, 0, 1).unsqueeze(0).contiguous()


def resample_torch(image: Tensor, x: Coordinates, y: Coordinates, border: Border) -> Tensor:
    """The body of `resample` for any device; public so that a test can hold it against OpenCV's on the CPU."""
    width = image.shape[3]
    columns, column_weights = _taps(x, width, border, image.device)
    rows, row_weights = _taps(y, image.shape[2], border, image.device)
    pixels = image.flatten(2)
    out = torch.zeros(*image.shape[:2], *x.shape, device=image.device)
    for row, row_weight in zip(rows, row_weights, strict=True):
        for column, column_weight in zip(columns, column_weights, strict=True):
            taken = pixels[:, :, (row * width + column).flatten()].view_as(out)
            out = out + row_weight * column_weight * taken
    return out


def _taps(position: Coordinates, side: int, border: Border, device: torch.device) -> tuple[Tensor, Tensor]:
    """The 2·LOBES indices along one axis and their weights, each 8xhxw."""
    fixed = torch.round(torch.from_numpy(position).to(device) * FRACTIONS).long()
    whole = torch.div(fixed, FRACTIONS, rounding_mode="floor")
    offsets = torch.arange(1 - LOBES, LOBES + 1, device=device).view(-1, 1, 1)
    table = _lanczos_table(device)
    index, inside = _border(whole + offsets, side, border)
    return index, table[fixed - whole * FRACTIONS].movedim(-1, 0) * inside


def _border(index: Tensor, side: int, border: Border) -> tuple[Tensor, Tensor]:
    """Any whole positions along an axis, brought into 0 … side - 1, and 1, or 0 where the border is black."""
    inside = ((index >= 0) & (index < side)) if border == "black" else torch.ones_like(index, dtype=torch.bool)
    if border == "wrap":
        index = index % side
    elif border == "mirror" and side > 1:
        period = 2 * side - 2
        index = torch.minimum(index % period, period - index % period)
    return index.clamp(0, side - 1), inside.float()


@lru_cache(maxsize=8)
def _lanczos_table(device: torch.device) -> Tensor:
    """FRACTIONSx8: the weights of the taps at -3 … 4 for each fraction, summing to one (Duchon 1979)."""
    fraction = np.arange(FRACTIONS)[:, None] / FRACTIONS
    distance = fraction - np.arange(1 - LOBES, LOBES + 1)[None]
    weights = np.sinc(distance) * np.sinc(distance / LOBES)
    return torch.tensor(weights / weights.sum(1, keepdims=True), dtype=torch.float32, device=device)


def _low_pass(image: Tensor, scale: float, border: Border) -> Tensor:
    """What `scale` (output pixels per input pixel) leaves no room for is taken out: a Lanczos-windowed sinc.

    Of a picture that becomes less than a pixel no more than of one that becomes a pixel.
    """
    cutoff = max(scale, 1 / max(image.shape[2:])) / MILD_MINIFICATION
    if cutoff >= 1:
        return image
    radius = math.ceil(LOBES / cutoff)
    position = torch.arange(-radius, radius + 1, device=image.device, dtype=torch.float32) * cutoff
    kernel = torch.sinc(position) * torch.sinc((position / LOBES).clamp(-1, 1))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    for axis in (3, 2):
        side = image.shape[axis]
        index, weight = _border(torch.arange(-radius, side + radius, device=image.device), side, border)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        padded = image.index_select(axis, index) * weight.view(shape)
        image = F.conv2d(padded, kernel if axis == 3 else kernel.transpose(2, 3), groups=3)
    return image
