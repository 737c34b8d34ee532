"""Tracks: which of several video and audio tracks of a file is used, and which can be requested."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.media import ffmpeg
from render.media.audio import probe_audio
from render.media.clip import clip_frames, probe_clip
from render.media.probe import probe_media
from render.media.tracks import TrackError
from tests.media.clips import LOSSLESS, levels, write_clip

LEVELS = (2, 12, 22)
"""The level of each video track."""
RATES = (16000, 32000, 48000)
"""Samples per second of each audio track, by which the tests tell them apart."""


def many_tracks(path: Path, *options: str, videos: int = 3, audios: int = 3) -> Path:
    """A file of half a second, with tracks of different levels and rates, video first; returns its path."""
    inputs: list[str] = []
    for number in range(videos):
        part = path.with_name(f"v{number}.mkv")
        pictures = levels(LEVELS[number] + 1)[[LEVELS[number]] * 12]
        inputs += ["-i", str(write_clip(part, pictures, *LOSSLESS))]
    for rate in RATES[:audios]:
        inputs += ["-f", "lavfi", "-i", f"sine=d=0.5:r={rate}"]
    maps = [argument for number in range(videos + audios) for argument in ("-map", str(number))]
    ffmpeg.run(*ffmpeg.QUIET, *inputs, *maps, "-c:v", "copy", "-c:a", "aac", *options, str(path))
    return path


def chosen(path: Path, track: int | None = None, audio_track: int | None = None) -> tuple[int, int]:
    """The numbers of the tracks that are used."""
    clip = probe_clip(path, track=track)
    (frame,) = clip_frames(clip, clip.size, fps=clip.fps, frames=range(1))
    audio = probe_audio(path, audio_track, video_track=track)
    assert audio is not None
    assert audio.rate is not None
    return LEVELS.index(round((255 * float(frame.mean()) - 20) / 5)), RATES.index(audio.rate)


def marked(video: int | None, audio: int | None) -> tuple[str, ...]:
    """The options that mark one video and one audio track as default, and no others."""
    flags = []
    for number in range(3):
        flags += [f"-disposition:v:{number}", "default" if number == video else "0"]
        flags += [f"-disposition:a:{number}", "default" if number == audio else "0"]
    return tuple(flags)


@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize(("video", "audio"), [(0, 2), (2, 1)])
def test_the_track_that_the_file_marks_as_default_is_used(
    container: str, video: int, audio: int, tmp_path: Path
) -> None:
    path = many_tracks(tmp_path / f"c.{container}", *marked(video, audio))
    assert chosen(path) == (video, audio)
    assert chosen(path, 1, 0) == (1, 0)


def test_without_a_default_the_first_track_is_used(tmp_path: Path) -> None:
    assert chosen(many_tracks(tmp_path / "c.mkv", *marked(None, None))) == (0, 0)
    assert chosen(many_tracks(tmp_path / "c.ts")) == (0, 0)


@pytest.mark.parametrize("kind", ["comment", "visual_impaired", "hearing_impaired"])
def test_an_additional_track_is_used_only_without_another(kind: str, tmp_path: Path) -> None:
    path = many_tracks(tmp_path / "c.mkv", *marked(0, None), "-disposition:a:0", kind)
    assert chosen(path) == (0, 1)
    assert chosen(path, audio_track=0) == (0, 0)
    path = many_tracks(tmp_path / "one.mkv", "-disposition:a:0", kind, videos=1, audios=1)
    assert chosen(path) == (0, 0)


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.m4a", "c.flac", "c.mp3"])
def test_a_cover_picture_is_no_video_track(name: str, tmp_path: Path) -> None:
    cover = write_clip(tmp_path / "cover.png", levels(1), "-update", "1")
    has_video = name in ("c.mp4", "c.mkv")
    codec = {".flac": "flac", ".mp3": "libmp3lame"}.get(Path(name).suffix, "aac")
    song = many_tracks(tmp_path / "song.mkv", videos=int(has_video), audios=1)
    attached = ["-i", str(cover), "-map", "1:v", "-map", "0:v?", "-map", "0:a", "-disposition:v:0", "attached_pic"]
    if name == "c.mkv":
        attached = ["-map", "0", "-attach", str(cover), "-metadata:s:t", "mimetype=image/png"]
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(song), *attached, "-c:v", "copy", "-c:a", codec, str(tmp_path / name))
    media = probe_media(tmp_path / name, "clip")
    assert (media.video is not None) == has_video
    assert media.audio is not None
    with pytest.raises(TrackError, match=f"{name} has no video track 1; it has "):
        probe_media(tmp_path / name, "clip", video_track=1)


def test_a_track_that_does_not_exist_is_an_error_that_lists_those_that_do(tmp_path: Path) -> None:
    path = many_tracks(tmp_path / "c.mkv", "-metadata:s:a:1", "language=eng", videos=2)
    with pytest.raises(TrackError) as caught:
        probe_clip(path, track=2)
    assert str(caught.value) == f"{path} has no video track 2; it has 0 (h264, 64x48), 1 (h264, 64x48)"
    with pytest.raises(
        TrackError, match=r"no audio track 3; it has 0 \(aac, mono\), 1 \(aac, eng, mono\), 2 \(aac, mo"
    ):
        probe_audio(path, 3)
    silent = many_tracks(tmp_path / "silent.mkv", videos=1, audios=0)
    with pytest.raises(TrackError, match=r"silent\.mkv has no audio track 0; it has none"):
        probe_audio(silent, 0)


def test_a_file_starts_with_its_pictures_or_with_its_earliest_sound(tmp_path: Path) -> None:
    two = many_tracks(tmp_path / "two.mka", videos=0, audios=2)
    late = ["-i", str(two), "-itsoffset", "0.4", "-i", str(two), "-map", "0:a:0", "-map", "1:a:1", "-c", "copy"]
    ffmpeg.run(*ffmpeg.QUIET, *late, str(tmp_path / "late.mka"))
    track = probe_audio(tmp_path / "late.mka", 1)
    assert track is not None
    assert float(track.start - track.file_start) == pytest.approx(0.4, abs=0.05)  # less priming
    single = probe_audio(many_tracks(tmp_path / "one.mka", videos=0, audios=1))
    assert single is not None
    assert single.file_start == single.start
