"""Tempo and beats: a path of tempi that changes slowly, then dynamic programming over accents (D. Ellis, 2007)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from render.sound.bands import fine_centres, mel_bank
from render.sound.blocks import CORE, FINE_AROUND, HOP_RATE, Block, Floats
from render.sound.measures import Events, Tempo

Array = NDArray[np.float64]
BPM_RANGE = (50.0, 210.0)
"""Beats per minute."""
LIKELY_BPM, OCTAVES = 115.0, 1.0
"""Beats per minute that are most likely, and the deviation of their logarithm, in octaves."""
WINDOW, STEP = 12.0, 2.0
"""Seconds in which a tempo is estimated, and from one estimate to the next."""
STATES = 208
"""Tempi in BPM_RANGE that a path consists of, 0.7 % apart."""
CHANGE = 60.0
"""Cost of a change of tempo by an octave between two estimates, relative to the height of a peak."""
TIGHTNESS = 300.0
"""Cost of the squared logarithm of an interval's ratio to the period, relative to the deviation of accents."""
MIN_PULSE = 0.12
"""Least autocorrelation at the period of a sound that has beats."""
SUPPORT = 0.05
"""Seconds from a beat within which an accent belongs to it."""
TWICE, HALF = 0.42, 0.35
"""Accents between beats, relative to those on beats, above which they are beats; every second one, below which not."""
DRUMS = (200.0, 4000.0)
"""Hz: kicks are below, cymbals above; what is below the second counts for whether a beat is one."""
_POWER = 1 / 3
"""Exponent from power to loudness, roughly."""
_LAG = 2


def block_accents(block: Block) -> tuple[Floats, Floats, Floats]:
    """Returns the increase of loudness at each hop of a block: in low, middle and high mel filters."""
    bank = mel_bank(fine_centres(), None)
    power = np.maximum(block.fine @ bank.for_squares, 1e-12) ** np.float32(_POWER)
    rows = power[FINE_AROUND - _LAG : FINE_AROUND + CORE]
    rise = np.maximum(rows[_LAG:] - rows[:-_LAG], 0)
    centres = np.asarray(fine_centres())[bank.weights.argmax(0)]
    low, high = centres < DRUMS[0], centres > DRUMS[1]
    return rise[:, low].sum(1), rise[:, ~low & ~high].sum(1), rise[:, high].sum(1)


def find_tempo(low: Floats, middle: Floats, high: Floats, *, onsets: Events) -> Tempo | None:
    """Returns the tempo of a track and its beats in seconds from its start; None when it has none.

    The accents are at HOP_RATE, see `block_accents`; `onsets`, of all frequencies, say exactly when an accent is.
    """
    accents = low + middle + high
    envelope = _envelope(accents)
    if len(onsets.times) < 4 or not envelope.any():
        return None
    path, pulse = _tempo_path(envelope)
    if pulse < MIN_PULSE:
        return None
    for _ in range(3):
        beats = _dynamic_beats(envelope, 60 / path * HOP_RATE)
        factor = _octave((low, middle), beats, float(np.median(path)))
        if factor == 1:
            break
        path = path * factor
    refined = _refined(beats / HOP_RATE, onsets, accents)
    if refined is None:
        return None
    times = _extended(refined, len(accents) / HOP_RATE)
    return Tempo(60 / float(np.median(np.diff(refined))), times)


def _envelope(accents: Floats) -> Array:
    """Accents above their mean, smoothed over 20 ms, with the deviation of their surroundings as unit."""
    values = ndimage.gaussian_filter1d(accents.astype(np.float64), 1.5)
    values = np.maximum(values - ndimage.uniform_filter1d(values, round(1.0 * HOP_RATE)), 0)
    scale = np.sqrt(ndimage.uniform_filter1d(np.square(values), round(8 * HOP_RATE)))
    floor = 0.1 * np.sqrt(np.mean(np.square(values)))
    return values / np.maximum(scale, floor) if floor > 0 else np.zeros(len(values))


