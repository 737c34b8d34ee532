from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from render.dream import gradients
from render.dream.ascent import Ascent, dream, octave_sizes
from render.dream.efficientnet_lite import VARIANTS, EfficientNetLite
from render.dream.networks import Network
from render.dream.objectives import Objective, layer
from tests.conftest import photo_tensor
from tests.dream.test_gradients import ALL

ASCENT = Ascent(octaves=2, octave_scale=1.4, steps=4, step_size=0.01, jitter=8, condition=gradients.natural(0.35, 0.85))
ANIMALS = layer("blocks.10")


@pytest.mark.parametrize("size", [(160, 160), (121, 90)])
@pytest.mark.parametrize("still", [{"steps": 0}, {"step_size": 0.0}])
def test_no_steps_or_no_step_size_return_the_image_exactly(
    network: Network, still: dict[str, float], size: tuple[int, int]
) -> None:
    image = photo_tensor("astronaut", *size)
    ascent = replace(ASCENT, octaves=4, **still)  # type: ignore[arg-type]
    assert torch.equal(dream(image, network, ANIMALS, ascent, (0, 0)), image)


def test_an_objective_of_nothing_returns_the_image_exactly(network: Network, photo: Tensor) -> None:
    assert torch.equal(dream(photo, network, Objective(), ASCENT, (0, 0)), photo)


@pytest.mark.parametrize("name", ALL)
def test_the_objective_rises_with_every_kind_of_gradient(network: Network, photo: Tensor, name: str) -> None:
    values: list[float] = []
    ascent = replace(ASCENT, steps=8, condition=ALL[name], jitter=4)
    dream(photo, network, ANIMALS, ascent, (0, 0), lambda octave, step, value: values.append(float(value)))
    for octave in (values[:8], values[8:]):
        assert octave[-1] > 1.2 * octave[0]


def test_a_negative_weight_lowers_the_objective(network: Network, photo: Tensor) -> None:
    def strength(image: Tensor) -> float:
        return float(ANIMALS(network.activations(image, ANIMALS.layers)))

    assert strength(dream(photo, network, -1 * ANIMALS, ASCENT, (0, 0))) < strength(photo)


def test_the_dream_stays_within_black_and_white(network: Network, photo: Tensor) -> None:
    dreamed = dream(photo, network, ANIMALS, replace(ASCENT, step_size=0.2), (0, 0))
    assert dreamed.min() == 0
    assert dreamed.max() == 1


def test_a_step_changes_the_values_by_the_step_size_on_average(network: Network) -> None:
    grey = torch.full((1, 3, 64, 64), 0.5) + 0.01 * photo_tensor("coffee", 64, 64)
    dreamed = dream(grey, network, ANIMALS, replace(ASCENT, octaves=1, steps=1), (0, 0))
    assert (dreamed - grey).abs().mean() == pytest.approx(0.01, rel=1e-4)


def test_a_dream_depends_on_seed_and_frame_and_on_nothing_else(network: Network, photo: Tensor) -> None:
    first = dream(photo, network, ANIMALS, ASCENT, (1, 5))
    dream(photo, network, layer("blocks.3"), ASCENT, (9, 9))
    torch.manual_seed(1234)
    assert torch.equal(dream(photo, network, ANIMALS, ASCENT, (1, 5)), first)
    assert not torch.equal(dream(photo, network, ANIMALS, ASCENT, (1, 6)), first)
    assert not torch.equal(dream(photo, network, ANIMALS, ASCENT, (2, 5)), first)


def test_octaves_run_from_coarse_to_the_picture_itself_and_leave_out_what_is_too_small() -> None:
    assert octave_sizes(200, 100, replace(ASCENT, octaves=3, octave_scale=2.0)) == [(100, 50), (200, 100)]
    assert octave_sizes(16, 16, ASCENT) == [(16, 16)]


@pytest.mark.parametrize("name", ALL)
def test_the_inner_loop_never_touches_the_host(name: str) -> None:
    """On the meta device there are no values: whatever reads one, or mixes in a CPU tensor, raises."""
    meta = torch.device("meta")
    with meta:
        model = EfficientNetLite(VARIANTS["efficientnet_lite0"])
    network = Network("efficientnet_lite0", model, "", meta, torch.bfloat16)
    image = torch.empty(1, 3, 96, 128, device=meta)
    ascent = replace(ASCENT, octaves=3, condition=ALL[name])
    objective = ANIMALS - 0.5 * layer("blocks.4")
    heard: list[Tensor] = []
    dreamed = dream(image, network, objective, ascent, (0, 0), lambda octave, step, value: heard.append(value))
    assert dreamed.is_meta
    assert dreamed.shape == image.shape
    assert len(heard) == 12
    assert all(value.is_meta for value in heard)
