"""Uncovered ground catches up with its surroundings, which do not notice."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from render.models.network import Network
from render.pipeline import loop
from render.pipeline.loop import Frame, State
from render.pipeline.scene import Scene
from tests.conftest import engine_of, photo_tensor
from tests.footage import clip_of, scene_of
from tests.media.clips import LOSSLESS, Frames, write_clip

WIDTH, HEIGHT, EDGE = 192, 96, 96
UNCOVERED = 14
"""The frame in which what covered the right half is gone."""
LENGTH = UNCOVERED + 7
FOLLOWING = 3
"""Frames that are compared after each resumption: the others follow from the state of the last of them."""
LAYER = "blocks.10"
SETS = (
    ("objectives", f"[{{layer: {LAYER}}}, {{statistics: none}}]"),
    ("dream", "{octaves: 2, steps: [1, 3], step_size: 0.008, transforms: {jitter: 32}, first_frame: {steps: 8}}"),
    ("follow.persistence", "0.96"),
    ("follow.cuts", "none"),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def uncovering(covered: int) -> Frames:
    """A still photo; in the first `covered` frames another one covers its right half. Both have a camera's noise."""
    ground = clip_of(photo_tensor("astronaut", WIDTH, HEIGHT)).astype(np.float32)
    covering = ground.copy()
    covering[:, :, EDGE:] = clip_of(photo_tensor("chelsea", WIDTH - EDGE, HEIGHT))
    pictures = np.concatenate([covering if index < covered else ground for index in range(LENGTH)])
    noisy = pictures + np.random.default_rng(0).normal(0, 1.5, pictures.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def film(folder: Path, network: Network, *, covered: int = UNCOVERED) -> tuple[list[Frame], list[int]]:
    """The film of a clip whose right half is covered at first, and the steps taken for each frame."""
    write_clip(folder / "c.mp4", uncovering(covered), *LOSSLESS)
    return frames_and_steps(scene_of(folder, *SETS), network)


def frames_and_steps(
    scene: Scene, network: Network, *, start: int = 0, state: State | None = None
) -> tuple[list[Frame], list[int]]:
    """The frames of a scene from `start` on, and the steps taken for each."""
    steps: list[int] = []
    frames, counts = [], []
    engine = engine_of(scene, network)
    for frame in loop.frames(engine, start=start, state=state, on_step=lambda *_: steps.append(1)):
        frames.append(frame)
        counts.append(len(steps))
        steps.clear()
    return frames, counts


@pytest.fixture(scope="module")
def uncovered(tmp_path_factory: pytest.TempPathFactory, network: Network) -> tuple[list[Frame], list[int]]:
    """The film in which the right half is uncovered, and the steps taken for each frame."""
    return film(tmp_path_factory.mktemp("uncovered"), network)


def strengths(frames: list[Frame], network: Network, columns: slice) -> Tensor:
    """The objective in some columns of the picture, by frame."""
    stride = network.layers[LAYER].stride
    places = slice(*(None if side is None else side // stride for side in (columns.start, columns.stop)))
    maps = [network.activations(frame.picture, [LAYER])[LAYER] for frame in frames]
    return torch.stack([activation[..., places].square().mean() for activation in maps])


def test_uncovered_ground_catches_up_within_six_frames_and_the_rest_does_not_pulse(
    workspace: Path, network: Network, uncovered: tuple[list[Frame], list[int]]
) -> None:
    ground, rest = slice(EDGE + 16, None), slice(None, EDGE - 16)
    (covered, _), (always, _) = uncovered, film(workspace, network, covered=0)
    share = strengths(covered, network, ground) / strengths(always, network, ground)
    assert share[UNCOVERED] < 0.8
    assert (share[UNCOVERED + 5 :] >= 0.8).all()
    of_rest = strengths(covered, network, rest)[UNCOVERED - 3 :]
    assert ((of_rest[1:] / of_rest[:-1]) - 1).abs().max() < 0.06


def test_steps_are_added_only_while_something_is_behind(
    workspace: Path, network: Network, uncovered: tuple[list[Frame], list[int]]
) -> None:
    frames, counts = uncovered
    assert counts[0] == 16
    assert set(counts[1:UNCOVERED]) == {4}
    assert set(counts[UNCOVERED : UNCOVERED + 3]) == {8}
    write_clip(workspace / "c.mp4", uncovering(UNCOVERED), *LOSSLESS)
    cut = scene_of(workspace, *SETS, ("follow.cuts", f"[{UNCOVERED}]"))
    _, counts = frames_and_steps(cut, network, start=UNCOVERED, state=frames[UNCOVERED - 1].state)
    assert counts == [16] + 6 * [4]


def test_a_state_is_restored_exactly_from_its_array() -> None:
    canvas = torch.rand(1, 3, 4, 5)
    for progress in (None, np.random.default_rng(0).random((4, 5), np.float32)):
        array = State(canvas, progress).to_array()
        assert array.shape == (1, 3 if progress is None else 4, 4, 5)
        restored = State.from_array(array, torch.device("cpu"))
        assert torch.equal(restored.canvas, canvas)
        assert (restored.progress is None) == (progress is None)
        if progress is not None and restored.progress is not None:
            assert np.array_equal(restored.progress, progress)


@pytest.mark.parametrize("sets", [(), (("dream.cadence", "3"),), (("dream.tile_size", "128"),)])
def test_a_film_resumes_exactly_while_it_catches_up(
    sets: tuple[tuple[str, str], ...], workspace: Path, network: Network
) -> None:
    write_clip(workspace / "c.mp4", uncovering(4)[:10], *LOSSLESS)
    scene = scene_of(workspace, *SETS, *sets)
    whole = list(loop.frames(engine_of(scene, network)))
    for start in (4, 6):
        state = State.from_array(whole[start - 1].state.to_array(), torch.device("cpu"))
        resumed = list(islice(loop.frames(engine_of(scene, network), start=start, state=state), FOLLOWING))
        for expected, actual in zip(whole[start : start + FOLLOWING], resumed, strict=False):
            assert torch.equal(actual.picture, expected.picture)
            assert np.array_equal(actual.state.to_array(), expected.state.to_array())
        assert len(resumed) == min(FOLLOWING, len(whole) - start)
