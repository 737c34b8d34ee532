"""Films made by 0.5.0, which embed a scene with the old keys, can be read and rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from render import Callbacks, Options, load, render
from render.analysis.join import join
from render.analysis.metrics import measure
from render.film.metadata import read_metadata
from render.media import ffmpeg
from render.media.image_bytes import with_comment
from render.pipeline import embedded
from render.system.checksum import sha256
from tests.conftest import photo_tensor
from tests.footage import clip_of

OLD_SCENE = {
    "fps": "24",
    "duration": 6,
    "size": [64, 48],
    "seed": 3,
    "source": {"noise": {"grain": 8}},
    "layers": [
        {"layer": "blocks.4", "guide": "guide.png"},
        {"layer": "blocks.4", "channels": 3, "neuron": [0.2, 0.7]},
    ],
    "dream": {
        "octaves": 1,
        "steps": 1,
        "jitter": 4,
        "scale": [0.9, 1.1],
        "every": 2,
        "first": {"steps": 3},
        "last_step": 0.5,
        "gradient": {"natural": {"power": 0.4, "color": 0.8}},
    },
    "output": {"segment": 2},
}
NEW_SCENE = """
fps: 24
duration: 6
size: [64, 48]
seed: 3
source: {noise: {grain: 8}}
objectives:
  - {layer: blocks.4, guide: guide.png}
  - {layer: blocks.4, channels: 3, position: [0.2, 0.7]}
  - {statistics: none}
camera: {zoom: 1}
grade: {strength: 0.15}
dream:
  octaves: 1
  steps: 1
  transforms: {jitter: 4, scale: [0.9, 1.1]}
  step_size: 0.01
  cadence: 2
  first_frame: {steps: 3}
  final_step_scale: 0.5
  gradient: {natural: {decay_power: 0.4, color_correlation: 0.8}}
output: {segment_frames: 2}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a guide."""
    monkeypatch.chdir(tmp_path)
    photo = photo_tensor("coffee", 96, 64)
    cv2.imwrite("guide.png", clip_of(photo)[0, ..., ::-1])
    return tmp_path


def old_metadata(frames: tuple[int, int] = (0, 6)) -> dict[str, Any]:
    """What a film of 0.5.0 embeds."""
    return {
        "scene": OLD_SCENE,
        "frames": list(frames),
        "files": {"layers.0.guide": sha256(Path("guide.png"))},
        "weights": "0" * 64,
        "machine": {"precision": "float32", "tile": None},
        "versions": {"render": "0.5.0"},
    }


def old_film(path: Path, frames: tuple[int, int] = (0, 6)) -> Path:
    """A film of grey pictures, or a picture, that embeds the metadata of 0.5.0."""
    metadata = json.dumps(old_metadata(frames))
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        cv2.imwrite(str(path), np.full((48, 64, 3), 99, np.uint8))
        path.write_bytes(with_comment(path.read_bytes(), metadata))
        return path
    grey = ("-f", "lavfi", "-i", "color=gray:s=64x48:r=24", "-frames:v", str(frames[1] - frames[0]))
    timing = ("-video_track_timescale", "9984")  # as all versions write at 24 frames per second
    ffmpeg.run(*ffmpeg.QUIET, *grey, "-metadata", f"comment={metadata}", *timing, str(path))
    return path


@pytest.mark.parametrize("name", ["old.mp4", "old.png", "elsewhere/old.mp4"])
def test_a_film_of_an_earlier_version_renders_as_its_scene_with_todays_keys(name: str, workspace: Path) -> None:
    film = old_film(workspace / name)
    assert embedded.read_film(film).root.find(("dream", "transforms", "jitter")).value == 4
    Path("new.yaml").write_text(NEW_SCENE)
    options = Options(device="cpu", precision="float32")
    expected = render(load("new.yaml"), options)
    rendered = render(load(film, [("--output", "output.path", "again.mp4")]), options)
    assert _pixels(rendered.path) == _pixels(expected.path)
    metadata = read_metadata(rendered.path)
    assert metadata is not None
    assert metadata["scene"]["dream"]["cadence"] == 2


def _pixels(film: Path) -> bytes:
    """Returns all frames of a film, decoded."""
    return ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-")


def test_the_frames_and_the_precision_of_an_earlier_film_are_kept(workspace: Path) -> None:
    film = old_film(workspace / "old.mp4", (2, 4))
    rendered = render(load(film, [("--output", "output.path", "again.mp4")]), Options(device="cpu"))
    metadata = read_metadata(rendered.path)
    assert metadata is not None
    assert metadata["frames"] == [2, 4]
    assert metadata["machine"]["precision"] == "float32"


def test_renamed_keys_are_not_reported_as_changes_of_files(workspace: Path) -> None:
    warnings: list[str] = []
    film = old_film(workspace / "old.mp4", (0, 1))
    scene = load(film, [("--output", "output.path", "again.mp4")])
    render(scene, Options(device="cpu"), Callbacks(on_warning=warnings.append))
    (warning,) = warnings
    assert 'versions.render was "0.5.0"' in warning
    assert "files." not in warning


def test_parts_of_an_earlier_film_can_be_joined(workspace: Path) -> None:
    parts = [old_film(workspace / "a.mp4", (0, 2)), old_film(workspace / "b.mp4", (2, 6))]
    assert join(parts, Path("joined.mp4")).frames == 6


def test_an_earlier_film_can_be_measured(workspace: Path) -> None:
    metrics, _ = measure(old_film(workspace / "old.mp4"), device="cpu", quiet=True)
    assert len(metrics.brightness) == 6
