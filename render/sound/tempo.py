"""Tempo and beats of a sound that keeps its tempo or changes it slowly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.media.audio import AudioTrack
from render.media.pcm import read_mono
from render.sound.beats import exact_beats, extended, track_beats
from render.sound.flux import HOP_RATE, RATE, band_levels, onset_flux
from render.sound.measures import Tempo
from render.sound.meter import choose_level
from render.sound.tempogram import frame_periods, tempo_path

Floats = NDArray[np.float32]
GROUP_WEIGHTS = (1.0, 1.0, 0.5)
"""Of low, middle and high frequencies in the onset strength that beats are tracked in."""
LATENCY = -0.009
"""Seconds from an onset to the greatest rise of the levels: a window sees the onset before its centre reaches it."""
LEAST_SPREAD = 0.01
"""Standard deviation of the onset strength below which there are no onsets."""
LEAST_CLARITY = 0.15
"""Mean correlation of the onset strength with itself, beats later, below which there is no beat."""


def tempo(track: AudioTrack) -> Tempo:
    """Returns the tempo of a track and its beats. Raises StorageError if it is silent or has no beat."""
    status = track.path.stat()
    return _tempo(track, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _tempo(track: AudioTrack, size: int, modified: int) -> Tempo:
    """The tempo of a track of a file of this size and time of modification."""
    found = find_beats(onset_flux(band_levels(read_mono(track, rate=RATE))))
    if found is None:
        raise StorageError(f"{track.path.name} has no beat that can be found; set bpm: 120")
    beats = extended(found / HOP_RATE - LATENCY, 0.0, float(track.end - track.start)) + float(track.start)
    return Tempo(bpm=float(60 / np.median(np.diff(beats))), beats=beats)


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
