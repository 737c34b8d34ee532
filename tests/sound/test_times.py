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
