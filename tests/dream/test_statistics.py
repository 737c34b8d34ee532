"""Statistics: moments, their distance to a target, and what the batch norms of a trained network expect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from render.dream.objectives import Objective, Region
from render.dream.statistics import WITHIN_A_PICTURE, ChannelTarget, statistics
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform
from render.models.moments import moments
from render.models.network import Network, load_network
from render.models.registry import layer_map
from tests.conftest import photo_tensor
from tests.models.zoo import random_network

IDENTITY = Transform((8, 8))


def natural(network: Network, norms: tuple[str, ...]) -> Objective:
    return statistics({name: ChannelTarget.natural(network.norm_statistics(name)) for name in norms})


def held_to(target: Tensor) -> Objective:
    """The objective whose layer `a` is held to a target, 2xC."""
    return statistics({"a": ChannelTarget.natural(target)})


def value(objective: Objective, activations: dict[str, Tensor]) -> Tensor:
    return objective(activations, IDENTITY)


def test_the_distance_is_that_of_the_paper() -> None:
    activation = torch.randn(1, 5, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 + 1
    target = torch.rand(2, 5, dtype=torch.float64) + 0.5
    variance, mean = torch.var_mean(activation, (0, 2, 3), correction=0)
    means = ((mean - target[0]) / target[1]).square().mean()
    deviations = (variance.sqrt() / target[1] - WITHIN_A_PICTURE).square().mean()
    expected = means + deviations
    assert float(value(held_to(target), {"a": activation})) == pytest.approx(-float(expected), rel=1e-3)


def test_moments_have_the_gradient_of_what_they_are() -> None:
    activation = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(moments, activation)
    assert torch.autograd.gradcheck(moments, torch.randn(1, 4, dtype=torch.float64, requires_grad=True))


def test_the_gradient_in_closed_form_is_that_of_the_distance() -> None:
    generator = torch.Generator().manual_seed(2)
    activation = torch.randn(1, 3, 4, 5, dtype=torch.float64, generator=generator) + 0.7
    objective = held_to(torch.rand(2, 3, dtype=torch.float64, generator=generator) + 0.5)
    assert torch.autograd.gradcheck(lambda x: value(objective, {"a": x}), activation.requires_grad_(True))


def test_a_constant_channel_of_the_target_is_ignored() -> None:
    activation = torch.randn(1, 2, 8, 8)
    one = value(held_to(torch.tensor([[0.0], [1.0]])), {"a": activation[:, :1]})
    both = value(held_to(torch.tensor([[0.0, 5.0], [1.0, 1e-9]])), {"a": activation})
    torch.testing.assert_close(both, one)


def test_a_constant_picture_has_a_finite_gradient() -> None:
    activation = torch.full((1, 2, 8, 8), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(held_to(torch.ones(2, 2)), {"a": activation}), activation)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_the_statistics_of_a_norm_are_those_that_its_output_had_in_training() -> None:
    network = random_network("resnet18")
    norm: Any = network._traced.model.bn1
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-2, 2, 64))
        norm.bias.copy_(torch.linspace(0, 3, 64))
        norm.running_mean.copy_(torch.linspace(-1, 1, 64))
        norm.running_var.copy_(torch.linspace(0.001, 4, 64))
        inputs = torch.randn(1, 64, 80, 80)
        inputs = (inputs - inputs.mean((2, 3), keepdim=True)) / inputs.std((2, 3), keepdim=True, correction=0)
        inputs = inputs * norm.running_var.sqrt().view(1, -1, 1, 1) + norm.running_mean.view(1, -1, 1, 1)
        variance, mean = torch.var_mean(norm(inputs), (0, 2, 3), correction=0)
    torch.testing.assert_close(
        network.norm_statistics("bn1"), torch.stack([mean, variance.sqrt()]), atol=1e-4, rtol=1e-3
    )


def test_photos_are_nearer_to_the_statistics_of_photos_than_noise(network: Network) -> None:
    norms = layer_map("efficientnet_lite0").norms
    assert len(norms) == 49
    objective = natural(network, norms)
    pictures = [photo_tensor(name, 224, 224) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    pictures.append(torch.rand(1, 3, 224, 224))
    with torch.no_grad():
        *photos, noise = (float(value(objective, network.activations(each, norms))) for each in pictures)
    assert noise < 1.5 * min(photos)
    assert max(photos) < 0


PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_a_photo_has_the_deviation_of_a_picture(name: str) -> None:
    """The median over photos, of each norm's median channel, relative to its deviation in training."""
    network, norms = load_network(name), layer_map(name).norms
    shares = []
    for photo in PHOTOS:
        with torch.no_grad():
            measured = network.measure(photo_tensor(photo, 384, 384), (), norms)[1]
        deviations = {norm: (square - mean.square()).clamp_min(0).sqrt() for norm, (mean, square) in measured.items()}
        trained = {norm: network.norm_statistics(norm)[1] for norm in norms}
        shares.append([float((deviations[norm] / trained[norm])[trained[norm] > 1e-3].median()) for norm in norms])
    medians = torch.tensor(shares).median(0).values
    assert float(medians.median()) == pytest.approx(WITHIN_A_PICTURE, abs=0.03)
    assert float((abs(medians - WITHIN_A_PICTURE) < 0.15).float().mean()) > 0.75


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_picture_is_measured_in_both_precisions(dtype: torch.dtype, network: Network) -> None:
    objective = natural(network, ("stem.norm", "blocks.1.depthwise.norm"))
    photo = photo_tensor("coffee", 96, 96)
    with torch.no_grad():
        activations = network.activations(photo, objective.layers)
        exact = value(objective, activations)
        actual = value(objective, {name: each.to(dtype) for name, each in activations.items()})
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, exact, rtol=0.02, atol=0)


