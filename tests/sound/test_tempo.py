"""Tempo and beats are found in made music, at the metrical level of its quarter notes and exact in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render.errors import StorageError
from render.media.audio import require_audio
from render.sound.analysis import tempo
from render.sound.beats import extended
from render.sound.measures import Tempo
from tests.conftest import covering
from tests.sound.music import RATE, Floats, made_music, write_wav


def tempo_of(path: Path) -> Tempo:
    return tempo(require_audio(path))


def worst(found: Tempo, truth: Floats) -> float:
    """The greatest distance of a true beat from the nearest found one, in seconds."""
    return float(np.abs(found.beats[:, None] - truth).min(0).max())


@pytest.mark.parametrize(
    ("bpm", "style"), covering(range(60, 171, 22), ["clicks", "sixteenths", "swing", "syncopated"])
)
def test_tempo_and_beats_are_found(tmp_path: Path, bpm: int, style: str) -> None:
    truth = made_music(tmp_path / "song.wav", bpm=bpm, seconds=16, style=style, offset=0.1)
    found = tempo_of(tmp_path / "song.wav")
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert worst(found, truth) < 0.03


def test_a_slow_change_of_tempo_is_followed(tmp_path: Path) -> None:
    truth = made_music(tmp_path / "song.wav", bpm=(100, 130), seconds=120)
    found = tempo_of(tmp_path / "song.wav")
    assert found.bpm == pytest.approx(115, rel=0.01)
    assert worst(found, truth) < 0.03
    assert len(found.beats) == len(truth)


def test_beats_go_on_through_a_quiet_introduction(tmp_path: Path) -> None:
    truth = made_music(tmp_path / "song.wav", bpm=125, seconds=30, intro=8)
    found = tempo_of(tmp_path / "song.wav")
    assert found.bpm == pytest.approx(125, rel=0.01)
    assert worst(found, truth) < 0.03


@pytest.mark.parametrize("kind", ["silence", "tone", "noise"])
def test_sound_without_a_beat_is_an_error(tmp_path: Path, kind: str) -> None:
    clock = np.arange(12 * RATE) / RATE
    sounds = {
        "silence": np.zeros(len(clock)),
        "tone": 0.5 * np.sin(2 * np.pi * 330 * clock),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(clock)),
    }
    write_wav(tmp_path / "song.wav", sounds[kind])
    with pytest.raises(StorageError, match=r"^song.wav has no beat that can be found; set bpm: 120$"):
        tempo_of(tmp_path / "song.wav")


def test_beats_are_extended_regularly() -> None:
    beats = extended(np.array([3.2, 3.7, 4.2, 4.7]), 2.0, 6.0)
    assert beats == pytest.approx(np.arange(2.2, 6.0, 0.5))
