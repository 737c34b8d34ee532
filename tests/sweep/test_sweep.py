"""Sweeps: exact stills and films, frames made once, sheets, and the index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from render import Options, load, render
from render.film.metadata import read_metadata
from render.media.image import load_fitted
from render.motion import flow
from render.system.checksum import sha256
from tests.footage import panned
from tests.media.clips import LOSSLESS, write_clip
from tests.sweep.sweeps import LATE, LATE_TOO, arguments_of, check_stills, make, pixels, still

pytestmark = pytest.mark.usefixtures("workspace")


@pytest.mark.parametrize(
    ("vary", "sets", "dreamed", "alone"),
    [
        ((LATE.replace("4=", "4=0.01,"), "dream.step_size.6=0.02,0.04,0.08"), {}, 4 + 3 + 9 * 3, 72),
        (("output.crf=20,30", LATE), {}, 4 + 2 * 4, 32),
        ((LATE,), {"dream.cadence": "3"}, 6, 8),
        (("dream.transforms.jitter={0: 4, 6: 4, 7: 9},4",), {"dream.cadence": "2", "duration": "9"}, 6, 10),
        (("objectives.0={tour: channels, layer: blocks.1, channels: [1, 2, 3], hold: 2, fade: 1},{layer: blocks.1}",),
         {}, 16, 16),
        (("grade.strength={0: 0, 5: 0, 6: 0.5},0",), {"source": "{image: p.png}", "camera.zoom": "1"}, 10, 16),
    ],
)  # fmt: skip
def test_stills_are_the_frames_of_their_films_and_shared_frames_are_dreamed_once(
    vary: tuple[str, ...], sets: dict[str, str], dreamed: int, alone: int
) -> None:
    finished = make(*vary, sets=tuple(("--set", key, value) for key, value in sets.items()))
    assert [cell["state"] for cell in finished.cells] == ["SUCCEEDED"] * len(finished.cells)
    assert (finished.frames, finished.frames_alone) == (dreamed, alone)
    assert dreamed < 0.7 * 72 or alone != 72  # a key that acts from the middle on saves work
    check_stills([finished.cells[1], finished.cells[-1]])


def test_stills_of_footage_are_exact_and_its_flow_is_estimated_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(workspace / "c.mp4", panned("coffee", 8), *LOSSLESS)
    estimated: list[int] = []
    estimate = flow.dis

    def counted(first: Tensor, second: Tensor) -> flow.Flow:
        estimated.append(1)
        return estimate(first, second)

    monkeypatch.setattr(flow, "dis", counted)
    finished = make("camera.rotate=2,3", "follow.persistence.3=0.9,0.7", scene="clip.yaml")
    assert len(estimated) == 2 * 5
    assert finished.frames == 1 + 2 * 2 + 4 * 3
    check_stills(finished.cells)


def test_the_features_of_a_guide_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(file: Path, side: int) -> Tensor:
        read.append(file)
        return load_fitted(file, side)

    monkeypatch.setattr("render.pipeline.build.load_fitted", counted)
    finished = make("seed=1:3", sets=(("--set", "objectives.0.guide", "p.png"),), frame="1")
    assert len(read) == 1
    check_stills(finished.cells)


@pytest.mark.parametrize(
    ("vary", "sets", "dreamed"),
    [
        ((LATE, LATE_TOO), {}, 4 + 2 * 1 + 4 * 2),
        ((LATE,), {"dream.cadence": "3", "output.codec": "prores"}, 2 + 2 * 1),
        ((LATE,), {"output.codec": "png", "output.bit_depth": "16"}, 4 + 2 * 3),
    ],
)
def test_films_are_the_bytes_of_their_commands_and_shared_frames_are_dreamed_once(
    vary: tuple[str, ...], sets: dict[str, str], dreamed: int, tmp_path: Path
) -> None:
    finished = make(*vary, sets=tuple(("--set", key, value) for key, value in sets.items()), frame="6", films=True)
    assert finished.frames == dreamed
    assert not list((tmp_path / "jobs").glob("*/parts/*"))  # no frame in common is kept
    for cell in (finished.cells[0], finished.cells[-1]):
        scene, overrides, output = arguments_of(cell["command"])
        overrides.append(("--output", "output.path", json.dumps(output)))
        film = render(load(scene, overrides), Options(precision="float32", frames=(0, 7)))
        names = [output % i for i in range(7)] if "%" in output else [output]
        own = f"a.cells/{cell['film']}"
        made = [own % i for i in range(7)] if "%" in own else [own]
        assert film.made
        assert [sha256(Path(name)) for name in made] == [sha256(Path(name)) for name in names]
    check_stills(finished.cells[-1:])


def test_the_sheet_has_columns_rows_and_pages() -> None:
    finished = make("seed=1:3", "dream.steps=1,2", "camera.zoom=1.01,1.02", frame="0")
    assert [sheet.name for sheet in finished.sheets] == ["a.png", "a.2.png"]
    index = json.loads(finished.index.read_text())
    assert (index["columns"], index["rows"], index["pages"]) == (3, 2, 2)
    cells = index["cells"]
    assert len(cells) == 12
    assert cells[7]["values"] == {"seed": 2, "dream.steps": 1, "camera.zoom": 1.02}
    assert (cells[7]["page"], cells[7]["row"], cells[7]["column"]) == (1, 0, 1)
    for cell in cells:
        left, top, width, height = cell["box"]
        sheet = pixels(finished.sheets[cell["page"]])
        assert np.array_equal(sheet[top : top + height, left : left + width], pixels(still(cell)))
    heading = pixels(finished.sheets[1])[: cells[0]["box"][1]]
    assert heading.max() > 200
    assert pixels(finished.sheets[1])[cells[0]["box"][1] :, : cells[0]["box"][0]].max() > 200


def test_large_stills_are_shrunk_on_the_sheet_alone() -> None:
    finished = make("seed=1:3", frame="0", side=16, columns=2)
    cells = json.loads(finished.index.read_text())["cells"]
    assert [cell["box"][2:] for cell in cells] == [[16, 16]] * 3
    assert pixels(still(finished.cells[0])).shape == (32, 32, 3)
    assert [(cell["row"], cell["column"]) for cell in cells] == [(0, 0), (0, 1), (1, 0)]


def test_a_still_embeds_its_scene() -> None:
    finished = make("seed=1,2", frame="2")
    metadata = read_metadata(still(finished.cells[1]))
    assert metadata is not None
    assert metadata["scene"]["seed"] == 2
    assert metadata["frames"] == [2, 3]
