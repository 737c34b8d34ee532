"""The film of a scene's camera: the motion, the borders and the colours are those of the film itself."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from render.choices import Border
from render.errors import StorageError
from render.media.clip import clip_arrays, probe_clip
from render.media.image import load_image
from render.motion.camera import inverse_affine
from render.motion.warp import warp_affine
from render.pipeline.camera import camera_path
from render.pipeline.finish import finish
from render.pipeline.load import load_text
from render.pipeline.scene import Scene
from render.studio.camera_preview import MAX_FRAMES, camera_film, preview_size
from render.studio.grid import draw_grid, empty_picture
from tests.media.clips import write_clip

MOVING = "camera: {zoom: 1.01, rotate: 0.5, pan: [0.002, -0.001]}"


def scene_of(folder: Path, text: str, *, duration: int = 24, source: str = "{noise: {grain: 16}}") -> Scene:
    """A scene of 128x96 pixels, in a folder."""
    common = f"size: [128, 96]\nduration: {duration}\nsource: {source}\nobjectives: [{{layer: blocks.1}}]\n"
    return load_text(common + text, folder / "scene.yaml")


def frames_of(film: Path) -> NDArray[np.float32]:
    """The frames of a film, NxHxWx3 in [0, 1]."""
    clip = probe_clip(film)
    count = round(clip.duration * clip.fps)
    return np.stack(list(clip_arrays(clip, clip.size, fps=clip.fps, frames=range(count))))


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A photo."""
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), cv2.resize(skimage.data.astronaut()[..., ::-1], (128, 96), interpolation=cv2.INTER_AREA))
    return path


def moved(scene: Scene, still: Path, index: int) -> torch.Tensor:
    """The picture moved at once to where the film has it at a frame, and finished."""
    path = camera_path(scene)
    picture = load_image(still, scene.size)
    picture = warp_affine(picture, inverse_affine(path.between(0, index)), border=path.border).clamp(0, 1)
    return finish(scene, index, picture, source=lambda: picture)


def error(shown: NDArray[np.float32], expected: torch.Tensor) -> float:
    """The root mean square of the difference, of slightly blurred pictures, 8 pixels from the edges on."""
    planes = (shown, expected[0].permute(1, 2, 0).numpy())
    blurred = [cv2.GaussianBlur(each, (0, 0), 1.5)[8:-8, 8:-8] for each in planes]
    return float(np.sqrt(np.square(blurred[0] - blurred[1]).mean()))


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize("camera", ["zoom: 1.01, rotate: 0.5", "zoom: 0.98, rotate: -1", "pan: [0.01, 0.004]"])
def test_a_picture_moves_as_in_the_film(tmp_path: Path, still: Path, camera: str, border: Border) -> None:
    scene = scene_of(tmp_path, f"camera: {{{camera}, border: {border}}}")
    film = camera_film(scene, still, tmp_path / "camera.mp4")
    frames = frames_of(film.path)
    assert len(frames) == film.frames == 24
    for index in (0, 12, 23):
        assert error(frames[index], moved(scene, still, index)) < 0.03
    assert error(frames[23], moved(scene, still, 12)) > 0.05  # what another motion would be


def test_look_at_view_and_colours_are_in_the_preview(tmp_path: Path, still: Path) -> None:
    scene = scene_of(
        tmp_path,
        "camera: {zoom: 1.02, look_at: {point: [0.3, 0.4], by: 12}}\nview: {zoom: 1.2, rotate: 10}\n"
        "exposure: {0: -2, 20: 0.5}\nsaturation: 0.5\nhue: 30\n",
    )
    frames = frames_of(camera_film(scene, still, tmp_path / "camera.mp4").path)
    for index in (0, 12, 23):
        assert error(frames[index], moved(scene, still, index)) < 0.03


def test_a_scene_begins_from_its_own_picture(tmp_path: Path, still: Path) -> None:
    scene = scene_of(tmp_path, MOVING, source="{image: still.png}")
    frames = frames_of(camera_film(scene, None, tmp_path / "camera.mp4").path)
    assert error(frames[20], moved(scene, still, 20)) < 0.03


def test_a_clip_plays_in_its_own_frames(tmp_path: Path) -> None:
    levels = np.stack([np.full((96, 128, 3), 20 + 9 * i, np.uint8) for i in range(24)])
    write_clip(tmp_path / "clip.mp4", levels, fps="24")
    scene = scene_of(tmp_path, MOVING, source="{video: clip.mp4}")
    frames = frames_of(camera_film(scene, None, tmp_path / "camera.mp4").path)
    assert frames.mean((1, 2, 3)) * 255 == pytest.approx(20 + 9 * np.arange(24), abs=3)


def test_a_scene_without_a_picture_has_a_grid(tmp_path: Path, still: Path) -> None:
    scene = scene_of(tmp_path, MOVING)
    grid = frames_of(camera_film(scene, None, tmp_path / "grid.mp4").path)
    of_choice = frames_of(camera_film(scene, still, tmp_path / "chosen.mp4", on_grid=True).path)
    assert np.array_equal(grid, of_choice)
    assert np.abs(np.diff(grid, axis=0)).mean((1, 2, 3)).min() > 0.01  # it moves in every frame


@pytest.mark.parametrize("magnification", [1e-6, 1e-3, 0.3, 1.0, 7.0, 1e3, 1e6])
def test_a_grid_shows_as_many_lines_at_any_magnification(magnification: float) -> None:
    size = (256, 192)
    angle = 0.3
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    reads = np.concatenate([turn / magnification, [[3.7], [-41.2]]], axis=1)
    drawn = draw_grid(empty_picture(size), reads)
    share = (np.abs(drawn.astype(int) - empty_picture(size)).sum(-1) > 60).mean()
    assert 0.05 < share < 0.35


def test_the_film_plays_in_browsers_and_a_long_one_has_fewer_frames_in_the_same_time(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, MOVING, duration=3000)
    film = camera_film(scene, None, tmp_path / "long.mp4")
    assert (film.step, film.frames) == (10, 300)
    assert film.frames <= MAX_FRAMES
    assert film.frames / film.fps == scene.length / scene.fps
    data = film.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"avc1" in data
    assert probe_clip(film.path).fps == Fraction(24, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["long.mp4"]


def test_sizes_are_even_and_small() -> None:
    assert preview_size((1920, 1080)) == (256, 144)
    assert preview_size((1080, 1920)) == (144, 256)
    assert preview_size((64, 33)) == (64, 32)


def test_what_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, MOVING, duration=4)
    with pytest.raises(StorageError, match="nothing"):
        camera_film(scene, tmp_path / "nothing.png", tmp_path / "camera.mp4")
    with pytest.raises(StorageError):
        camera_film(scene, None, tmp_path / "nowhere" / "camera.mp4")


def test_torch_is_not_imported() -> None:
    code = "import sys, render.studio.camera_preview; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
