"""Medians of many arrays at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", np.uint8, np.float32)


def median(arrays: Sequence[NDArray[Value]]) -> NDArray[Value]:
    """Returns the median at each place of an odd number of arrays, by the comparisons of a sorting network."""
    values = [np.ascontiguousarray(array).copy() for array in arrays]
    spare = np.empty_like(values[0])
    for low, high in _median_network(len(values)):
        np.minimum(values[low], values[high], out=spare)
        np.maximum(values[low], values[high], out=values[high])
        values[low], spare = spare, values[low]
    return values[len(values) // 2]


@cache
def _median_network(count: int) -> tuple[tuple[int, int], ...]:
    """The comparisons that the middle of `count` values needs in Batcher's merge exchange (Knuth 5.2.2, M)."""
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
    needed, kept = {count // 2}, []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return tuple(reversed(kept))
