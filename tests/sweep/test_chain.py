"""Chains: frames with equal links are equal, whatever key differs, and keys that act late leave the links before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from render import load
from render.models.network import Network
from render.pipeline import loop
from render.pipeline.loop import Frame
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from render.sweep.chain import Chain, chain_of
from tests.conftest import engine_of
from tests.footage import panned
from tests.media.clips import LOSSLESS, write_clip

STILL = """
size: [32, 32]
duration: 6
seed: 3
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
objectives:
  - {layer: blocks.2}
  - {layer: blocks.1, channels: [3], weight: {0: 0, 3: 0, 4: 1}}
  - {statistics: natural, depth: [0, 0.05], weight: {0: 0, 2: 0.1}}
dream: {octaves: 2, steps: 1, step_size: 0.01, first_frame: {octaves: 2, steps: 2}, gradient: natural,
  transforms: {jitter: 4}}
grade: {strength: {0: 0, 4: 0, 5: 0.5}}
"""
CLIP = """
duration: 6
size: [48, 32]
source: {video: c.mp4}
objectives: [{layer: blocks.2}, {statistics: none}]
camera: {rotate: {0: 0, 3: 0, 4: 2}}
dream: {octaves: 1, steps: 1, step_size: 0.01, transforms: {jitter: 4}, first_frame: {steps: 2}}
follow: {cuts: [4], persistence: {0: 0.5, 2: 0.5, 3: 0.9}}
"""
FROM_THE_START = {
    "still": (
        "seed=4", "size=[48, 32]", "source.noise.grain=4", "source={image: p.png}",
        "objectives.0.layer=blocks.3", "objectives.0.mask=p.png", "camera.border=black", "dream.octave_scale=1.8",
        "dream.reference_side=64", "dream.final_step_scale=0.5", "dream.momentum=0.5", "dream.total_variation=0.5",
        "dream.gradient=raw", "dream.transforms.flip=true", "dream.transforms.border=wrap",
        "dream.transforms.scale=[0.9, 1.1]", "dream.transforms.jitter=8", "dream.first_frame.steps=3",
        "dream.first_frame={octaves: 1, steps: 2}", "dream.step_size=0.02", "dream.cadence=3", "dream.tile_size=128",
        "objectives.1.weight=1", "exposure=0.5", "view.border=black", "mix.mode=screen",
    ),
    "clip": (
        "seed=4", "fps=12", "source.start=2", "source.fit=stretch", "source.video=d.mp4", "follow.mode=blend",
        "follow.flow=farneback", "dream.first_frame.steps=3", "dream.steps=2",
    ),
}  # fmt: skip
"""Settings that leave no frame as it was, or of which that is not known."""
LATER = {
    "still": (
        "output.crf=30", "duration=5", "duration=8", "fps=12", "camera.zoom=1.06", "camera.rotate={0: 2, end: 3}",
        "camera.rotate=20/s", "camera={look_at: {point: [0.3, 0.6], by: 4}}", "camera.zoom={0: 1.05, 4: 1.05, 5: 2}",
        "objectives.1.channels=[4]", "objectives.1.mask=p.png", "objectives.2.depth=[0, 0.1]",
        "objectives.1={layer: blocks.1, guide: p.png, weight: {0: 0, 4: 1}}",
        "objectives.1={content: source, layer: blocks.1, weight: {0: 0, 4: 1}}",
        "objectives.2={style: p.png, layers: blocks.1, weight: {0: 0, 3: 0, 4: 1}}",
        "dream.steps=2", "dream.octaves=1", "dream.step_size={0: 0.01, 3: 0.01, 4: 0.05}",
        "dream.transforms.jitter={0: 4, 4: 9}", "grade.strength=0.5", "grade.mean={0: 0.4, end: 0.5}",
        "grade.strength={0: 0, 3: 0, 4: 0.5}", "view.zoom={0: 1, 3: 1, 4: 1.2}", "mix={0: 1, 2: 1, 4: 0}",
        "hue={0: 0, 3: 0, 4: 90}", "saturation={0: 1, 4: 1, 5: 0}", "signals={a: {noise: 0.1s}}", "bpm=120",
    ),
    "clip": (
        "duration=5", "camera.rotate={0: 0, 4: 0, 5: 2}", "follow.cuts=none", "follow.cuts=[3]", "follow.cuts=[4, 5]",
        "follow.persistence=0.7", "follow.persistence={0: 0.5, 3: 0.5, 5: 0.9}",
        "grade={strength: {0: 0, 4: 0, 5: 0.5}, cast: 1}",
    ),
}  # fmt: skip
"""Settings that leave the first frames as they are."""
TOURS = tuple(
    f"objectives.0={{tour: channels, layer: blocks.1, channels: [{channels}], hold: {hold}, fade: 1}}"
    for channels, hold in (("1, 2, 3", 2), ("1, 2, 5", 2), ("1, 2, 3", 1))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both scenes, a picture and two clips."""
    folder = tmp_path_factory.mktemp("chain")
    photo = skimage.data.astronaut()
    Image.fromarray(photo).resize((64, 48)).save(folder / "p.png")
    (folder / "still.yaml").write_text(STILL)
    (folder / "clip.yaml").write_text(CLIP)
    clip = panned("coffee", 10)
    write_clip(folder / "c.mp4", clip, *LOSSLESS)
    write_clip(folder / "d.mp4", np.concatenate([clip[:5], clip[:5]]), *LOSSLESS)
    return folder


