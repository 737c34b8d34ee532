from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream import gradients, registry
from render.dream.ascent import Ascent, dream, octaves
from render.dream.gradients import FLAT, total_variation
from render.dream.networks import Network
from render.dream.objectives import Objective, channels, guide, layer, logit, neuron
from render.dream.views import View
from tests.conftest import photo_tensor
from tests.dream.test_gradients import ALL

ASCENT = Ascent(octave_scale=1.4, steps=(4, 4), step_size=0.01, jitter=8, condition=gradients.natural(0.35, 0.85))
ANIMALS = layer("blocks.10")


@pytest.mark.parametrize("size", [(160, 160), (121, 90)])
@pytest.mark.parametrize("still", [{"steps": (0,) * 4}, {"step_size": 0.0, "steps": (2,) * 4}])
@pytest.mark.parametrize("more", [{}, {"scale": (0.8, 1.2), "rotate": 10.0, "momentum": 0.5, "total_variation": 1.0}])
def test_no_steps_or_no_step_size_return_the_image_exactly(
    network: Network, still: dict[str, Any], more: dict[str, Any], size: tuple[int, int]
) -> None:
    image = photo_tensor("astronaut", *size)
    ascent = replace(ASCENT, **still, **more)
    assert torch.equal(dream(image, network, ANIMALS, ascent, (0, 0)), image)


def test_an_objective_of_nothing_returns_the_image_exactly(network: Network, photo: Tensor) -> None:
    assert torch.equal(dream(photo, network, Objective(), ASCENT, (0, 0)), photo)


@pytest.mark.parametrize("name", ALL)
def test_the_objective_rises_with_every_kind_of_gradient(network: Network, photo: Tensor, name: str) -> None:
    values: list[float] = []
    ascent = replace(ASCENT, steps=(8, 8), condition=ALL[name], jitter=4)
    dream(photo, network, ANIMALS, ascent, (0, 0), lambda octave, step, value: values.append(float(value)))
    for octave in (values[:8], values[8:]):
        assert octave[-1] > 1.2 * octave[0]


def test_a_negative_weight_lowers_the_objective(network: Network, photo: Tensor) -> None:
    def strength(image: Tensor) -> float:
        return float(ANIMALS(network.activations(image, ANIMALS.layers), View((160, 160))))

    assert strength(dream(photo, network, -1 * ANIMALS, ASCENT, (0, 0))) < strength(photo)


def test_the_dream_stays_within_black_and_white(network: Network, photo: Tensor) -> None:
    dreamed = dream(photo, network, ANIMALS, replace(ASCENT, step_size=0.2), (0, 0))
    assert dreamed.min() == 0
    assert dreamed.max() == 1


def test_a_step_changes_the_values_by_the_step_size_on_average(network: Network) -> None:
    grey = torch.full((1, 3, 64, 64), 0.5) + 0.01 * photo_tensor("coffee", 64, 64)
    dreamed = dream(grey, network, ANIMALS, replace(ASCENT, steps=(1,)), (0, 0))
    assert (dreamed - grey).abs().mean() == pytest.approx(0.01, rel=1e-4)


def test_a_dream_depends_on_seed_and_frame_and_on_nothing_else(network: Network, photo: Tensor) -> None:
    first = dream(photo, network, ANIMALS, ASCENT, (1, 5))
    dream(photo, network, layer("blocks.3"), ASCENT, (9, 9))
    torch.manual_seed(1234)
    assert torch.equal(dream(photo, network, ANIMALS, ASCENT, (1, 5)), first)
    assert not torch.equal(dream(photo, network, ANIMALS, ASCENT, (1, 6)), first)
    assert not torch.equal(dream(photo, network, ANIMALS, ASCENT, (2, 5)), first)


def test_octaves_run_from_coarse_to_the_picture_itself_and_leave_out_what_is_too_small() -> None:
    ascent = replace(ASCENT, octave_scale=2.0, steps=(7, 5, 3))
    assert octaves(200, 100, ascent) == [((100, 50), 5), ((200, 100), 3)]
    assert octaves(16, 16, ascent) == [((16, 16), 3)]


def heard(network: Network, image: Tensor, ascent: Ascent) -> list[tuple[int, int]]:
    """The octaves and steps of a dream."""
    steps: list[tuple[int, int]] = []
    dream(image, network, ANIMALS, ascent, (0, 0), lambda octave, step, value: steps.append((octave, step)))
    return steps


def test_each_octave_takes_its_own_number_of_steps(network: Network, photo: Tensor) -> None:
    assert heard(network, photo, replace(ASCENT, steps=(3, 0, 2))) == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]


