"""One resampler for every warp: backward, at exact positions, on any device.

Feedback resamples a picture thousands of times, so the kernel decides whether a long film turns to mush (bilinear),
to noise (bicubic), moves too fast (Lanczos), or stays. A picture is first interpolated at half pixels by a long
windowed sinc, which keeps what is below 0.95 of the Nyquist frequency and amplifies nothing, then between them by a
spline of degree 5, which is nearly exact for the lower half of its spectrum. For a picture that shrinks, the sinc ends
at the Nyquist frequency of the result: what aliases would gather, frame by frame, in a pattern of single pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from render.choices import Border

Coordinates = NDArray[np.float32] | NDArray[np.float64]
Affine = NDArray[np.float64]
"""2x3, from an output pixel (x, y) to the position in the input that it reads; pixel centres at whole numbers."""
Matrix = NDArray[np.float64]
"""3x3, for pixels (x, y, 1)."""

Taps = list[tuple[Tensor, Tensor]]
"""Places along an axis and their weights."""

DEGREE = 5
SINC_RADIUS = 48
"""Pixels that the windowed sinc reaches to each side."""
SINC_WINDOW = 7.0
"""Beta of its Kaiser window: a ripple of 1e-4."""
SPLINE_RADIUS = 10
"""Pixels; beyond it the weights of a spline's prefilter are below the precision of float32."""
MARGIN = 20
"""Pixels beyond the ends of an axis that are kept; further out an edge or a black border has no more ripples."""
BLOCK = 64
"""Pixels that one product of matrices filters."""
BAND_PIXELS = 2**17
"""Pixels that are resampled at once, so that intermediate results stay in a processor's cache."""
LOBES = 4
"""Of the windowed sinc that filters an image before it is minified."""
MAX_GENTLE_SLOPE = 0.05
"""Tangent of the rotation or shear, relative to the scale, up to which a transform is two passes."""
MAX_GENTLE_MINIFICATION = 2
"""Above it the picture between two passes, as wide as all that the second one reads, takes too much memory."""
MILD_MINIFICATION = 0.9
"""Down to this scale the sinc that interpolates is enough; below it, its ripples would reach beyond the margin, and a
picture is filtered before."""
CUTOFF_DIGITS = 3
"""Decimal digits of the scale for which the sinc is made: a track has few of them, and a rotation has the scale 1."""


def warp_affine(image: Tensor, affine: Affine, *, border: Border) -> Tensor:
    """Warps an image (1x3xHxW float32) by an affine transform; values may overshoot a little.

    An identity returns the same tensor. An image that shrinks is low-pass filtered first.
    """
    if np.array_equal(affine, [[1, 0, 0], [0, 1, 0]]):
        return image
    scale = 1 / float(np.linalg.svd(affine[:, :2], compute_uv=False)[0])
    image = _low_pass(image, scale, border)
    cutoff = round(min(max(scale, MILD_MINIFICATION), 1.0), CUTOFF_DIGITS)
    if _is_gentle(affine):
        return _warp_in_passes(image, affine, border=border, cutoff=cutoff)
    return resample(image, *transform_points(affine, *pixel_grid(image)), border=border, cutoff=cutoff)


def pixel_grid(picture: Tensor | Coordinates) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The coordinates (x, y) of each pixel of a picture, HxW each; its last two dimensions are HxW."""
    height, width = picture.shape[-2:]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns, rows


def transform_points(affine: Affine | Matrix, x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Transforms points (x, y) by an affine transform."""
    (xx, xy, x0), (yx, yy, y0) = affine[:2]
    return xx * x + xy * y + x0, yx * x + yy * y + y0


def resample(image: Tensor, x: Coordinates, y: Coordinates, *, border: Border, cutoff: float = 1) -> Tensor:
    """Reads an image (1x3xHxW) at (x, y), each hxw in pixels of it: 1x3xhxw on the image's device.

    The result has the frequencies below `cutoff`, relative to the Nyquist frequency of the image.
    """
    height, width = image.shape[2:]
    coefficients = image
    for axis in (2, 3):
        coefficients = _coefficients(coefficients, axis, border=border, cutoff=cutoff)

    def taps(rows: slice) -> tuple[Taps, Taps]:
        return (
            _taps(torch.from_numpy(x[rows]).to(image.device), width, border),
            _taps(torch.from_numpy(y[rows]).to(image.device), height, border),
        )

    return _read(coefficients, (x.shape[0], x.shape[1]), taps)


def _is_gentle(affine: Affine) -> bool:
    """Whether a transform hardly rotates and shears, so that two passes lose nothing, and the first is not too wide."""
    (xx, xy, _), (yx, yy, _) = affine
    upright = min(xx, yy) > 0 and max(abs(xy), abs(yx)) <= MAX_GENTLE_SLOPE * min(xx, yy)
    return bool(upright and xx <= MAX_GENTLE_MINIFICATION)


