"""Sound of many channels, and of channels or rates that change in mid-stream."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.errors import StorageError
from render.media import ffmpeg
from render.media.audio import AudioSpan, channel_filter, is_mixed_down, require_audio, write_audio
from tests.conftest import covering
from tests.media.clips import RATE

MANY = ("3.1.2", "FL+FR+TC", "5.1.4", "22.2", "hexadecagonal")


def tone(path: Path, layout: str, *options: str, frequency: int = 440, seconds: float = 1) -> Path:
    """A tone in every channel; returns its path."""
    source = f"aevalsrc=0.2*sin({frequency}*2*PI*t):d={seconds}:s={RATE}"
    spread = f"pan={layout}|" + "|".join(f"c{i}=c0" for i in range(channels_of(layout)))
    ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", source, "-af", spread, *options, str(path))
    return path


def channels_of(layout: str) -> int:
    output = ("-f", "lavfi", "-i", f"anullsrc=cl={layout}:d=0.001:r=1000", "-c:a", "pcm_u8", "-f", "u8", "-")
    return len(ffmpeg.run(*ffmpeg.QUIET, *output))


def decoded(path: Path, channels: int) -> np.ndarray:
    """The samples of a film's sound in its own channels, Nx`channels`."""
    output = ("-map", "0:a", "-ar", str(RATE), "-f", "f32le", "-")
    return np.frombuffer(ffmpeg.run(*ffmpeg.QUIET, "-i", str(path), *output), np.float32).reshape(-1, channels)


def span_of(path: Path, seconds: float = 1) -> AudioSpan:
    track = require_audio(path)
    return AudioSpan(track, track.file_start, Fraction(seconds))


@pytest.mark.parametrize(
    "layout", [pytest.param(name, marks=() if name in ("5.1.4", "22.2") else pytest.mark.slow) for name in MANY]
)
def test_channels_that_mp4_cannot_hold_are_mixed_down_and_mov_keeps_them(layout: str, tmp_path: Path) -> None:
    span = span_of(tone(tmp_path / "s.wav", layout, "-c:a", "pcm_s16le"))
    assert is_mixed_down(span, ".mp4")
    assert not is_mixed_down(span, ".mov")
    loud = decoded(write_audio(span, tmp_path, suffix=".mp4"), 2)[RATE // 4 : RATE // 2].std(0)
    assert loud.min() > 0.05
    kept = decoded(write_audio(span, tmp_path, suffix=".mov"), channels_of(layout))
    assert kept[RATE // 4 : RATE // 2].std(0).min() > 0.05


@pytest.mark.parametrize("layout", ["mono", "stereo", "quad", "5.1(side)", "6.1"])
def test_usual_channels_are_kept(layout: str, tmp_path: Path) -> None:
    span = span_of(tone(tmp_path / "s.mkv", layout, "-c:a", "flac"))
    assert not is_mixed_down(span, ".mp4")
    kept = decoded(write_audio(span, tmp_path, suffix=".mp4"), channels_of(layout))
    assert len(kept) == RATE


def test_ambisonics_become_stereo_by_direction(tmp_path: Path) -> None:
    """A tone from the left: W and Y (to the left) are equal."""
    source = f"aevalsrc=0.2*sin(440*2*PI*t)|0.2*sin(440*2*PI*t)|0|0:d=1:s={RATE}:c='ambisonic 1'"
    opus = ("-c:a", "libopus", "-mapping_family", "2")
    ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", source, *opus, str(tmp_path / "a.mkv"))
    span = span_of(tmp_path / "a.mkv")
    assert span.track.layout == "ambisonic 1"
    assert is_mixed_down(span, ".mp4")
    left, right = decoded(write_audio(span, tmp_path, suffix=".mp4"), 2)[RATE // 4 : RATE // 2].std(0)
    assert left > 0.1
    assert right < 0.01


@pytest.mark.parametrize("count", [9, 32])
def test_channels_without_places_are_refused_for_mp4_and_kept_in_mov(count: int, tmp_path: Path) -> None:
    source = f"aevalsrc={'|'.join(['0.2*sin(440*2*PI*t)'] * count)}:d=1:s={RATE}"
    ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", source, "-c:a", "pcm_s16le", str(tmp_path / "s.wav"))
    span = span_of(tmp_path / "s.wav")
    with pytest.raises(StorageError, match=rf"s\.wav has channels \({count} channels\) that cannot be mixed down"):
        channel_filter(span.track, ".mp4")
    assert decoded(write_audio(span, tmp_path, suffix=".mov"), count)[RATE // 4 : RATE // 2].std(0).min() > 0.1


PARTS = {
    "stereo, 5.1, stereo": ("ts", [("stereo", 48000), ("5.1", 48000), ("stereo", 48000)], "ac3"),
    "5.1, stereo, 5.1": ("ts", [("5.1", 48000), ("stereo", 48000), ("5.1", 48000)], "ac3"),
    "rate": ("ts", [("stereo", 48000), ("stereo", 32000), ("stereo", 48000)], "mp2"),
    "AAC, stereo, 5.1, stereo": ("ts", [("stereo", 48000), ("5.1", 48000), ("stereo", 48000)], "aac"),
    "AAC, rate": ("ts", [("stereo", 48000), ("stereo", 32000), ("stereo", 48000)], "aac"),
    "mono, stereo, mono": ("ts", [("mono", 48000), ("stereo", 48000), ("mono", 48000)], "mp2"),
}


@pytest.mark.parametrize(("kind", "place"), covering([*PARTS], [(0, ".mp4"), (1.5, ".mov")]))
def test_sound_stays_in_time_when_its_channels_or_rate_change(
    kind: str, place: tuple[float, str], tmp_path: Path
) -> None:
    start, suffix = place
    container, parts, codec = PARTS[kind]
    for number, (layout, rate) in enumerate(parts):
        name, frequency = tmp_path / f"{number}.{container}", (440, 880, 440)[number]
        tone(name, layout, "-ar", str(rate), "-c:a", codec, "-b:a", "192k", frequency=frequency)
    (tmp_path / "list.txt").write_text("".join(f"file {n}.{container}\nduration 1\n" for n in range(len(parts))))
    ffmpeg.run(*ffmpeg.QUIET, "-f", "concat", "-i", "list.txt", "-c", "copy", f"c.{container}", folder=tmp_path)
    track = require_audio(tmp_path / f"c.{container}")
    span = AudioSpan(track, track.start + Fraction(start), Fraction(3))
    film = write_audio(span, tmp_path, suffix=suffix)
    output = ("-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "f32le", "-")
    samples = np.frombuffer(ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), *output), np.float32)
    assert len(samples) / 8000 == pytest.approx(3, abs=0.05)
    for time in (0.25, 1.25, 2.25, 2.75):
        moment = time + start
        block = samples[int(time * 8000) - 800 : int(time * 8000) + 800]
        pitch = np.abs(np.fft.rfft(block * np.hanning(len(block)))).argmax() * 5
        expected = 880 if 1 < moment < 2 else 440
        if moment > 3.1:
            assert np.abs(block).max() < 0.01
        elif min(abs(moment - edge) for edge in (1, 2, 3)) > 0.15:
            assert pitch == pytest.approx(expected, abs=10)
