"""The language of --vary, and the cells of a sweep: every combination of the values, or random ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from render.errors import RenderError, SceneError, UsageError
from render.scene.document import Override
from render.sweep.cells import Grid, SweepScene, find_cells
from render.sweep.model import SweepOptions
from render.sweep.variations import parse_variation
from tests.cli.program import SCENE


def values(text: str) -> list[str]:
    """The YAML texts of the values of a `--vary`."""
    variation = parse_variation(text)
    return [variation.value(index).text for index in range(variation.count)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scene `s.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


def grid(*vary: str, overrides: tuple[Override, ...] = (), **options: Any) -> Grid:
    """The cells of a sweep over the scene."""
    return find_cells(SweepScene(Path("s.yaml"), overrides), SweepOptions(vary, **options))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camera.zoom=1.01,1.02", ["1.01", "1.02"]),
        ("camera.zoom= 1.01 , 1.02 ", ["1.01", "1.02"]),
        ("seed=1:4", ["1", "2", "3", "4"]),
        ("seed=-1:1", ["-1", "0", "1"]),
        ("seed=1:2,7,9:10", ["1", "2", "7", "9", "10"]),
        ("dream.step_size=0.2:0.8:4", ["0.2", "0.4", "0.6", "0.8"]),
        ("dream.step_size=0.8:0.2:3", ["0.8", "0.5", "0.2"]),
        ("dream.step_size=0:1:4", ["0", "0.3333333333", "0.6666666667", "1"]),
        ("dream.steps=1:10:4", ["1", "4", "7", "10"]),
        ("camera.rotate=1/s:2/s:3", ["1/s", "1.5/s", "2/s"]),
        ("objectives.0.hold=1s:3s", ["1s", "2s", "3s"]),
        ("camera.look_at.by=10%:50%:3", ["10%", "30%", "50%"]),
        ("seed=5:5", ["5"]),
        ("size=[64, 48],[48, 64]", ["[64, 48]", "[48, 64]"]),
        ("objectives=[{layer: a}],[{layer: b}, {class: c}]", ["[{layer: a}]", "[{layer: b}, {class: c}]"]),
        ("camera.zoom=1 + 0.1 * max(t, 2),{0s: 1, 2s: 1.1}", ["1 + 0.1 * max(t, 2)", "{0s: 1, 2s: 1.1}"]),
        ("source.image='a,b.png',\"c\\\",d.png\",it's.png", ["'a,b.png'", '"c\\",d.png"', "it's.png"]),
        ("follow=null,{}", ["null", "{}"]),
        ("output.audio=none", ["none"]),
    ],
)
def test_lists_ranges_and_sections(text: str, expected: list[str]) -> None:
    assert values(text) == expected


def test_a_pattern_of_a_key_that_names_files_stands_for_them(folder: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg", "lion [1].png", "it's, new.png"):
        (folder / name).touch()
    (folder / "d.png").mkdir()
    assert values("source.image=[ab].png,c.jpg") == ['"a.png"', '"b.png"', "c.jpg"]
    assert values("objectives.0.style=it*.png") == ['"it\'s, new.png"']
    assert values("source.image=lion [1].png") == ["lion [1].png"]
    assert values("camera.zoom=2 * t,1") == ["2 * t", "1"]
    with pytest.raises(SceneError, match=r"--vary:1:20: no file matches 'x\*.png'"):
        parse_variation("source.image=a.png,x*.png")


def test_several_keys_multiply() -> None:
    cells = grid("seed=1:3", "dream.steps=1,2", "camera.zoom=1,1.1")
    assert (cells.columns, cells.rows, cells.pages) == (3, 2, 2)
    assert [tuple(cell.place) for cell in cells.cells[:4]] == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)]
    assert cells.label(cells.cells[11]) == "seed=3, dream.steps=2, camera.zoom=1.1"
    last = cells.cells[11].scene.spec
    assert (last.seed, last.dream.steps, last.camera.zoom.raw) == (3, (2,), 1.1)


def test_a_cell_is_the_scene_with_set_and_then_its_own_values() -> None:
    cells = grid("objectives.0.weight=1,2", overrides=(("--set", "objectives", "[{layer: blocks.2}]"),))
    first = cells.cells[1].scene.spec.objectives[0]
    assert isinstance(first.weight, object)
    assert first.layer == "blocks.2"
    assert cells.cells[1].scene.params(0).weights[0] == (2.0,)


@pytest.mark.parametrize(("frame", "expected"), [("50%", 12), ("0", 0), ("end", 24), ("0.5s", 12), ("7", 7)])
def test_a_cell_is_one_frame(frame: str, expected: int) -> None:
    assert grid("seed=1,2", "duration=25", frame=frame).cells[0].frame == expected


def test_random_draws_are_seeded_and_within_the_ranges() -> None:
    vary = ("dream.step_size=0.01:0.02", "seed=1:1000000", "camera.zoom=1,1.1")
    cells = grid(*vary, random=12)
    assert len(cells.cells) == 12
    for cell in cells.cells:
        assert 0.01 <= float(cell.values[0].text) <= 0.02
        assert len(cell.values[0].text) <= 8
        assert 1 <= int(cell.values[1].text) <= 1000000
    assert len({cell.values[1].text for cell in cells.cells}) == 12
    assert {cell.values[2].text for cell in cells.cells} == {"1", "1.1"}
    again, more = grid(*vary, random=12), grid(*reversed(vary), random=16)
    assert [cell.values for cell in again.cells] == [cell.values for cell in cells.cells]
    assert [cell.values[::-1] for cell in more.cells[:12]] == [cell.values for cell in cells.cells]
    other = grid(*vary, random=12, random_seed=1)
    assert [cell.values for cell in other.cells] != [cell.values for cell in cells.cells]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("dream.stepsize=1,2", "--vary:1:1: unknown key 'stepsize'; did you mean 'step_size'?"),
        ("dream.step_size=0.1,abc", "--vary:1:17: unknown name 'abc'"),
        ("dream.octaves=1,2,x", "--vary:1:15: dream.octaves must be a whole number, not 'x'"),
        ("seed=1:10:3", "--vary:1:6: seed must be a whole number, not '5.5'"),
        ("objectives.0.layer=blocks.1,block.3", "has no layer 'block.3'; did you mean 'blocks.3'?"),
        ("seed=4:1", "--vary:1:6: the range '4:1' is empty; write 1:4"),
        ("seed=7,1:4:0", "--vary:1:8: the range '1:4:0' is empty"),
        ("seed=1:4:1", "one value of the range '1:4:1' is no range"),
        ("dream.step_size=0.1:0.2", "--vary:1:17: '0.1:0.2' has any number of values; write 0.1:0.2:4"),
        ("seed=1:b", "--vary:1:6: '1:b' is not a range"),
        ("camera.rotate=1/s:2:3", "the ends of '1/s:2:3' have different units"),
        ("seed=1,,2", "--vary:1:8: a value is missing"),
        ("seed=", "--vary:1:6: a value is missing"),
        ("seed=[1,2", "--vary:1:6: not YAML"),
        ("objectives=[{layer: a}];[{layer: b}]", "--vary:1:24: commas separate the values, not ';'"),
        ("output.path=a.mp4,b.mp4", "'output.path' cannot be varied"),
        ("seed", "--vary needs KEY=VALUES"),
        ("a b=1", "--vary needs KEY=VALUES"),
        ("seed=1:401", "401 cells; a sweep has at most 400"),
    ],
)
def test_a_mistake_is_reported_with_its_place(vary: str, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        grid(vary)
    assert message in str(caught.value)
    assert caught.value.status == 2
    if "--vary:1" in message:
        assert "\n    1 | " in str(caught.value)


def test_a_wrong_key_is_reported_once_however_many_values_it_has() -> None:
    with pytest.raises(SceneError) as caught:
        grid("dream.stepsize=1:60")
    assert len(caught.value.problems) == 1


def test_all_wrong_values_are_reported() -> None:
    with pytest.raises(SceneError) as caught:
        grid("dream.octaves=1,x,y", "seed=1:3")
    assert len(caught.value.problems) == 2


def test_what_is_wrong_with_values_together_names_them() -> None:
    with pytest.raises(SceneError, match=r"with dream\.octaves=2, dream\.steps=\[1, 2, 3\]: 3 numbers of steps for 2"):
        grid("dream.octaves=2,3", "dream.steps=1,[1, 2, 3]")


@pytest.mark.parametrize("vary", [("seed=1:1000000",), ("seed=1:1000", "dream.step_size=0:1:1000")])
def test_a_million_cells_are_refused_at_once(vary: tuple[str, ...]) -> None:
    start = time.perf_counter()
    with pytest.raises(UsageError, match="1000000 cells"):
        grid(*vary)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ((), {}, "a sweep needs --vary"),
        (("seed=1", "seed=2"), {}, "'seed' is varied twice"),
        (("camera.zoom=1,2", "camera={}"), {}, "give --vary camera=... first"),
        (("seed=1,2",), {"random": 401}, "--random draws from 1 to 400 cells, not 401"),
        (("seed=1,2",), {"random": 2, "random_seed": -1}, "a seed is from 0 to"),
        (("seed=1,2",), {"frame": "3"}, "--frame '3' is after the last frame, 2, of the film with seed=1"),
        (("seed=1,2",), {"frame": "x"}, "--frame: 'x' is not a time"),
        (("seed=1,2", "dream.steps=1,2"), {"columns": 2}, "--columns is for one key"),
        (("seed=1,2",), {"columns": 0}, "from 1 to 400 columns"),
        (("seed=1,2",), {"side": 8}, "from 16 to 4096 pixels a side, not 8"),
    ],
)
def test_options_that_do_not_fit_are_errors(vary: tuple[str, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError) as caught:
        grid(*vary, **options)
    assert message in str(caught.value)
    assert caught.value.status == 2
