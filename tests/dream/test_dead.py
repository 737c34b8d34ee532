"""What a gradient of nothing, or of what is no number, does to a dream: nothing."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch import Tensor

from render import load, render
from render.dream import networks, registry, weights
from render.dream.ascent import dream
from render.dream.networks import Network
from render.dream.objectives import channels, layer
from render.pieces import Progress
from tests.dream.test_ascent import ASCENT
from tests.dream.test_gradients import ALL

CHANNEL = 7
SCENE = """
size: [64, 64]
duration: 4
source: {noise: {grain: 16}}
camera: {zoom: 1.02}
grade: {strength: 0}
layers: [{layer: blocks.3, channels: 7}]
dream: {octaves: 2, steps: 2, jitter: 2}
network: {name: efficientnet_lite0, weights: mine.pth}
"""


def own_weights(folder: Path, value: float) -> Path:
    """The embedded network's weights, with one channel of blocks.3, which nothing skips, that is always so much."""
    source = registry.blueprint("efficientnet_lite0").source
    state = copy.deepcopy(dict(source.renamed(weights.read(source.fetched(quiet=True)))))
    last = [name.removesuffix(".weight") for name in state if name.startswith("blocks.3.") and state[name].dim() == 1]
    name = [name for name in last if f"{name}.running_mean" in state][-1]
    state[f"{name}.weight"][CHANNEL] = 0 * value
    state[f"{name}.bias"][CHANNEL] = value
    torch.save(state, folder / "mine.pth")
    return folder / "mine.pth"


def network_of(folder: Path, value: float) -> Network:
    return networks.load("efficientnet_lite0", file=own_weights(folder, value))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("gradient", ALL)
@pytest.mark.parametrize("more", [{}, {"momentum": 0.5, "total_variation": 0.5, "rotate": 4.0}])
def test_a_dead_channel_leaves_the_picture_as_it_was(
    photo: Tensor, tmp_path: Path, value: float, gradient: str, more: dict[str, Any]
) -> None:
    told: list[float] = []
    wish = channels("blocks.3", [CHANNEL])
    ascent = replace(ASCENT, condition=ALL[gradient], **more)
    dreamed = dream(photo, network_of(tmp_path, value), wish, ascent, (0, 0), lambda o, s, v: told.append(float(v)))
    assert torch.equal(dreamed, photo)
    assert len(told) == 8
    assert all(math.isnan(value) for value in told)


def test_one_step_without_a_number_is_left_out_and_the_others_are_taken(network: Network, photo: Tensor) -> None:
    steps = 0
    real = ASCENT.condition

    def now_and_then(gradient: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        return real(gradient) if steps != 2 else torch.full_like(gradient, torch.nan)

    told: list[float] = []
    one, all_three = replace(ASCENT, steps=(3,), condition=now_and_then), replace(ASCENT, steps=(3,))
    dreamed = dream(photo, network, layer("blocks.4"), one, (0, 0), lambda o, s, v: told.append(float(v)))
    assert dreamed.isfinite().all()
    assert [math.isnan(value) for value in told] == [False, True, False]
    assert not torch.equal(dreamed, dream(photo, network, layer("blocks.4"), all_three, (0, 0)))
    assert (dreamed - photo).abs().mean() > 0.01


def test_a_dead_step_leaves_the_picture_even_while_momentum_would_go_on(network: Network, photo: Tensor) -> None:
    steps = 0

    def first_only(gradient: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        return ASCENT.condition(gradient) if steps == 1 else torch.full_like(gradient, torch.nan)

    told: list[float] = []
    three = replace(ASCENT, steps=(3,), condition=first_only, momentum=0.5)
    dreamed = dream(photo, network, layer("blocks.4"), three, (0, 0), lambda o, s, v: told.append(float(v)))
    assert [math.isnan(value) for value in told] == [False, True, True]
    one = replace(ASCENT, steps=(1,), momentum=0.5)
    assert torch.equal(dreamed, dream(photo, network, layer("blocks.4"), one, (0, 0)))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_film_of_a_dead_channel_is_its_source_moved_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    own_weights(tmp_path, value)
    told: list[str] = []
    seen: list[Progress] = []
    render(load("s.yaml", [("--output", "output.path", "dead%02d.png")]), warn=told.append, watch=seen.append)
    undreamed = load("s.yaml", [("--output", "output.path", "still%02d.png"), ("--set", "dream.steps", "0")])
    assert not told[1:]
    assert "frame 0: in 4 of 4 steps the gradient was zero or not a number" in told[0]
    assert [progress.objective for progress in seen] == [None] * 4
    render(undreamed, warn=told.append)
    assert len(told) == 1
    for index in range(4):
        assert pixels(Path(f"dead{index:02d}.png")) == pixels(Path(f"still{index:02d}.png"))


def pixels(path: Path) -> bytes:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture.tobytes()


def test_a_black_frame_gives_finite_values(network: Network) -> None:
    black = torch.zeros(1, 3, 64, 64)
    dreamed = dream(black, network, layer("blocks.10"), ASCENT, (0, 0))
    assert dreamed.isfinite().all()
