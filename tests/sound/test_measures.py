"""Measures of made sound against its known truth, and against librosa."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from render.errors import StorageError
from render.media.audio import require_audio
from render.sound.analysis import analyse, tempo, waveform
from render.sound.measures import Events, Measure, Samples
from render.sound.shaping import Shape, shaped
from tests.conftest import covering
from tests.sound import made
from tests.sound.made import Array

ONSETS = Measure("onsets")
LOUDNESS = Measure("loudness")
T = made.seconds(8)
INSIDE = np.arange(1, 7, 0.1)
TIMES = np.arange(0.5, 7.5, 0.01)


def samples_of(folder: Path, sound: Array, measure: Measure) -> Samples:
    found = analyse(require_audio(made.write_sound(folder / "s.wav", sound)), [measure])[measure]
    assert isinstance(found, Samples)
    return found


def onsets_of(folder: Path, sound: Array, band: tuple[float, float] | None = None) -> Events:
    measure = Measure("onsets", band=band)
    found = analyse(require_audio(made.write_sound(folder / "s.wav", sound)), [measure])[measure]
    assert isinstance(found, Events)
    return found


def values(folder: Path, sound: Array, measure: Measure) -> Array:
    return shaped(samples_of(folder, sound, measure), Shape())(INSIDE, 0.04)


def tone(frequency: float, level: float = 0.3) -> Array:
    return level * np.sin(2 * np.pi * frequency * T)


def distance(found: Array, times: Sequence[float] | Array) -> float:
    """The largest distance from a time to the nearest that was found."""
    return max(float(np.abs(found - time).min()) for time in times)


@pytest.mark.parametrize(
    "times", [np.arange(0.5, 7.5, 0.731), np.arange(0.5, 7.5, 60 / 180 / 4)], ids=["sparse", "dense"]
)
def test_clicks_in_noise_are_found_when_they_are(times: Array, tmp_path: Path) -> None:
    found = onsets_of(tmp_path, made.clicks(times, 8, noise=0.2 * 10 ** (-30 / 20)))
    assert len(found.times) == len(times)
    assert distance(found.times, times) < 0.003
    assert found.strengths.min() > 0.5


def test_soft_notes_are_found_within_a_frame(tmp_path: Path) -> None:
    sound, times = np.zeros(len(T)), np.arange(0.3, 7.5, 0.37)
    for index, time in enumerate(times):
        made.place(sound, made.note(220 * 2 ** ((0, 2, 4, 5, 7, 9, 11)[index % 7] / 12), 0.37, 0.04), time)
    found = onsets_of(tmp_path, sound)
    assert len(found.times) == len(times)
    assert distance(found.times, times) < 1 / 24


@pytest.mark.parametrize("kind", ["tone", "noise", "silence"])
def test_steady_sound_has_no_onsets(kind: str, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(T))
    sound = {"tone": tone(440), "noise": noise, "silence": 0 * T}[kind]
    assert not len(onsets_of(tmp_path, sound).times)


def test_hats_are_found_in_their_band(tmp_path: Path) -> None:
    found = onsets_of(tmp_path, made.made_music(120, 8), band=(6000, 16000))
    times = np.arange(0.1, 7.9, 0.25)
    assert len(found.times) == len(times)
    assert distance(found.times, times) < 0.003


@pytest.mark.parametrize("band", [(20, 150), (60, 120), (400, 2000), (2000, 5000), (3000, 9000), (100, 10000)])
def test_a_tone_counts_within_a_band_and_not_outside(band: tuple[float, float], tmp_path: Path) -> None:
    measure = Measure("loudness", band=band)
    for frequency in (band[0] * 1.03, (band[0] * band[1]) ** 0.5, band[1] * 0.97):
        assert values(tmp_path, tone(frequency), measure).min() > 0.9
    for frequency in (band[0] / 2 ** (1 / 3), band[1] * 2 ** (1 / 3), band[0] / 2):
        assert values(tmp_path, tone(frequency), measure).max() < 0.05


def test_loudness_of_a_ramp_is_a_ramp(tmp_path: Path) -> None:
    assert np.abs(np.diff(values(tmp_path, T / 8 * tone(440), LOUDNESS), 2)).max() < 1e-4


def test_silence_is_zero(tmp_path: Path) -> None:
    for measure in (LOUDNESS, Measure("loudness", band=(20, 150)), Measure("chroma", pitch=0)):
        assert np.array_equal(values(tmp_path, 0 * T, measure), np.zeros(len(INSIDE)))


def test_tones_are_harmonic_and_clicks_percussive(tmp_path: Path) -> None:
    parts = [Measure("loudness", part="harmonic"), Measure("loudness", part="percussive")]
    for sound, loud in ((tone(440), 0), (made.clicks(np.arange(0.3, 8, 0.31), 8), 1)):
        power = [float(np.square(samples_of(tmp_path, sound, part).values[50:-50]).sum()) for part in parts]
        assert power[loud] > 100 * power[1 - loud]


@pytest.mark.parametrize(("frequency", "cents"), covering([65.4, 261.6, 2093], [-30, 30]))
def test_a_note_has_its_pitch_and_no_other(frequency: float, cents: float, tmp_path: Path) -> None:
    note = tone(frequency * 2 ** (cents / 1200))
    assert samples_of(tmp_path, note, Measure("chroma", pitch=0)).values[10:-10].min() > 0.95
    assert samples_of(tmp_path, note, Measure("chroma", pitch=1)).values[10:-10].max() < 0.02


@pytest.mark.parametrize(("bpm", "pattern"), covering([60, 85, 110, 140, 180], ["clicks", "rock", "four"]))
def test_tempo_and_beats_of_drums(bpm: float, pattern: made.Pattern, tmp_path: Path) -> None:
    sound = made.made_music(bpm, 20, pattern=pattern)
    found = tempo(require_audio(made.write_sound(tmp_path / "s.wav", sound)))
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert distance(found.beats, np.arange(0.1, 20, 60 / bpm)) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "swing"), [("clicks", 0.5), ("rock", 0.5), ("rock", 0.66), ("four", 0.5)])
@pytest.mark.parametrize("bpm", range(60, 181, 5))
def test_tempo_of_every_drum_pattern(pattern: made.Pattern, swing: float, bpm: float, tmp_path: Path) -> None:
    sound = made.made_music(bpm, 30, pattern=pattern, swing=swing)
    found = tempo(require_audio(made.write_sound(tmp_path / "s.wav", sound)))
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert distance(found.beats, np.arange(0.1, 30, 60 / bpm)) < 0.03


def test_beats_follow_a_tempo_that_changes(tmp_path: Path) -> None:
    times, time = [], 0.5
    while time < 119:
        times.append(time)
        time += 60 / (100 + 30 * time / 120)
    found = tempo(require_audio(made.write_sound(tmp_path / "s.wav", made.clicks(times, 120))))
    assert distance(found.beats, times) < 0.03
    assert distance(np.array(times), [beat for beat in found.beats if 0.5 < beat < times[-1]]) < 0.03


@pytest.mark.parametrize(("kind", "message"), [("silence", "no beat"), ("tone", "no beat"), ("noise", "no beat")])
def test_sound_without_beats_is_refused(kind: str, message: str, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(T))
    sound = {"tone": tone(440), "noise": noise, "silence": 0 * T}[kind]
    with pytest.raises(StorageError, match=message):
        tempo(require_audio(made.write_sound(tmp_path / "s.wav", sound)))


def test_the_waveform_has_the_extremes(tmp_path: Path) -> None:
    lows, highs = waveform(require_audio(made.write_sound(tmp_path / "s.wav", tone(100, 0.5))), 50)
    assert lows.shape == highs.shape == (50,)
    assert highs == pytest.approx(0.5, abs=0.01)
    assert lows == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize(("pattern", "noise"), covering(["rock", "syncopated", "four"], [0, 0.01]))
def test_loudness_is_librosas(pattern: made.Pattern, noise: float, tmp_path: Path) -> None:
    sound = made.made_music(100, 8, pattern=pattern) + noise * np.random.default_rng(0).standard_normal(len(T))
    rms = librosa.feature.rms(y=resampled(sound), frame_length=1920, hop_length=320)[0]
    own = on_grid(samples_of(tmp_path, sound, LOUDNESS), TIMES)
    assert correlation(own, np.interp(TIMES, np.arange(len(rms)) / 100, rms)) > 0.95


@pytest.mark.parametrize("noise", [0, 0.01])
@pytest.mark.parametrize("chord", [(0,), (0, 4, 7)], ids=["notes", "chords"])
def test_chroma_is_librosas(chord: tuple[int, ...], noise: float, tmp_path: Path) -> None:
    sound = melody(chord) + noise * np.random.default_rng(0).standard_normal(len(T))
    assert correlation(chroma_of(tmp_path, sound), librosas_chroma(sound)) > 0.95


@pytest.mark.parametrize(
    ("pattern", "chord", "loudness"), covering(["rock", "syncopated", "four"], [(0,), (0, 4, 7)], [1, 2])
)
def test_chroma_under_drums_is_that_without_them(
    chord: tuple[int, ...], pattern: made.Pattern, loudness: float, tmp_path: Path
) -> None:
    """`loudness` is that of the drums relative to the notes; in librosa's chroma of both, drums are pitches too."""
    notes, drums = melody(chord), made.made_music(100, 8, pattern=pattern, melody=False)
    mix = notes + drums * loudness * np.std(notes) / np.std(drums)
    mix /= np.abs(mix).max()
    truth = librosas_chroma(notes)
    found = correlation(chroma_of(tmp_path, mix), truth)
    assert found > max(0.95, correlation(librosas_chroma(mix), truth))