Run = tuple[Chain, list[Frame]]


def run(scene: Scene, network: Network) -> Run:
    """The chain and the frames of a scene."""
    return chain_of(plan(scene), scene.length - 1), list(loop.frames(engine_of(scene, network)))


def scene_of(file: Path, *sets: str) -> Scene:
    """The scene with settings, whose files are in its folder."""
    return load(file, [("--set", key, value) for key, _, value in (each.partition("=") for each in sets)])


@pytest.fixture(scope="module")
def plain(folder: Path, network: Network) -> dict[str, Run]:
    """Both scenes as they are."""
    return {name: run(scene_of(folder / f"{name}.yaml"), network) for name in ("still", "clip")}


def shared(first: Chain, second: Chain) -> int:
    """The number of frames from the start whose links are equal."""
    pairs = zip(first.links, second.links, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(first.links), len(second.links)))


@pytest.mark.parametrize(("name", "setting"), [(name, each) for name, those in LATER.items() for each in those])
def test_frames_with_equal_links_are_equal(
    name: str, setting: str, folder: Path, plain: dict[str, Run], network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # paths of settings are relative to it
    check_shared_frames(plain[name], run(scene_of(folder / f"{name}.yaml", setting), network))


def check_shared_frames(one: Run, other: Run) -> None:
    """Fails when frames that count as equal are not, or when there are none."""
    (chain, frames), (other_chain, other_frames) = one, other
    common = shared(chain, other_chain)
    assert common > 0
    for index in range(common):
        assert np.array_equal(frames[index].state.to_array(), other_frames[index].state.to_array()), index
    for index in range(common):
        if chain.dreamed[index:common].count(True) and chain.picture(index) == other_chain.picture(index):
            assert torch.equal(frames[index].picture, other_frames[index].picture), index


@pytest.mark.parametrize("first", ["seed=3", "dream.cadence=2"])
def test_frames_of_tours_and_between_dreamed_frames_are_equal_too(first: str, folder: Path, network: Network) -> None:
    file = folder / "still.yaml"
    runs = [run(scene_of(file, first, tour), network) for tour in TOURS]
    check_shared_frames(runs[0], runs[1])
    check_shared_frames(runs[0], runs[2])


@pytest.mark.parametrize(
    ("name", "setting"), [(name, each) for name, those in FROM_THE_START.items() for each in those]
)
def test_a_key_that_acts_from_the_start_shares_nothing(
    name: str, setting: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_frames(folder, name, setting, monkeypatch=monkeypatch) == 0


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        ("still", "output.crf=30", 6),
        ("still", "dream.step_size={0: 0.01, 3: 0.01, 4: 0.05}", 4),
        ("still", "camera.zoom={0: 1.05, 4: 1.05, 5: 1.2}", 5),
        ("still", "camera.zoom=1.06", 1),
        ("still", "dream.steps=2", 1),
        ("still", "objectives.1.channels=[4]", 4),
        ("still", "objectives.1.weight={0: 0, 4: 0, 5: 1}", 4),
        ("still", "grade.strength={0: 0, 3: 0, 4: 0.5}", 4),
        ("still", "duration=8", 6),
        ("clip", "follow.persistence={0: 0.5, 3: 0.9}", 1),
        ("clip", "follow.persistence={0: 0.5, 2: 0.5, 3: 0.8}", 3),
        ("clip", "follow.cuts=[4, 5]", 5),
        ("clip", "camera.rotate={0: 0, 4: 0, 5: 2}", 4),
    ],
)
def test_a_key_leaves_the_frames_before_it_acts(
    name: str, setting: str, expected: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_frames(folder, name, setting, monkeypatch=monkeypatch) == expected


def shared_frames(folder: Path, name: str, setting: str, *, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of frames that a scene shares with itself under a setting."""
    monkeypatch.chdir(folder)
    scenes = scene_of(folder / f"{name}.yaml"), scene_of(folder / f"{name}.yaml", setting)
    first, second = (chain_of(plan(scene), scene.length - 1) for scene in scenes)
    return shared(first, second)


def test_a_tour_shares_what_comes_before_the_first_other_turn(folder: Path) -> None:
    scenes = [scene_of(folder / "still.yaml", tour) for tour in TOURS[:2]]
    first, second = (chain_of(plan(scene), scene.length - 1) for scene in scenes)
    assert shared(first, second) == 6  # the third turn fades in from frame 5, where its weight is still 0


def test_a_picture_with_other_content_of_the_same_name_is_another(folder: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        Image.new("RGB", (64, 48), (number, 0, 0)).save(tmp_path / str(number) / "p.png")
    scenes = [scene_of(folder / "still.yaml", f"source={{image: {tmp_path}/{number}/p.png}}") for number in (1, 2)]
    first, second = (chain_of(plan(scene), scene.length - 1) for scene in scenes)
    assert shared(first, second) == 0
