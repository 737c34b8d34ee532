"""`camera.look_at`: the point of the first picture is where its path says, in matrices and in pictures."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from render import Options, frames, load
from render.models.network import Network
from render.motion.camera import MAX_MAGNIFICATION
from render.pipeline import loop
from render.pipeline.camera import camera_path
from render.pipeline.inputs import clip_views
from render.pipeline.scene import Scene
from render.scene.easings import EASINGS
from tests import footage
from tests.conftest import engine_of
from tests.footage import clip_of, dream_at_end
from tests.media.clips import LOSSLESS, write_clip
from tests.motion.dots import centre, dot

X, Y = 40, 62
POINT = ((X + 0.5) / 128, (Y + 0.5) / 96)
SCENE = f"""
size: [128, 96]
duration: 30
source: {{image: dot.png}}
camera:
  zoom: {{0: 1, 10: 1.02, 25: {{value: 0.98, ease: smooth}}}}
  rotate: "3*sin(t) + 2"
  shear: ["0.1/s", 0]
  border: black
  look_at: {{point: [{POINT[0]}, {POINT[1]}], by: 20, ease: in_out_sine}}
grade: {{strength: 0}}
objectives: [{{layer: blocks.1}}]
dream: {{octaves: 1, steps: 1, transforms: {{jitter: 4}}}}
"""
CAMERA_ONLY = Options(device="cpu", camera_only=True)


def scene_of(folder: Path, *sets: tuple[str, str], scale: float = 1) -> Scene:
    """The scene of a dot at (X, Y), with these settings."""
    picture = np.rint(255 * dot(X, Y)[0].permute(1, 2, 0).numpy()).astype(np.uint8)
    cv2.imwrite(str(folder / "dot.png"), picture)
    (folder / "scene.yaml").write_text(SCENE)
    return load(folder / "scene.yaml", [("--set", key, value) for key, value in sets], scale=scale)


def path_of(scene: Scene) -> NDArray[np.float64]:
    """The place (x, y) in pixels that the point is to have in each frame of a scene."""
    look_at = scene.spec.camera.look_at
    assert look_at is not None
    assert look_at.by.unit == ""
    share = EASINGS[look_at.ease](np.arange(scene.length).clip(0, float(look_at.by.value)) / float(look_at.by.value))
    places = (1 - share[:, None]) * np.array(look_at.point) + share[:, None] * 0.5
    return np.asarray(places * scene.size - 0.5)


def composed(scene: Scene) -> NDArray[np.float64]:
    """The place (x, y) of the point in each frame, by the camera's composed matrices."""
    first = [*path_of(scene)[0], 1]
    return np.array([(matrix @ first)[:2] for matrix in islice(camera_path(scene).from_start(), scene.length)])


@pytest.mark.parametrize(
    "sets",
    [
        {"duration": "2000", "camera.look_at.by": "1500", "camera.rotate": "5*sin(t)", "camera.zoom": "1+0.01*sin(t)"},
        {"duration": "2000", "camera.look_at.by": "700", "camera.zoom": "1.02", "camera.rotate": "0.4"},
        {"duration": "2000", "camera.look_at.by": "2000", "camera.zoom": "0.99", "camera.rotate": "-7"},
        {"duration": "100", "camera.look_at.by": "90", "camera.zoom": "1.5", "camera.look_at.ease": "out_elastic"},
        {"duration": "5000", "camera.look_at.by": "4000", "camera.zoom": "1.02"},
    ],
    ids=str,
)
def test_composed_matrices_lead_the_point_along_its_path_at_any_magnification(
    sets: dict[str, str], tmp_path: Path
) -> None:
    scene = scene_of(tmp_path, *sets.items())
    assert composed(scene) == pytest.approx(path_of(scene), abs=1e-3)


def test_each_move_leads_the_point_to_its_next_place_exactly(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, ("duration", "5000"), ("camera.zoom", "1.02"), ("camera.look_at.by", "4000"))
    assert MAX_MAGNIFICATION**7 < 1.02**5000
    path, camera = path_of(scene), camera_path(scene)
    moved = [(camera.between(index - 1, index) @ [*path[index - 1], 1])[:2] for index in range(1, scene.length)]
    assert np.abs(moved - path[1:]).max() < 1e-10
    assert (path[4000:] == [63.5, 47.5]).all()


@pytest.mark.parametrize("cadence", [1, 4])
def test_a_dot_of_the_picture_moves_along_the_path_to_the_middle(cadence: int, tmp_path: Path) -> None:
    scene = scene_of(tmp_path, ("dream.cadence", str(cadence)))
    centres = np.array([centre(picture) for _, picture in frames(scene, CAMERA_ONLY)])
    assert centres == pytest.approx(path_of(scene), abs=0.02)
    assert centres[20:] == pytest.approx(np.full((10, 2), [63.5, 47.5]), abs=0.02)


def test_a_dot_of_a_clip_and_of_its_dream_move_along_the_path_to_the_middle(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", np.repeat(clip_of(dot(X, Y)), 30, axis=0), *LOSSLESS)
    camera = scene_of(tmp_path).spec.camera.model_dump_json(exclude_none=True)
    scene = footage.scene_of(tmp_path, ("camera", camera))
    pictures = [view.picture for view in clip_views(scene)]
    assert np.array([centre(picture) for picture in pictures]) == pytest.approx(path_of(scene), abs=0.02)
    dreamed = dream_at_end(scene, 0.1 * dot(X, Y)) - pictures[-1]
    assert centre(dreamed) == pytest.approx((63.5, 47.5), abs=0.02)


def test_a_scaled_film_has_the_point_at_the_same_place(tmp_path: Path) -> None:
    whole, half = (scene_of(tmp_path, scale=scale) for scale in (1, 0.5))
    assert half.size == (64, 48)
    assert (path_of(half) + 0.5) * 2 - 0.5 == pytest.approx(path_of(whole))
    assert composed(half) == pytest.approx(path_of(half), abs=1e-9)


def test_a_film_resumes_at_any_frame(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, ("duration", "8"), ("camera.look_at.by", "5"), ("dream.cadence", "2"))
    whole = list(loop.frames(engine_of(scene, network)))
    for start in range(1, 8):
        resumed = loop.frames(engine_of(scene, network), start=start, state=whole[start - 1].state)
        assert all(torch.equal(a.picture, b.picture) for a, b in zip(whole[start:], resumed, strict=True))


def test_noise_moves_as_well(tmp_path: Path) -> None:
    sets = [("source", "{noise: {grain: 8}}"), ("camera", f"{{look_at: {{point: [{POINT[0]}, 0.5], by: 1}}}}")]
    first, second = (picture for _, picture in frames(scene_of(tmp_path, *sets, ("duration", "2")), CAMERA_ONLY))
    shift = round(63.5 - X)  # the middle is between two pixels
    assert _correlation(first[..., :-shift], second[..., shift:]) > 0.95
    assert _correlation(first, second) < 0.5


def _correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
