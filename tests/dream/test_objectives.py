"""What is asked for: each measure, their arithmetic, and on the trained network, that they are local and obeyed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.dream import gradients
from render.dream.anatomy import anatomy
from render.dream.ascent import Ascent, dream
from render.dream.networks import Network
from render.dream.objectives import Objective, channels, guide, layer, logit, neuron
from render.dream.views import View
from tests.conftest import photo_tensor

ACTIVATIONS = {"a": torch.full((1, 2, 3, 3), 2.0), "b": torch.full((1, 4, 2, 2), 3.0)}
STRAIGHT = View((96, 96))
ASCENT = Ascent(octave_scale=1.4, steps=(6, 6), step_size=0.01, jitter=8, condition=gradients.natural(0.35, 0.85))


def seen(network: Network, objective: Objective, image: Tensor) -> float:
    """How much of what is wanted is in a picture."""
    with torch.no_grad():
        return float(objective(network.activations(image, objective.layers), View((image.shape[2], image.shape[3]))))


def test_a_layer_asks_for_the_mean_square_of_its_activation() -> None:
    assert layer("a")(ACTIVATIONS, STRAIGHT) == 4


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
    assert objective(ACTIVATIONS, STRAIGHT) == pytest.approx(value)


def test_a_weight_of_zero_needs_no_activation() -> None:
    objective = 0 * layer("a") + layer("b")
    assert objective.layers == {"b"}
    assert (0.0 * objective).layers == frozenset()


def test_a_half_precision_activation_is_summed_in_float32() -> None:
    value = layer("a")({"a": torch.full((1, 8, 64, 64), 300.0, dtype=torch.bfloat16)}, STRAIGHT)
    assert value.dtype == torch.float32
    assert value == pytest.approx(300.0**2, rel=1e-2)


def test_channels_and_neurons_are_the_mean_squares_of_their_part() -> None:
    activation = torch.arange(1 * 3 * 4 * 6, dtype=torch.float32).view(1, 3, 4, 6)
    found = {"a": activation}
    assert channels("a", [0, 2])(found, STRAIGHT) == pytest.approx(float(activation[:, [0, 2]].square().mean()))
    assert neuron("a", 1, (0.5, 0.5))(found, STRAIGHT) == float(activation[0, 1, 2, 3] ** 2)
    assert neuron("a", 1, (1.0, 0.0))(found, View((96, 96), (0, -1))) == float(activation[0, 1, 0, 5] ** 2)


def test_a_logit_is_asked_for_as_it_is() -> None:
    assert logit("fc", 2)({"fc": torch.tensor([[1.0, 2.0, -5.0]])}, STRAIGHT) == -5


def test_a_guides_best_match_is_asked_for_at_every_place() -> None:
    random = torch.Generator().manual_seed(0)
    features, wanted = torch.randn(1, 5, 7, 9, generator=random), torch.randn(1, 5, 4, 3, generator=random)
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(guide("a", wanted)({"a": features}, STRAIGHT), features)
    for y, x in ((0, 0), (3, 8), (6, 4)):
        place = features.detach()[0, :, y, x]
        best = max((wanted[0, :, v, u] for v in range(4) for u in range(3)), key=lambda each: float(each @ place))
        assert torch.allclose(gradient[0, :, y, x] * features.numel(), best, atol=1e-5)


def test_the_likeness_to_a_guide_rises_and_most_with_the_right_one(network: Network, photo: Tensor) -> None:
    """Likeness: the mean best match of the picture's features among the guide's, as cosines."""

    def features(image: Tensor) -> Tensor:
        with torch.no_grad():
            return F.normalize(network.activations(image, ["blocks.7"])["blocks.7"].flatten(2)[0], dim=0)

    def likeness(image: Tensor, guide_picture: Tensor) -> float:
        return float((features(image).T @ features(guide_picture)).amax(1).mean())

    def guided(guide_picture: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = network.activations(guide_picture, ["blocks.7"])["blocks.7"]
        return dream(photo, network, guide("blocks.7", wanted), ASCENT, (0, 0))

    cat, coffee = (photo_tensor(name, 160, 160) for name in ("chelsea", "coffee"))
    dreams = {picture: guided(picture) for picture in (cat, coffee)}
    for right, wrong in ((cat, coffee), (coffee, cat)):
        assert likeness(dreams[right], right) > likeness(photo, right) + 0.02
        assert likeness(dreams[right], right) > likeness(dreams[wrong], right) + 0.01


def test_outside_a_mask_nothing_changes_and_inside_it_does(network: Network, photo: Tensor) -> None:
    mask = torch.zeros(1, 1, 160, 160)
    mask[..., 40:100, 50:120] = 1
    mask[..., 100:110, 50:120] = 0.3
    dreamed = dream(photo, network, layer("blocks.7").within(mask), ASCENT, (0, 0))
    outside = (mask == 0).expand_as(photo)
    assert torch.equal(dreamed[outside], photo[outside])
    changed = (dreamed - photo).abs().mean(1, keepdim=True)
    assert changed[mask == 1].mean() > 0.02
    assert 0 < changed[mask == 0.3].mean() < 0.7 * changed[mask == 1].mean()


def test_each_layer_keeps_to_its_own_mask(network: Network, photo: Tensor) -> None:
    left = torch.zeros(1, 1, 160, 160)
    left[..., :80] = 1
    one = replace(ASCENT, steps=(1,), momentum=0.0)
    both = dream(photo, network, layer("blocks.3").within(left) + layer("blocks.8").within(1 - left), one, (0, 0))
    alone = dream(photo, network, layer("blocks.3").within(left), one, (0, 0))
    move, expected = ((each - photo)[..., :80].flatten() for each in (both, alone))
    assert F.cosine_similarity(move, expected, dim=0) > 0.99
    assert (both - photo)[..., 80:].abs().mean() > 0


def test_opposed_wishes_of_two_masks_do_not_blow_each_other_up(network: Network, photo: Tensor) -> None:
    grey = 0.25 + 0.5 * photo
    left = torch.zeros(1, 1, 160, 160)
    left[..., :80] = 1
    wish = layer("blocks.4").within(left) - layer("blocks.4").within(1 - left)
    dreamed = dream(grey, network, wish, replace(ASCENT, steps=(1,)), (0, 0))
    assert (dreamed - grey).abs().mean() == pytest.approx(0.01, rel=0.02)


def test_parts_with_masks_of_their_own_add_up_to_the_whole(network: Network, photo: Tensor) -> None:
    grey = 0.25 + 0.5 * photo
    left = torch.zeros(1, 1, 160, 160)
    left[..., :80] = 1
    one = replace(ASCENT, steps=(1,))
    halves = layer("blocks.4").within(left) + layer("blocks.4").within(1 - left)
    whole = dream(grey, network, layer("blocks.4"), one, (0, 0))
    assert torch.allclose(dream(grey, network, halves, one, (0, 0)), whole, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1 / 255])
def test_total_variation_keeps_to_the_mask_and_its_softness(network: Network, photo: Tensor, value: float) -> None:
    mask = torch.full((1, 1, 160, 160), value)
    mask[..., :60] = 1
    dreamed = dream(photo, network, layer("blocks.7").within(mask), replace(ASCENT, total_variation=1.0), (0, 0))
    change = (dreamed - photo).abs()
    assert change[..., 80:].mean() <= 0.01 * change[..., :40].mean()


@pytest.mark.parametrize("place", [(1.0, 1.0), (0.0, 0.0), (0.29, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("shift", [(0, 0), (0, -29), (-7, 50)])
def test_a_neuron_may_be_at_the_very_edge(place: tuple[float, float], shift: tuple[int, int]) -> None:
    activation = torch.zeros(1, 1, 100, 100)
    row, column = (min(int(share * 100 + 0.25), 99) for share in (place[1], place[0]))
    activation[0, 0, row, column] = 1
    off_the_grid = (place[0] + 0.0025 * (place[0] < 1), place[1] + 0.0025 * (place[1] < 1))
    shifted = torch.roll(activation, shift, (2, 3))
    assert neuron("a", 0, off_the_grid)({"a": shifted}, View((100, 100), shift)) == 1
    assert neuron("a", 0, off_the_grid)({"a": activation}, View((100, 100), angle=1e-9)) == 1
    assert neuron("a", 0, place)({"a": shifted}, View((100, 100), shift)).isfinite()


def test_a_guide_matches_the_logits_too() -> None:
    found = {"fc": torch.tensor([[1.0, 2.0]])}
    assert guide("fc", torch.tensor([[3.0, 4.0]]))(found, STRAIGHT) == (3 + 8) / 2


@pytest.mark.parametrize("view", [STRAIGHT, View((192, 192), (20, -30)), View((192, 192), (5, 5), 1.2, 20)])
def test_the_gradient_of_a_neuron_vanishes_outside_its_receptive_field(network: Network, view: View) -> None:
    view = replace(view, size=(192, 192))
    field = anatomy(network.name).layers["blocks.3"].receptive_field
    assert field is not None
    image = photo_tensor("chelsea", 192, 192)
    seen_image = view.look(image).requires_grad_()
    value = neuron("blocks.3", 5, (0.3, 0.6))(network.activations(seen_image, ["blocks.3"]), view)
    gradient = view.back(torch.autograd.grad(value, seen_image)[0]).abs().sum(1)[0]
    rows, columns = gradient.nonzero(as_tuple=True)
    assert len(rows) > 50
    reach = (field / 2 + 8) / view.scale * (1 if view.angle == 0 else 2**0.5)
    assert (rows - 0.6 * 192).abs().max() <= reach
    assert (columns - 0.3 * 192).abs().max() <= reach


def test_a_neuron_outside_the_view_asks_for_nothing(network: Network) -> None:
    view = View((96, 96), scale=3.0)
    image = photo_tensor("chelsea", 96, 96).requires_grad_()
    value = neuron("blocks.3", 5, (0.05, 0.05))(network.activations(view.look(image), ["blocks.3"]), view)
    assert value == 0
    assert torch.autograd.grad(value, image)[0].abs().max() == 0


@pytest.mark.parametrize("name", ["tabby", "Egyptian cat", "espresso"])
def test_a_class_rises_when_asked_for_and_falls_under_a_negative_weight(network: Network, name: str) -> None:
    photo = photo_tensor("chelsea", 160, 160)
    wish = logit(network.logits, network.classes.index(name))
    up, down = (dream(photo, network, weight * wish, ASCENT, (0, 0)) for weight in (1, -1))
    assert seen(network, wish, down) < seen(network, wish, photo) - 2
    assert seen(network, wish, up) > seen(network, wish, photo) + 2


@pytest.mark.parametrize(
    "wish", [layer("blocks.10"), channels("blocks.10", [3, 17]), neuron("blocks.10", 17, (0.4, 0.6))]
)
def test_what_is_asked_for_rises_and_under_a_negative_weight_falls(
    network: Network, photo: Tensor, wish: Objective
) -> None:
    gentle = replace(ASCENT, steps=(8,), step_size=0.003, jitter=0)
    up, down = (dream(photo, network, weight * wish, gentle, (0, 0)) for weight in (1, -1))
    assert seen(network, wish, down) < 0.9 * seen(network, wish, photo)
    assert seen(network, wish, up) > 1.2 * seen(network, wish, photo)


def test_a_neuron_is_given_as_strong_a_step_where_it_sees_as_a_layer_is_everywhere(network: Network) -> None:
    photo = 0.25 + 0.5 * photo_tensor("chelsea", 192, 192)
    reach = anatomy(network.name).layers["blocks.3"].receptive_field
    assert reach is not None
    assert neuron("blocks.3", 5, (0.5, 0.5), reach).share((192, 192)) == reach**2 / 192**2
    assert (neuron("blocks.3", 5, (0.5, 0.5), reach) + layer("blocks.3")).share((192, 192)) == 1
    ascent = replace(ASCENT, steps=(1,), condition=gradients.raw())
    dreamed = dream(photo, network, neuron("blocks.3", 5, (0.5, 0.5), reach), ascent, (0, 0))
    assert (dreamed - photo).abs().mean() == pytest.approx(0.01 * reach**2 / 192**2, rel=0.01)