def test_a_part_has_its_share_of_value_and_gradient() -> None:
    target, activation = torch.rand(2, 3) + 0.5, torch.randn(1, 3, 8, 8, requires_grad=True)
    objective = held_to(target)
    whole = value(objective, {"a": activation})
    (expected,) = torch.autograd.grad(whole, activation)
    parts = objective.at({"a": moments(activation)})
    (term,) = parts.terms
    region = Region.whole(activation, IDENTITY)
    halves = [term.measure(half, region) for half in (activation[..., :4], activation[..., 4:])]
    total = term.weight * torch.stack(halves).mean()
    torch.testing.assert_close(total, whole)
    torch.testing.assert_close(torch.autograd.grad(total, activation)[0], expected)


def test_statistics_in_tiles_with_a_layer_and_a_mask_have_gradients_of_the_whole_picture(network: Network) -> None:
    photo, mask = photo_tensor("coffee", 192, 176), torch.ones(1, 1, 176, 192)
    norms = layer_map("efficientnet_lite0").norms[:14]
    objectives = [0.5 * natural(network, norms), natural(network, norms[:3]).masked(mask)]
    x, transform = photo, Transform((176, 192))
    whole, tiled = (
        TiledNetwork(network, tile_size=size).gradients(x, objectives=objectives, transform=transform, seed=(0,))
        for size in (None, 144)
    )
    torch.testing.assert_close(tiled[1], whole[1], rtol=1e-3, atol=0)
    for actual, expected in zip(tiled[0], whole[0], strict=True):
        assert float((actual - expected).norm() / expected.norm()) < 1e-3


def test_a_style_is_the_statistics_of_its_picture(network: Network) -> None:
    layers = ["stem.norm", "blocks.3"]
    painting, photo = photo_tensor("immunohistochemistry", 96, 96), photo_tensor("coffee", 112, 80)
    with torch.no_grad():
        of_painting, of_photo = (network.activations(each, layers) for each in (painting, photo))
    objective = statistics({layer: ChannelTarget.of(of_painting[layer]) for layer in layers})
    assert float(value(objective, of_painting)) == pytest.approx(0, abs=1e-3)
    moved = {layer: activation.roll((5, 3), (2, 3)).flip(3) for layer, activation in of_painting.items()}
    assert float(value(objective, moved)) == pytest.approx(0, abs=1e-3)
    assert float(value(objective, of_photo)) < -0.2


def test_a_channel_that_is_silent_in_a_style_has_the_scale_of_the_others() -> None:
    activation = torch.cat([torch.zeros(1, 1, 8, 8), torch.randn(1, 1, 8, 8)], 1)
    target = ChannelTarget.of(activation)
    assert target.deviation[0] == 0
    assert float(target.scale[0]) == pytest.approx(0.5 * float(target.deviation[1]))
