"""Variations: the keys of a scene that can be varied, what is drawn, and the process that makes the stills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from render.pipeline.load import load_text
from render.studio.child import MESSAGE, Answer, Child
from render.studio.key_edits import set_values
from render.studio.text_edit import apply_edits
from render.studio.variations import Choice, Key, Request, grid_choice, surprise, variable_keys
from render.sweep.variations import parse_variations

TEXT = """\
size: [96, 64]
duration: 12
seed: 3
camera: {zoom: 1.02, rotate: "6/s", pan: [{0: 0, 6: 0.01}, sin(t)], border: edge}
objectives:
  - {layer: blocks.4}  # fur
  - {class: castle, weight: 0.5}
dream: {octaves: 1, steps: [2], momentum: 0.5, transforms: {flip: true}}
"""
PATH = Path("scene.yaml")
CHILD = "render.studio.variations_process"


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    """The keys of the scene."""
    return {key.name: key for key in variable_keys(load_text(TEXT, PATH))}


def test_numbers_and_words_can_be_varied_what_moves_cannot(keys: Mapping[str, Key]) -> None:
    assert keys["camera.border"].words == ("mirror", "edge", "wrap", "black")
    assert keys["dream.transforms.flip"].words == ("false", "true")
    assert "blocks.15" in keys["objectives.0.layer"].words
    assert keys["objectives.1.weight"].value == "0.5"
    assert keys["dream.steps"].values == "0,1,2,3,4,5"
    assert keys["camera.rotate"].span == "2.0/s:18.0/s"
    assert keys["dream.momentum"].span == "0.1667:0.99"
    assert keys["seed"].span == "0:9999"
    assert not {"size", "fps", "duration", "output.crf", "camera.pan.0", "camera.pan.1"} & keys.keys()


def test_every_key_of_a_scene_accepts_the_ends_of_what_is_proposed_and_drawn(keys: Mapping[str, Key]) -> None:
    for name, key in keys.items():
        if name == "dream.octaves":
            continue  # the size limits them further
        proposed, drawn = parse_variations([f"{name}={key.values}"])[0], parse_variations([f"{name}={key.span}"])[0]
        ends = {proposed.value(0).text, proposed.value(proposed.count - 1).text, drawn.drawn(0, seed=1).text}
        for text in ends:
            load_text(TEXT, PATH, [("--set", name, text)])


def test_a_surprise_is_drawn_from_the_range_of_the_key_or_from_the_values_that_are_written(
    keys: Mapping[str, Key],
) -> None:
    everything = list(keys.values())
    rows = [("camera.zoom", keys["camera.zoom"].values), ("seed", "1,2")]
    choice = surprise(everything, rows, "4", seed=5)
    assert choice == Choice((f"camera.zoom={keys['camera.zoom'].span}", "seed=1,2"), "4", random=9, random_seed=5)
    assert grid_choice([("seed", " 1:4 ")], "4") == Choice(("seed=1:4",), "4")
    drawn = {surprise(everything, [], "4", seed=seed).vary for seed in range(5)}
    assert len(drawn) == 5
    assert {len(vary) for vary in drawn} == {3}


def test_values_of_a_variation_are_edits_of_the_text() -> None:
    values = {"objectives.0.layer": "blocks.9", "camera.zoom": 1.031, "dream.steps": 3, "grade.strength": 0.5}
    edited = apply_edits(TEXT, set_values(TEXT, values))
    assert "  - {layer: blocks.9}  # fur\n" in edited
    assert "zoom: 1.031" in edited
    assert load_text(edited, PATH).spec.dream.steps == (3,)
    assert load_text(edited, PATH).spec.grade.strength.raw == 0.5


def _answers(request: Request) -> list[Answer]:
    async def run() -> list[Answer]:
        child = Child(CHILD, niceness=0)
        try:
            async with asyncio.timeout(120):
                return [answer async for answer in child.request(request.as_json())]
        finally:
            await child.close()

    return asyncio.run(run())


def test_stills_are_made_once_for_the_same_request(tmp_path: Path) -> None:
    choice = Choice(("camera.zoom=1.0,1.2", "objectives.0.layer=stem,blocks.1"), "1")
    request = Request(tmp_path / "scene.yaml", TEXT, folder=tmp_path, choice=choice, side=64)
    assert Request.from_json(request.as_json()) == request
    first, *cells = _answers(request)
    assert first["columns"] == 2
    assert first["cells"][3]["values"] == {"camera.zoom": 1.2, "objectives.0.layer": "blocks.1"}
    files = {answer["cell"]: Path(answer["file"]) for answer in cells}
    assert sorted(files) == [0, 1, 2, 3]
    pictures = {number: Image.open(file).tobytes() for number, file in files.items()}
    assert len(set(pictures.values())) == 4
    with Image.open(files[0]) as image:
        assert image.size == (64, 42)
    times = {number: file.stat().st_mtime_ns for number, file in files.items()}
    assert [answer["cell"] for answer in _answers(request)[1:]] == [0, 1, 2, 3]
    assert {number: file.stat().st_mtime_ns for number, file in files.items()} == times
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("camera.zom=1,2", "unknown key 'zom'"),
        ("dream.momentum=0.1,2", "must be less than 1"),
        ("source.image={outside}/photo.png", "leads out of the folder"),
    ],
)
def test_what_is_wrong_with_values_is_said(vary: str, message: str, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    Image.new("RGB", (96, 64), "white").save(outside / "photo.png")
    request = Request(folder / "scene.yaml", TEXT, folder=folder, choice=Choice((vary.format(outside=outside),), "1"))
    (answer,) = _answers(request)
    assert message in answer[MESSAGE]


def test_draws_depend_on_the_seed_alone(keys: Mapping[str, Key]) -> None:
    everything = list(keys.values())
    random.seed(1)
    once: Any = surprise(everything, [], "0", seed=7)
    random.seed(2)
    assert surprise(everything, [], "0", seed=7) == once
