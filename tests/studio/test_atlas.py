"""The atlas of the studio: what it lists, the edits that choosing makes, and the process that makes its pictures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from render.errors import UsageError
from render.pipeline.load import load_text
from render.scene.objectives import NetworkSpec
from render.studio.atlas import (
    PAGE,
    channel_tiles,
    class_tiles,
    layer_tiles,
    objective_edits,
    page_of,
    picture_file,
    picture_scene,
)
from render.studio.child import Answer, Child
from render.studio.painter import Outcome, Painter, Picture
from render.studio.text_edit import apply_edits

LITE = NetworkSpec()
NETWORK = {"name": "efficientnet_lite0"}
CHANNEL = {"layer": "blocks.7", "channels": [3]}
SECONDS = 120.0


def test_the_layers_are_the_blocks_and_a_search_finds_all() -> None:
    blocks = layer_tiles(LITE)
    assert [tile.name for tile in blocks[:2]] == ["stem", "blocks.0"]
    assert blocks[1].objective == {"layer": "blocks.0"}
    assert blocks[1].layer == "blocks.0"
    found = [tile.name for tile in layer_tiles(LITE, "blocks.3 conv")]
    assert found
    assert all("blocks.3" in name and "conv" in name for name in found)
    assert layer_tiles(LITE, "no such layer") == []


def test_a_layer_has_a_tile_for_each_channel_by_pages() -> None:
    tiles = channel_tiles(LITE, "blocks.7")
    assert tiles[3].objective == CHANNEL
    assert [len(page_of(tiles, number)) for number in range(3)] == [PAGE, len(tiles) - PAGE, 0]
    assert [tile.name for tile in channel_tiles(LITE, "blocks.7", "17 3")] == ["blocks.7:3", "blocks.7:17"]


def test_classes_are_found_by_words_those_that_begin_with_them_first() -> None:
    names = [tile.name for tile in class_tiles(LITE, "Castle")]
    assert names[0] == "castle"
    assert [tile.name for tile in class_tiles(LITE, "retriever golden")] == ["golden retriever"]
    assert len(class_tiles(LITE)) > 990
    assert class_tiles(LITE, "castle")[0].objective == {"class": "castle"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "objectives:\n  - layer: blocks.4  # fur\nseed: 3\n",
            "objectives:\n  - layer: blocks.4  # fur\n  - {N}\nseed: 3\n",
        ),
        ("objectives: [{layer: blocks.4}]  # fur\n", "objectives: [{layer: blocks.4}, {N}]  # fur\n"),
        ("seed: 3\n", "seed: 3\nobjectives: [{N}]\n"),
    ],
)
def test_an_objective_is_appended_in_the_style_of_the_list(text: str, expected: str) -> None:
    edited = apply_edits(text, objective_edits(text, CHANNEL))
    assert edited == expected.replace("{N}", "{layer: blocks.7, channels: [3]}")
    load_text(edited, Path("scene.yaml"))


@pytest.mark.parametrize(
    ("text", "objective", "expected"),
    [
        (
            "objectives:\n  - {layer: blocks.4, weight: 2}  # fur\n",
            {"layer": "blocks.9"},
            "objectives:\n  - {layer: blocks.9, weight: 2}  # fur\n",
        ),
        ("objectives: [{layer: blocks.4}]\n", {"class": "castle"}, "objectives: [{class: castle}]\n"),
        ("objectives: [{class: [castle, daisy], weight: [1, 2]}]\n", CHANNEL, "objectives: [{N}]\n"),
        ("seed: 3\n", CHANNEL, "seed: 3\nobjectives: [{N}]\n"),
    ],
)
def test_the_only_objective_is_replaced(text: str, objective: Mapping[str, Any], expected: str) -> None:
    edited = apply_edits(text, objective_edits(text, objective, is_replacing=True))
    assert edited == expected.replace("{N}", "{layer: blocks.7, channels: [3]}")
    load_text(edited, Path("scene.yaml"))


def test_one_of_several_objectives_is_not_replaced() -> None:
    text = "objectives: [{layer: blocks.4}, {layer: blocks.5}]\n"
    with pytest.raises(UsageError, match="the scene has 2 objectives"):
        objective_edits(text, CHANNEL, is_replacing=True)


def test_a_cached_picture_is_that_of_its_weights_and_objective() -> None:
    layer, channel = (picture_scene(LITE, objective) for objective in ({"layer": "blocks.7"}, CHANNEL))
    files = {picture_file(scene, weights) for scene in (layer, channel) for weights in ("a", "b")}
    assert len(files) == 4
    assert picture_file(picture_scene(LITE, CHANNEL), "a") in files


class _Recorder:
    """Answers every request at once, but the first one only when it may."""

    pid = None

    def __init__(self) -> None:
        self.objectives: list[object] = []
        self.may_begin = asyncio.Event()

    async def request(self, request: Mapping[str, Any]) -> AsyncGenerator[Answer]:
        self.objectives.append(request["objective"]["layer"])
        await self.may_begin.wait()
        yield {"file": request["objective"]["layer"]}

    async def close(self) -> None:
        pass


def _pictures(*layers: str) -> list[Picture]:
    return [Picture(NETWORK, {"layer": layer}) for layer in layers]


def test_what_was_looked_at_last_is_made_first_and_each_picture_once() -> None:
    async def run() -> None:
        child = _Recorder()
        painter = Painter(child)  # type: ignore[arg-type]  # only what it uses
        found: list[tuple[str, str]] = []

        def on_done(name: str) -> Any:
            return lambda picture, outcome: found.append((name, str(outcome.file)))

        painter.want("one", _pictures("a", "b", "c"), on_done("one"))
        await asyncio.sleep(0)
        painter.want("two", _pictures("c", "d"), on_done("two"))
        painter.want("one", _pictures("b", "c"), on_done("one"))
        painter.want("three", _pictures("e"), on_done("three"))
        painter.forget("three")
        child.may_begin.set()
        while len(found) < 4:
            await asyncio.sleep(0.01)
        assert child.objectives == ["a", "b", "c", "d"]
        assert sorted(found) == [("one", "b"), ("one", "c"), ("two", "c"), ("two", "d")]
        await painter.close()

    asyncio.run(run())


def test_pictures_are_made_once_and_a_killed_process_is_started_again() -> None:
    async def run() -> None:
        child = Child("render.studio.atlas_process", idle_seconds=0.1, niceness=1)
        painter = Painter(child)
        outcomes: dict[str, Outcome] = {}

        def on_done(picture: Picture, outcome: Outcome) -> None:
            outcomes[str(picture.objective["layer"])] = outcome

        async def wait(count: int) -> None:
            async with asyncio.timeout(SECONDS):
                while len(outcomes) < count:
                    await asyncio.sleep(0.02)

        painter.want("page", [*_pictures("stem", "blocks.1", "no.such.layer")], on_done)
        await wait(1)
        assert child.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 1
        os.kill(child.pid, signal.SIGKILL)
        await wait(3)
        stem, blocks = outcomes["stem"].file, outcomes["blocks.1"].file
        assert stem is not None
        assert blocks is not None
        with Image.open(stem) as image:
            assert image.size == (112, 112)
        assert "has no layer 'no.such.layer'" in outcomes["no.such.layer"].message
        before = (stem.stat().st_mtime_ns, blocks.stat().st_mtime_ns)
        outcomes.clear()
        blocks.write_bytes(blocks.read_bytes()[:100])  # damaged
        painter.want("page", _pictures("stem", "blocks.1"), on_done)
        await wait(2)
        assert (outcomes["stem"].file, outcomes["blocks.1"].file) == (stem, blocks)
        assert stem.stat().st_mtime_ns == before[0]
        with Image.open(blocks) as image:
            image.load()
        async with asyncio.timeout(SECONDS):
            while child.pid is not None:  # it ends when there is nothing to do
                await asyncio.sleep(0.02)
        await painter.close()

    asyncio.run(run())


def test_the_process_ends_with_its_standard_input() -> None:
    command = [sys.executable, "-m", "render.studio.atlas_process"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"network": NETWORK, "objective": {"layer": "blocks.15"}}).encode() + b"\n")
    process.stdin.close()
    assert process.wait(SECONDS) == 0
    process.stdout.close()
