"""Loudness: the root mean square in a window, from the mean squares of hops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from render.sound.blocks import Floats

WINDOW = 0.08
"""Seconds of the Hann window in which the mean square is taken."""
LOUD_PERCENTILE = 98.0
SILENCE = 1e-5
"""Root mean square with full scale at 1, below which a sound is silent: -100 dB, less than the noise of 16 bits."""
BAND_FLOOR = 0.01
"""A band of a track that stays below this share of the track's loudness counts as silent: -40 dB."""


def root_mean_square(energy: Floats, rate: float) -> Floats:
    """Returns the root mean square in WINDOW of mean squares at `rate` per second; windows end with the sound."""
    if not len(energy):
        return energy
    taps = signal.windows.hann(2 * round(WINDOW * rate / 2) + 1)[1:-1]
    total = ndimage.convolve1d(np.maximum(energy, 0), taps, mode="constant")
    weight = ndimage.convolve1d(np.ones_like(energy), taps, mode="constant")
    return np.asarray(np.sqrt(total / weight))


def loud_level(loudness: NDArray[np.floating]) -> float:
    """Returns the loudness of the loud parts of a track, of all frequencies; at least SILENCE.

    Only what is audible beside the loudest moment counts, so that a long pause does not change it.
    """
    audible = loudness[loudness >= max(BAND_FLOOR * loudness.max(initial=0), SILENCE)]
    return float(np.percentile(audible, LOUD_PERCENTILE)) if len(audible) else SILENCE
