"""Gradients that are zero or not finite leave the picture unchanged."""

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
from render.dream.objectives import channels, layer
from render.dream.transforms import TransformRange
from render.models.network import Network, load_network
from render.models.registry import model_spec
from render.models.weights import network_keys
from render.models.weights_file import read_weights
from render.pipeline.segments import Callbacks, FrameProgress
from tests.dream.test_ascent import SETTINGS, ascend, reports
from tests.dream.test_gradients import CONDITIONERS

CHANNEL = 7
SCENE = """
size: [64, 64]
duration: 4
source: {noise: {grain: 16}}
camera: {zoom: 1.02}
grade: {strength: 0}
objectives: [{layer: blocks.3, channels: 7}, {statistics: none}]
dream: {octaves: 2, steps: 2, transforms: {jitter: 2}}
network: {name: efficientnet_lite0, weights_file: constant.pth}
"""


def constant_channel_weights(folder: Path, value: float) -> Path:
    """Writes the embedded network's weights, changed so that a channel of blocks.3 always has `value`.

    blocks.3 has no skip connection.
    """
    source = model_spec("efficientnet_lite0").weights_source
    state = copy.deepcopy(dict(network_keys(read_weights(source.ensure(quiet=True)), source)))
    norms = [
        key.removesuffix(".running_mean") for key in state if key.startswith("blocks.3.") and "running_mean" in key
    ]
    state[f"{norms[-1]}.weight"][CHANNEL] = 0 * value
    state[f"{norms[-1]}.bias"][CHANNEL] = value
    torch.save(state, folder / "constant.pth")
    return folder / "constant.pth"


@pytest.fixture(scope="module", params=[0.0, float("nan"), float("inf")])
def constant_channel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Network:
    """The network of constant_channel_weights."""
    file = constant_channel_weights(tmp_path_factory.mktemp("constant"), request.param)
    return load_network("efficientnet_lite0", file=file)


@pytest.mark.parametrize("conditioner", CONDITIONERS)
@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.5, "total_variation": 0.5, "transforms": TransformRange(8, rotate=4.0)}]
)
def test_a_channel_without_gradient_leaves_the_picture_unchanged(
    photo: Tensor, constant_channel: Network, conditioner: str, options: dict[str, Any]
) -> None:
    settings = replace(SETTINGS, steps=(1, 2), conditioner=CONDITIONERS[conditioner], **options)
    dreamed, steps = reports(photo, constant_channel, settings, objective=channels("blocks.3", [CHANNEL]))
    assert torch.equal(dreamed, photo)
    assert len(steps) == 3
    assert all(math.isnan(value) for _, _, value in steps)


class Failing:
    """A conditioner that returns NaN in all steps but some."""

    def __init__(self, *, succeeds: set[int]) -> None:
        self.succeeds = succeeds
        self.step = -1

    def __call__(self, gradient: Tensor) -> Tensor:
        self.step += 1
        return SETTINGS.conditioner(gradient) if self.step in self.succeeds else torch.full_like(gradient, torch.nan)


def test_a_step_that_is_not_finite_is_skipped_and_the_others_are_taken(network: Network, photo: Tensor) -> None:
    settings = replace(SETTINGS, steps=(3,), conditioner=Failing(succeeds={0, 2}))
    dreamed, steps = reports(photo, network, settings, objective=layer("blocks.4"))
    assert dreamed.isfinite().all()
    assert [math.isnan(value) for _, _, value in steps] == [False, True, False]
    assert not torch.equal(dreamed, ascend(photo, network, replace(SETTINGS, steps=(3,)), objective=layer("blocks.4")))
    assert (dreamed - photo).abs().mean() > 0.01


def test_a_step_that_is_not_finite_changes_nothing_with_momentum_either(network: Network, photo: Tensor) -> None:
    settings = replace(SETTINGS, steps=(3,), conditioner=Failing(succeeds={0}), momentum=0.5)
    dreamed, steps = reports(photo, network, settings, objective=layer("blocks.4"))
    assert [math.isnan(value) for _, _, value in steps] == [False, True, True]
    one_step = replace(SETTINGS, steps=(1,), momentum=0.5)
    assert torch.equal(dreamed, ascend(photo, network, one_step, objective=layer("blocks.4")))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_film_without_gradient_is_its_source_moved_by_the_camera_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    constant_channel_weights(tmp_path, value)
    warnings: list[str] = []
    progress: list[FrameProgress] = []
    dead = load("s.yaml", [("--output", "output.path", "dead%02d.png")])
    undreamed = load("s.yaml", [("--output", "output.path", "still%02d.png"), ("--set", "dream.steps", "0")])
    render(dead, callbacks=Callbacks(on_frame=progress.append, on_warning=warnings.append))
    assert len(warnings) == 1
    assert "frame 0: in 4 of 4 steps the gradient was zero or not a number" in warnings[0]
    assert [each.objective for each in progress] == [None] * 4
    render(undreamed, callbacks=Callbacks(on_warning=warnings.append))
    assert len(warnings) == 1
    for index in range(4):
        assert pixels(Path(f"dead{index:02d}.png")) == pixels(Path(f"still{index:02d}.png"))


def pixels(path: Path) -> bytes:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture.tobytes()


def test_a_black_picture_gives_finite_values(network: Network) -> None:
    assert ascend(torch.zeros(1, 3, 64, 64), network).isfinite().all()
