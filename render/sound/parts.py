"""The harmonic and the percussive part of a sound, separated by medians of its spectrogram.

D. FitzGerald, Harmonic/Percussive Separation Using Median Filtering, DAFx 2010: a steady tone is a line along time, a
beat a line along frequency. Here the medians are of levels in steps of 0.4 dB, in bands that are single bins up to
2 kHz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.sound.bands import FilterBank, filter_bank
from render.sound.blocks import (
    CORE,
    FINE,
    FINE_AROUND,
    HOP_RATE,
    LOW_HOP,
    LOW_RATE,
    MARGIN,
    RATE,
    Block,
    Floats,
    window_power,
)
from render.sound.measures import Part
from render.sound.medians import running_median

HOPS = 2
"""Hops from one spectrum to the next."""
PART_RATE = HOP_RATE / HOPS
"""Values per second of what is measured of a part."""
LENGTH = 17
"""Spectra and bands of a median: 0.34 s, and 270 Hz among single bins."""
AROUND = FINE_AROUND // HOPS - LENGTH // 2
"""Spectra around a block that are separated too."""
SIZE = 512
"""Samples of the window in the low stream, 64 ms."""
SINGLE, WIDE = 128, 64
"""Bands that are single bins of the low stream, up to 2 kHz; and bands of the fine spectrum above, ever wider."""
_FRACTION = 3
"""Bits of a power's fraction in its level: a level is an eighth of a factor of 2, 0.4 dB."""
_LOWEST = -33
"""Logarithm to base 2 of the power of level 0: -99 dB."""


@lru_cache(maxsize=1)
def band_centres() -> tuple[float, ...]:
    """The middle frequency of each band, in Hz."""
    edges = _wide_edges()
    wide = (edges[:-1] + edges[1:] - 1) / 2 * RATE / FINE
    return (*(np.arange(SINGLE) * LOW_RATE / SIZE).tolist(), *wide.tolist())


@lru_cache(maxsize=1)
def _wide_edges() -> NDArray[np.int64]:
    """The first bin of each wide band in the fine spectrum, and the number of bins."""
    first = SINGLE * LOW_RATE * FINE / (SIZE * RATE)
    return np.append(np.geomspace(first, FINE // 2, WIDE + 1).astype(np.int64)[:-1], FINE // 2 + 1)


@lru_cache(maxsize=1)
def _wide_bands() -> FilterBank:
    bins, edges = np.arange(FINE // 2 + 1)[:, None], _wide_edges()
    return filter_bank(((bins >= edges[:-1]) & (bins < edges[1:])).astype(np.float64))


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
    power = _spectrogram(block)
    levels = _levels(power)
    power = power[half:-half]
    along = np.pad(levels[half:-half].T, ((half, half), (0, 0)), mode="reflect")
    harmonic, percussive = running_median(levels, LENGTH), running_median(along, LENGTH).T
    return power, np.subtract(harmonic, percussive, dtype=np.int16)


def _spectrogram(block: Block) -> Floats:
    """The power in all bands, of a block and FINE_AROUND more hops on both sides, for each HOPS hops."""
    hop = HOPS * LOW_HOP
    count = (CORE + 2 * FINE_AROUND) // HOPS
    start = (MARGIN - FINE_AROUND) * LOW_HOP + hop // 2 - SIZE // 2
    single = window_power(block.low[start : start + (count - 1) * hop + SIZE], SIZE, hop)[:, :SINGLE]
    wide = _wide_bands().of(block.fine)
    wide = (wide[0::HOPS] + wide[1::HOPS]) / np.float32(HOPS)
    return np.concatenate((single, wide), axis=1)


def _levels(power: Floats) -> NDArray[np.uint8]:
    """The levels of powers: the exponent and the first bits of the fraction of a float32, a logarithm to base 2."""
    levels = (power.view(np.int32) >> (23 - _FRACTION)) - ((127 + _LOWEST) << _FRACTION)
    return np.asarray(np.clip(levels, 0, 255), np.uint8)


@lru_cache(maxsize=1)
def _shares() -> Floats:
    """From the level of one part less that of the other, plus 255, to the share of the one."""
    ratios = 2.0 ** (np.arange(-255, 256) / 2**_FRACTION)
    return np.asarray(ratios**2 / (1 + ratios**2), np.float32)