def moves(network: Network, image: Tensor, ascent: Ascent) -> list[Tensor]:
    """What each step of an octave without jitter changes."""
    seen: list[Tensor] = []

    class Watched(Network):
        def activations(self, image: Tensor, names: Any) -> dict[str, Tensor]:
            seen.append(image.detach())
            return super().activations(image, names)

    watched = copy.copy(network)
    watched.__class__ = Watched
    dreamed = dream(image, watched, ANIMALS, replace(ascent, jitter=0), (0, 0))
    return [after - before for before, after in pairwise([*seen, dreamed])]


def test_steps_fall_evenly_to_the_last_ones_size(network: Network) -> None:
    grey = 0.3 + 0.4 * photo_tensor("coffee", 96, 96)
    ascent = replace(ASCENT, steps=(5,), step_size=0.004, last_step=0.2)
    sizes = [float(move.abs().mean()) for move in moves(network, grey, ascent)]
    assert sizes == pytest.approx([0.004 * share for share in (1, 0.8, 0.6, 0.4, 0.2)], rel=1e-3)


def test_momentum_keeps_the_direction(network: Network) -> None:
    grey = 0.3 + 0.4 * photo_tensor("coffee", 96, 96)

    def turning(momentum: float) -> float:
        found = moves(network, grey, replace(ASCENT, steps=(6,), step_size=0.004, momentum=momentum))
        pairs = [F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in pairwise(found)]
        return float(sum(pairs) / len(pairs))

    assert turning(0.9) > turning(0.0) + 0.05


def test_total_variation_smooths_and_leaves_a_flat_picture_alone(network: Network, photo: Tensor) -> None:
    def roughness(image: Tensor) -> float:
        return float(image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean())

    plain, smoothed = (dream(photo, network, ANIMALS, replace(ASCENT, total_variation=v), (0, 0)) for v in (0.0, 1.0))
    assert roughness(smoothed) < 0.8 * roughness(plain)
    assert total_variation(torch.full((1, 3, 16, 16), 0.4)).abs().max() == 0


def test_the_gradient_of_the_total_variation_is_its_derivative() -> None:
    image = torch.rand(1, 3, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    right = F.pad(image.diff(dim=3), (0, 1))
    below = F.pad(image.diff(dim=2), (0, 0, 0, 1))
    (expected,) = torch.autograd.grad((right.square() + below.square() + FLAT**2).sqrt().sum(), image)
    assert torch.allclose(total_variation(image.detach()), expected)


@pytest.mark.parametrize("more", [{"scale": (0.8, 1.3)}, {"rotate": 15.0}, {"scale": (0.9, 1.1), "rotate": 5.0}])
def test_the_objective_rises_under_turning_and_scaled_views(
    network: Network, photo: Tensor, more: dict[str, Any]
) -> None:
    values: list[float] = []
    ascent = replace(ASCENT, steps=(12,), **more)
    dreamed = dream(photo, network, ANIMALS, ascent, (0, 0), lambda octave, step, value: values.append(float(value)))
    assert sum(values[-3:]) > 1.5 * sum(values[:3])
    assert torch.equal(dreamed, dream(photo, network, ANIMALS, ascent, (0, 0)))


@pytest.fixture(scope="module")
def valueless() -> Network:
    """The network on the meta device."""
    model = registry.blueprint("efficientnet_lite0").build()
    return Network("efficientnet_lite0", model, "", torch.device("meta"), torch.bfloat16)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("more", [{}, {"scale": (0.8, 1.3), "rotate": 9.0, "momentum": 0.5, "total_variation": 0.5}])
def test_the_inner_loop_never_touches_the_host(valueless: Network, name: str, more: dict[str, Any]) -> None:
    """On the meta device there are no values: whatever reads one, or mixes in a CPU tensor, raises."""
    network, meta = valueless, valueless.device
    image = torch.empty(1, 3, 96, 128, device=meta)
    ascent = replace(ASCENT, steps=(2, 2), condition=ALL[name], **more)
    mask = torch.empty(1, 1, 96, 128, device=meta)
    objective = ANIMALS - 0.5 * layer("blocks.4").within(mask) + channels("blocks.7", [3, 17])
    objective += neuron("blocks.7", 2, (0.2, 0.7)) + 0.1 * logit(network.logits, 954)
    objective += guide("blocks.7", torch.empty(1, 80, 5, 9, device=meta))
    heard: list[Tensor] = []
    dreamed = dream(image, network, objective, ascent, (0, 0), lambda octave, step, value: heard.append(value))
    assert dreamed.is_meta
    assert dreamed.shape == image.shape
    assert len(heard) == 4
    assert all(value.is_meta for value in heard)
