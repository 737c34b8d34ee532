"""What an earlier run recorded, and when a plan uses it; the paths and files of a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from render import Callbacks, Options, load, render
from render.choices import MIN_TILE_SIZE
from render.errors import Interrupted
from render.film.metadata import read_metadata
from render.media import ffmpeg
from render.pipeline import engine
from render.pipeline.engine import open_engine, recorded_tile_size
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from tests import footage
from tests.media.clips import LOSSLESS, levels, write_clip

SCENE = """
size: [64, 48]
duration: 3
source: {noise: {grain: 8}}
objectives: [{layer: blocks.1}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {segment_frames: 2}
"""
CPU = Options(device="cpu", precision="float32")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scene."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.yaml").write_text(SCENE)
    return tmp_path


def scene_of(*settings: tuple[str, str]) -> Scene:
    """Loads SCENE with some keys set."""
    return load("scene.yaml", [("--set", key, value) for key, value in settings])


def interrupt(progress: object) -> None:
    """A callback that acts as Ctrl-C."""
    raise KeyboardInterrupt


def machine_of(film: Path) -> dict[str, Any]:
    """Returns what a film records of the machine that made it."""
    metadata = read_metadata(film)
    assert metadata is not None
    return dict(metadata["machine"])


# The output path.


def test_segments_are_stored_beside_the_film(workspace: Path) -> None:
    planned = plan(scene_of(("output.path", "films/a.mp4")), CPU)
    assert (planned.target, planned.folder) == (Path("films/a.mp4"), Path("films/a.mp4.parts"))


def test_a_link_at_the_output_path_is_resolved(workspace: Path) -> None:
    (workspace / "disk").mkdir()
    (workspace / "film.mp4").symlink_to(workspace / "disk" / "film.mp4")
    planned = plan(scene_of(("output.path", "film.mp4")), CPU)
    assert planned.target == workspace / "disk" / "film.mp4"
    assert planned.folder == workspace / "disk" / "film.mp4.parts"


def test_the_files_include_every_picture_of_a_sequence(workspace: Path) -> None:
    (workspace / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(write_clip(workspace / "c.mp4", levels(3), *LOSSLESS)), "shots/%04d.png")
    planned = plan(footage.scene_of(workspace, ("source.video", "shots/%04d.png")), CPU)
    assert sorted(file.name for file in planned.files) == ["0001.png", "0002.png", "0003.png"]
    assert {file.parent.name for file in planned.files} == {"shots"}


# What an earlier run recorded.


@pytest.fixture
def interrupted(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A film that was interrupted, made in bfloat16 and in tiles of 128 pixels; today another choice would be made."""
    scene = scene_of(("size", "[192, 144]"))
    monkeypatch.setattr(engine, "fastest_precision", lambda planned, load: "bfloat16")
    monkeypatch.setattr(engine, "free_memory", lambda device: 2**20)
    with pytest.raises(Interrupted):
        render(scene, Options(device="cpu"), Callbacks(on_frame=interrupt))
    monkeypatch.setattr(engine, "fastest_precision", lambda planned, load: "float32")
    monkeypatch.setattr(engine, "free_memory", lambda device: 2**40)
    return scene


def test_the_tile_size_of_the_scene_takes_precedence_over_the_record(interrupted: Scene) -> None:
    assert open_engine(plan(interrupted, Options(device="cpu"))).network.tile_size == MIN_TILE_SIZE
    scene = scene_of(("size", "[192, 144]"), ("dream.tile_size", "off"))
    assert open_engine(plan(scene, Options(device="cpu"))).network.tile_size is None


def test_a_finished_film_is_the_record_unless_it_is_replaced(interrupted: Scene) -> None:
    film = render(interrupted, Options(device="cpu"))
    assert not (film.path.parent / f"{film.path.name}.parts").exists()
    machine = machine_of(film.path)
    assert (machine["precision"], machine["tile"]) == ("bfloat16", MIN_TILE_SIZE)
    assert plan(interrupted, Options(device="cpu")).recorded == machine
    assert plan(interrupted, Options(device="cpu", overwrite=True)).recorded == {}


def test_a_film_that_is_made_again_elsewhere_uses_its_own_record(interrupted: Scene) -> None:
    film = render(interrupted, Options(device="cpu"))
    again = load(film.path, [("--set", "output.path", "again.mp4")])
    assert plan(again, Options(device="cpu")).recorded == machine_of(film.path)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"tile": 256}, 256),
        ({"tile": None}, None),
        ({}, 512),
        ({"tile": 64}, 512),
        ({"tile": True}, 512),
        ({"tile": "256"}, 512),
        (None, 512),
    ],
)
def test_an_invalid_recorded_tile_size_is_ignored(record: object, expected: int | None) -> None:
    assert recorded_tile_size(record, 512) == expected


def test_an_unknown_recorded_precision_is_ignored(workspace: Path) -> None:
    with pytest.raises(Interrupted):
        render(scene_of(), Options(device="cpu", precision="float32"), Callbacks(on_frame=interrupt))
    planned = plan(scene_of(), Options(device="cpu"))
    assert planned.precision == "float32"
    assert replace(planned, recorded={"precision": "float8"}).precision is None
