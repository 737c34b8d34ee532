"""Medians of windows that move over the rows of an array."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", np.uint8, np.float32)


def running_median(values: NDArray[Value], length: int) -> NDArray[Value]:
    """Returns the medians of all windows of an odd number of successive rows, (N - length + 1)xM of NxM.

    Two windows in succession have all rows but one in common: of these the two middle values are found once, and the
    median of a window is its last row's value, limited to the two.
    """
    count = len(values) - length + 1
    result = np.empty((count, *values.shape[1:]), values.dtype)
    low, high = _middle([values[row : row + count : 2] for row in range(1, length)])
    np.clip(values[0:count:2], low, high, out=result[0::2])
    np.clip(values[length::2], low[: count // 2], high[: count // 2], out=result[1::2])
    return result


def _middle(arrays: list[NDArray[Value]]) -> tuple[NDArray[Value], NDArray[Value]]:
    """The two middle values at each place of an even number of arrays, by the comparisons of a sorting network."""
    values = [array.copy() for array in arrays]
    spare = np.empty_like(values[0])
    for low, high in _middle_network(len(values)):
        np.minimum(values[low], values[high], out=spare)
        np.maximum(values[low], values[high], out=values[high])
        values[low], spare = spare, values[low]
    return values[len(values) // 2 - 1], values[len(values) // 2]


@cache
def _middle_network(count: int) -> tuple[tuple[int, int], ...]:
    """The comparisons that the two middle ones of `count` values need in Batcher's merge exchange (Knuth 5.2.2, M)."""
    pairs: list[tuple[int, int]] = []
    top = 1 << ((count - 1).bit_length() - 1)
    step = top
    while step:
        q, r, d = top, 0, step
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & step == r]
            if q == step:
                break
            d, q, r = q - step, q >> 1, step
        step >>= 1
    needed, kept = {count // 2 - 1, count // 2}, []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return tuple(reversed(kept))
