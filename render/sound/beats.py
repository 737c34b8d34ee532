"""Beats at a given tempo: dynamic programming over onset strength, exact times, and a regular grid through them."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float32]
Times = NDArray[np.float64]
TIGHTNESS = 300.0
"""What a deviation from the tempo costs: this times the squared logarithm of the ratio of the periods."""
SHORTEST, LONGEST = 0.8, 1.25
"""The least and the greatest interval of beats in periods."""
REFINE = 3
"""Frames within which a beat's exact time is looked for."""
STIFFNESS = 30.0
"""Resistance of the grid of beats to changes of the interval: it is smoothed over about fifteen beats."""
JITTER = 1.2
"""Frames; an onset further from the grid counts less."""


def track_beats(strength: Floats, period: Floats) -> NDArray[np.int64]:
    """Returns the frames of beats: the best sequence for an onset strength and the period at each frame, in frames.

    The strength has a standard deviation of 1. Ellis, Beat Tracking by Dynamic Programming (2007), with a period that
    changes. All frames of one shortest interval depend on earlier ones only and are computed at once.
    """
    reach = int(np.ceil(LONGEST * period.max())) + 1
    scores = np.zeros(reach + len(strength), np.float32)
    lags = np.zeros(len(strength), np.int16)
    start = 0
    rows = np.arange(reach)
    while start < len(strength):
        beat = float(period[start])
        least, most = int(np.ceil(SHORTEST * beat)), int(LONGEST * beat)
        count = min(least, len(strength) - start)
        choices = np.arange(most, least - 1, -1)
        costs = (TIGHTNESS * np.square(np.log(choices / beat))).astype(np.float32)
        # Row k is what precedes frame start + k: sliding_window_view, which takes longer than all the rest.
        first = (reach + start - most) * scores.itemsize
        earlier = np.ndarray((count, len(choices)), scores.dtype, scores, first, scores.strides * 2)
        values = earlier - costs
        best = values.argmax(1)
        end = start + count
        scores[reach + start : reach + end] = strength[start:end] + values[rows[:count], best]
        lags[start:end] = most - best
        start = end
    tail = int(period[-1])
    frame = len(strength) - tail + int(scores[-tail:].argmax())
    frames = []
    while frame >= 0:
        frames.append(frame)
        frame -= int(lags[frame])
    return np.asarray(frames[::-1], np.int64)


def exact_beats(strength: Floats, frames: NDArray[np.int64]) -> Times:
    """Returns the times of beats, in frames: onsets near them, and a smooth grid where they are absent or irregular."""
    onsets, weights = _nearby_onsets(strength, frames)
    grid = _smooth(onsets, weights)
    for _ in range(4):
        grid = _smooth(onsets, weights / (1 + np.square((onsets - grid) / JITTER)))
    return grid


def extended(beats: Times, start: float, end: float) -> Times:
    """Returns beats that go on regularly to a start and an end."""
    around = min(8, len(beats) - 1)
    before = (beats[around] - beats[0]) / around
    after = (beats[-1] - beats[-1 - around]) / around
    earlier = beats[0] - before * np.arange(int(max(beats[0] - start, 0) / before), 0, -1)
    later = beats[-1] + after * np.arange(1, int(max(end - beats[-1], 0) / after) + 1)
    joined = np.concatenate((earlier, beats, later))
    return np.asarray(joined[(joined >= start) & (joined < end)])


def _nearby_onsets(strength: Floats, frames: NDArray[np.int64]) -> tuple[Times, Times]:
    """The greatest onset strength near each beat, at the top of a parabola, and its weight in [0, 1]."""
    padded = np.pad(strength, REFINE + 1)
    windows = sliding_window_view(padded, 2 * REFINE + 3)[frames].astype(np.float64)
    inner = windows[:, 1:-1]
    place = inner.argmax(1)
    rows = np.arange(len(frames))
    left, top, right = windows[rows, place], windows[rows, place + 1], windows[rows, place + 2]
    curvature = np.minimum(left - 2 * top + right, -1e-9)
    shift = np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)
    usual = max(float(np.percentile(top, 75)), 1e-9)
    return frames + (place - REFINE) + shift, np.minimum(top / usual, 1) + 1e-4


def _smooth(onsets: Times, weights: Times) -> Times:
    """Minimises the weighted squared distances from onsets plus STIFFNESS times the squared second differences."""
    count = len(onsets)
    if count < 3:
        return onsets
    bands = np.zeros((3, count))
    bands[2] = weights
    for offset, coefficient in ((0, 1.0), (1, -2.0), (2, 1.0)):
        bands[2, offset : count - 2 + offset] += STIFFNESS * coefficient**2
    bands[1, 1 : count - 1] += STIFFNESS * -2.0
    bands[1, 2:count] += STIFFNESS * -2.0
    bands[0, 2:] = STIFFNESS
    return np.asarray(linalg.solveh_banded(bands, weights * onsets))
