"""Google's rule is Google's rule: `raw` ascent against a transcription in float64 of the published update.

The update is that of Mordvintsev, Olah & Tyka's notebook (google/deepdream, dream.ipynb, 2015, `make_step` and
`deepdream`), on another implementation of the network. Only the resampling between octaves is ours: antialiased.
"""

from __future__ import annotations

from typing import Any

import efficientnet_lite_pytorch
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from render.dream import gradients, networks
from render.dream.ascent import Ascent, dream, octaves
from render.dream.efficientnet_lite import VARIANTS
from render.dream.networks import Network
from render.dream.objectives import Objective, guide, layer
from render.dream.views import random_view
from tests.conftest import photo_tensor

BLOCK = 4
SEED = (5, 3)
Pixels = NDArray[np.float64]


@pytest.fixture(scope="module")
def reference() -> Any:
    """The reference port in float64; calling it gives the block's activation."""
    path = VARIANTS["efficientnet_lite0"].weights()
    assert path is not None
    model = efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True))
    model.double().eval()

    def activation(x: Tensor) -> Tensor:
        x = model._swish(model._bn0(model._conv_stem((255 * x - 127) / 128)))
        for block in model._blocks[: BLOCK + 1]:
            x = block(x)
        return x

    return activation


def objective_l2(data: Pixels) -> Pixels:
    """dst.diff[:] = dst.data"""
    return data


def objective_guide(wanted: Pixels) -> Any:
    """The notebook's `objective_guide`: x.T.dot(y), and the best match is the gradient."""

    def objective(data: Pixels) -> Pixels:
        channels = data.shape[1]
        x, y = data[0].reshape(channels, -1), wanted[0].reshape(channels, -1)
        matches = x.T.dot(y)
        found: Pixels = y[:, matches.argmax(1)].reshape(data.shape)
        return found

    return objective


def make_step(activation: Any, source: Pixels, step_size: float, shift: tuple[int, int], objective: Any) -> Pixels:
    oy, ox = shift
    source = np.roll(np.roll(source, ox, -1), oy, -2)
    x = torch.from_numpy(source[None].copy()).requires_grad_()
    found = activation(x)
    found.backward(torch.from_numpy(objective(found.detach().numpy()).copy()))
    assert x.grad is not None
    g = x.grad.numpy()[0]
    source = source + step_size / np.abs(g).mean() * g
    source = np.roll(np.roll(source, -ox, -1), -oy, -2)
    return np.clip(source, 0, 1)


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    found: Pixels = F.interpolate(torch.from_numpy(image[None]), size, mode="bilinear", antialias=True)[0].numpy()
    return image if image.shape[1:] == size else found


def deepdream(activation: Any, image: Pixels, ascent: Ascent, objective: Any) -> Pixels:
    plan = octaves(image.shape[1], image.shape[2], ascent)
    bases = [resized(image, size) for size, _ in plan]
    detail = np.zeros_like(bases[0])
    for octave, base in enumerate(bases):
        if octave > 0:
            detail = resized(detail, (base.shape[1], base.shape[2]))
        source = base + detail
        for step in range(plan[octave][1]):
            shift = random_view((*SEED, octave, step), plan[octave][0], ascent.jitter, (1, 1), 0).shift
            source = make_step(activation, source, ascent.step_size, shift, objective)
        detail = source - base
    return source


@pytest.fixture(scope="module")
def double() -> Network:
    """The network in float64: a ReLU on its kink goes the same way here and there."""
    return networks.load("efficientnet_lite0", dtype=torch.float64)


@pytest.mark.parametrize(
    ("steps", "size"), [((8,), (128, 64)), ((4, 4, 2), (256, 128))], ids=["one octave", "several octaves"]
)
@pytest.mark.parametrize("what", ["layer", "guide"])
def test_raw_ascent_is_the_published_update(
    reference: Any, double: Network, steps: tuple[int, ...], size: tuple[int, int], what: str
) -> None:
    # The reference pads as for pictures of 224 pixels, which is right for sides that 32 divides evenly.
    photo = photo_tensor("chelsea", *size).double()
    wish, objective = wanted(double, reference, what)
    ours = dream(photo, double, wish, ascent(steps), SEED)[0].numpy()
    theirs = deepdream(reference, photo[0].numpy(), ascent(steps), objective)
    assert np.abs(ours - theirs).max() < 1e-4
    assert np.abs(ours - photo[0].numpy()).mean() > 0.01


@pytest.mark.parametrize("what", ["layer", "guide"])
def test_a_step_in_float32_is_the_published_update(reference: Any, network: Network, what: str) -> None:
    photo = photo_tensor("chelsea", 256, 128)
    wish, objective = wanted(network, reference, what)
    ours = dream(photo, network, wish, ascent((1, 1)), SEED)[0].double().numpy()
    theirs = deepdream(reference, photo[0].double().numpy(), ascent((1, 1)), objective)
    apart = np.abs(ours - theirs)
    assert np.median(apart) < 1e-6
    assert (apart > 1e-4).mean() < 0.05  # what a neuron sees whose ReLU is at its kink, which rounding decides


def ascent(steps: tuple[int, ...]) -> Ascent:
    """Google's, with so many steps in each octave."""
    return Ascent(octave_scale=2.0, steps=steps, step_size=0.01, jitter=8, condition=gradients.raw())


def wanted(network: Network, reference: Any, what: str) -> tuple[Objective, Any]:
    """Our objective and theirs."""
    name = f"blocks.{BLOCK}"
    if what == "layer":
        return layer(name), objective_l2
    cup = photo_tensor("coffee", 96, 64).double()
    with torch.no_grad():
        features = network.activations(cup.to(network.dtype), [name])[name]
        return guide(name, features), objective_guide(reference(cup).numpy())
