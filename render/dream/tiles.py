"""The grid of tiles that a large picture is cut into: geometry only, no tensors are computed.

An objective is a mean over the positions of a layer. Its gradient is therefore the sum of the gradients of parts of
these positions, and each part depends only on its pixels and half a receptive field around them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from torch import Tensor

from render.choices import MIN_TILE_SIZE
from render.dream.objectives import Extent, Region
from render.dream.transforms import Transform
from render.models.layers import LayerInfo

TILE_SIZE_MULTIPLE = 128
"""Pixels; automatic tile sizes are multiples of it, so that slightly more or less free memory changes nothing."""
MEMORY_FRACTION = 0.5
"""Largest fraction of the free memory that one gradient takes."""

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels: its own part from `start` to `stop`, and the `window` of input around it."""

    start: int
    stop: int
    window: slice


@dataclass(frozen=True)
class Tile:
    """One tile of a picture; `picture_size` is (height, width)."""

    rows: Span
    columns: Span
    picture_size: Size

    def crop(self, picture: Tensor) -> Tensor:
        """Returns a view of the tile's window in a 1xCxHxW picture."""
        return picture[..., self.rows.window, self.columns.window]

    def region(self, activation: Tensor, stride: int, *, transform: Transform) -> tuple[Tensor, Region]:
        """Returns the activation at the tile's own positions, and which region of the whole layer they are.

        `activation` is that of the tile's window, 1xCxhxw, of a layer with this `stride`. Windows begin and end a
        multiple of every stride from the borders of the picture, so the size of the whole layer follows from any tile.
        """
        slices, extents = [], []
        axes = zip((self.rows, self.columns), self.picture_size, activation.shape[2:], strict=True)
        for span, length, count in axes:
            before = span.window.start // stride
            total = before + count + (length - span.window.stop) // stride
            first = span.start // stride
            last = total if span.stop == length else span.stop // stride
            slices.append(slice(first - before, last - before))
            extents.append(Extent(first, last, total))
        return activation[:, :, slices[0], slices[1]], Region(extents[0], extents[1], transform)


def tile_grid(size: Size, *, tile_size: int | None, layers: Collection[LayerInfo], seed: tuple[int, ...]) -> list[Tile]:
    """Returns the tiles of a picture of `size`, the bottom right one first; each seed gives another random grid.

    Windows are about `tile_size` pixels a side. There is a single tile, the whole picture, when `tile_size` is None,
    when the picture fits into one, or when a layer depends on the whole picture. Where a window is too small for the
    receptive field, the gradient is inexact near the borders of the tile.
    """
    strides, receptive_fields = _bounds(layers)
    if tile_size is None or not strides or max(size) <= tile_size:
        return [Tile(_whole(size[0]), _whole(size[1]), size)]
    stride = max(strides)
    margin = min(-(-max(receptive_fields) // 2) + stride, tile_size // 4)
    random = np.random.default_rng(seed)
    axes = [
        list(_spans(length, tile_size, stride=stride, margin=margin, offset=float(random.random()))) for length in size
    ]
    return [Tile(rows, columns, size) for rows, columns in product(*axes)][::-1]


def fitting_tile_size(
    size: Size, layers: Collection[LayerInfo], *, bytes_per_pixel: float, free_bytes: float
) -> int | None:
    """Returns the largest tile size with which a gradient of a picture of `size` fits into the free memory.

    None when the whole picture fits, or when the layers cannot be computed in tiles.
    """
    strides, _ = _bounds(layers)
    pixels = MEMORY_FRACTION * free_bytes / bytes_per_pixel
    if not strides or size[0] * size[1] <= pixels:
        return None
    return max(int(math.sqrt(pixels)) // TILE_SIZE_MULTIPLE * TILE_SIZE_MULTIPLE, MIN_TILE_SIZE)


def is_tileable(layers: Collection[LayerInfo]) -> bool:
    """Returns whether every position of these layers depends on a bounded part of the picture."""
    return bool(_bounds(layers)[0])


def _bounds(layers: Collection[LayerInfo]) -> tuple[list[int], list[int]]:
    """Returns strides and receptive fields; both empty when a layer lacks positions or depends on the whole picture."""
    strides = [layer.stride for layer in layers if layer.stride is not None]
    fields = [layer.receptive_field for layer in layers if layer.receptive_field is not None]
    return (strides, fields) if len(strides) == len(fields) == len(layers) else ([], [])


def _whole(length: int) -> Span:
    return Span(0, length, slice(0, length))


def _spans(length: int, tile_size: int, *, stride: int, margin: int, offset: float) -> Iterator[Span]:
    """Yields the spans along one axis, cut at multiples of the stride, where positions in tile and picture coincide."""
    if length <= tile_size:
        yield _whole(length)
        return
    step = max((tile_size - 2 * margin) // stride, 1) * stride
    first = (1 + int(offset * (step // stride))) * stride
    cuts = [0, *range(first, length, step), length]
    for start, stop in pairwise(cuts):
        before = max(0, (start - margin) // stride * stride)
        # As long as the picture but for whole strides, so that padding to even numbers falls the same way.
        after = length - max(0, (length - stop - margin) // stride * stride)
        yield Span(start, stop, slice(before, after))
