"""Sound is found on the clock of its file, whatever codec and container."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render.errors import StorageError
from render.media import ffmpeg
from render.media.audio import require_audio
from render.sound.analysis import analyse
from render.sound.measures import Events, Measure
from render.sound.shaping import Shape, shaped
from tests.sound import made

ONSETS = Measure("onsets")
CODECS = {
    "s.m4a": ("-c:a", "aac"),
    "s.mp3": ("-c:a", "libmp3lame"),
    "s.flac": ("-c:a", "flac"),
    "s.wav": ("-c:a", "pcm_s16le"),
    "s.opus": ("-c:a", "libopus"),
    "s.ogg": ("-c:a", "libvorbis"),
    "s.mkv": ("-c:a", "aac"),
    "7.1.wav": ("-af", "pan=7.1|c0=c0|c1=c0|c4=c0", "-c:a", "pcm_s16le"),
    "nine.wav": ("-af", "pan=9C|c0=c0|c8=c0", "-c:a", "pcm_s16le"),
}
TIMES = np.arange(0.5, 3.6, 0.5)


def onsets(path: Path) -> np.ndarray:
    found = analyse(require_audio(path), [ONSETS])[ONSETS]
    assert isinstance(found, Events)
    return found.times


@pytest.mark.parametrize("name", CODECS)
def test_a_click_is_found_at_its_time(name: str, tmp_path: Path) -> None:
    path = made.write_sound(tmp_path / name, made.clicks(TIMES, 4), *CODECS[name])
    first = float(require_audio(path).file_start) if name.endswith(("mp3", "opus", "ogg")) else 0.0
    played = onsets(path) - first
    assert len(played) == len(TIMES)
    assert np.abs(played - TIMES).max() < 0.003


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sound_that_starts_late_is_found_late(container: str, tmp_path: Path) -> None:
    song = made.write_sound(tmp_path / "s.wav", made.clicks(TIMES, 4))
    late = tmp_path / f"late.{container}"
    video = ("-f", "lavfi", "-i", "color=s=64x48:d=5:r=25", "-itsoffset", "0.4", "-i", str(song))
    ffmpeg.run(*ffmpeg.QUIET, *video, "-c:v", "libx264", "-c:a", "aac", str(late))
    assert np.abs(onsets(late) - TIMES - 0.4).max() < 0.003


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = made.write_sound(tmp_path / "s.flac", made.clicks(TIMES, 4))
    track = require_audio(path)
    path.write_bytes(b"not sound" * 100)
    with pytest.raises(StorageError, match=r"s\.flac cannot be decoded"):
        analyse(track, [ONSETS])


@pytest.mark.parametrize("shape", [Shape(), Shape(smooth=0.5), Shape(decay=0.5)], ids=["plain", "smooth", "decay"])
def test_silence_goes_on_before_and_after_a_sound(shape: Shape, tmp_path: Path) -> None:
    sound = 0.5 * np.sin(2 * np.pi * 440 * made.seconds(2))
    for measure in (Measure("loudness"), Measure("loudness", band=(300, 600)), Measure("chroma", pitch=9)):
        track = require_audio(made.write_sound(tmp_path / "tone.wav", sound))
        signal = shaped(analyse(track, [measure])[measure], shape)
        assert signal(np.array([-30.0, -5.0, 1.0, 15.0, 60.0]), 1 / 24) == pytest.approx([0, 0, 1, 0, 0], abs=0.05)


def test_short_sounds_in_long_silence_are_measured(tmp_path: Path) -> None:
    sound = np.zeros(60 * made.RATE)
    made.place(sound, made.note(440, 0.5), 20)
    made.place(sound, 0.05 * made.note(440, 0.5), 40)
    track = require_audio(made.write_sound(tmp_path / "two.wav", sound))
    for measure in (Measure("loudness"), Measure("loudness", band=(300, 600))):
        signal = shaped(analyse(track, [measure])[measure], Shape())
        loud, soft, silence = signal(np.array([20.15, 40.15, 30.0]), 1 / 24)
        assert (loud > 0.5, 0.03 * loud < soft < 0.07 * loud, silence) == (True, True, 0)
