"""The harmonic and the percussive part of a sound, separated by medians of its spectrogram.

D. FitzGerald, Harmonic/Percussive Separation Using Median Filtering, DAFx 2010: a steady tone is a line along time, a
beat a line along frequency. Here the medians are of levels in half decibels, in bands that are single bins up to 2 kHz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.sound.blocks import COARSE, COARSE_HOPS, FINE_AROUND, HOP_RATE, RATE, Block, Floats
from render.sound.measures import Part
from render.sound.medians import median

PART_RATE = HOP_RATE / COARSE_HOPS
"""Values per second of what is measured of a part."""
AROUND = FINE_AROUND // COARSE_HOPS
"""Spectra around a block that are separated too."""
LENGTH = 17
"""Spectra and bands of a median: 0.34 s, and 270 Hz among single bins."""
_SINGLE, _WIDE = 128, 64
"""Bands of one bin, and bands that get wider with the frequency."""
_LEVELS = 2.0
"""Levels per decibel."""
_LOWEST = -107.0
"""Decibels of level 0."""


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
    power, differences = block.once(_separated)
    rows = slice(AROUND - around, len(power) - AROUND + around)
    sign = 1 if part == "harmonic" else -1
    return np.asarray(_shares()[sign * differences[rows] + 255] * power[rows])


def _separated(block: Block) -> tuple[Floats, NDArray[np.int16]]:
    """The power of a block and of AROUND more spectra, and the harmonic median's level less the percussive one's."""
    half = LENGTH // 2
    power = np.add.reduceat(block.coarse(AROUND + half), band_edges(), axis=1)
    levels = np.rint(np.clip((10 * np.log10(power + 1e-20) - _LOWEST) * _LEVELS, 0, 255)).astype(np.uint8)
    power = power[half:-half]
    differences = np.empty(power.shape, np.int16)
    for start in range(0, len(power), 128):
        rows = slice(start, min(start + 128, len(power)))
        padded = np.pad(levels[rows.start + half : rows.stop + half], ((0, 0), (half, half)), mode="reflect")
        harmonic = median([levels[rows.start + i : rows.stop + i] for i in range(LENGTH)])
        percussive = median([padded[:, i : i + power.shape[1]] for i in range(LENGTH)])
        differences[rows] = harmonic.astype(np.int16) - percussive
    return power, differences


@lru_cache(maxsize=1)
def _shares() -> Floats:
    """From the level of one part less that of the other, plus 255, to the share of the one."""
    decibels = np.arange(-255, 256) / _LEVELS
    return np.asarray(1 / (1 + 10 ** (-2 * decibels / 10)), np.float32)
