"""The metrical level that is the beat: of the tempi that fit a pulse, the one at whose beats the accents are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from render.sound.beats import track_beats
from render.sound.blocks import HOP_RATE
from render.sound.tempogram import STEP, USUAL, WINDOW, correlate, frame_periods

Floats = NDArray[np.float32]
SLOWEST, FASTEST = 55.0, 200.0
"""Beats per minute."""
RATIOS = (1.0, 1 / 2, 2.0, 2 / 3, 3 / 2, 1 / 3, 3.0, 3 / 4, 4 / 3)
"""Of the beat's tempo to that of the pulse; of equally good ones the first is taken."""
ACCENTS = np.array([1.0, 1.0, 0.4], np.float32)
"""How much onsets of low, middle and high frequencies count as accents: a kick or a snare more than hats."""
EXCERPTS, EXCERPT = 8, 3000
"""The level is chosen in so many stretches of so many frames of a longer sound."""
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Level:
    """What speaks for a metrical level.

    `octaves` is the logarithm to base 2 of its tempo over USUAL. `strength` is the mean onset strength at its beats,
    `accent` the mean accent at its beats in [0, 1.5], and `backbeat` the difference of the mean onsets of middle
    frequencies at its odd and even beats. `bar` is the correlation of the low onsets with themselves four beats later.
    """

    ratio: float
    octaves: float
    strength: float
    accent: float
    backbeat: float
    bar: float

    def score(self, strongest: float) -> float:
        """How likely it is the beat; `strongest` is the greatest strength of a level.

        The weights are those of a logistic regression, conditional on the levels of one sound, over 550 pieces of made
        music with tempi from 60 to 180.
        """
        tempo = -2.42 * self.octaves**2 + 2.24 * self.octaves
        accents = 8.97 * self.accent + 1.75 * self.backbeat
        return tempo + accents + 4.40 * self.strength / strongest + 5.68 * self.bar


def choose_level(flux: Floats, strength: Floats, path: Floats) -> float:
    """Returns the ratio of the beat's tempo to that of a pulse.

    `flux` is the onset flux of low, middle and high frequencies, 3xN, `strength` what beats are tracked in, N, and
    `path` the tempo of the pulse in the windows of `tempogram`, in beats per minute.
    """
    found = levels(flux, strength, path)
    strongest = max(level.strength for level in found)
    return max(found, key=lambda level: level.score(strongest)).ratio


def levels(flux: Floats, strength: Floats, path: Floats) -> list[Level]:
    """Returns the levels between SLOWEST and FASTEST, or the pulse itself."""
    flux, strength, path = _excerpts(flux, strength, path)
    usual = np.percentile(ndimage.maximum_filter1d(flux, 21, axis=1), 90, axis=1, keepdims=True)
    accents = np.minimum(ndimage.maximum_filter1d(flux, 7, axis=1) / np.maximum(usual, 0.05), 1.5)
    peaks = ndimage.maximum_filter1d(strength, 5)
    correlations = correlate(flux[0] / np.float32(max(float(flux[0].std()), _LEAST_SPREAD)))
    found = []
    for ratio in RATIOS:
        tempo = float(np.median(path)) * ratio
        if ratio != 1 and not SLOWEST <= tempo <= FASTEST:
            continue
        frames = track_beats(strength, frame_periods(path * ratio, len(strength)))
        middle = accents[1, frames]
        level = Level(
            ratio=ratio,
            octaves=float(np.log2(tempo / USUAL)),
            strength=max(float(peaks[frames].mean()), 1e-6),
            accent=float((ACCENTS[:, None] * accents[:, frames]).max(0).mean()),
            backbeat=abs(float(middle[::2].mean() - middle[1::2].mean())) if len(middle) > 1 else 0.0,
            bar=_mean_at(correlations, (4 * 60 * HOP_RATE / (path * ratio)).astype(np.float32)),
        )
        found.append(level)
    return found


def _excerpts(flux: Floats, strength: Floats, path: Floats) -> tuple[Floats, Floats, Floats]:
    """The stretches of a long sound that the level is chosen in, one after the other."""
    if len(strength) <= EXCERPTS * EXCERPT:
        return flux, strength, path
    windows = EXCERPT // STEP
    firsts = np.linspace(0, len(path) - windows, EXCERPTS).astype(int)
    frames = np.concatenate([np.arange(first * STEP, first * STEP + EXCERPT) for first in firsts])
    rows = np.concatenate([np.arange(first, first + windows) for first in firsts])
    whole = (len(frames) - WINDOW) // STEP + 1
    return flux[:, frames], strength[frames], path[rows][:whole]


def _mean_at(correlations: Floats, lags: NDArray[np.floating]) -> float:
    """The mean of the windows' correlations, each at its lag; 0 if all lags are longer than measured."""
    known = lags < correlations.shape[1] - 1
    if not known.any():
        return 0.0
    whole = lags[known].astype(int)
    part = lags[known] - whole
    rows = np.flatnonzero(known)
    return float(((1 - part) * correlations[rows, whole] + part * correlations[rows, whole + 1]).mean())
