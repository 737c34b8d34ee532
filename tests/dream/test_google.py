"""`raw` ascent equals Google's DeepDream: a transcription in float64 of the published update.

The update is that of the notebook of Mordvintsev, Olah and Tyka (google/deepdream, dream.ipynb, 2015, `make_step` and
`deepdream`), on another implementation of the network. Only the resampling between octaves is this project's, with
antialiasing.
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

from render.dream import gradients
from render.dream.ascent import AscentSettings, dream
from render.dream.objectives import Objective, guide, layer
from render.dream.octaves import octave_sizes
from render.dream.tiled import TiledNetwork
from render.dream.transforms import TransformRange, random_transform
from render.models.network import Network, load_network
from render.models.variants import VARIANTS
from tests.conftest import photo_tensor

BLOCK = 4
SEED = (5, 3)
Pixels = NDArray[np.float64]


@pytest.fixture(scope="module")
def reference() -> Any:
    """Returns the reference port in float64, as a function from a picture to the activation of the block."""
    path = VARIANTS["efficientnet_lite0"].weights_file()
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


def objective_guide(guide_features: Pixels) -> Any:
    """Returns the notebook's `objective_guide`: x.T.dot(y), and the best match is the gradient."""

    def objective(data: Pixels) -> Pixels:
        channels = data.shape[1]
        x, y = data[0].reshape(channels, -1), guide_features[0].reshape(channels, -1)
        matches = x.T.dot(y)
        gradient: Pixels = y[:, matches.argmax(1)].reshape(data.shape)
        return gradient

    return objective


def make_step(activation: Any, source: Pixels, step_size: float, *, shift: tuple[int, int], objective: Any) -> Pixels:
    oy, ox = shift
    source = np.roll(np.roll(source, ox, -1), oy, -2)
    x = torch.from_numpy(source[None].copy()).requires_grad_()
    end = activation(x)
    end.backward(torch.from_numpy(objective(end.detach().numpy()).copy()))
    assert x.grad is not None
    g = x.grad.numpy()[0]
    source = source + step_size / np.abs(g).mean() * g
    source = np.roll(np.roll(source, -ox, -1), -oy, -2)
    return np.clip(source, 0, 1)


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    if image.shape[1:] == size:
        return image
    result: Pixels = F.interpolate(torch.from_numpy(image[None]), size, mode="bilinear", antialias=True)[0].numpy()
    return result


def deepdream(activation: Any, image: Pixels, *, settings: AscentSettings, objective: Any) -> Pixels:
    octaves = octave_sizes((image.shape[1], image.shape[2]), settings.steps, octave_scale=settings.octave_scale)
    bases = [resized(image, size) for size, _ in octaves]
    detail = np.zeros_like(bases[0])
    for octave, base in enumerate(bases):
        if octave > 0:
            detail = resized(detail, (base.shape[1], base.shape[2]))
        source = base + detail
        for step in range(octaves[octave][1]):
            transform = random_transform(octaves[octave][0], settings.transforms, seed=(*SEED, octave, step))
            source = make_step(activation, source, settings.step_size, shift=transform.shift, objective=objective)
        detail = source - base
    return source


@pytest.fixture(scope="module")
def double() -> Network:
    """Returns the network in float64, where a ReLU at its kink behaves like the reference's."""
    return load_network("efficientnet_lite0", dtype=torch.float64)


@pytest.mark.parametrize(
    ("steps", "size"), [((8,), (128, 64)), ((4, 4, 2), (256, 128))], ids=["one octave", "several octaves"]
)
@pytest.mark.parametrize("kind", ["layer", "guide"])
def test_raw_ascent_equals_the_published_update(
    reference: Any, double: Network, steps: tuple[int, ...], size: tuple[int, int], kind: str
) -> None:
    # The reference pads for pictures of 224 pixels, which is correct for sides that are multiples of 32.
    photo = photo_tensor("chelsea", *size).double()
    objective, published = objectives_of(double, reference, kind)
    actual = dream(photo, TiledNetwork(double), objective=objective, settings=settings(steps), seed=SEED)[0].numpy()
    expected = deepdream(reference, photo[0].numpy(), settings=settings(steps), objective=published)
    assert np.abs(actual - expected).max() < 1e-4
    assert np.abs(actual - photo[0].numpy()).mean() > 0.01


@pytest.mark.parametrize("kind", ["layer", "guide"])
def test_a_step_in_float32_equals_the_published_update(reference: Any, network: Network, kind: str) -> None:
    photo = photo_tensor("chelsea", 256, 128)
    objective, published = objectives_of(network, reference, kind)
    dreamed = dream(photo, TiledNetwork(network), objective=objective, settings=settings((1, 1)), seed=SEED)
    expected = deepdream(reference, photo[0].double().numpy(), settings=settings((1, 1)), objective=published)
    difference = np.abs(dreamed[0].double().numpy() - expected)
    assert np.median(difference) < 1e-6
    assert (difference > 1e-4).mean() < 0.05  # in the receptive fields of ReLUs at their kink, decided by rounding


def settings(steps: tuple[int, ...]) -> AscentSettings:
    """Returns Google's settings, with `steps` in each octave."""
    return AscentSettings(
        octave_scale=2.0,
        steps=steps,
        step_size=0.01,
        conditioner=gradients.raw(),
        transforms=TransformRange(jitter=8, border="wrap"),
    )


def objectives_of(network: Network, reference: Any, kind: str) -> tuple[Objective, Any]:
    """Returns the objective, and Google's function for it."""
    name = f"blocks.{BLOCK}"
    if kind == "layer":
        return layer(name), objective_l2
    cup = photo_tensor("coffee", 96, 64).double()
    with torch.no_grad():
        features = network.activations(cup.to(network.dtype), [name])[name]
        return guide(name, features), objective_guide(reference(cup).numpy())
