"""A plan decides once: the range of frames, the sound, the shots, and how an unfinished film was made."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import Callbacks, Options, load, render
from render.errors import Interrupted, UsageError
from render.pipeline import engine
from render.pipeline.engine import open_engine
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from tests.footage import STILL, panned, scene_of
from tests.media.clips import LOSSLESS, write_clip, write_flashing_clip

NOISE = """
size: [320, 256]
duration: 6
source: {noise: {grain: 8}}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {path: film.mp4, segment_frames: 2}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noise_scene(folder: Path) -> Scene:
    (folder / "scene.yaml").write_text(NOISE)
    return load(folder / "scene.yaml")


def interrupt(progress: object) -> None:
    raise KeyboardInterrupt


def test_the_frames_are_those_of_the_options_or_the_original_film_or_all(workspace: Path) -> None:
    scene = noise_scene(workspace)
    assert plan(scene).frames == range(6)
    part = render(scene, Options(device="cpu", precision="float32", frames=(2, 4)))
    again = load(part.path, [("--output", "output.path", "again.mp4")])
    assert plan(again).frames == range(2, 4)
    assert plan(again, Options(frames=(1, 5))).frames == range(1, 5)


@pytest.mark.parametrize("frames", [(0, 7), (3, 3), (-1, 2), (4, 2)])
def test_frames_outside_the_film_are_an_error(frames: tuple[int, int], workspace: Path) -> None:
    with pytest.raises(UsageError, match=f"frames {frames[0]}:{frames[1]} are not within the film, 0:6"):
        plan(noise_scene(workspace), Options(frames=frames))


def test_the_audio_span_is_that_of_the_planned_frames(workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    sets = STILL, ("source.start", "10"), ("output.path", "film.mp4")
    audio = plan(scene_of(workspace, *sets), Options(frames=(5, 30))).audio
    assert audio is not None
    scene = scene_of(workspace, *sets)
    assert scene.clip is not None
    assert (audio.start - scene.clip.start, audio.duration) == (Fraction(15, 25), Fraction(25, 25))
    song = plan(scene_of(workspace, *sets, ("output.audio", "c.mp4")), Options(frames=(5, 30))).audio
    assert song is not None
    assert (song.start - song.track.start, song.duration) == (Fraction(5, 25), Fraction(25, 25))


@pytest.mark.parametrize("key", [("output.audio", "none"), ("output.path", "film/%d.png")])
def test_a_silent_film_and_pictures_have_no_audio_span(key: tuple[str, str], workspace: Path) -> None:
    write_flashing_clip(workspace / "c.mp4")
    assert plan(scene_of(workspace, STILL, key)).audio is None


def test_shots_are_detected_once(workspace: Path) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    planned = plan(scene_of(workspace))
    assert planned.shots == {0, 8}
    (workspace / "c.mp4").unlink()
    assert planned.shots == {0, 8}


def test_the_tile_size_and_precision_of_an_unfinished_film_are_kept(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = noise_scene(workspace)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "free_memory", lambda device: 16 * 2**20)
        planned = plan(scene, Options(device="cpu", precision="bfloat16"))
        tile_size = open_engine(planned).network.tile_size
        assert tile_size is not None
        with pytest.raises(Interrupted):
            render(scene, planned.options, Callbacks(on_frame=interrupt))
    resumed = plan(scene, Options(device="cpu"))
    assert resumed.recorded["tile"] == tile_size
    assert resumed.precision == "bfloat16"
    opened = open_engine(resumed)
    assert opened.network.tile_size == tile_size
    assert opened.device.precision == "bfloat16"
    restarted = plan(scene, Options(device="cpu", restart=True))
    assert restarted.precision is None
    assert open_engine(restarted, autotune=False).network.tile_size is None


def test_a_requested_precision_replaces_the_recorded_one(workspace: Path) -> None:
    scene = noise_scene(workspace)
    with pytest.raises(Interrupted):
        render(scene, Options(device="cpu", precision="bfloat16"), Callbacks(on_frame=interrupt))
    assert plan(scene, Options(device="cpu", precision="float32")).precision == "float32"
