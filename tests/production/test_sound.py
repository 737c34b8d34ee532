"""The sound and the container of a film are changed without dreaming a frame again."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.errors import Interrupted, StorageError
from render.film.assembly import is_intact
from render.media import ffmpeg
from render.media.audio import probe_audio
from render.system.checksum import sha256
from tests.production.films import CLIP, FILM, PARTS, append_index, interrupt_at, make, must_not_dream, write_clip

LOW, HIGH = "output.audio=low.m4a", "output.audio=high.m4a"


@pytest.fixture(autouse=True)
def songs(workspace: Path) -> None:
    """Two sounds in the current folder."""
    for name, frequency in (("low", 300), ("high", 900)):
        tone = ("-f", "lavfi", "-i", f"sine=frequency={frequency}:duration=2", "-c:a", "aac")
        ffmpeg.run(*ffmpeg.QUIET, *tone, str(workspace / f"{name}.m4a"))


@pytest.mark.parametrize(("before", "after"), [(LOW, HIGH), (LOW, "output.audio=none"), ("output.audio=none", HIGH)])
def test_an_unfinished_film_resumes_with_another_sound(workspace: Path, before: str, after: str) -> None:
    expected = sha256(make(after, "output.path=expected.mp4").path)
    with pytest.raises(Interrupted):
        make(before, on_frame=interrupt_at(13))
    indices: list[int] = []
    make(after, on_frame=append_index(indices))
    assert indices[0] >= 12
    assert sha256(workspace / FILM) == expected


def test_a_sound_that_changed_or_vanished_costs_no_frame(workspace: Path) -> None:
    with pytest.raises(Interrupted):
        make(LOW, on_frame=interrupt_at(13))
    (workspace / "high.m4a").rename(workspace / "low.m4a")
    indices: list[int] = []
    make(LOW, on_frame=append_index(indices))
    assert indices[0] >= 12


def test_a_finished_film_gets_another_sound_only_with_overwrite(workspace: Path) -> None:
    expected = sha256(make(HIGH, "output.path=expected.mp4").path)
    first = sha256(make(LOW).path)
    with pytest.raises(StorageError, match="is this film with another sound; --overwrite replaces the sound"):
        make(HIGH, on_frame=must_not_dream)
    assert sha256(workspace / FILM) == first
    assert make(HIGH, overwrite=True, on_frame=must_not_dream).made
    assert sha256(workspace / FILM) == expected
    assert not list(workspace.glob("render-join*"))


def test_a_finished_film_gets_another_track_of_its_sound(workspace: Path) -> None:
    tracks = ("-i", "low.m4a", "-i", "high.m4a", "-map", "0", "-map", "1", "-c", "copy")
    ffmpeg.run(*ffmpeg.QUIET, *tracks, "both.m4a")
    low, high = (("output.audio=both.m4a", f"output.audio_track={track}") for track in range(2))
    expected = sha256(make(*high, "output.path=expected.mp4").path)
    assert sha256(make(*low).path) != expected
    assert sha256(make(*high, overwrite=True, on_frame=must_not_dream).path) == expected


def test_a_damaged_film_is_dreamed_again_for_another_sound(workspace: Path) -> None:
    make(LOW)
    data = (workspace / FILM).read_bytes()
    (workspace / FILM).write_bytes(data[:-500])
    indices: list[int] = []
    make(HIGH, overwrite=True, on_frame=append_index(indices))
    assert len(indices) == 20
    assert is_intact(workspace / FILM)


def test_the_sound_of_the_clip_is_replaced(workspace: Path) -> None:
    write_clip(workspace)
    settings = (f"source.video={CLIP}", "duration=6")
    make(*settings)
    make(*settings, LOW, overwrite=True, on_frame=must_not_dream)
    track = probe_audio(workspace / FILM)
    assert track is not None
    make(*settings, "output.audio=none", overwrite=True, on_frame=must_not_dream)
    assert probe_audio(workspace / FILM) is None


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_another_container_takes_the_frames_of_the_first(workspace: Path, codec: str) -> None:
    settings = (f"output.codec={codec}", "duration=6")
    expected = sha256(make(*settings, LOW, "output.path=expected.mov").path)
    make(*settings)
    assert make(*settings, LOW, "output.path=film.mov", on_frame=must_not_dream).made
    assert sha256(workspace / "film.mov") == expected
    assert (workspace / FILM).exists()


def test_an_unfinished_film_is_finished_in_another_container(workspace: Path) -> None:
    expected = sha256(make("output.path=expected.mov").path)
    with pytest.raises(Interrupted):
        make(on_frame=interrupt_at(13))
    assert (workspace / PARTS).is_dir()
    indices: list[int] = []
    make("output.path=film.mov", on_frame=append_index(indices))
    assert indices[0] >= 12
    assert sha256(workspace / "film.mov") == expected
    assert not list(workspace.glob("*.parts"))
