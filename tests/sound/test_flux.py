"""Onset strength against librosa's, and blocks: no traces of borders, the same bytes in any pieces."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from render.sound import analysis
from render.sound.blocks import CORE, HOP, RATE
from render.sound.measures import Measure
from tests.sound import made

FEATURES: list[analysis.Feature] = [
    "energy", "extremes", Measure("chroma"), Measure("onsets"), Measure("onsets", band=(20, 150)),
    Measure("loudness", band=(20, 150)), Measure("loudness", band=(1000, 9000)), Measure("loudness", part="harmonic"),
]  # fmt: skip


def song(length: float) -> np.ndarray:
    sound = made.made_music(110, length) + 0.003 * np.random.default_rng(0).standard_normal(round(length * made.RATE))
    return np.asarray(librosa.resample(sound, orig_sr=made.RATE, target_sr=RATE), np.float32)


@pytest.mark.parametrize("noise", [False, True])
def test_onset_strength_is_librosas(noise: bool) -> None:
    wave = song(8) if noise else librosa.resample(made.made_music(90, 8), orig_sr=made.RATE, target_sr=RATE)
    flux = analysis.measure_blocks([np.asarray(wave, np.float32)], [Measure("onsets")])[Measure("onsets")][0]
    theirs = librosa.onset.onset_strength(y=wave, sr=RATE, n_fft=1024, hop_length=HOP, lag=2, center=False, n_mels=40)
    times = np.arange(0.3, 7.5, 0.01)
    other = np.interp(times, np.arange(len(theirs)) / 100, theirs)
    shifts = [
        np.corrcoef(np.interp(times + s / 200, np.arange(len(flux)) / 100, flux), other)[0, 1] for s in range(-8, 9)
    ]
    assert max(shifts) > 0.95


def test_any_pieces_give_the_same_bytes() -> None:
    wave = song(23)
    whole = analysis.measure_blocks([wave], FEATURES)
    pieces = analysis.measure_blocks(np.array_split(wave, 37), FEATURES)
    for feature in FEATURES:
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(whole[feature], pieces[feature], strict=True))


@pytest.mark.parametrize("feature", [f for f in FEATURES if f not in ("extremes", Measure("chroma"))], ids=str)
def test_borders_of_blocks_leave_no_trace(feature: analysis.Feature) -> None:
    """A sound measured again half a block later has the same values."""
    wave, shift = song(25), CORE // 2
    late = np.concatenate([np.zeros(shift * HOP, np.float32), wave])
    (one, *_), (other, *_) = (analysis.measure_blocks([w], [feature])[feature] for w in (wave, late))
    moved = shift if len(one) > 2000 else shift // 2
    inner = slice(20, len(one) - 20)
    assert np.allclose(one[inner], other[moved:][inner], rtol=1e-3, atol=1e-3 * float(one.max()))
