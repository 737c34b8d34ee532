"""`--camera-only`: the motion of a scene without its dream, in a file of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from render import Options, frames, load, render
from render.errors import StorageError
from render.film.metadata import read_metadata
from render.models.registry import model_spec
from tests.media.clips import write_clip

MOVING = """\
size: [48, 32]
duration: 0.25s
source: {noise: {grain: 8}}
camera: {zoom: 1.1, pan: ["0.5/s", 0]}
objectives: [{layer: blocks.1}]
dream: {octaves: 1, steps: [2], first_frame: {octaves: 2, steps: [9, 9]}}
"""
CAMERA_ONLY = Options(device="cpu", camera_only=True)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scene that moves, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text(MOVING)
    return tmp_path / "m.yaml"


def test_the_frames_are_those_of_the_scene_without_steps(scene: Path) -> None:
    still = load(scene, [("--set", "dream", "{octaves: 1, steps: 0}")])
    without_steps = [picture for _, picture in frames(still, Options(device="cpu"))]
    camera_only = [picture for _, picture in frames(load(scene), CAMERA_ONLY)]
    assert len(camera_only) == 6
    assert all(torch.equal(*pair) for pair in zip(camera_only, without_steps, strict=True))
    assert not torch.equal(camera_only[0], camera_only[5])


@pytest.mark.parametrize("changes", [{}, {"dream.cadence": "3"}, {"source": "{video: c.mp4}"}], ids=str)
def test_no_step_is_taken(changes: dict[str, str], scene: Path) -> None:
    write_clip(scene.with_name("c.mp4"), np.random.default_rng(1).integers(0, 255, (6, 32, 48, 3), np.uint8))
    steps: list[int] = []
    loaded = load(scene, [("--set", key, value) for key, value in changes.items()])
    count = len(list(frames(loaded, CAMERA_ONLY, on_step=lambda *step: steps.append(1))))
    assert (count, steps) == (6, [])


def test_no_weights_are_needed(scene: Path) -> None:
    assert not model_spec("vgg19").weights_source.is_downloaded
    other = [("--set", "network", "vgg19"), ("--set", "objectives", "[{class: tench}]")]
    film = render(load(scene, other), CAMERA_ONLY)
    assert (film.frames, film.path.name) == (6, "m.camera.mp4")


def test_it_is_never_taken_for_the_film_and_can_be_made_again(scene: Path) -> None:
    first, second = (render(load(scene), CAMERA_ONLY) for _ in range(2))
    assert (first.path.name, first.made, second.made) == ("m.camera.mp4", True, False)
    assert not Path("m.mp4").exists()
    metadata = read_metadata(first.path)
    assert metadata is not None
    assert metadata["scene"]["dream"]["steps"] == [0]
    again = render(load(first.path, [("--output", "output.path", "again.mp4")]), Options(precision="float32"))
    assert again.path.read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("output", ["new/a.mp4", "new/%02d.png", "new/frames/%02d.png"])
def test_the_last_folder_of_a_path_is_made(output: str, scene: Path) -> None:
    assert render(load(scene, [("--output", "output.path", output)]), CAMERA_ONLY).made


@pytest.mark.parametrize(("output", "missing"), [("new/deep/a.mp4", "new"), ("new/b/frames/%02d.png", "new")])
def test_folders_above_the_last_are_not_made(output: str, missing: str, scene: Path) -> None:
    with pytest.raises(StorageError, match=rf"there is no folder {missing}, only \.; make it"):
        render(load(scene, [("--output", "output.path", output)]), CAMERA_ONLY)
    assert not Path("new").exists()
