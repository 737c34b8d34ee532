"""Chroma: how the power of the tones is shared by the twelve pitches, from the peaks of long spectra.

As the harmonic pitch class profile of E. Gomez (2006): a peak counts at its exact frequency, between the bins, so that
low notes are separated, and tunings up to 40 cents off A = 440 Hz keep their pitch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.sound.blocks import CORE, DECIMATION, HOP, HOP_RATE, LOW_RATE, MARGIN, Block, Floats, squares

HOPS = 5
"""Hops from one spectrum to the next: 50 ms."""
CHROMA_RATE = HOP_RATE / HOPS
SIZE = 2048
"""Samples of the window in the low stream, 256 ms."""
RANGE = (55.0, 3300.0)
"""Hz of the tones that count."""
A4 = 440.0
CENTRE, OCTAVES = 880.0, 2.0
"""Hz of the tones that count most, and the deviation of the weights in octaves."""
QUIET = 1e-6
"""Share of the loud parts' power below which a moment has no pitch: -60 dB."""


def pitch_power(block: Block) -> Floats:
    """Returns the power of each pitch in a block, Nx12 at CHROMA_RATE."""
    hop = HOP // DECIMATION * HOPS
    frames = range(MARGIN // HOPS, (MARGIN + CORE) // HOPS)
    parts = squares(block.low, SIZE, hop=hop, frames=frames)
    power = parts[:, 0::2] + parts[:, 1::2] + np.float32(1e-20)
    first, last = (round(frequency * SIZE / LOW_RATE) for frequency in RANGE)
    middle, left, right = power[:, first:last], power[:, first - 1 : last - 1], power[:, first + 1 : last + 1]
    rows, columns = np.nonzero((middle > left) & (middle >= right))
    a, b, c = (np.log(side[rows, columns].astype(np.float64)) for side in (left, middle, right))
    shift = (a - c) / (2 * (a - 2 * b + c) - 1e-12)
    frequencies = (first + columns + shift) * LOW_RATE / SIZE
    pitches = np.rint(12 * np.log2(frequencies / A4)).astype(np.int64) + 9
    total = np.bincount(rows * 12 + pitches % 12, weights=np.exp(b) * _weight(frequencies), minlength=12 * len(power))
    return np.asarray(total.reshape(-1, 12), np.float32)


def _weight(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of tones: those around 880 Hz count most, as in librosa, so that bass does not hide chords."""
    return np.exp(-0.5 * np.square(np.log2(frequencies / CENTRE) / OCTAVES))


def shares(power: Floats, loud: float) -> Floats:
    """Returns the share of each pitch, Nx12 in [0, 1]; 0 where the sound is much quieter than `loud`."""
    total = power.sum(1, keepdims=True)
    share = power / np.maximum(total, np.float32(QUIET * loud**2))
    return np.where(total > QUIET * loud**2, share, np.float32(0)).astype(np.float32)