def _warp_in_passes(image: Tensor, affine: Affine, *, border: Border, cutoff: float) -> Tensor:
    """Warps by a gentle transform along y, then along x, at half the cost of both at once (Catmull & Smith 1980)."""
    (xx, xy, x0), (yx, yy, y0) = affine
    height, width = image.shape[2:]
    rows = torch.arange(height, dtype=torch.float64, device=image.device).view(-1, 1)
    x = xx * torch.arange(width, dtype=torch.float64, device=image.device) + xy * rows + x0
    reach = SINC_RADIUS + SPLINE_RADIUS + DEGREE
    columns = range(math.floor(float(x.min())) - reach, math.ceil(float(x.max())) + reach + 1)
    u = (torch.arange(columns.start, columns.stop, dtype=torch.float64, device=image.device) - xy * rows - x0) / xx
    extended = _extended(image, 3, columns, border=border)
    moved = _resample_axis(extended, yx * u + yy * rows + y0, axis=2, border=border, cutoff=cutoff)
    return _resample_axis(moved, x - columns.start, axis=3, border="edge", cutoff=cutoff)


def _resample_axis(image: Tensor, position: Tensor, *, axis: int, border: Border, cutoff: float) -> Tensor:
    """Reads an image (1x3xHxW) at positions (hxw) along one axis, the other coordinate unchanged; see `resample`."""
    height, width = position.shape
    size = width if axis == 2 else height
    unchanged = torch.linspace(-1, 1, size, device=image.device).view((1, -1) if axis == 2 else (-1, 1))
    unchanged, one = unchanged.expand(height, width), torch.ones((), device=image.device)

    def taps(rows: slice) -> tuple[Taps, Taps]:
        along = _taps(position[rows], image.shape[axis], border)
        across = [(unchanged[rows], one)]
        return (across, along) if axis == 2 else (along, across)

    return _read(_coefficients(image, axis, border=border, cutoff=cutoff), (height, width), taps)


