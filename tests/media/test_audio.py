"""Audio in films: synchronous with the pictures and exactly as long, copied or encoded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from render.errors import StorageError
from render.film.assembly import write_film
from render.media import ffmpeg
from render.media.audio import AudioSpan, probe_audio, require_audio
from render.media.clip import clip_frames, probe_clip
from tests.conftest import covering
from tests.film.test_encoder import flat, form_of, segment_of
from tests.media.clips import FLASH, RATE, click, samples_of, write_flashing_clip

FRAME = 1 / 25
SOUNDS = {
    "aac.mp4": ("-c:a", "aac"),
    "mp3.mp4": ("-c:a", "libmp3lame"),
    "pcm.mov": ("-c:a", "pcm_s16le"),
    "opus.mkv": ("-c:a", "libopus"),
    "vorbis.mkv": ("-c:a", "libvorbis"),
    "flac.mkv": ("-c:a", "flac"),
    "ac3.mov": ("-c:a", "ac3"),
    "mp3.avi": ("-c:a", "libmp3lame"),
    "surround.mp4": ("-c:a", "aac", "-ac", "6"),
}


@functools.cache
def grey(frames: int) -> bytes:
    """A segment of a grey film."""
    form = form_of("h264", Fraction(25), (64, 48))
    with TemporaryDirectory() as folder:
        return segment_of([flat((0.5,) * 3, form)] * frames, form, Path(folder) / "00000.mp4").read_bytes()


def film_with(audio_span: AudioSpan, frames: int, target: Path) -> Path:
    """A grey film with audio."""
    work = target.with_suffix(".work")
    work.mkdir()
    (work / "00000.mp4").write_bytes(grey(frames))
    form = form_of("h264", Fraction(25), (64, 48))
    write_film([work / "00000.mp4"], target, output_format=form, metadata={}, audio=audio_span)
    return target


@pytest.fixture(scope="module")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the path of a flashing clip with one of SOUNDS, which is encoded once."""
    folder = tmp_path_factory.mktemp("sounds")
    return functools.cache(lambda name: write_flashing_clip(folder / name, SOUNDS[name]))


@functools.cache
def clicks(path: Path) -> float:
    """The time of the click in a clip, cached."""
    return click(path)


def codec(path: Path) -> str:
    track = probe_audio(path)
    assert track is not None
    return track.codec


@pytest.mark.parametrize(("name", "suffix", "start"), covering([*SOUNDS], [".mp4", ".mov"], [0, 13]))
def test_a_click_is_at_the_same_picture(
    name: str, suffix: str, start: int, clip_of: Callable[[str], Path], tmp_path: Path
) -> None:
    track = require_audio(clip_of(name))
    film = film_with(AudioSpan(track, Fraction(start, 25), Fraction(40, 25)), 40, tmp_path / f"film{suffix}")
    played = clicks(clip_of(name))  # MP3 in AVI is late by its encoder's delay
    assert played == pytest.approx(FLASH / 25, abs=FRAME * 0.6)
    assert click(film) == pytest.approx(played - start / 25, abs=0.003)
    assert len(samples_of(film)) / RATE == pytest.approx(40 / 25, abs=0.001)


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        ("aac.mp4", ".mp4", "aac"),
        ("mp3.mp4", ".mp4", "mp3"),
        ("pcm.mov", ".mov", "pcm_s24le"),
        ("pcm.mov", ".mp4", "aac"),
        ("vorbis.mkv", ".mp4", "aac"),
        ("opus.mkv", ".mov", "pcm_s24le"),
    ],
)
def test_audio_is_copied_where_the_container_allows_it(
    name: str, suffix: str, expected: str, clip_of: Callable[[str], Path], tmp_path: Path
) -> None:
    track = require_audio(clip_of(name))
    assert codec(film_with(AudioSpan(track, Fraction(0), Fraction(1)), 25, tmp_path / f"film{suffix}")) == expected


