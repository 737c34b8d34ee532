"""Tempo over time: correlations of the onset strength with itself, and the most likely path through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from render.sound.blocks import HOP_RATE

Floats = NDArray[np.float32]
USUAL = 120.0
"""Beats per minute that are most likely, other things being equal."""
WINDOW, STEP = 1024, 200
"""Frames of a window in which the tempo is measured, and from one to the next: 10 s and 2 s."""
GRID = np.exp(np.arange(np.log(45.0), np.log(240.0), 0.005))
"""Tempi that are compared, in steps of 0.5 %."""
MULTIPLES = 4
"""A tempo is good where the onset strength correlates with itself after 1, 2, 3 and 4 beats."""
UNUSUAL = 0.05
"""What an octave from USUAL costs."""
MOVES = np.arange(-4, 5)
"""Steps of GRID that the tempo may change by within STEP frames."""
MOVE_COST, JUMP_COST = 0.005, 1.0
"""What a change costs, times the square of its steps, and what a jump to any other tempo costs."""
_SMOOTHING = 1.5
"""Frames of deviation from regularity that hardly weaken a correlation."""
_BATCH, _PIECE = 64, 2**16
"""Windows, and frames, that are computed at once."""


def tempo_path(strength: Floats) -> tuple[Floats, float]:
    """Returns the tempo of each window in beats per minute, and how clear it is, the mean correlation in [0, 1].

    The onset strength has a standard deviation of 1. The path is at one metrical level, which need not be the beat's.
    """
    correlations = correlate(strength)
    scores = correlations @ _comb(correlations.shape[1])
    path = _best_path(scores - UNUSUAL * np.square(np.log2(GRID / USUAL)).astype(np.float32))
    sounds = correlations[:, 0] > 0
    clarity = float(scores[np.arange(len(path)), path][sounds].mean()) if sounds.any() else 0.0
    return GRID[path].astype(np.float32), clarity


def frame_periods(path: Floats, count: int) -> Floats:
    """Returns the beat's period in frames at each of `count` frames."""
    centres = np.arange(len(path)) * STEP + min(WINDOW, count) / 2
    periods = np.empty(count, np.float32)
    for start in range(0, count, _PIECE):
        frames = np.arange(start, min(start + _PIECE, count))
        periods[frames] = 60 * HOP_RATE / np.interp(frames, centres, path)
    return periods


def correlate(strength: Floats) -> Floats:
    """Returns the correlation of each window with itself at each lag in frames, WxL; 0 where nothing sounds."""
    size = min(WINDOW, len(strength))
    smooth = ndimage.gaussian_filter1d(strength, _SMOOTHING)
    starts = range(0, len(strength) - size + 1, STEP)
    lags = min(int(MULTIPLES * 60 * HOP_RATE / GRID[0]) + 2, size // 2)
    overlap = (size / (size - np.arange(lags))).astype(np.float32)
    length = fft.next_fast_len(size + lags, real=True)
    result = np.zeros((len(starts), lags), np.float32)
    for first in range(0, len(starts), _BATCH):
        windows = np.stack([smooth[start : start + size] for start in starts[first : first + _BATCH]])
        windows -= windows.mean(1, keepdims=True)
        power = np.square(np.abs(fft.rfft(windows, length, axis=1)))
        products = fft.irfft(power, length, axis=1)[:, :lags]
        sounds = products[:, 0] > 1e-3 * size
        result[first : first + _BATCH][sounds] = products[sounds] / products[sounds, :1] * overlap
    return result


def _comb(lags: int) -> Floats:
    """The weights of lags, Lx(tempi), that average the correlations at the multiples of each tempo's period."""
    weights = np.zeros((lags, len(GRID)), np.float32)
    used = np.zeros(len(GRID), np.float32)
    for multiple in range(1, MULTIPLES + 1):
        lag = multiple * 60 * HOP_RATE / GRID
        columns = np.flatnonzero(lag < lags - 1)
        whole = lag[columns].astype(int)
        part = lag[columns] - whole
        weights[whole, columns] += 1 - part
        weights[whole + 1, columns] += part
        used[columns] += 1
    return np.asarray(weights / np.maximum(used, 1), np.float32)


def _best_path(scores: Floats) -> NDArray[np.int64]:
    """The path of the greatest sum of scores, Wx(tempi), less the costs of its changes (Viterbi)."""
    reach = int(MOVES[-1])
    costs = (MOVE_COST * np.square(MOVES)).astype(np.float32)
    places = np.arange(scores.shape[1])
    origins = np.zeros(scores.shape, np.int16)
    padded = np.full(scores.shape[1] + 2 * reach, -np.inf, scores.dtype)
    neighbours = np.lib.stride_tricks.sliding_window_view(padded, len(MOVES))
    total = padded[reach:-reach]
    total[:] = scores[0]
    for row in range(1, len(scores)):
        near = neighbours - costs
        choice = near.argmax(1)
        value = near[places, choice]
        top = int(total.argmax())
        jumps = value < total[top] - JUMP_COST
        origins[row] = np.where(jumps, top, places + MOVES[choice])
        total[:] = np.where(jumps, total[top] - JUMP_COST, value) + scores[row]
    path = np.empty(len(scores), np.int64)
    path[-1] = total.argmax()
    for row in range(len(scores) - 1, 0, -1):
        path[row - 1] = origins[row, path[row]]
    return path
