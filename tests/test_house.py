"""The house's own rules: which room may know which, and that what is written about it is so."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import BaseModel

import render
from render import load
from render.scene.fields import Choice
from render.scene.fields import keys as keys_of
from render.scene.model import Scene
from render.scene.tracks import Track
from tests.film.clips import footage

ROOT = Path(__file__).parents[1]
ROOMS = ("scene", "dream", "motion", "film")
PHOTO, CLIP = ROOT / "docs" / "zoom.jpg", footage("carphone_pristine.mp4")
STILL, MOVING = {"image": PHOTO}, {"video": CLIP}
GIVEN = {"photo": STILL, "cloud": STILL, "stylize": MOVING, "dreamscape": MOVING}
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def imports(file: Path) -> set[str]:
    """The modules that a file imports."""
    tree = ast.parse(file.read_text())
    froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return froms | {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_do_not_import_each_other_nor_what_is_above_them(room: str) -> None:
    for file in (ROOT / "render" / room).glob("*.py"):
        ours = {module for module in imports(file) if module.split(".")[0] == "render"}
        assert all(module.startswith(("render.errors", f"render.{room}")) for module in ours), file


def test_the_scene_needs_no_torch() -> None:
    code = "import sys, render.scene.document, render.scene.schema; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_loop_fits_on_a_page() -> None:
    assert len((ROOT / "render" / "loop.py").read_text().splitlines()) < 100


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_right_and_names_its_schema(config: Path) -> None:
    assert config.read_text().startswith("# yaml-language-server: $schema=scene.schema.json\n")
    given = [("--set", f"source.{key}", str(path)) for key, path in GIVEN.get(config.stem, {}).items()]
    assert load(config, given).length >= 1


def keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The dotted keys of a scene, as the README writes them."""
    for name, field in keys_of(model).items():
        parts = [p for p in parts_of(field.annotation) if issubclass(p, BaseModel)]
        here = f"{path}{name}"
        if not (parts and path == "" and name not in ("layers", "source", "network")) and not issubclass(model, Choice):
            yield here
        for part in parts:
            yield from keys(part, f"{here}[]." if name == "layers" else f"{here}.")


def parts_of(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from parts_of(argument)


def test_the_readme_explains_every_key() -> None:
    readme = (ROOT / "README.md").read_text()
    explained = set(re.findall(r"`([\w.\[\]]+)`", readme))
    wanted = {key for key in keys(Scene) if not key.endswith((".first", ".gradient"))}
    assert len(wanted) > 30
    assert wanted <= explained


def test_the_readme_marks_just_the_tracks_as_keyframeable() -> None:
    readme = (ROOT / "README.md").read_text()
    marked = set(re.findall(r"^\| `([\w.\[\]]+)` ~ \|", readme, re.MULTILINE))
    scene = Scene.model_validate({"layers": [{"layer": "blocks.4"}], "follow": {}})
    tracks = {
        re.sub(r"\.\d", "", ".".join(map(str, path)).replace("layers.0", "layers[]")) for path, _ in scene.tracks()
    }
    assert marked == tracks
    assert all(isinstance(track, Track) for _, track in scene.tracks())


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = example.replace('"configs/', f'"{ROOT}/configs/').replace('"efficient', '"efficient')
    (tmp_path / "example.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    assert capsys.readouterr().out.splitlines()[-1] == "tiny.mp4 3 (96, 96)"
    assert (tmp_path / "tiny.mp4").stat().st_size > 1000


def test_the_scene_of_the_readme_is_right(tmp_path: Path) -> None:
    wishes, whole = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "readme.yaml").write_text(whole)
    assert load(tmp_path / "readme.yaml").length == 120
    for name in re.findall(r"(?:guide|mask): (\S+\.\w+)", wishes):
        cv2.imwrite(str(tmp_path / name), np.full((40, 40, 3), 128, np.uint8))
    (tmp_path / "wishes.yaml").write_text(wishes)
    assert len(load(tmp_path / "wishes.yaml").layers) == 7


def test_every_promise_of_the_readme_names_tests_that_there_are() -> None:
    (promises,) = re.findall(r"^## Promises\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[3] for line in promises.splitlines() if line.startswith("| ")][2:]
    for row in rows:
        folder = "tests/production"
        named = re.findall(r"`([\w./]*test_\w+\.py)`", row)
        assert named, row
        for name in named:  # one without a folder is beside the one before it
            folder = str(Path(name).parent) if "/" in name else folder
            assert (ROOT / folder / Path(name).name).is_file(), row


def test_the_api_is_three_names() -> None:
    assert sorted(render.__all__) == ["frames", "load", "render"]
    assert all(callable(getattr(render, name)) for name in render.__all__)
    with pytest.raises(AttributeError):
        render.lod  # noqa: B018  # asking is the test
