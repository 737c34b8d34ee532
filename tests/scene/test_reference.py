"""`docs/scene.md`: generated from the model, complete, and true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from render.scene.easings import EASINGS
from render.scene.expressions import CONSTANTS, NAMES
from render.scene.functions import FUNCTIONS
from render.scene.model import SceneSpec
from render.scene.reference import EXAMPLE_ERRORS, EXAMPLE_SCENE, reference_text
from render.scene.renames import upgraded_path
from render.scene.structure import key_paths
from render.scene.tracks import ValueRange, parse_track
from tests.scene.test_document import problems

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w.\[\]]+)`( ~)? \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)


def test_the_committed_reference_is_that_of_the_model() -> None:
    hint = "run: python -m render.scene.reference > docs/scene.md"
    assert (ROOT / "docs" / "scene.md").read_text(encoding="utf-8") == reference_text(), hint


def test_the_module_prints_the_reference() -> None:
    command = [sys.executable, "-m", "render.scene.reference"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout
    assert printed == reference_text()


def test_every_key_has_one_row_with_a_value_a_default_and_a_description() -> None:
    rows = ROW.findall(reference_text())
    keys = [key.replace("[]", "") for key, *_ in rows]
    assert sorted(keys) == sorted(".".join(map(str, path)) for path in key_paths())
    assert len(keys) > 50
    assert all(description.endswith(".") for *_, description in rows)


def test_exactly_the_tracks_are_marked_as_tracks() -> None:
    marked = {key.replace("[]", "") for key, mark, *_ in ROW.findall(reference_text()) if mark}
    scene = SceneSpec.model_validate({"objectives": [{"layer": "a"}], "follow": {}, "signals": {"NAME": 1}})
    tracks = {".".join(step for step in path if isinstance(step, str)) for path, _ in scene.tracks()}
    assert marked == tracks


@pytest.mark.parametrize(
    ("key", "cells"),
    [
        ("camera.zoom", ("track, 0.01 to 100, or per second", "`1.0` *")),
        ("camera.look_at.ease", ("[easing](#tracks)", "`smooth`")),
        ("dream.octaves", ("integer, 1 to 12", "`3` *")),
        ("dream.steps", ("integer, 0 to 1000; or a list", "`4` *")),
        ("dream.momentum", ("number, 0 to below 1", "`0.0` *")),
        ("dream.gradient.gaussian.sigma", ("number, above 0 to 100", "`1.0`")),
        ("dream.tile_size", ("`auto`, `off` or integer, 128 to 16384", "`auto`")),
        ("dream.transforms.scale", ("list of 2: number, 0.25 to 4", "`[1.0, 1.0]` *")),
        ("objectives[].weight", ("track, -1000000 to 1000000; or a list", "`1.0`")),
        ("objectives", ("list: mapping", "required")),
        ("objectives[].content", ("`source`", "-")),
        ("output.bit_depth", ("`8`, `16`", "-")),
    ],
)
def test_a_row_has_the_range_and_the_default_of_its_key(key: str, cells: tuple[str, str]) -> None:
    rows = {name: (value, default) for name, _, value, default, _ in ROW.findall(reference_text())}
    assert rows[key] == cells


def test_every_easing_name_and_function_is_in_the_reference() -> None:
    text = reference_text()
    stems = {name.removeprefix("in_out_").removeprefix("out_").removeprefix("in_") for name in EASINGS}
    assert all(f"`{name}`" in text for name in [*stems, *NAMES, *CONSTANTS])
    for call in (f"{name}({', '.join(function.parameters)})" for name, function in FUNCTIONS.items()):
        assert f"`{call}`" in text
        parse_track(re.sub(r"\b(x|a|b|u|low|high)\b", "t", call), ValueRange())


def test_the_errors_of_the_example_are_those_of_its_scene(tmp_path: Path) -> None:
    reported = "\n".join(str(problem) for problem in problems(tmp_path, EXAMPLE_SCENE))
    assert reported.replace(str(tmp_path / "s.yaml"), "scene.yaml") == EXAMPLE_ERRORS.rstrip("\n")


def test_the_table_of_renamed_keys_is_what_the_upgrade_does() -> None:
    (table,) = re.findall(r"^## Renamed keys\n(.*)", reference_text(), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| `([\w.\[\]]+)` \|$", table, re.MULTILINE)
    assert len(rows) == 17
    for old, new in rows:
        assert upgraded_path(old.replace("[]", ".0"), "w.pth") == new.replace("[]", ".0")