def _tempo_path(envelope: Array) -> tuple[Array, float]:
    """Returns the tempo at each hop in beats per minute, and the median autocorrelation at its period."""
    size, step = round(WINDOW * HOP_RATE), round(STEP * HOP_RATE)
    padded = np.pad(envelope, (size // 2, size))
    starts = np.arange(0, len(envelope), step)
    tempi = np.geomspace(*BPM_RANGE, STATES)
    lags = 60 / tempi * HOP_RATE
    prior = np.exp(-0.5 * np.square(np.log2(tempi / LIKELY_BPM) / OCTAVES))
    scores, heights = np.empty((len(starts), STATES)), np.empty((len(starts), STATES))
    window = np.hanning(size)
    overlap = _autocorrelation(window[None])[0]
    for first in range(0, len(starts), 256):
        rows = np.stack([padded[s : s + size] for s in starts[first : first + 256]])
        power = np.square(rows).mean(1, keepdims=True)
        rows = (rows - rows.mean(1, keepdims=True)) * window
        correlation = _autocorrelation(rows) / np.maximum(overlap, 1e-3 * overlap[0])
        correlation /= np.maximum(np.square(rows).sum(1, keepdims=True) / overlap[0], 1e-9)
        correlation *= power > 1e-3
        at = np.stack([_interpolated(correlation, multiple * lags) for multiple in (1, 2, 3, 4)])
        part = slice(first, first + len(rows))
        heights[part] = at[0]
        scores[part] = np.tensordot(np.array([0.4, 0.25, 0.15, 0.2]), np.maximum(at, 0), 1) * prior
    distance = np.abs(np.subtract.outer(np.arange(STATES), np.arange(STATES))) * np.log2(tempi[1] / tempi[0])
    cost = np.minimum(CHANGE * np.square(distance) * 8, 1.0)
    best, previous = scores[0], np.zeros((len(starts), STATES), np.int64)
    for index in range(1, len(starts)):
        candidates = best[:, None] - cost
        previous[index] = candidates.argmax(0)
        best = candidates.max(0) + scores[index]
    states = np.empty(len(starts), np.int64)
    states[-1] = best.argmax()
    for index in range(len(starts) - 1, 0, -1):
        states[index - 1] = previous[index, states[index]]
    audible = np.abs(heights).max(1) > 0
    pulse = float(np.median(heights[np.arange(len(starts)), states][audible])) if audible.any() else 0.0
    path = np.interp(np.arange(len(envelope)), starts, ndimage.gaussian_filter1d(tempi[states], 1.0))
    return path, pulse


def _autocorrelation(rows: Array) -> Array:
    """The autocorrelation of each row up to four of the longest periods."""
    longest = round(4.1 * 60 / BPM_RANGE[0] * HOP_RATE)
    size = fft.next_fast_len(2 * rows.shape[1], real=True)
    correlation = fft.irfft(np.square(np.abs(fft.rfft(rows, size, axis=1))), size, axis=1)
    return np.asarray(correlation[:, :longest])


def _interpolated(rows: Array, at: Array) -> Array:
    low = at.astype(np.int64)
    return np.asarray(rows[:, low] * (1 - at + low) + rows[:, low + 1] * (at - low))


def _dynamic_beats(envelope: Array, period: Array) -> Array:
    """Returns the beats in hops: the sequence with the largest sum of accents less the costs of its intervals.

    All hops of less than half a period are computed at once, because none can be the beat before another.
    """
    longest, shortest = round(period.max() * 2), max(2, round(period.min() / 2))
    lags = np.arange(shortest, longest + 1)
    count = len(envelope)
    total = np.concatenate([np.zeros(longest), np.empty(count)])
    origin = np.full(count, -1, np.int64)
    logs = np.log(lags)
    for start in range(0, count, shortest):
        rows = np.arange(start, min(start + shortest, count))
        cost = TIGHTNESS * np.square(logs - np.log(period[start]))
        candidates = total[longest + rows[:, None] - lags] - cost
        choice = candidates.argmax(1)
        total[longest + rows] = envelope[rows] + candidates[np.arange(len(rows)), choice]
        origin[rows] = rows - lags[choice]
    beats = (
        [int(count - period[-1] + total[longest + count - int(period[-1]) :].argmax())] if count > period[-1] else []
    )
    while beats and origin[beats[-1]] >= 0:
        beats.append(int(origin[beats[-1]]))
    return np.array(beats[::-1], np.float64) + 0.5


def _octave(groups: tuple[Floats, ...], beats: Array, bpm: float) -> float:
    """Returns 2 when there are beats between the beats, 1/2 when every second is none, else 1.

    Each group of accents counts relative to its own strong ones, so that a kick weighs as much as a snare.
    """
    if len(beats) < 4:
        return 1.0
    at, middles = beats.astype(np.int64), ((beats[1:] + beats[:-1]) / 2).astype(np.int64)
    on, between = np.zeros(len(at)), np.zeros(len(middles))
    for group in groups:
        strong = ndimage.maximum_filter1d(group.astype(np.float64), 9)
        unit = max(float(np.percentile(strong, 95)), 1e-9)
        on += np.minimum(strong[at] / unit, 1)
        between += np.minimum(strong[middles] / unit, 1)
    if between.mean() > TWICE * on.mean() and 2 * bpm <= BPM_RANGE[1]:
        return 2.0
    even, odd = sorted([on[0::2].mean(), on[1::2].mean()])
    return 0.5 if even < HALF * odd and bpm / 2 >= BPM_RANGE[0] else 1.0


def _refined(beats: Array, onsets: Events, accents: Floats) -> Array | None:
    """Returns beats at the onsets that belong to them; others are interpolated between those. None without any."""
    if len(beats) < 3:
        return None
    frames = np.clip((onsets.times * HOP_RATE).astype(np.int64), 0, len(accents) - 1)
    weights = ndimage.maximum_filter1d(accents, 5)[frames].astype(np.float64)
    snapped = np.full(len(beats), np.nan)
    first = np.searchsorted(onsets.times, beats - SUPPORT)
    end = np.searchsorted(onsets.times, beats + SUPPORT)
    for index in np.flatnonzero(end > first):
        near = slice(first[index], end[index])
        snapped[index] = onsets.times[near][weights[near].argmax()]
    known = np.flatnonzero(~np.isnan(snapped))
    if len(known) < 3:
        return None
    span = np.arange(known[0], known[-1] + 1)
    return np.asarray(np.interp(span, known, snapped[known]))


def _extended(beats: Array, duration: float) -> Array:
    """Beats that go on with the intervals of the first and the last beats, from 0 to `duration` seconds."""
    intervals = np.diff(beats)
    head, tail = float(np.median(intervals[:8])), float(np.median(intervals[-8:]))
    before = beats[0] - head * np.arange(int(max(beats[0], 0) / head), 0, -1)
    after = beats[-1] + tail * np.arange(1, int(max(duration - beats[-1], 0) / tail) + 1)
    return np.concatenate([before[before >= 0], beats, after])
