"""Gradient ascent: what steps, octaves, momentum and smoothing do to a picture and to the objective."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream import gradients
from render.dream.ascent import AscentSettings, dream
from render.dream.gradients import TOTAL_VARIATION_EPSILON, total_variation
from render.dream.objectives import Objective, channels, guide, layer, named_class, position
from render.dream.octaves import Size, octave_sizes
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform, TransformRange
from render.models.network import Network
from render.models.registry import model_spec
from tests.conftest import covering, photo_tensor
from tests.dream.test_gradients import CONDITIONERS

SETTINGS = AscentSettings(
    octave_scale=1.4,
    steps=(4, 4),
    step_size=0.01,
    conditioner=gradients.natural(0.35, 0.85),
    transforms=TransformRange(jitter=8),
)
STILL = TransformRange()
ANIMALS = layer("blocks.10")


def ascend(
    image: Tensor,
    network: Network,
    settings: AscentSettings = SETTINGS,
    *,
    objective: Objective = ANIMALS,
    seed: tuple[int, int] = (0, 0),
) -> Tensor:
    return dream(image, TiledNetwork(network), objective=objective, settings=settings, seed=seed)


def reports(
    image: Tensor, network: Network, settings: AscentSettings, *, objective: Objective = ANIMALS
) -> tuple[Tensor, list[tuple[int, int, Tensor]]]:
    """Returns the dream, and (octave, step, objective) of each of its steps."""
    steps: list[tuple[int, int, Tensor]] = []

    def on_step(octave: int, step: int, value: Tensor) -> None:
        steps.append((octave, step, value))

    dreamed = dream(image, TiledNetwork(network), objective=objective, settings=settings, seed=(0, 0), on_step=on_step)
    return dreamed, steps


def objective_values(image: Tensor, network: Network, settings: AscentSettings) -> list[float]:
    return [float(value) for _, _, value in reports(image, network, settings)[1]]


@pytest.mark.parametrize("size", [(160, 160), (121, 90)])
@pytest.mark.parametrize("no_change", [{"steps": (0,) * 4}, {"step_size": 0.0, "steps": (2,) * 4}])
@pytest.mark.parametrize(
    "options", [{}, {"transforms": TransformRange(8, (0.8, 1.2), 10.0), "momentum": 0.5, "total_variation": 1.0}]
)
def test_no_steps_or_a_step_size_of_zero_return_the_image_exactly(
    network: Network, no_change: dict[str, Any], options: dict[str, Any], size: tuple[int, int]
) -> None:
    image = photo_tensor("astronaut", *size)
    assert torch.equal(ascend(image, network, replace(SETTINGS, **no_change, **options)), image)


def test_an_empty_objective_returns_the_image_exactly(network: Network, photo: Tensor) -> None:
    assert torch.equal(ascend(photo, network, objective=Objective()), photo)


@pytest.mark.parametrize("name", CONDITIONERS)
def test_the_objective_rises_with_every_conditioner(network: Network, photo: Tensor, name: str) -> None:
    settings = replace(SETTINGS, steps=(8, 8), conditioner=CONDITIONERS[name], transforms=TransformRange(jitter=4))
    values = objective_values(photo, network, settings)
    for octave in (values[:8], values[8:]):
        assert octave[-1] > 1.2 * octave[0]


def test_a_negative_weight_lowers_the_objective(network: Network, photo: Tensor) -> None:
    def value(image: Tensor) -> float:
        return float(ANIMALS(network.activations(image, ANIMALS.layers), Transform((160, 160))))

    assert value(ascend(photo, network, objective=-1 * ANIMALS)) < value(photo)


def test_values_stay_in_the_range_from_0_to_1(network: Network, photo: Tensor) -> None:
    dreamed = ascend(photo, network, replace(SETTINGS, step_size=0.2))
    assert dreamed.min() == 0
    assert dreamed.max() == 1


def test_a_step_changes_the_values_by_the_step_size_on_average(network: Network) -> None:
    grey = torch.full((1, 3, 64, 64), 0.5) + 0.01 * photo_tensor("coffee", 64, 64)
    dreamed = ascend(grey, network, replace(SETTINGS, steps=(1,)))
    assert (dreamed - grey).abs().mean() == pytest.approx(0.01, rel=1e-4)


def test_a_dream_depends_on_seed_and_frame_only(network: Network, photo: Tensor) -> None:
    first = ascend(photo, network, seed=(1, 5))
    ascend(photo, network, objective=layer("blocks.3"), seed=(9, 9))
    torch.manual_seed(1234)
    assert torch.equal(ascend(photo, network, seed=(1, 5)), first)
    assert not torch.equal(ascend(photo, network, seed=(1, 6)), first)
    assert not torch.equal(ascend(photo, network, seed=(2, 5)), first)


def test_octaves_go_from_coarse_to_the_size_of_the_picture_without_those_that_are_too_small() -> None:
    steps = (7, 5, 3)
    assert octave_sizes((200, 100), steps, octave_scale=2.0) == [((100, 50), 5), ((200, 100), 3)]
    assert octave_sizes((16, 16), steps, octave_scale=2.0) == [((16, 16), 3)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 450), [((133, 200), 7), ((200, 300), 5), ((300, 450), 3)]),
        ((200, 300), [((133, 200), 7), ((200, 300), 5)]),
        ((210, 315), [((133, 200), 7), ((210, 315), 5)]),
        ((100, 150), [((100, 150), 7)]),
        ((600, 900), [((133, 200), 7), ((200, 300), 5), ((300, 450), 3), ((450, 675), 3), ((600, 900), 3)]),
    ],
)
def test_octaves_are_counted_at_the_reference_side(size: Size, expected: list[tuple[Size, int]]) -> None:
    """A smaller picture has the same coarse octaves without the finest, a larger one has more."""
    assert octave_sizes(size, (7, 5, 3), octave_scale=1.5, reference_side=450) == expected


def test_each_octave_takes_its_own_number_of_steps(network: Network, photo: Tensor) -> None:
    _, steps = reports(photo, network, replace(SETTINGS, steps=(3, 0, 2)))
    assert [(octave, step) for octave, step, _ in steps] == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]


def changes_of_steps(image: Tensor, network: Network, settings: AscentSettings) -> list[Tensor]:
    """Returns the change that each step makes, in one octave without transforms."""
    inputs: list[Tensor] = []

    class Recording(Network):
        def measure(self, image: Tensor, names: Any, measured: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            inputs.append(image.detach().clone())
            return super().measure(image, names, measured)

    recording = copy.copy(network)
    recording.__class__ = Recording
    dreamed = ascend(image, recording, replace(settings, transforms=STILL))
    return [after - before for before, after in pairwise([*inputs, dreamed])]


def test_the_step_size_falls_linearly_to_that_of_the_last_step(network: Network) -> None:
    grey = 0.3 + 0.4 * photo_tensor("coffee", 96, 96)
    settings = replace(SETTINGS, steps=(5,), step_size=0.004, final_step_scale=0.2)
    sizes = [float(change.abs().mean()) for change in changes_of_steps(grey, network, settings)]
    assert sizes == pytest.approx([0.004 * scale for scale in (1, 0.8, 0.6, 0.4, 0.2)], rel=1e-3)


@pytest.mark.parametrize("tile_size", [None, 96])
@pytest.mark.parametrize("is_masked", [False, True])
def test_steps_are_scaled_by_place(tile_size: int | None, is_masked: bool, network: Network, photo: Tensor) -> None:
    """On the left, nothing changes; the right is dreamed within the mask."""
    scale = torch.zeros(1, 1, 160, 160)
    scale[..., 80:] = 2
    mask = torch.zeros(1, 1, 160, 160)
    mask[..., :80, :] = 1
    settings = replace(SETTINGS, momentum=0.5, total_variation=0.5, step_scale=scale)
    objective = ANIMALS.masked(mask) if is_masked else ANIMALS
    tiled = TiledNetwork(network, tile_size=tile_size)
    changed = (dream(photo, tiled, objective=objective, settings=settings, seed=(0, 0)) - photo).abs()
    assert changed[..., :76].max() < 1e-6
    assert changed[..., :72, 88:].mean() > 0.01
    assert (changed[..., 88:, :].max() < 1e-6) == is_masked


def test_a_step_scale_of_one_changes_nothing(network: Network, photo: Tensor) -> None:
    scaled = ascend(photo, network, replace(SETTINGS, steps=(4,), step_scale=torch.ones(1, 1, 160, 160)))
    assert torch.equal(scaled, ascend(photo, network, replace(SETTINGS, steps=(4,))))


def test_momentum_makes_successive_steps_more_alike(network: Network) -> None:
    grey = 0.3 + 0.4 * photo_tensor("coffee", 96, 96)

    def similarity(momentum: float) -> float:
        changes = changes_of_steps(grey, network, replace(SETTINGS, steps=(6,), step_size=0.004, momentum=momentum))
        pairs = [F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in pairwise(changes)]
        return float(sum(pairs) / len(pairs))

    assert similarity(0.9) > similarity(0.0) + 0.05


def test_total_variation_smooths_and_is_zero_for_a_flat_picture(network: Network, photo: Tensor) -> None:
    def roughness(image: Tensor) -> float:
        return float(image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean())

    plain, smoothed = (ascend(photo, network, replace(SETTINGS, total_variation=weight)) for weight in (0.0, 1.0))
    assert roughness(smoothed) < 0.8 * roughness(plain)
    assert total_variation(torch.full((1, 3, 16, 16), 0.4)).abs().max() == 0


def test_the_gradient_of_the_total_variation_is_its_derivative() -> None:
    image = torch.rand(1, 3, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    dx = F.pad(image.diff(dim=3), (0, 1))
    dy = F.pad(image.diff(dim=2), (0, 0, 0, 1))
    (expected,) = torch.autograd.grad((dx.square() + dy.square() + TOTAL_VARIATION_EPSILON**2).sqrt().sum(), image)
    assert torch.allclose(total_variation(image.detach()), expected)


@pytest.mark.parametrize(
    "transforms",
    [TransformRange(8, (0.8, 1.3)), TransformRange(8, rotate=15.0), TransformRange(8, (0.9, 1.1), rotate=5.0)],
)
def test_the_objective_rises_under_random_rotations_and_scales(
    network: Network, photo: Tensor, transforms: TransformRange
) -> None:
    settings = replace(SETTINGS, steps=(12,), transforms=transforms)
    values = objective_values(photo, network, settings)
    assert sum(values[-3:]) > 1.5 * sum(values[:3])
    assert torch.equal(ascend(photo, network, settings), ascend(photo, network, settings))


@pytest.fixture(scope="module")
def meta_network() -> Network:
    """Returns the network on the meta device."""
    model = model_spec("efficientnet_lite0").build()
    return Network("efficientnet_lite0", model, sha256="", device="meta", dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("name", "options"),
    covering(
        [*CONDITIONERS],
        [{"transforms": TransformRange(8, (0.8, 1.3), 9.0), "momentum": 0.5, "total_variation": 0.5}, {}],
    ),
)
def test_steps_never_wait_for_the_device(meta_network: Network, name: str, options: dict[str, Any]) -> None:
    """Tensors on the meta device have no values: reading one, or combining it with a CPU tensor, raises."""
    network, meta = meta_network, meta_network.device
    image = torch.empty(1, 3, 96, 128, device=meta)
    settings = replace(SETTINGS, steps=(1, 2), conditioner=CONDITIONERS[name], **options)
    mask = torch.empty(1, 1, 96, 128, device=meta)
    objective = ANIMALS - 0.5 * layer("blocks.4").masked(mask) + channels("blocks.7", [3, 17])
    objective += position("blocks.7", 2, point=(0.2, 0.7)) + 0.1 * named_class(network.logits, 954)
    objective += guide("blocks.7", torch.empty(1, 80, 5, 9, device=meta))
    dreamed, steps = reports(image, network, settings, objective=objective)
    assert dreamed.is_meta
    assert dreamed.shape == image.shape
    assert len(steps) == 3
    assert all(value.is_meta for _, _, value in steps)
