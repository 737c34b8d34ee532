"""The harmonic and the percussive part of a sound, separated by medians of its spectrogram.

D. FitzGerald, Harmonic/Percussive Separation Using Median Filtering, DAFx 2010: a steady tone is a line along time, a
beat a line along frequency. Here the medians are of levels in half decibels, in bands that are single bins up to 2 kHz.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from render.sound.blocks import COARSE, COARSE_HOPS, HOP_RATE, RATE, Block, Floats
from render.sound.measures import Part

PART_RATE = HOP_RATE / COARSE_HOPS
"""Values per second of what is measured of a part."""
LENGTH = 17
"""Spectra and bands of a median: 0.34 s, and 270 Hz among single bins."""
_SINGLE, _WIDE = 128, 64
"""Bands of one bin, and bands that get wider with the frequency."""
_LEVELS = 2.0
"""Levels per decibel."""
_LOWEST = -107.0
"""Decibels of level 0."""

Levels = NDArray[np.uint8]


@lru_cache(maxsize=1)
def band_edges() -> NDArray[np.int64]:
    """The first bin of each band."""
    wide = np.geomspace(_SINGLE, COARSE // 2, _WIDE + 1).astype(np.int64)[:-1]
    return np.unique(np.concatenate([np.arange(_SINGLE), wide]))


@lru_cache(maxsize=1)
def band_centres() -> tuple[float, ...]:
    """The middle frequency of each band, in Hz."""
    edges = np.append(band_edges(), COARSE // 2 + 1)
    return tuple(((edges[:-1] + edges[1:] - 1) / 2 * RATE / COARSE).tolist())


def part_power(block: Block, part: Part, around: int = 0) -> Floats:
    """Returns the power of a part of a block's sound, and of `around` more spectra on both sides: NxBANDS at PART_RATE.

    A place of the spectrogram belongs to the two parts in the ratio of the squares of the two medians.
    """
    half = LENGTH // 2
    power = np.add.reduceat(block.coarse(around + half), band_edges(), axis=1)
    levels = np.rint(np.clip((10 * np.log10(power + 1e-20) - _LOWEST) * _LEVELS, 0, 255)).astype(np.uint8)
    result = np.empty((len(power) - 2 * half, power.shape[1]), np.float32)
    for start in range(0, len(result), 128):
        rows = slice(start, min(start + 128, len(result)))
        padded = np.pad(levels[rows.start + half : rows.stop + half], ((0, 0), (half, half)), mode="reflect")
        harmonic = _median([levels[rows.start + i : rows.stop + i] for i in range(LENGTH)])
        percussive = _median([padded[:, i : i + power.shape[1]] for i in range(LENGTH)])
        difference = harmonic.astype(np.int16) - percussive
        masked = _shares()[(difference if part == "harmonic" else -difference) + 255]
        result[rows] = masked * power[rows.start + half : rows.stop + half]
    return result


@lru_cache(maxsize=1)
def _shares() -> Floats:
    """From the level of one part less that of the other, plus 255, to the share of the one."""
    decibels = np.arange(-255, 256) / _LEVELS
    return np.asarray(1 / (1 + 10 ** (-2 * decibels / 10)), np.float32)


def _median(arrays: list[Levels]) -> Levels:
    """Returns the median at each place of LENGTH arrays, by the comparisons of a sorting network."""
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
