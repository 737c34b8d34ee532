"""Previews of the dream: exact frames from a warm process, from the nearest state, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from render import Callbacks, frames, load, render
from render.errors import Interrupted
from render.film.encoder import quantize
from render.models.network import Network
from render.pipeline.load import load_text
from render.pipeline.loop import State
from render.pipeline.plan import Options
from render.studio.dream_messages import Begun, DreamedFrame, SceneText
from render.studio.dream_preview import DreamPreview, PreviewError
from render.studio.dream_states import StateMemory, beginning
from render.sweep.chain import chain_of
from tests.conftest import engine_of
from tests.jobs.parts import wait_until

SCENE = """\
size: [128, 96]
duration: 16
source: {noise: {grain: 16}}
camera: {zoom: {0: 1.02, 9: 1.02, 15: 1.05}}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 2, transforms: {jitter: 2}}
output: {segment_frames: 4}
"""
SIDE = 64
REPOSITORY = Path(__file__).parents[2]
Pixels = NDArray[np.uint8]


def scene_text(folder: Path, text: str = SCENE) -> SceneText:
    """A scene in a folder."""
    return SceneText(text=text, path=str(folder / "scene.yaml"), folder=str(folder))


def exact(folder: Path, text: str, count: int) -> list[Pixels]:
    """The first frames of a scene at half its size, as `frames` yields them."""
    scene = load_text(text, folder / "scene.yaml", scale=0.5)
    return [
        quantize(picture, 8).astype(np.uint8)
        for _, picture in frames(scene, Options(precision="float32", frames=(0, count), quiet=True))
    ]


async def shown(
    preview: DreamPreview, events: AsyncGenerator[DreamedFrame | Begun]
) -> tuple[list[Begun], list[tuple[int, int, Pixels]]]:
    """What a preview begins with, and (scene, frame, picture) of all its frames."""
    begun, pictures = [], []
    async for event in events:
        if isinstance(event, Begun):
            begun.append(event)
        else:
            picture = np.asarray(cv2.imread(str(preview.folder / event.file)))[..., ::-1]
            pictures.append((event.scene, event.frame, picture.astype(np.uint8)))
    return begun, pictures


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with SCENE in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.yaml").write_text(SCENE)
    return tmp_path


def test_frames_are_exact_and_come_from_the_nearest_state_also_after_the_process_was_killed(folder: Path) -> None:
    expected = exact(folder, SCENE, 8)

    async def check() -> None:
        preview = DreamPreview(niceness=1)
        begun, pictures = await shown(preview, preview.frames([scene_text(folder)], 0, side=SIDE, last=6))
        assert [(each.frame, each.source) for each in begun] == [(0, "start")]
        assert [(scene, frame) for scene, frame, _ in pictures] == [(0, frame) for frame in range(6)]
        assert all(np.array_equal(picture, expected[frame]) for _, frame, picture in pictures)
        process = preview.pid
        assert process is not None
        assert psutil.Process(process).nice() == psutil.Process().nice() + 1

        later = SCENE.replace("15: 1.05", "15: 0.95")  # the same up to frame 9
        begun, pictures = await shown(preview, preview.frames([scene_text(folder, later)], 5, side=SIDE, last=8))
        assert [(each.frame, each.source) for each in begun] == [(5, "memory")]
        assert [frame for _, frame, _ in pictures] == [5, 6, 7]
        assert all(np.array_equal(picture, expected[frame]) for _, frame, picture in pictures)

        other = SCENE.replace("blocks.4", "blocks.5")
        both = [scene_text(folder), scene_text(folder, other)]
        begun, pictures = await shown(preview, preview.frames(both, 2, side=SIDE, last=4))
        assert [(each.scene, each.frame) for each in begun] == [(0, 2), (1, 0)]
        assert [(scene, frame) for scene, frame, _ in pictures] == [(1, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
        assert np.array_equal(pictures[-1][2], exact(folder, other, 4)[3])

        with pytest.raises(PreviewError, match=r"scene\.yaml:1:1: "):
            await shown(preview, preview.frames([scene_text(folder, "zoom: 1\n")], 0, side=SIDE))
        assert preview.pid == process

        slow = SCENE.replace("steps: 2", "steps: 40")
        first = preview.frames([scene_text(folder, slow)], 0, side=SIDE)
        assert isinstance(await anext(first), Begun)
        second = preview.frames([scene_text(folder, slow)], 1, side=SIDE, last=4)
        assert [event async for event in second if isinstance(event, DreamedFrame)][-1].frame == 3
        assert [event async for event in first] == []
        assert preview.pid == process

        third = preview.frames([scene_text(folder, slow)], 8, side=SIDE, last=10)
        assert isinstance(await anext(third), Begun)
        assert preview.pid is not None
        psutil.Process(preview.pid).kill()
        dreamed = [event for event in [each async for each in third] if isinstance(event, DreamedFrame)]
        assert [event.frame for event in dreamed if not event.is_lead] == [8, 9]
        assert preview.pid not in (None, process)
        last = preview.pid
        await preview.stop()
        assert not psutil.pid_exists(last or 0)
        assert not preview.folder.exists()

    asyncio.run(check())


STUDIO = """
import asyncio, sys
from pathlib import Path
from render.studio.dream_messages import SceneText
from render.studio.dream_preview import DreamPreview

