"""The layers of a network, described: held against networks that run."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.feature_extraction import get_graph_node_names

from render.dream import graph, registry
from render.dream.anatomy import anatomy, unseen
from render.dream.networks import Network
from render.errors import UsageError
from tests.dream.zoo import network, randomised, weightless

# Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", Distill, table 1.
PUBLISHED = {("alexnet", "features.12"): 195, ("vgg16", "features.30"): 212}


@pytest.mark.parametrize(("name", "layer"), PUBLISHED)
def test_receptive_fields_are_the_published_ones(name: str, layer: str) -> None:
    assert anatomy(name).layers[layer].receptive_field == PUBLISHED[name, layer]


def test_layers_have_the_strides_and_channels_of_their_activations(network: Network) -> None:
    layers = anatomy(network.name).layers
    found = network.activations(torch.zeros(1, 3, 64, 64), [name for name in layers if layers[name].stride])
    for name, activation in found.items():
        layer = layers[name]
        assert layer.stride is not None
        assert tuple(activation.shape) == (1, layer.channels, *2 * (64 // layer.stride,))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("efficientnet_lite0", "blocks.4"),
        ("googlenet", "inception3b"),
        ("convnext_tiny", "features.1.1"),
        ("shufflenet_v2_x0_5", "stage2.1"),
        ("inception_v3", "Conv2d_4a_3x3"),
    ],
)
def test_a_neuron_sees_its_receptive_field_and_no_further(name: str, layer: str) -> None:
    described = anatomy(name).layers[layer]
    assert described.receptive_field is not None
    model = registry.blueprint(name).build().to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # nothing cancels, no ReLU is closed
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    image = torch.rand(4, 3, 160, 160, generator=torch.Generator().manual_seed(0)).requires_grad_()
    cut = graph.optimised(graph.cut(graph.traced(model), [described.operation]))
    activation = cut(image)[described.operation]
    middle = activation.shape[2] // 2
    activation[:, :, middle, middle].sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    reach = int(columns[-1] - columns[0]) + 1
    # Max pooling passes one of its places on, wherever that is.
    assert described.receptive_field - 8 <= reach <= described.receptive_field


def test_squeeze_and_excite_sees_everything() -> None:
    layers = anatomy("efficientnet_b0").layers
    assert layers["features.0"].receptive_field == 3
    assert layers["features.1.0"].receptive_field is None


def test_a_layer_whose_channels_come_last_is_described_and_given_channels_first() -> None:
    layer = anatomy("swin_t").layers["features.3.0"]
    assert (layer.channels, layer.stride, layer.axis) == (192, 8, 3)
    swin = Network("swin_t", randomised(network("swin_t")), "", torch.device("cpu"), torch.float32)
    found = swin.activations(torch.rand(1, 3, 64, 96), ["features.3.0", swin.logits])
    assert tuple(found["features.3.0"].shape) == (1, 192, 8, 12)
    assert tuple(found[swin.logits].shape) == (1, 1000)


def test_a_network_of_one_size_is_described_by_it() -> None:
    found = anatomy("vit_b_32")
    assert (found.layers["conv_proj"].stride, found.layers["conv_proj"].channels) == (32, 768)
    assert found.layers["encoder.layers.encoder_layer_3"].stride is None
    assert found.layers["encoder.layers.encoder_layer_3"].channels == 768


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg11", "densenet121", "googlenet", "mobilenet_v3_small", "regnet_y_400mf"]
)
def test_layers_are_called_as_torchvision_calls_them(name: str) -> None:
    _, *theirs = get_graph_node_names(weightless(name).eval(), suppress_diff_warning=True)[1]
    assert set(theirs) <= anatomy(name).layers.keys()


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_v2_s", "densenet121", "maxvit_t"])
def test_every_operation_and_every_module_is_a_layer(name: str) -> None:
    found = anatomy(name)
    model = weightless(name)
    spatial = [n for n, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert set(spatial) <= found.layers.keys()
    assert {n.rpartition(".")[0] for n in spatial if "." in n} <= found.layers.keys()


def test_each_training_is_seen_at_its_own_size() -> None:
    assert anatomy("vit_b_16").side == 224
    assert anatomy("vit_b_16", "IMAGENET1K_SWAG_E2E_V1").side == 384
    assert anatomy("resnet18").side is None
    assert unseen("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", ["conv_proj"], [(384, 384), (224, 224)]) == (224, 224)


def test_the_outline_is_the_chain_of_blocks() -> None:
    assert anatomy("efficientnet_lite0").outline == ("stem", *(f"blocks.{i}" for i in range(16)), "head")
    assert anatomy("googlenet").outline[5:8] == ("inception3a", "inception3b", "maxpool3")
    assert "layer3.5" in anatomy("resnet50").outline
    assert "trunk_output.block2.block2-1" in anatomy("regnet_x_400mf").outline


def test_an_unknown_network_is_an_error_that_suggests() -> None:
    with pytest.raises(UsageError, match="unknown network 'googlnet'; did you mean 'googlenet'"):
        anatomy("googlnet")
