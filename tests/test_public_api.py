"""The names that `render` offers to programs, scenes from Python, and what is wrong with them."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import render
from render import Options, frames, load, show
from render.errors import SceneError, UsageError

SCENE: dict[str, Any] = {
    "size": (32, 32),
    "duration": "0.125s",
    "objectives": [{"layer": "blocks.1"}],
    "dream": {"octaves": 1, "steps": 0},
}
BROKEN: Any = object()


def test_every_public_name_is_importable_and_listed() -> None:
    assert sorted(render.__all__) == ["Callbacks", "Options", "frames", "load", "render", "show"]
    assert all(callable(getattr(render, name)) for name in render.__all__)
    assert [name for name in dir(render) if not name.startswith("_")] == sorted(render.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'lod'"):
        render.lod  # noqa: B018  # the access is the test


def test_the_package_is_typed_and_says_so_where_it_is_installed() -> None:
    assert (importlib.resources.files("render") / "py.typed").is_file()
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["render"]


def test_importing_render_imports_none_of_the_libraries() -> None:
    command = "import sys, render; dir(render); print(*sorted({'torch', 'numpy', 'cv2', 'pydantic'} & {*sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"


def test_a_scene_may_be_a_mapping_of_python_values() -> None:
    values = {
        **SCENE,
        "fps": Fraction(30000, 1001),
        "camera": {"zoom": {0: 1.0, 2.5: np.float64(1.5)}, "pan": (0.1, 0)},
        "seed": np.int64(3),
    }
    scene = load(values)
    assert (scene.fps, scene.spec.seed, scene.size) == (Fraction(30000, 1001), 3, (32, 32))
    assert scene.params(2).camera.zoom == pytest.approx(1.5 ** (2 / 2.5))
    assert scene.output.path == "scene.mp4"
    assert len(list(frames(scene))) == 4


def test_paths_in_a_mapping_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "ü \u2028😀.png"
    cv2.imwrite("p.png", np.zeros((64, 48, 3), np.uint8))
    Path("p.png").rename(name)
    for path in (name, Path(name), tmp_path / name):
        assert load(SCENE | {"source": {"image": path}, "size": None}).size == (48, 64)


def test_a_wrong_value_of_a_mapping_has_a_position() -> None:
    with pytest.raises(SceneError, match=r"scene:\d+:\d+: unknown key 'zom'; did you mean 'zoom'") as caught:
        load(SCENE | {"camera": {"zom": 1}})
    assert '"zom": 1' in str(caught.value)


def test_a_replaced_value_makes_a_new_checked_scene(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("size: [32, 32]\nobjectives: [{layer: blocks.1}, {statistics: none}]\ncamera: {zoom: 1.01}\n")
    scene = load(file, [("--set", "duration", "2s")], scale=0.5)
    file.unlink()
    faster = scene.replace("camera.zoom", 1.03).replace("objectives.0.weight", {0: 1, "1s": 2})
    assert [scene.params(1).camera.zoom, faster.params(1).camera.zoom] == [1.01, 1.03]
    assert (faster.size, faster.length, faster.params(24).weights) == ((16, 16), 48, ((2.0,), (1.0,)))
    with pytest.raises(SceneError, match=r"replace:1:13: 0 must be from") as caught:
        scene.replace("camera.zoom", 0)
    assert "camera.zoom=0" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: load(None),  # type: ignore[arg-type]
        lambda: load(3),  # type: ignore[arg-type]
        lambda: load(b"s.yaml"),  # type: ignore[arg-type]
        lambda: load(["s.yaml"]),  # type: ignore[arg-type]
        lambda: load({}),
        lambda: load({1: 2}),  # type: ignore[dict-item]
        lambda: load({(1, 2): 3}),  # type: ignore[dict-item]
        lambda: load(SCENE | {"camera": BROKEN}),
        lambda: load(SCENE | {"camera": {"zoom": BROKEN}}),
        lambda: load(SCENE | {"camera": {"zoom": torch.ones(2)}}),
        lambda: load(SCENE | {"camera": {"zoom": float("nan")}}),
        lambda: load(SCENE | {"camera": {"zoom": 1j}}),
        lambda: load(SCENE | {"seed": 10**5000}),
        lambda: load(SCENE | {"seed": True}),
        lambda: load(SCENE | {"source": {"image": b"p.png"}}),
        lambda: load(SCENE | {"output": {"path": "\ud800.mp4"}}),
        lambda: load(SCENE | {"size": {32, 33}}),
        lambda: load(SCENE | {"size": "3\x7f2"}),
        lambda: load(nested(5000)),
        lambda: load(SCENE, "camera.zoom=1"),  # type: ignore[arg-type]
        lambda: load(SCENE, [("--set", "camera.zoom", 1.03)]),  # type: ignore[list-item]
        lambda: load(SCENE, [("camera.zoom", "1.03")]),  # type: ignore[list-item]
        lambda: load(SCENE).replace(3, 4),  # type: ignore[arg-type]
        lambda: load(SCENE).replace("camera.zoom", BROKEN),
        lambda: next(frames("s.yaml")),  # type: ignore[arg-type]
        lambda: render.render(SCENE),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_a_scene_error(wrong: Callable[[], object]) -> None:
    with pytest.raises(SceneError):
        wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: load(SCENE, scale="1"),  # type: ignore[arg-type]
        lambda: load(SCENE, scale=True),
        lambda: load(SCENE).replace("", 4),
        lambda: Options(device=3),  # type: ignore[arg-type]
        lambda: Options(frames=(0, 1.5)),  # type: ignore[arg-type]
        lambda: Options(frames=3),  # type: ignore[arg-type]
        lambda: show(np.zeros((4, 4, 3))),  # type: ignore[arg-type]
        lambda: show(torch.zeros(2, 3, 4, 4)),
    ],
)
def test_a_wrong_argument_is_a_usage_error(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()


def nested(depth: int) -> dict[str, Any]:
    """Mappings in one another."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"camera": value}
    return value


def test_a_frame_is_shown_as_a_picture_that_a_notebook_displays() -> None:
    frame = torch.zeros(1, 3, 5, 7)
    frame[0, 0] = 1
    picture = show(frame)
    assert (picture.size, picture.getpixel((0, 0))) == ((7, 5), (255, 0, 0))
    assert (picture._repr_png_() or b"")[:4] == b"\x89PNG"
    assert show(frame[0]) == picture