async def main():
    preview = DreamPreview(niceness=0)
    scene = SceneText(text=Path("scene.yaml").read_text(), path=str(Path("scene.yaml").absolute()), folder=".")
    async for event in preview.frames([scene], 0, side=64):
        print(preview.pid, preview.folder, flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""


def test_the_process_ends_with_the_studio(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", STUDIO], stdout=subprocess.PIPE, env=environment) as studio:
        assert studio.stdout is not None
        pid, temporary = studio.stdout.readline().decode().split()
        process = psutil.Process(int(pid))
        studio.kill()
    wait_until(lambda: not process.is_running())
    assert not Path(temporary).exists()


def test_states_of_an_unfinished_film_are_used_while_its_scene_is_the_same(folder: Path, network: Network) -> None:
    def stop(progress: object) -> None:
        if getattr(progress, "index", 0) == 13:
            raise KeyboardInterrupt

    with contextlib.suppress(Interrupted):
        render(load("scene.yaml"), callbacks=Callbacks(on_frame=stop))
    whole = load("scene.yaml")
    engine = engine_of(load("scene.yaml", scale=0.5), network)
    chain = chain_of(engine.plan, 15)
    memory = StateMemory()
    found = {frame: beginning(engine, whole, chain, frame=frame, memory=memory) for frame in (3, 4, 11, 15)}
    assert {frame: (each.frame, each.source) for frame, each in found.items()} == {
        3: (0, "start"),
        4: (4, "film"),
        11: (8, "film"),
        15: (12, "film"),
    }
    state = found[15].state
    assert state is not None
    assert state.canvas.shape == (1, 3, 48, 64)
    film = State.from_array(np.load("scene.mp4.parts/00002.npy"), state.canvas.device)
    halved = cv2.resize(film.canvas[0].permute(1, 2, 0).numpy(), (64, 48), interpolation=cv2.INTER_AREA)
    assert np.allclose(state.canvas[0].permute(1, 2, 0).numpy(), halved, atol=1e-6)
    memory.put(chain.links[11], state)
    assert beginning(engine, whole, chain, frame=15, memory=memory).source == "memory"
    changed = load("scene.yaml", [("--set", "seed", "3")])
    assert beginning(engine, changed, chain, frame=11, memory=StateMemory()).source == "start"


def test_states_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.studio.dream_states.MAX_BYTES", 3 * 12 * 16)
    memory = StateMemory()
    for link in "abc":
        memory.put(link, State(torch.zeros(1, 3, 4, 4)))
    assert memory.get("a") is not None
    memory.put("d", State(torch.zeros(1, 3, 4, 4)))
    assert [memory.get(link) is not None for link in "abcd"] == [True, False, True, True]
