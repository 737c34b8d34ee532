"""Films that follow sound: sound and pictures in the same frame, resumed, and made again from the film itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from render import load, render
from render.errors import Interrupted, StorageError
from render.media import ffmpeg
from render.media.clip import clip_frames, probe_clip
from render.system.checksum import sha256
from tests.conftest import covering
from tests.media.clips import LOSSLESS, levels, samples_of, write_clip
from tests.production.films import FILM, append_index, interrupt_at, make
from tests.sound.made import clicks, write_sound

TIMES = (0.31, 0.71, 1.33)
"""Of the clicks, in seconds."""
SAMPLES = 48000
FLASH = (
    *("signals={hit: {audio: output, onsets: true, decay: 0.03s}}", "exposure=4 * hit", "dream.steps=0"),
    *("size=[32, 32]", "camera={zoom: 1}", "output.segment_frames=16"),
)
ENCODERS = {
    "song.wav": (),
    "song.flac": (),
    "song.mp3": ("-c:a", "libmp3lame"),
    "song.m4a": ("-c:a", "aac"),
    "song.opus": ("-c:a", "libopus"),
}


def flashes(film: Path) -> list[int]:
    """Returns the frames that are much brighter than the one before."""
    found = probe_clip(film)
    frames = clip_frames(
        found, found.size, fps=found.fps, frames=range(int(found.duration * found.fps)), fit="stretch", start=0
    )
    means = np.array([float(frame.mean()) for frame in frames])
    return list((np.flatnonzero(np.diff(means) > 0.15) + 1).tolist())


def clicks_of(film: Path) -> list[float]:
    """Returns the seconds at which a film's sound has a click."""
    loud = np.flatnonzero(np.abs(samples_of(film)) > 0.1) / SAMPLES
    return list(loud[np.diff(loud, prepend=-1.0) > 0.1].tolist())


def assert_together(film: Path, times: Sequence[float]) -> None:
    """Asserts that a film has a click at each time, and a flash in the frame that displays it."""
    fps = probe_clip(film).fps
    assert clicks_of(film) == pytest.approx(list(times), abs=0.004)
    assert flashes(film) == [int(time * fps) for time in times]


@pytest.mark.parametrize(("song", "fps"), covering([*ENCODERS], ["24", "30000/1001", "60"]))
def test_a_click_and_its_flash_are_in_the_same_frame(song: str, fps: str, workspace: Path) -> None:
    write_sound(workspace / song, clicks(TIMES, 2), *ENCODERS[song])
    film = make(*FLASH, f"output.audio={song}", f"fps={fps}", "duration=1.6s").path
    assert_together(film, TIMES)


def test_a_clip_that_starts_late_and_changes_its_rate_flashes_with_its_sound(workspace: Path) -> None:
    write_sound(workspace / "song.wav", clicks([0.4, 1.26, 1.87], 3))
    silent = write_clip(workspace / "silent.mkv", np.repeat(levels(1), 60, 0), *LOSSLESS, fps="25")
    uneven = ("-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr", *LOSSLESS)
    late = ("-itsoffset", "0.2", "-i", "song.wav", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(silent), *late, *uneven, "clip.mkv")
    settings = ("signals={hit: {audio: source, onsets: true, decay: 0.03s}}", "exposure=4 * hit", "dream.steps=0")
    film = make(*settings, "source={video: clip.mkv, start: 1s}", "fps=25", "camera.zoom=1", "duration=1.2s").path
    assert_together(film, [0.46, 1.07])


SETTINGS = (
    "bpm={value: 120, offset: 0.1s}",
    "signals={hit: {audio: output, onsets: true}, drift: {noise: 1b}}",
    "camera.zoom=1.01 + 0.02 * hit",
    "view={zoom: 1 + 0.1 * hit, rotate: 5 * sine(1b)}",
    "output.audio=song.wav",
    "seed=5",
)


@pytest.fixture
def song(workspace: Path) -> Path:
    """A song in the current folder."""
    return write_sound(workspace / "song.wav", clicks(TIMES, 2))


def test_a_film_with_signals_has_the_same_bytes_twice_and_after_a_stop(song: Path, workspace: Path) -> None:
    expected = sha256(make(*SETTINGS, "output.path=expected.mp4").path)
    with pytest.raises(Interrupted):
        make(*SETTINGS, on_frame=interrupt_at(13))
    indices: list[int] = []
    make(*SETTINGS, on_frame=append_index(indices))
    assert indices[0] >= 12
    assert sha256(workspace / FILM) == expected


def test_a_film_that_a_loop_and_a_signal_shape_resumes_to_the_same_bytes(song: Path, workspace: Path) -> None:
    settings = [*SETTINGS, "loop={blend: 8}", "camera.zoom=1.02", "camera.rotate=0", "duration=24", "bpm=60"]
    expected = sha256(make(*settings, "output.path=expected.mp4").path)
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(17))
    make(*settings)
    assert sha256(workspace / FILM) == expected


def test_another_song_is_another_film(song: Path, workspace: Path) -> None:
    make(*SETTINGS)
    write_sound(workspace / "other.wav", clicks([0.5], 2))
    other = tuple(each.replace("song.wav", "other.wav") for each in SETTINGS)
    with pytest.raises(StorageError, match="another film"):
        make(*other)


@pytest.mark.parametrize("name", ["song.wav", "another name.wav"])
def test_a_film_is_made_again_from_itself(name: str, song: Path, workspace: Path) -> None:
    """The sound is beside it, or found by its checksum under another name."""
    expected = sha256(make(*SETTINGS).path)
    moved = workspace / "elsewhere"
    moved.mkdir()
    shutil.move(FILM, moved / "film.mp4")
    write_sound(moved / "a.wav", clicks([0.4], 2))
    shutil.move("song.wav", moved / name)
    again = render(load(moved / "film.mp4", [("--output", "output.path", "again.mp4")])).path
    assert sha256(again) == expected
