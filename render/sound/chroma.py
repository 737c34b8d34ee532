"""Chroma: how the power of the tones is shared by the twelve pitches, from the peaks of long spectra.

As the harmonic pitch class profile of E. Gomez (2006): a peak counts at its exact frequency, between the bins, so that
low notes are separated, and tunings up to 40 cents off A = 440 Hz keep their pitch. What sounds for a moment only is
removed before: drums have no pitch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, signal

from render.sound.blocks import CORE, HOP_RATE, LOW_HOP, LOW_RATE, MARGIN, Block, Floats, window_power
from render.sound.medians import running_median

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
FAINT = 1e-4
"""Share of the power of a moment's highest peak below which others do not count: -40 dB."""
STEP, TIMES = 250, 9
"""Samples of the low stream from one short spectrum to the next, 31 ms, and spectra of a median, 0.28 s."""
QUIET = 1e-6
"""Share of the loud parts' power below which a moment has no pitch: -60 dB."""


def pitch_power(block: Block) -> Floats:
    """Returns the power of each pitch in a block, Nx12 at CHROMA_RATE."""
    hop = LOW_HOP * HOPS
    start = MARGIN * LOW_HOP + hop // 2 - SIZE // 2
    power = window_power(_steady(block.low, start, start + CORE * LOW_HOP - hop + SIZE), SIZE, hop) + np.float32(1e-20)
    first, last = (round(frequency * SIZE / LOW_RATE) for frequency in RANGE)
    middle, left, right = power[:, first:last], power[:, first - 1 : last - 1], power[:, first + 1 : last + 1]
    is_peak = (middle > left) & (middle >= right) & (middle > FAINT * middle.max(1, keepdims=True))
    rows, columns = np.divmod(np.flatnonzero(is_peak), last - first)
    a, b, c = (np.log(side[rows, columns]) for side in (left, middle, right))
    shift = (a - c) / (2 * (a - 2 * b + c) - np.float32(1e-6))
    frequencies = ((first + columns).astype(np.float32) + shift) * np.float32(LOW_RATE / SIZE)
    pitches = np.rint(12 * np.log2(frequencies / A4)).astype(np.int64) + 9
    total = np.bincount(rows * 12 + pitches % 12, weights=np.exp(b) * _weight(frequencies), minlength=12 * len(power))
    return np.asarray(total.reshape(-1, 12), np.float32)


def _steady(low: Floats, start: int, end: int) -> Floats:
    """Returns samples `start` to `end` of a low stream without what sounds for a moment only.

    No place of its spectrogram remains louder than the median of TIMES spectra around it: drums are shorter, notes are
    longer. Windows of two steps add to a constant, so that what is steady does not change.
    """
    around = TIMES // 2
    first, last = start // STEP, -(-end // STEP)
    samples = low[(first - around - 1) * STEP : (last + around + 1) * STEP]
    spectra: NDArray[np.complex64] = fft.rfft(sliding_window_view(samples, 2 * STEP)[::STEP] * _window(), axis=1)
    sizes = np.abs(spectra)
    usual = running_median(sizes, TIMES)
    inner = slice(around, len(sizes) - around)
    spectra = spectra[inner] * np.minimum(usual / np.maximum(sizes[inner], np.float32(1e-20)), np.float32(1))
    pieces: Floats = fft.irfft(spectra, 2 * STEP, axis=1)
    joined = (pieces[:-1, STEP:] + pieces[1:, :STEP]).reshape(-1)
    return joined[start - first * STEP : end - first * STEP]


@lru_cache(maxsize=1)
def _window() -> Floats:
    return np.asarray(signal.windows.hann(2 * STEP, sym=False), np.float32)


def _weight(frequencies: Floats) -> Floats:
    """The weight of tones: those around 880 Hz count most, as in librosa, so that bass does not hide chords."""
    return np.asarray(np.exp(-0.5 * np.square(np.log2(frequencies / CENTRE) / OCTAVES)), np.float32)


def share(power: Floats, pitch: int, loud: float) -> Floats:
    """Returns the share of a pitch, in [0, 1], of the powers of all, Nx12; 0 where it is much quieter than `loud`."""
    total = power.sum(1)
    found = power[:, pitch] / np.maximum(total, np.float32(QUIET * loud**2))
    return np.where(total > QUIET * loud**2, found, np.float32(0))
