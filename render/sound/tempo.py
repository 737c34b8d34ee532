"""Tempo and beats of a sound that keeps its tempo or changes it slowly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.sound.beats import exact_beats, extended, track_beats
from render.sound.blocks import HOP_RATE, Floats
from render.sound.meter import choose_level
from render.sound.tempogram import frame_periods, tempo_path

GROUP_WEIGHTS = (1.0, 1.0, 0.5)
"""Of low, middle and high frequencies in the onset strength that beats are tracked in."""
LATENCY = -0.009
"""Seconds from an onset to the greatest rise of the levels: a window sees the onset before its centre reaches it."""
LEAST_SPREAD = 0.01
"""Standard deviation of the onset strength below which there are no onsets."""
LEAST_CLARITY = 0.15
"""Mean correlation of the onset strength with itself, beats later, below which there is no beat."""


def beats_of(flux: Floats, duration: float) -> NDArray[np.float64]:
    """Returns the beats of a sound of `duration` seconds, in seconds from its start; none if there is no beat.

    `flux` is the onset flux of low, middle and high frequencies in all hops, 3xN.
    """
    found = find_beats(flux)
    if found is None:
        return np.zeros(0)
    return extended((found + 0.5) / HOP_RATE - LATENCY, 0.0, duration)


def find_beats(flux: Floats) -> NDArray[np.float64] | None:
    """Returns the beats of a sound in frames of its onset flux, 3xN, or None if there is no beat."""
    strength = np.asarray(GROUP_WEIGHTS, np.float32) @ flux
    spread = float(strength.std()) if len(strength) else 0.0
    if spread < LEAST_SPREAD:
        return None
    strength /= np.float32(spread)
    path, clarity = tempo_path(strength)
    if clarity < LEAST_CLARITY:
        return None
    path = path * choose_level(flux, strength, path)
    frames = track_beats(strength, frame_periods(path, len(strength)))
    return exact_beats(strength, frames) if len(frames) > 2 else None