def _read(coefficients: Tensor, size: tuple[int, int], taps: Callable[[slice], tuple[Taps, Taps]]) -> Tensor:
    """Evaluates a spline at (height, width) positions, whose taps along x and along y are given for a slice of rows."""
    height, width = size
    out = torch.zeros(*coefficients.shape[:2], height, width, device=coefficients.device)
    band = max(1, BAND_PIXELS // width)
    for start in range(0, height, band):
        rows = slice(start, min(start + band, height))
        along_x, along_y = taps(rows)
        grid = torch.empty(1, rows.stop - start, width, 2, device=coefficients.device)
        for y, y_weight in along_y:
            grid[..., 1] = y
            for x, x_weight in along_x:
                grid[..., 0] = x
                tap = F.grid_sample(coefficients, grid, mode="bilinear", padding_mode="border", align_corners=True)
                out[:, :, rows].addcmul_(y_weight * x_weight, tap)
    return out


def _taps(position: Tensor, side: int, border: Border) -> Taps:
    """The places along one axis that linear interpolation reads for hxw positions, and their weights.

    Two neighbouring weights of a spline are positive, and so a linear interpolation (Sigg & Hadwiger 2005). Places are
    those of the coefficients in [-1, 1], as grid_sample has them.
    """
    folded = 2 * (_folded(position, side, border) + MARGIN)
    whole = folded.floor()
    first = whole - DEGREE // 2
    to_unit = 2 / (2 * (side + 2 * MARGIN) - 1)
    weights = _spline_weights((folded - whole).float())
    taps = []
    for pair in range(0, DEGREE + 1, 2):
        weight = weights[pair] + weights[pair + 1]
        taps.append((((first + pair + weights[pair + 1] / weight) * to_unit - 1).float(), weight))
    return taps


def _folded(position: Tensor, side: int, border: Border) -> Tensor:
    """Equivalent positions within the picture; of an edge or a black border at most its margin away."""
    if border == "wrap":
        return position.remainder(side)
    if border == "mirror":
        period = max(2 * side - 2, 1)
        folded = position.remainder(period)
        return torch.minimum(folded, period - folded)
    return position.clamp(DEGREE - MARGIN, side - 1 + MARGIN - DEGREE)


def _spline_weights(fraction: Tensor) -> list[Tensor]:
    """The weights of the taps -2 ... 3 for positions with these fractions.

    Mirrored taps have the weights even(c²) + c·odd(c²) and even(c²) - c·odd(c²), where c is the fraction minus 1/2.
    """
    centred = fraction - 0.5
    square = centred * centred
    lower, upper = [], []
    for polynomial in _weight_polynomials()[: (DEGREE + 1) // 2]:
        even, odd = _polynomial(polynomial[::2], square), centred * _polynomial(polynomial[1::2], square)
        lower.append(even + odd)
        upper.append(even - odd)
    return lower + upper[::-1]


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Horner's scheme, the constant first."""
    value = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value.mul_(x).add_(coefficient)
    return value


@lru_cache(maxsize=1)
def _weight_polynomials() -> list[list[float]]:
    """For each of the taps -2 ... 3 its weight, a polynomial in the fraction minus 1/2, the constant first."""
    taps = range(DEGREE + 1)
    return [[float(_coefficient(tap, power)) for power in range(DEGREE + 1)] for tap in taps]


def _coefficient(tap: int, power: int) -> Fraction:
    """Of a spline's truncated powers, Σ (-1)^j C(6, j) (f + 5 - tap - j)^5 / 5!, expanded around f = 1/2."""
    terms = (
        (-1) ** j * math.comb(DEGREE + 1, j) * Fraction(2 * (DEGREE - tap - j) + 1, 2) ** (DEGREE - power)
        for j in range(DEGREE - tap + 1)
    )
    return Fraction(math.comb(DEGREE, power), math.factorial(DEGREE)) * sum(terms, Fraction(0))


def _coefficients(image: Tensor, axis: int, *, border: Border, cutoff: float) -> Tensor:
    """The coefficients of the spline through an image at every half pixel of an axis, with a margin at both ends."""
    side, radius = image.shape[axis], SINC_RADIUS + SPLINE_RADIUS
    blocks = math.ceil((side + 2 * MARGIN) / BLOCK)
    extended = _extended(image, axis, range(-MARGIN - radius, blocks * BLOCK - MARGIN + radius), border=border)
    pixels, matrix = extended.unfold(axis, BLOCK + 2 * radius, BLOCK), _filter_matrix(image.device, cutoff)
    if axis == 2:  # each axis has its own product, since one that does not read memory in order takes 20 times as long
        filtered = matrix.T @ pixels.transpose(3, 4)
    else:
        filtered = (pixels.flatten(0, 3) @ matrix).view(*pixels.shape[:4], -1)
    return filtered.flatten(axis, axis + 1).narrow(axis, 0, 2 * (side + 2 * MARGIN))


@lru_cache(maxsize=128)
def _filter_matrix(device: torch.device, cutoff: float) -> Tensor:
    """From the pixels of a block, and those around it, to coefficients at half pixels; each is a mean of pixels."""
    radius = SINC_RADIUS + SPLINE_RADIUS
    distance = np.arange(-2 * SINC_RADIUS, 2 * SINC_RADIUS + 1)
    sinc = np.sinc(distance / 2 * cutoff) * np.kaiser(len(distance), SINC_WINDOW)
    kernel = np.convolve(sinc, _spline_inverse())
    matrix = np.zeros((BLOCK + 2 * radius, 2 * BLOCK))
    for column in range(2 * BLOCK):
        rows = np.arange(column % 2, len(kernel), 2)
        matrix[(rows - column % 2) // 2 + (column + 1) // 2, column] = kernel[::-1][rows]
    return torch.from_numpy(matrix / matrix.sum(0)).float().to(device)


def _spline_inverse() -> NDArray[np.float64]:
    """The filter that undoes the blur of a spline's own weights, for samples SPLINE_RADIUS pixels to each side."""
    values = np.zeros(256)
    whole = torch.zeros((), dtype=torch.float64)
    values[np.arange(DEGREE + 1) - DEGREE // 2] = [float(weight) for weight in _spline_weights(whole)]
    inverse: NDArray[np.float64] = np.fft.ifft(1 / np.fft.fft(values)).real
    return inverse[np.arange(-2 * SPLINE_RADIUS, 2 * SPLINE_RADIUS + 1)]


def _extended(image: Tensor, axis: int, positions: range, *, border: Border) -> Tensor:
    """The samples of an image at whole positions along an axis, also beyond its ends."""
    side = image.shape[axis]
    index = torch.arange(positions.start, positions.stop, device=image.device)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    inside = ((index >= 0) & (index < side)).view(shape)
    if border == "wrap":
        index = index % side
    elif border == "mirror" and side > 1:
        period = 2 * side - 2
        index = torch.minimum(index % period, period - index % period)
    samples = image.index_select(axis, index.clamp(0, side - 1))
    return samples * inside if border == "black" else samples


def _low_pass(image: Tensor, scale: float, border: Border) -> Tensor:
    """Removes the frequencies above what `scale` (output pixels per input pixel) can hold: a Lanczos-windowed sinc.

    The cutoff stays that of a picture that becomes one pixel, however small it gets.
    """
    cutoff = max(scale, 1 / max(image.shape[2:])) / MILD_MINIFICATION
    if cutoff >= 1:
        return image
    radius = math.ceil(LOBES / cutoff)
    position = torch.arange(-radius, radius + 1, device=image.device, dtype=torch.float32) * cutoff
    kernel = torch.sinc(position) * torch.sinc((position / LOBES).clamp(-1, 1))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    for axis in (3, 2):
        padded = _extended(image, axis, range(-radius, image.shape[axis] + radius), border=border)
        image = F.conv2d(padded, kernel if axis == 3 else kernel.transpose(2, 3), groups=3)
    return image