def test_short_notes_have_their_chroma(tmp_path: Path) -> None:
    """Sixteenths at 120 beats per minute."""
    sound = 0 * T
    for index, time in enumerate(np.arange(0, 8, 0.125)):
        made.place(sound, made.note(220 * 2 ** ((index * 5 % 12) / 12), 0.15, 0.01), time)
    assert correlation(chroma_of(tmp_path, sound), librosas_chroma(sound)) > 0.9


def melody(chord: tuple[int, ...]) -> Array:
    """Two chords a second, through all keys."""
    sound = 0 * T
    for index, time in enumerate(np.arange(0, 8, 0.5)):
        for step in chord:
            made.place(sound, made.note(220 * 2 ** ((index * 5 % 12 + step) / 12), 0.5), time)
    return sound


def chroma_of(folder: Path, sound: Array) -> Array:
    """The share of each pitch, 12xN, at TIMES."""
    track = require_audio(made.write_sound(folder / "s.wav", sound))
    found = analyse(track, [Measure("chroma", pitch=pitch) for pitch in range(12)]).values()
    return np.stack([on_grid(samples, TIMES) for samples in found if isinstance(samples, Samples)])


def librosas_chroma(sound: Array) -> Array:
    """The share of each pitch by librosa, 12xN, at TIMES."""
    chroma = librosa.feature.chroma_stft(y=resampled(sound), sr=32000, n_fft=8192, hop_length=1600, norm=1, tuning=0)
    return np.stack([np.interp(TIMES, np.arange(chroma.shape[1]) / 20, row) for row in chroma])


def resampled(sound: Array) -> NDArray[np.float32]:
    return np.asarray(librosa.resample(sound, orig_sr=made.RATE, target_sr=32000), np.float32)


def on_grid(found: Samples, times: Array) -> Array:
    return np.interp(times, found.start + np.arange(len(found.values)) / found.rate, found.values)


def correlation(one: Array, other: Array) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
