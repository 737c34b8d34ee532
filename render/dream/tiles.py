"""Gradients of large pictures in tiles: each counts the places of the layers in its own part, and sees around it.

What a layer asks for is a mean over its places. So the gradient of a picture is the sum of the gradients of parts of
these places, and each of these needs only what its places see: half a receptive field around them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from torch import Tensor

from render.dream.anatomy import Layer
from render.dream.objectives import Part
from render.dream.views import View

SMALLEST = 128
"""Pixels a side; a smaller tile sees too little."""
ROUNDED = 128
"""Sides are multiples of so many pixels, so that a little more or less memory changes nothing."""
SHARE = 0.5
"""Of the free memory, what a gradient may take."""


@dataclass(frozen=True)
class Span:
    """Along one axis, in pixels: the part whose places count, from `start` to `stop`, within what is seen for it."""

    start: int
    stop: int
    seen: slice


@dataclass(frozen=True)
class Tile:
    """A part of a picture of (height, width) `size`."""

    rows: Span
    columns: Span
    size: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole picture."""
        return (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start) == self.size

    def cut(self, picture: Tensor) -> Tensor:
        """What is seen of a picture, 1xCxhxw."""
        return picture[..., self.rows.seen, self.columns.seen]

    def places(self, layer: Layer, activation: Tensor) -> tuple[int, int]:
        """How many rows and columns of places the layer has in the whole picture; of a tile at its bottom right."""
        assert layer.stride is not None, "a layer with places"
        rows, columns = activation.shape[2:]
        return self.rows.seen.start // layer.stride + rows, self.columns.seen.start // layer.stride + columns

    def part(self, layer: Layer, activation: Tensor, places: tuple[int, int], view: View) -> tuple[Tensor, Part]:
        """The activation of what counts, and which part of all `places` that is."""
        assert layer.stride is not None, "a layer with places"
        inner, ranges = [], []
        for span, side, count in zip((self.rows, self.columns), self.size, places, strict=True):
            first = span.start // layer.stride
            last = count if span.stop == side else span.stop // layer.stride
            skipped = span.seen.start // layer.stride
            inner.append(slice(first - skipped, last - skipped))
            ranges.append((first, last, count))
        return activation[:, :, inner[0], inner[1]], Part(ranges[0], ranges[1], view)


def grid(size: tuple[int, int], side: int | None, layers: Collection[Layer], seed: tuple[int, ...]) -> list[Tile]:
    """The tiles of a picture of (height, width), with what they see about `side` pixels; a random grid for each seed.

    One tile, the whole, for no side, when it fits, or when a layer sees all of the picture at once. Where a tile has no
    room for all that its places see, it sees less, and its gradient is inexact near its borders.
    """
    strides, reaches = _bounds(layers)
    if side is None or not strides or max(size) <= side:
        return [Tile(Span(0, size[0], slice(0, size[0])), Span(0, size[1], slice(0, size[1])), size)]
    stride = max(strides)
    margin = min(-(-max(reaches) // 2) + stride, side // 4)
    random = np.random.default_rng(seed)
    spans = [list(_spans(length, side, stride, margin, float(random.random()))) for length in size]
    return [Tile(rows, columns, size) for rows, columns in product(*spans)]


def fitting(size: tuple[int, int], layers: Collection[Layer], pixel: float, free: float) -> int | None:
    """The side of tiles for a picture of (height, width) of which each `pixel` takes so many bytes, when some are free.

    None when the whole picture fits, or cannot be cut.
    """
    strides, _ = _bounds(layers)
    room = SHARE * free / pixel
    if not strides or size[0] * size[1] <= room:
        return None
    return max(int(math.sqrt(room)) // ROUNDED * ROUNDED, SMALLEST)


def can_be_cut(layers: Collection[Layer]) -> bool:
    """Whether there are places that each see a part of the picture only."""
    return bool(_bounds(layers)[0])


def _bounds(layers: Collection[Layer]) -> tuple[list[int], list[int]]:
    """Strides and receptive fields; none when some layer has no places, or sees all of the picture."""
    strides = [layer.stride for layer in layers if layer.stride is not None]
    reaches = [layer.receptive_field for layer in layers if layer.receptive_field is not None]
    return (strides, reaches) if len(strides) == len(reaches) == len(layers) else ([], [])


def _spans(length: int, side: int, stride: int, margin: int, offset: float) -> Iterator[Span]:
    """Along one axis; cuts are at multiples of the stride, where a layer's places are the same in tile and picture."""
    if length <= side:
        yield Span(0, length, slice(0, length))
        return
    step = max((side - 2 * margin) // stride, 1) * stride
    first = (1 + int(offset * (step // stride))) * stride
    cuts = [0, *range(first, length, step), length]
    for start, stop in pairwise(cuts):
        before = max(0, (start - margin) // stride * stride)
        # As long as the picture but for whole strides, so that padding to even numbers falls the same way.
        after = length - max(0, (length - stop - margin) // stride * stride)
        yield Span(start, stop, slice(before, after))
