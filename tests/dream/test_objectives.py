"""Objectives: their values, their arithmetic, their masks, and dreams of them with the trained network."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream import gradients
from render.dream.ascent import AscentSettings
from render.dream.objectives import (
    Extent,
    Objective,
    Region,
    channels,
    content,
    guide,
    layer,
    named_class,
    position,
)
from render.dream.statistics import ChannelTarget, statistics
from render.dream.transforms import Transform, TransformRange
from render.models.network import Network
from render.models.registry import layer_map
from tests.conftest import photo_tensor
from tests.dream.test_ascent import STILL, ascend

ACTIVATIONS = {"a": torch.full((1, 2, 3, 3), 2.0), "b": torch.full((1, 4, 2, 2), 3.0)}
IDENTITY = Transform((96, 96))
SETTINGS = AscentSettings(
    octave_scale=1.4,
    steps=(6, 6),
    step_size=0.01,
    conditioner=gradients.natural(0.35, 0.85),
    transforms=TransformRange(jitter=8),
)


def value_of(objective: Objective, image: Tensor, network: Network) -> float:
    with torch.no_grad():
        activations = network.activations(image, objective.layers)
        return float(objective(activations, Transform((image.shape[2], image.shape[3]))))


def test_a_layer_is_the_mean_square_of_its_activation() -> None:
    assert layer("a")(ACTIVATIONS, IDENTITY) == 4


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (0.5 * layer("a") + layer("b"), 11),
        (layer("a") - layer("b"), -5),
        (layer("b") * -2, -18),
        (2 * (layer("a") + 3 * layer("b")), 62),
        (sum([layer("a"), layer("b")], Objective()), 13),
    ],
)
def test_objectives_add_subtract_and_scale(objective: Objective, value: float) -> None:
    assert objective(ACTIVATIONS, IDENTITY) == pytest.approx(value)


def test_a_weight_of_zero_needs_no_activation() -> None:
    objective = 0 * layer("a") + layer("b")
    assert objective.layers == {"b"}
    assert (0.0 * objective).layers == frozenset()


def test_a_half_precision_activation_is_summed_in_float32() -> None:
    value = layer("a")({"a": torch.full((1, 8, 64, 64), 300.0, dtype=torch.bfloat16)}, IDENTITY)
    assert value.dtype == torch.float32
    assert value == pytest.approx(300.0**2, rel=1e-2)


def test_channels_and_positions_are_the_mean_squares_of_their_activations() -> None:
    activation = torch.arange(1 * 3 * 4 * 6, dtype=torch.float32).view(1, 3, 4, 6)
    activations, shifted = {"a": activation}, Transform((96, 96), (0, -1))
    expected = float(activation[:, [0, 2]].square().mean())
    assert channels("a", [0, 2])(activations, IDENTITY) == pytest.approx(expected)
    assert position("a", 1, point=(0.5, 0.5))(activations, IDENTITY) == float(activation[0, 1, 2, 3] ** 2)
    assert position("a", 1, point=(1.0, 0.0))(activations, shifted) == float(activation[0, 1, 0, 5] ** 2)


@pytest.mark.parametrize(
    "objective",
    [
        layer("a"),
        channels("a", [1]),
        position("a", 1, point=(0.5, 0.5), receptive_field=9),
        guide("a", torch.ones(1, 2, 3, 3)),
        content("a", scale=1.0).of_source(torch.zeros(1, 3, 8, 8)).given({"a": torch.zeros(1, 2, 0, 3)}),
        statistics({"a": ChannelTarget.natural(torch.ones(2, 2))}).at({"a": torch.ones(2, 2)}),
    ],
)
def test_a_part_of_the_picture_without_positions_adds_nothing(objective: Objective) -> None:
    """Convolutions without padding leave rows at the border out, and a tile may have no others."""
    activation = torch.zeros(1, 2, 0, 3, requires_grad=True)
    region = Region(Extent(3, 3, 3), Extent(0, 3, 3), IDENTITY)
    assert objective({"a": activation}, IDENTITY, regions={"a": region}) == 0


def test_a_class_is_its_logit_and_log_probability() -> None:
    value = named_class("fc", 2)({"fc": torch.tensor([[1.0, 2.0, -5.0]])}, IDENTITY)
    assert float(value) == pytest.approx(-5 + math.log(math.exp(-5) / sum(map(math.exp, (1, 2, -5)))))


def test_a_class_differs_from_the_one_that_resembles_it() -> None:
    """Both rise with the first feature; the second feature is all that differs."""
    features = torch.tensor([[1.0, 0.0]], requires_grad=True)
    logits = features @ torch.tensor([[4.0, 5.0], [0.5, -0.5]])
    (gradient,) = torch.autograd.grad(named_class("fc", 0)({"fc": logits}, IDENTITY), features)
    assert gradient[0, 1] > 0.5
    assert gradient[0, 0] < 4


def test_the_gradient_of_a_guide_is_its_best_match_at_every_position() -> None:
    random = torch.Generator().manual_seed(0)
    features, guide_features = (torch.randn(1, 5, *size, generator=random) for size in ((7, 9), (4, 3)))
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(guide("a", guide_features)({"a": features}, IDENTITY), features)
    for y, x in ((0, 0), (3, 8), (6, 4)):
        feature = features.detach()[0, :, y, x]
        candidates = [guide_features[0, :, v, u] for v in range(4) for u in range(3)]
        best = max(candidates, key=lambda each: float(each @ feature))
        assert torch.allclose(gradient[0, :, y, x] * features.numel(), best, atol=1e-5)


def test_the_similarity_to_a_guide_rises_most_in_the_dream_of_that_guide(network: Network, photo: Tensor) -> None:
    """Similarity: the mean over positions of the largest cosine with any feature of the guide."""

    def features(image: Tensor) -> Tensor:
        with torch.no_grad():
            return network.activations(image, ["blocks.7"])["blocks.7"]

    def similarity(image: Tensor, guide_picture: Tensor) -> float:
        a, b = (F.normalize(features(each).flatten(2)[0], dim=0) for each in (image, guide_picture))
        return float((a.T @ b).amax(1).mean())

    cat, coffee = (photo_tensor(name, 160, 160) for name in ("chelsea", "coffee"))
    of_cat, of_coffee = (
        ascend(photo, network, SETTINGS, objective=guide("blocks.7", features(picture))) for picture in (cat, coffee)
    )
    for guide_picture, dreamed, other in ((cat, of_cat, of_coffee), (coffee, of_coffee, of_cat)):
        assert similarity(dreamed, guide_picture) > similarity(photo, guide_picture) + 0.02
        assert similarity(dreamed, guide_picture) > similarity(other, guide_picture) + 0.01


def half_mask() -> Tensor:
    """Returns a mask of one half of the photo."""
    mask = torch.zeros(1, 1, 160, 160)
    mask[..., :80] = 1
    return mask


def test_a_dream_changes_the_picture_inside_its_mask_only(network: Network, photo: Tensor) -> None:
    mask = torch.zeros(1, 1, 160, 160)
    mask[..., 40:100, 50:120] = 1
    mask[..., 100:110, 50:120] = 0.3
    dreamed = ascend(photo, network, SETTINGS, objective=layer("blocks.7").masked(mask))
    outside = (mask == 0).expand_as(photo)
    assert torch.equal(dreamed[outside], photo[outside])
    change = (dreamed - photo).abs().mean(1, keepdim=True)
    assert change[mask == 1].mean() > 0.02
    assert 0 < change[mask == 0.3].mean() < 0.7 * change[mask == 1].mean()


def test_each_objective_has_its_own_mask(network: Network, photo: Tensor) -> None:
    half, one_step = half_mask(), replace(SETTINGS, steps=(1,))
    objective = layer("blocks.3").masked(half) + layer("blocks.8").masked(1 - half)
    both = ascend(photo, network, one_step, objective=objective)
    alone = ascend(photo, network, one_step, objective=layer("blocks.3").masked(half))
    change, expected = ((each - photo)[..., :80].flatten() for each in (both, alone))
    assert F.cosine_similarity(change, expected, dim=0) > 0.99
    assert torch.equal(alone[..., 80:], photo[..., 80:])
    assert (both - photo)[..., 80:].abs().mean() > 0


def test_opposed_objectives_in_two_masks_do_not_make_the_step_larger(network: Network, photo: Tensor) -> None:
    grey, half = 0.25 + 0.5 * photo, half_mask()
    objective = layer("blocks.4").masked(half) - layer("blocks.4").masked(1 - half)
    dreamed = ascend(grey, network, replace(SETTINGS, steps=(1,)), objective=objective)
    assert (dreamed - grey).abs().mean() == pytest.approx(0.01, rel=0.02)


def test_an_objective_in_complementary_masks_equals_the_one_without_masks(network: Network, photo: Tensor) -> None:
    grey, half, one_step = 0.25 + 0.5 * photo, half_mask(), replace(SETTINGS, steps=(1,))
    halves = layer("blocks.4").masked(half) + layer("blocks.4").masked(1 - half)
    whole = ascend(grey, network, one_step, objective=layer("blocks.4"))
    assert torch.allclose(ascend(grey, network, one_step, objective=halves), whole, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1 / 255])
def test_total_variation_is_weighted_by_the_mask(network: Network, photo: Tensor, value: float) -> None:
    mask = torch.full((1, 1, 160, 160), value)
    mask[..., :60] = 1
    settings = replace(SETTINGS, total_variation=1.0)
    change = (ascend(photo, network, settings, objective=layer("blocks.7").masked(mask)) - photo).abs()
    assert change[..., 80:].mean() <= 0.01 * change[..., :40].mean()


@pytest.mark.parametrize("point", [(1.0, 1.0), (0.0, 0.0), (0.29, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("shift", [(0, 0), (0, -29), (-7, 50)])
def test_a_position_may_be_at_the_border(point: tuple[float, float], shift: tuple[int, int]) -> None:
    activation = torch.zeros(1, 1, 100, 100)
    row, column = (min(int(fraction * 100 + 0.25), 99) for fraction in (point[1], point[0]))
    activation[0, 0, row, column] = 1
    inside = position("a", 0, point=(off_grid(point[0]), off_grid(point[1])))
    shifted = torch.roll(activation, shift, (2, 3))
    assert inside({"a": shifted}, Transform((100, 100), shift, border="wrap")) == 1
    assert inside({"a": activation}, Transform((100, 100), angle=1e-9)) == 1
    assert position("a", 0, point=point)({"a": shifted}, Transform((100, 100), shift, border="wrap")).isfinite()


def off_grid(coordinate: float) -> float:
    """Returns a coordinate inside the position that a multiple of 1/100 is the border of."""
    return coordinate + 0.0025 if coordinate < 1 else coordinate


def test_a_guide_is_compared_with_logits_too() -> None:
    activations = {"fc": torch.tensor([[1.0, 2.0]])}
    assert guide("fc", torch.tensor([[3.0, 4.0]]))(activations, IDENTITY) == (3 + 8) / 2


@pytest.mark.parametrize(
    "transform",
    [Transform((192, 192)), Transform((192, 192), (20, -30)), Transform((192, 192), (5, 5), scale=1.2, angle=20)],
)
def test_the_gradient_of_a_position_is_zero_outside_its_receptive_field(network: Network, transform: Transform) -> None:
    field = layer_map(network.name).layers["blocks.3"].receptive_field
    assert field is not None
    transformed = transform.apply(photo_tensor("chelsea", 192, 192)).requires_grad_()
    objective = position("blocks.3", 5, point=(0.3, 0.6))
    value = objective(network.activations(transformed, ["blocks.3"]), transform)
    gradient = transform.invert(torch.autograd.grad(value, transformed)[0]).abs().sum(1)[0]
    rows, columns = gradient.nonzero(as_tuple=True)
    assert len(rows) > 50
    radius = (field / 2 + 8) / transform.scale * (1 if transform.angle == 0 else 2**0.5)
    assert (rows - 0.6 * 192).abs().max() <= radius
    assert (columns - 0.3 * 192).abs().max() <= radius


def test_a_position_that_is_not_visible_has_no_value_and_no_gradient(network: Network) -> None:
    transform = Transform((96, 96), scale=3.0)
    image = photo_tensor("chelsea", 96, 96).requires_grad_()
    objective = position("blocks.3", 5, point=(0.05, 0.05))
    value = objective(network.activations(transform.apply(image), ["blocks.3"]), transform)
    assert value == 0
    assert torch.autograd.grad(value, image)[0].abs().max() == 0


@pytest.mark.parametrize("name", ["tabby", "Egyptian cat", "espresso"])
def test_a_class_rises_with_a_positive_weight_and_falls_with_a_negative_one(network: Network, name: str) -> None:
    photo = photo_tensor("chelsea", 160, 160)
    objective = named_class(network.logits, network.classes.index(name))
    raised, lowered = (ascend(photo, network, SETTINGS, objective=weight * objective) for weight in (1, -1))
    assert value_of(objective, lowered, network) < value_of(objective, photo, network) - 2
    assert value_of(objective, raised, network) > value_of(objective, photo, network) + 2


@pytest.mark.parametrize(
    "objective",
    [layer("blocks.10"), channels("blocks.10", [3, 17]), position("blocks.10", 17, point=(0.4, 0.6))],
    ids=["layer", "channels", "position"],
)
def test_an_objective_rises_with_a_positive_weight_and_falls_with_a_negative_one(
    network: Network, photo: Tensor, objective: Objective
) -> None:
    gentle = replace(SETTINGS, steps=(8,), step_size=0.003, transforms=STILL)
    raised, lowered = (ascend(photo, network, gentle, objective=weight * objective) for weight in (1, -1))
    assert value_of(objective, lowered, network) < 0.9 * value_of(objective, photo, network)
    assert value_of(objective, raised, network) > 1.2 * value_of(objective, photo, network)


def test_a_step_for_a_position_is_as_large_in_its_receptive_field_as_one_for_a_layer(network: Network) -> None:
    photo = 0.25 + 0.5 * photo_tensor("chelsea", 192, 192)
    field = layer_map(network.name).layers["blocks.3"].receptive_field
    assert field is not None
    objective = position("blocks.3", 5, point=(0.5, 0.5), receptive_field=field)
    assert objective.coverage((192, 192)) == field**2 / 192**2
    assert (objective + layer("blocks.3")).coverage((192, 192)) == 1
    dreamed = ascend(photo, network, replace(SETTINGS, steps=(1,), conditioner=gradients.raw()), objective=objective)
    assert (dreamed - photo).abs().mean() == pytest.approx(0.01 * field**2 / 192**2, rel=0.01)
