"""Films of files with several tracks, with sound that begins late, and with sound of many channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from render import Callbacks, Options, render
from render.errors import SceneError, StorageError
from render.media import ffmpeg
from render.media.audio import require_audio, write_audio
from render.media.clip import clip_frames, probe_clip
from render.pipeline.plan import plan
from render.pipeline.preflight import requirements
from tests.footage import STILL, scene_of
from tests.media.clips import click, write_flashing_clip
from tests.media.test_tracks import LEVELS, RATES, many_tracks

CPU = Options(device="cpu", precision="float32")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_film_is_made_from_the_tracks_that_the_scene_names(workspace: Path) -> None:
    many_tracks(workspace / "c.mp4")
    sets = ("source.track", "1"), ("output.audio_track", "2"), ("output.path", "film.mp4"), ("duration", "2")
    film = render(scene_of(workspace, STILL, *sets), CPU)
    (frame,) = clip_frames(probe_clip(film.path), (64, 48), fps=film.fps, frames=range(1))
    assert round((255 * float(frame.mean()) - 20) / 5) == LEVELS[1]
    assert require_audio(film.path).rate == RATES[2]
    song = plan(scene_of(workspace, STILL, *sets, ("output.audio", "c.mp4"))).audio
    assert song is not None
    assert song.track.rate == RATES[2]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([("source.track", "3")], r"has no video track 3; it has 0 \(h264, 64x48\), 1 .*\n.*source\.track=3"),
        ([("output.audio_track", "3")], r"has no audio track 3; it has 0 \(aac, mono\), 1 .*\n.*audio_track=3"),
        ([("output.audio", "c.mp4"), ("output.audio_track", "9")], r"has no audio track 9.*\n.*audio_track=9"),
        ([("source.video", "'%d.png'"), ("source.track", "0")], r"%d\.png is a picture sequence, .*\n.*track=0"),
        ([("source.video", "'%d.png'"), ("output.audio_track", "0")], r"pictures have no sound; .*\n.*audio_track=0"),
    ],
)
def test_a_missing_track_is_an_error_at_its_key(sets: list[tuple[str, str]], message: str, workspace: Path) -> None:
    many_tracks(workspace / "c.mp4")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "c.mp4", "-map", "0:v:0", "%d.png", folder=workspace)
    with pytest.raises(StorageError, match=message):
        scene_of(workspace, STILL, *sets)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([("source.track", "-1")], "greater than or equal to 0|at least 0|0 or more|from 0"),
        ([("source", "{image: p.png, track: 0}")], "'track' belongs to 'video'"),
        ([("output.audio", "none"), ("output.audio_track", "0")], "there is no sound; remove audio_track"),
        ([("source", "noise"), ("output.audio_track", "0")], "only a clip has sound; output.audio names a file"),
    ],
)
def test_a_track_of_nothing_is_an_error(sets: list[tuple[str, str]], message: str, workspace: Path) -> None:
    many_tracks(workspace / "c.mp4", videos=1, audios=1)
    with pytest.raises(SceneError, match=message):
        scene_of(workspace, STILL, *sets)


@pytest.mark.parametrize("name", ["orig.mp4", "orig.mkv", "orig.ts", "edit list.mp4", "pictures late.mkv"])
def test_sound_goes_with_frames_extracted_from_its_file(name: str, workspace: Path) -> None:
    """The sound begins half a second after the pictures, or before them; the click stays at the white frame."""
    write_flashing_clip(workspace / "whole.mkv", ("-c:a", "aac"))
    cut = ["-i", "whole.mkv", "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"]
    begun = ["-ss", "0.5", "-itsoffset", "0.5", "-i", "whole.mkv"]
    match name:
        case "edit list.mp4":
            arguments = ["-itsoffset", "-0.3", *cut[:2], "-itsoffset", "-0.3", "-i", "whole.mkv", *cut[2:]]
        case "pictures late.mkv":
            arguments = ["-itsoffset", "0.4", *cut[:2], "-itsoffset", "0.4", "-i", "whole.mkv", *cut[2:]]
        case _:
            arguments = [*cut[:2], *begun, *cut[2:]]
    ffmpeg.run(*ffmpeg.QUIET, *arguments, name, folder=workspace)
    (workspace / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", name, "-fps_mode", "passthrough", "shots/%04d.png", folder=workspace)
    sets = ("source.video", "shots/%04d.png"), ("fps", "25"), ("output.audio", name), ("output.path", "film.mp4")
    planned = plan(scene_of(workspace, STILL, *sets))
    assert planned.audio is not None
    assert planned.scene.clip is not None
    frames = clip_frames(planned.scene.clip, (64, 48), fps=Fraction(25), frames=planned.frames)
    (flash,) = (index for index, frame in enumerate(frames) if float(frame.mean()) > 0.5)
    assert click(write_audio(planned.audio, workspace, suffix=".mp4")) == pytest.approx(flash / 25, abs=1 / 25)


def test_sound_that_is_mixed_down_is_said_and_sound_that_cannot_be_is_refused_before_the_first_frame(
    workspace: Path,
) -> None:
    many_tracks(workspace / "c.mp4", videos=1, audios=1)
    for name, count in (("ten.wav", 10), ("nine.wav", 9)):
        source = f"aevalsrc={'|'.join(['0.1'] * count)}:d=1"
        ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", source, name, folder=workspace)
    sets = ("duration", "2"), ("output.path", "film.mp4")
    ten = scene_of(workspace, STILL, *sets, ("output.audio", "ten.wav"))
    note = f"the sound of {ten.paths['output', 'audio']} (5.1.4) is mixed down to stereo"
    assert note in str(requirements(plan(ten)))
    warnings: list[str] = []
    render(ten, CPU, Callbacks(on_warning=warnings.append))
    assert note in warnings
    nine = scene_of(workspace, STILL, *sets, ("output.audio", "nine.wav"))
    made: list[object] = []
    for attempt in (lambda: str(requirements(plan(nine))), lambda: render(nine, CPU, Callbacks(on_frame=made.append))):
        with pytest.raises(StorageError, match=r"nine\.wav has channels \(9 channels\) that cannot be mixed down"):
            attempt()
    assert not made
