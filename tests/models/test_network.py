"""The network's activations, compared with a reference port and with what is in photos."""

from __future__ import annotations

import efficientnet_lite_pytorch
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.errors import UsageError
from render.models.network import Network, load_network
from render.models.variants import VARIANTS
from tests.conftest import photo_tensor

# ImageNet indices of what is in the photos.
CATS = {281, 282, 283, 284, 285, 287}
ESPRESSO_AND_CUP = {967, 968}


@pytest.mark.parametrize(("name", "side"), [(name, variant.input_side) for name, variant in VARIANTS.items()])
def test_logits_equal_those_of_the_reference_port(name: str, side: int, capsys: pytest.CaptureFixture[str]) -> None:
    path = VARIANTS[name].weights_file()
    assert path is not None
    reference = efficientnet_lite_pytorch.EfficientNet.from_name(name.replace("_", "-"))
    reference.load_state_dict(torch.load(path, weights_only=True))
    capsys.readouterr()
    photo = photo_tensor("chelsea", side, side)
    with torch.no_grad():
        actual = logits(load_network(name), photo)
        expected = reference.eval()((255 * photo - 127) / 128)
    assert (actual - expected).abs().max() < 1e-3
    assert actual.abs().max() > 5


@pytest.mark.parametrize(("picture", "expected"), [("chelsea", CATS), ("coffee", ESPRESSO_AND_CUP)])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_top_five_classes_name_what_is_in_the_photo(name: str, picture: str, expected: set[int]) -> None:
    photo = photo_tensor(picture, 450, 300)[..., 75:375]
    photo = F.interpolate(photo, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        top_five = logits(load_network(name), photo)[0].topk(5).indices
    assert expected & set(top_five.tolist())


def logits(network: Network, photo: Tensor) -> Tensor:
    """Returns the logit of each class, Nx1000."""
    return network.activations(photo, [network.logits])[network.logits]


def test_odd_sides_are_padded_as_in_tensorflow(network: Network) -> None:
    photo = photo_tensor("chelsea", 131, 97)
    activations = network.activations(photo, ["stem", "blocks.5", "blocks.15"])
    assert [tuple(each.shape[2:]) for each in activations.values()] == [(49, 66), (7, 9), (4, 5)]


def test_layers_computed_together_equal_those_computed_alone(network: Network) -> None:
    photo = photo_tensor("chelsea", 96, 96)
    names = ["stem", "blocks.5", "blocks.5.project", "blocks.5.expand.conv", "blocks.10", "classifier"]
    together = network.activations(photo, names)
    assert list(together) == names
    for name in names:
        alone = network.activations(photo, [name])[name]
        assert (alone - together[name]).abs().max() < 1e-4 * alone.abs().max()


def test_a_layer_equals_the_last_operation_in_it(network: Network) -> None:
    activations = network.activations(photo_tensor("chelsea", 64, 64), ["blocks.2", "blocks.2.add"])
    assert torch.equal(activations["blocks.2"], activations["blocks.2.add"])


def test_an_unknown_network_is_an_error_that_suggests(network: Network) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{network.name}'"):
        load_network("efficientnet_lit0")
