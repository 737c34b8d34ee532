"""What is valid in a scene, but hardly what was meant: warnings with a position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import load
from render.media import ffmpeg
from tests.media.clips import write_clip
from tests.sound.made import RATE, write_sound

SCENE = "size: [32, 32]\nobjectives: [{layer: blocks.1}]\n"


def warnings_of(tmp_path: Path, text: str) -> list[tuple[str, int, int]]:
    """(message, line, column) of each warning about a scene with these keys, from line 3 on."""
    (tmp_path / "s.yaml").write_text(SCENE + text)
    problems = load(tmp_path / "s.yaml").warnings
    return [(each.message, each.position.line, each.position.column) for each in problems if each.position is not None]


@pytest.mark.parametrize(
    ("text", "says", "column"),
    [
        ("duration: 3", "3 frames are 0.12 s at 24 fps; 3s with the unit are seconds", 11),
        ("duration: 10\nfps: 25", "10 frames are 0.4 s", 11),
        ("camera: {zoom: {0s: 1, 11s: 1.1}}", "the film ends at 10 s, frame 240, before this keyframe", 24),
        ("camera: {zoom: {0: 1, 241: 1.1}}", "the film ends at 10 s", 23),
        ("camera: {pan: [{0s: 0, 101%: 0.1}, 0]}", "the film ends at 10 s", 24),
        ("dream: {step_size: {0s: 0.01, 1e3s: {value: 0.02, ease: hold}}}", "the film ends at 10 s", 31),
        ("camera: {look_at: {point: [0, 0], by: 241}}", "the film ends at 10 s, frame 240, before the point", 39),
        (
            "dream: {cadence: 5}\nduration: 72\nloop: {blend: 24}",
            "72 frames are no multiple of 5: before the loop starts again, the picture changes in 2 frames as much as "
            "elsewhere in 5; duration: 70 or 75",
            18,
        ),
        ("grade: {contrast: 0.6}", "no picture has the mean 0.46 and the contrast 0.6, as at frame 0", 19),
        ("grade: {mean: 0.01}", "with that mean the contrast is at most 0.099", 15),
        ("grade: {mean: {0s: 0.5, end: 1}}", "no picture has the mean 0.964 and the contrast 0.19, as at frame 2", 15),
    ],
)
def test_what_was_hardly_meant_has_a_warning_with_its_position(
    text: str, says: str, column: int, tmp_path: Path
) -> None:
    ((message, line, found),) = warnings_of(tmp_path, text)
    assert says in message
    assert (line, found) == (3, column)


@pytest.mark.parametrize(
    "text",
    [
        "duration: 1",
        "duration: 24",
        "duration: 0.1s",
        "duration: 3\noutput: {codec: png}",
        "camera: {zoom: {0s: 1, 10s: 1.1}}",
        "camera: {zoom: {0: 1, 240: 1.1, end: 1.2}}",
        "camera: {look_at: {point: [0, 0], by: 10s}}",
        "dream: {cadence: 5}\nduration: 75\nloop: {blend: 25}",
        "dream: {cadence: 5}\nduration: 72",
        "grade: {mean: 0.5, contrast: 0.5}",
        "grade: {mean: 0, contrast: 0.5, strength: 0}",
    ],
)
def test_what_is_meant_has_none(text: str, tmp_path: Path) -> None:
    assert warnings_of(tmp_path, text) == []


def test_a_song_that_ends_before_its_film_has_a_warning(tmp_path: Path) -> None:
    write_sound(tmp_path / "song.wav", np.full(2 * RATE, 0.5))
    assert warnings_of(tmp_path, "duration: 2.4s\noutput: {audio: song.wav}") == []
    message = "song.wav ends at 2 s and the film at 3 s, silent from there on; duration: 2s"
    assert warnings_of(tmp_path, "duration: 3s\noutput: {audio: song.wav}") == [(message, 4, 17)]
    ffmpeg.run("-itsoffset", "5", "-i", str(tmp_path / "song.wav"), "-c", "copy", str(tmp_path / "late.mkv"))
    message = "late.mkv ends at 1.999 s and the film at 3 s, silent from there on; duration: 1.999s"  # in whole ms
    assert warnings_of(tmp_path, "duration: 3s\noutput: {audio: late.mkv}") == [(message, 4, 17)]


def test_the_end_of_a_clip_is_the_films(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", np.zeros((6, 32, 32, 3), np.uint8))
    (warning,) = warnings_of(tmp_path, "source: {video: c.mp4}\ncamera: {rotate: {0s: 0, 1s: 9}}")
    assert warning == ("the film ends at 0.24 s, frame 6, before this keyframe", 4, 26)


def test_an_override_is_warned_of_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENE)
    (problem,) = load(tmp_path / "s.yaml", [("--set", "duration", "3")]).warnings
    assert str(problem).startswith("--set:1:10: 3 frames are")
