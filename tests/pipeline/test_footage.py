"""Films of footage: the time, colour and sound of the clip, and unusable clips."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import Options, render
from render.cli.main import main
from render.errors import StorageError, UsageError
from render.media import ffmpeg
from render.media.audio import probe_audio, require_audio
from render.media.clip import clip_frames, probe_clip
from tests.footage import SCENE, STILL, scene_of
from tests.media.clips import FLASH, LOSSLESS, RATE, click, levels, samples_of, write_clip, write_flashing_clip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Time and colour, through a whole render without a step.


@pytest.mark.parametrize("kind", ["25", "30000/1001", "gap"])
def test_a_film_has_the_frames_of_its_clip_at_their_times(kind: str, workspace: Path) -> None:
    """In the clip with a gap, level 4 lasts until frame 15."""
    gap = kind == "gap"
    moved = ("-vf", "setpts='if(lt(N,5),N,N+10)/25/TB'", "-fps_mode", "vfr") if gap else ()
    rate = Fraction(25 if gap else kind)
    write_clip(workspace / "c.mp4", levels(10), *moved, *LOSSLESS, fps="25" if gap else kind)
    film = render(scene_of(workspace, STILL, ("output.path", "film.mp4"), ("size", "[64, 48]")))
    count = 20 if gap else 10
    assert (film.frames, film.fps) == (count, rate)
    probed = probe_clip(film.path)
    frames = clip_frames(probed, (64, 48), fps=probed.fps, frames=range(film.frames))
    visible = [round((255 * float(frame.mean()) - 20) / 5) for frame in frames]
    assert visible == ([0, 1, 2, 3, *[4] * 11, 5, 6, 7, 8, 9] if gap else list(range(10)))
    listed = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film.path), "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    (tick,) = (Fraction(line.partition(": ")[2]) for line in listed if line.startswith("#tb"))
    times = sorted(int(line.split(",")[2]) * tick for line in listed if not line.startswith("#"))
    assert times == [i / rate for i in range(count)]


def test_grey_ramps_and_primaries_keep_their_values(workspace: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = np.repeat(np.linspace(0, 255, 16).astype(np.uint8), 4)[None, :, None]
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]):
        picture[32:, 16 * i : 16 * i + 16] = colour
    write_clip(workspace / "c.mp4", np.stack([picture] * 3), *LOSSLESS)
    render(scene_of(workspace, STILL, ("output.path", "film/%d.png")))
    for frame in clip_frames(probe_clip(workspace / "film/%d.png"), (64, 64), fps=Fraction(25), frames=range(3)):
        assert np.abs(255 * frame[0].permute(1, 2, 0).numpy() - picture).max() <= 2


def test_the_clips_sound_is_in_step_from_any_start(workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    for start in (0, 12):
        settings = ("source.start", str(start)), ("fps", "25"), ("output.path", f"{start}.mp4")
        film = render(scene_of(workspace, STILL, *settings))
        assert film.frames == 60 - start
        frames = clip_frames(probe_clip(film.path), (64, 48), fps=film.fps, frames=range(film.frames))
        (flash,) = (i for i, frame in enumerate(frames) if float(frame.mean()) > 0.5)
        assert flash == FLASH - start
        assert click(film.path) == pytest.approx(flash / 25, abs=1 / 50)


def test_the_sound_stays_in_step_at_another_rate_and_in_a_part_of_the_film(workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    film = render(scene_of(workspace, STILL, ("fps", "10"), ("output.path", "slow.mp4")))
    assert film.frames == 24
    assert click(film.path) == pytest.approx(FLASH / 25, abs=1 / 20)
    part = render(scene_of(workspace, STILL, ("output.path", "part.mp4")), Options(frames=(20, 45)))
    assert click(part.path) == pytest.approx((FLASH - 20) / 25, abs=1 / 50)


@pytest.mark.parametrize(
    "kind", ["30000/1001", "gap", *(pytest.param(rate, marks=pytest.mark.slow) for rate in ("25", "60"))]
)
def test_sound_is_within_a_frame_at_the_end(kind: str, workspace: Path) -> None:
    """A flash and a click a few frames before the end of three seconds, and again behind a gap of one second."""
    rate = Fraction(25 if kind == "gap" else kind)
    count, flash = int(3 * rate), int(3 * rate) - 4
    write_flashing_clip(workspace / "even.mkv", count=count, fps=str(rate), flash=flash)
    arguments: tuple[str, ...] = ("-c", "copy")
    if kind == "gap":  # frames 25 to 49 are removed, the times of the others stay
        arguments = ("-vf", "select='not(between(n,25,49))'", "-fps_mode", "vfr", *LOSSLESS, "-c:a", "copy")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "even.mkv", *arguments, "c.mp4", folder=workspace)
    film = render(scene_of(workspace, STILL, ("output.path", "film.mp4")))
    assert (film.frames, film.fps) == (count, rate)
    frames = clip_frames(probe_clip(film.path), (64, 48), fps=film.fps, frames=range(film.frames))
    assert [i for i, frame in enumerate(frames) if float(frame.mean()) > 0.5] == [flash]
    assert click(film.path) == pytest.approx(float(flash / rate), abs=float(1 / rate))
    assert len(samples_of(film.path)) / RATE == pytest.approx(float(count / rate), abs=0.001)


@pytest.mark.parametrize(("audio", "when"), [("none", None), ("song.m4a", 0.4), ("source", FLASH / 25)])
def test_the_film_has_the_sound_that_the_scene_names(audio: str, when: float | None, workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    write_flashing_clip(workspace / "other.mp4", fps="75")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "other.mp4", "-vn", "-c:a", "aac", "song.m4a", folder=workspace)
    film = render(scene_of(workspace, STILL, ("output.audio", audio), ("output.path", "film.mp4")))
    if when is None:
        assert probe_audio(film.path) is None
    else:
        assert click(film.path) == pytest.approx(when, abs=1 / 50)


def test_a_film_without_a_clip_may_have_a_song(workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "c.mp4", "-vn", "-c:a", "aac", "song.m4a", folder=workspace)
    sets = ("source", "{noise: {grain: 8}}"), ("size", "[64, 48]"), ("fps", "25"), ("duration", "3s")
    film = render(scene_of(workspace, STILL, *sets, ("output.audio", "song.m4a"), ("output.path", "film.mp4")))
    assert film.frames == 75
    assert click(film.path) == pytest.approx(FLASH / 25, abs=1 / 50)
    assert float(require_audio(film.path).end) == pytest.approx(3, abs=0.001)


def test_a_film_never_replaces_what_it_is_made_from(workspace: Path) -> None:
    before = write_flashing_clip(workspace / "c.mp4").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"c\.mp4 is what the film is made from; --output names another path"):
            render(scene_of(workspace, STILL, ("output.path", "c.mp4")), Options(overwrite=overwrite))
    assert (workspace / "c.mp4").read_bytes() == before


def test_pictures_never_replace_those_they_are_made_from(workspace: Path) -> None:
    write_clip(workspace / "c.mp4", levels(3), *LOSSLESS)
    (workspace / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", "c.mp4", "shots/%04d.png", folder=workspace)
    sets = ("source.video", "shots/%04d.png"), ("fps", "25"), ("follow.cuts", "none")
    with pytest.raises(UsageError, match=r"0001\.png is what the film is made from"):
        render(scene_of(workspace, STILL, *sets, ("output.path", "shots/%04d.png")), Options(overwrite=True))
    for _ in range(2):
        assert render(scene_of(workspace, STILL, *sets, ("output.path", "film.mp4"))).frames == 3


def test_a_clip_slower_than_a_frame_a_second_is_a_film(workspace: Path) -> None:
    write_clip(workspace / "c.mp4", levels(4), *LOSSLESS, fps="1/2")
    film = render(scene_of(workspace, STILL, ("output.path", "film.mp4")))
    assert (film.frames, film.fps) == (4, Fraction(1, 2))
    assert probe_clip(film.path).duration == 8


# Unusable clips.

BAD = {
    "missing": "cannot read the clip .*c.mp4: No such file or directory",
    "folder": "c.mp4 is a folder, not a clip",
    "text": "c.mp4 is not a clip that can be read",
    "empty": "c.mp4 is empty",
    "cut off": "c.mp4 is truncated; copy it again",
    "cut off after its index": "c.mp4 is truncated; copy it again",
    "no picture": "c.mp4 holds no picture that can be read",
    "no frame": "c.mp4 (holds no picture|is not a clip) that can be read",
    "start at the end": "c.mp4 ends at 0.4 s, the film cannot start at 0.4 s",
    "start after the end": "c.mp4 ends at 0.4 s, the film cannot start at 9 s",
}


def spoil(kind: str, path: Path) -> list[str]:
    """Turns a good clip into a bad one; returns further arguments of the command."""
    whole = path.read_bytes()
    match kind:
        case "missing" | "folder":
            path.unlink()
            if kind == "folder":
                path.mkdir()
        case "text":
            path.write_text("a text file named .mp4")
        case "empty":
            path.write_bytes(b"")
        case "cut off":
            path.write_bytes(whole[: len(whole) // 2])
        case "cut off after its index":
            ffmpeg.run(*ffmpeg.QUIET, "-i", str(path), "-c", "copy", "-movflags", "+faststart", "fast.mp4")
            Path("fast.mp4").rename(path)
            path.write_bytes(path.read_bytes()[:-200])
        case "no picture":
            ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(path))
        case "no frame":
            ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "color=s=64x48", "-frames:v", "0", str(path))
        case "start at the end":
            return ["--set", "source.start=10"]
        case "start after the end":
            return ["--set", "source.start=9s"]
    return []


@pytest.mark.parametrize("kind", BAD)
def test_an_unusable_clip_is_an_error_with_a_position_and_leaves_no_file(
    kind: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["render", "scene.yaml", "--set", "dream.steps=0", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    (workspace / "scene.yaml").write_text(SCENE)
    good = write_clip(workspace / "c.mp4", levels(10), *LOSSLESS).read_bytes()
    before = {"c.mp4", "scene.yaml"}
    assert run(*spoil(kind, workspace / "c.mp4")) == StorageError.status == 4
    errors = capsys.readouterr().err
    message = errors.partition("\n")[0]
    assert re.search(BAD[kind], message)
    assert message.startswith("render: scene.yaml:3:17: ") or "--set" in message
    assert errors.count("\n") == 3
    assert {path.name for path in workspace.iterdir()} <= before
    if kind == "folder":
        (workspace / "c.mp4").rmdir()
    (workspace / "c.mp4").write_bytes(good)
    assert run() == 0
    assert "scene.mp4: 10 frames of 64x48 at 25 fps" in capsys.readouterr().out
