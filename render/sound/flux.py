"""Onset strength for finding beats: how much louder each group of frequencies becomes, every 10 ms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.sound.bands import FilterBank, filter_bank
from render.sound.blocks import CORE, FINE, FINE_AROUND, RATE, Block, Floats

EDGES = (30, 75, 125, 200, 300, 450, 650, 950, 1400, 2000, 3000, 4200, 5700, 7900)
"""Hz, between the bands whose levels are compared."""
GROUPS = ((0, 3), (3, 9), (9, 13))
"""The bands of the drums' fundamentals and the bass, of snares and voices, of hats."""
_COMPRESSION = 1000.0
_QUIET = 1e-5
"""Level of the quietest reference of a band, relative to the loudest band's."""
_SILENCE = 1e-9
_RIPPLE = 0.1
"""Changes of a level (natural logarithm) that are no onsets: a steady tone has them too."""
_BLOCK = 2**14


def onset_flux(levels: NDArray[np.float16]) -> Floats:
    """Returns onset strengths of the three GROUPS, 3xN, of band levels as `band_levels` returns them, NxB.

    A strength is the mean over the group's bands of the rise of the compressed level within 20 ms.
    """
    starts = range(0, len(levels), _BLOCK)
    is_sounding = [_power(levels[start : start + _BLOCK]).sum(1) > _SILENCE for start in starts]
    sounding = np.flatnonzero(np.concatenate(is_sounding)) if is_sounding else np.zeros(0, np.int64)
    if not len(sounding):
        return np.zeros((len(GROUPS), len(levels)), np.float32)
    reference = np.percentile(_power(levels[sounding[:: max(1, len(sounding) // 20000)]]), 98, axis=0)
    reference = np.maximum(reference, max(_QUIET * reference.max(), _SILENCE))
    flux = np.empty((len(GROUPS), len(levels)), np.float32)
    scale = (_COMPRESSION / reference).astype(np.float32)
    for start in starts:
        frames = np.arange(start - 1, min(start + _BLOCK, len(levels)) + 1)
        around = _power(levels[np.clip(frames, 0, len(levels) - 1)])
        if start == 0:
            around[0] = 0  # silence before the sound, and after it what is last
        compressed = np.log(around * scale + np.float32(1))
        rises = np.maximum(compressed[2:] - compressed[:-2] - _RIPPLE, 0)
        flux[:, start : start + _BLOCK] = _means() @ rises.T
    return flux


def band_levels(block: Block) -> NDArray[np.float16]:
    """Returns the square root of the power in each band between EDGES in the hops of a block, NxB.

    They are kept until all of a sound is known; of the square roots, half the bits hold 96 dB with an error of 0.01 dB.
    """
    return np.sqrt(_bands().of(block.fine[FINE_AROUND : FINE_AROUND + CORE])).astype(np.float16)


def _power(levels: NDArray[np.float16]) -> Floats:
    return np.square(levels.astype(np.float32))


@lru_cache(maxsize=1)
def _means() -> Floats:
    """The weights of the bands in the mean of each group."""
    weights = np.zeros((len(GROUPS), len(EDGES) - 1), np.float32)
    for group, (first, last) in enumerate(GROUPS):
        weights[group, first:last] = 1 / (last - first)
    return weights


@lru_cache(maxsize=1)
def _bands() -> FilterBank:
    """The bands between EDGES: a bin that an edge divides belongs to both bands by its shares."""
    width = RATE / FINE
    bins = np.arange(FINE // 2 + 1) * width
    lower, upper = np.asarray(EDGES[:-1]), np.asarray(EDGES[1:])
    shared = np.minimum(bins[:, None] + width / 2, upper) - np.maximum(bins[:, None] - width / 2, lower)
    return filter_bank(np.clip(shared / width, 0, 1))