@pytest.mark.parametrize(("name", "start"), covering(["aac.mp4", "pcm.mov", "vorbis.mkv"], [0, 40, 200]))
def test_audio_that_ends_before_the_film_is_followed_by_silence(
    name: str, start: int, clip_of: Callable[[str], Path], tmp_path: Path
) -> None:
    track = require_audio(clip_of(name))
    film = film_with(AudioSpan(track, Fraction(start, 25), Fraction(4)), 100, tmp_path / "film.mp4")
    played = samples_of(film)
    assert len(played) / RATE == pytest.approx(4, abs=FRAME)
    assert abs(played[-RATE:]).max() < 0.01
    assert abs(played).max() > 0.2 or start > FLASH


@pytest.mark.parametrize(
    ("container", "kind", "start"), covering(["mp4", "ts", "mkv"], ["late sound", "late pictures"], [0, 13])
)
def test_audio_and_video_of_different_starts_stay_synchronous(
    kind: str, start: int, container: str, tmp_path: Path
) -> None:
    """A click at a flash, where one of the two streams starts 0.4 s after the other."""
    whole = write_flashing_clip(tmp_path / "whole.mkv", ("-c:a", "aac"))
    late, rest = ("0:v", "1:a") if kind == "late sound" else ("1:v", "0:a")
    apart = tmp_path / f"apart.{container}"
    two = ["-i", str(whole), "-itsoffset", "0.4", "-i", str(whole)]
    again = ["-c:v", "libx264", "-bf", "0", "-qp", "0", "-c:a", "aac"]
    ffmpeg.run(*ffmpeg.QUIET, *two, "-map", late, "-map", rest, *again, str(apart))
    clip, track = probe_clip(apart), require_audio(apart)
    frames = list(clip_frames(clip, clip.size, fps=Fraction(25), frames=range(50), start=start))
    flash = next(i for i, frame in enumerate(frames) if float(frame.mean()) > 0.5)
    film = film_with(AudioSpan(track, clip.start + Fraction(start, 25), Fraction(2)), 50, tmp_path / "film.mp4")
    offset = 0.4 if kind == "late sound" else -0.4
    assert click(film) - flash / 25 == pytest.approx(offset, abs=FRAME)


@pytest.mark.parametrize("name", ["song.mp3", "song.m4a", "song.aac", "song.wav", "song.opus", "song.flac"])
def test_a_song_starts_as_players_start_it(name: str, tmp_path: Path) -> None:
    codec = {".mp3": "libmp3lame", ".wav": "pcm_s16le", ".opus": "libopus", ".flac": "flac"}.get(name[4:], "aac")
    clip = write_flashing_clip(tmp_path / "c.mkv", ("-c:a", codec))
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(clip), "-vn", "-c", "copy", str(tmp_path / name))
    track = require_audio(tmp_path / name)
    played = click(tmp_path / name)
    film = film_with(AudioSpan(track, track.start, Fraction(2)), 50, tmp_path / "film.mp4")
    assert click(film) == pytest.approx(played, abs=0.003)
    assert len(samples_of(film)) / RATE == pytest.approx(2, abs=0.001)


def test_the_same_span_gives_the_same_bytes(tmp_path: Path) -> None:
    track = require_audio(write_flashing_clip(tmp_path / "c.mkv", ("-c:a", "libvorbis")))
    span = AudioSpan(track, Fraction(0), Fraction(2))
    films = [film_with(span, 50, tmp_path / f"{n}.mp4").read_bytes() for n in range(2)]
    assert films[0] == films[1]


def test_a_file_without_audio_is_an_error(tmp_path: Path) -> None:
    silent = tmp_path / "c.mp4"
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(write_flashing_clip(tmp_path / "f.mp4")), "-an", "-c", "copy", str(silent))
    assert probe_audio(silent) is None
    with pytest.raises(StorageError, match=r"c\.mp4 holds no sound"):
        require_audio(silent)
    (tmp_path / "song.m4a").write_text("la la la")
    with pytest.raises(StorageError, match=r"song\.m4a is not a sound that can be read"):
        require_audio(tmp_path / "song.m4a")
