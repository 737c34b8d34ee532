"""The map of a network's layers, compared with networks that run."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision.models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from render.errors import UsageError
from render.models import trace
from render.models.graph_layers import read_layers
from render.models.layers import LayerMap
from render.models.network import Network
from render.models.registry import first_unsupported_size, layer_map, model_spec
from tests.models.zoo import model_on_meta, random_network

# Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", Distill, table 1.
PUBLISHED_FIELDS = {("alexnet", "features.12"): 195, ("vgg16", "features.30"): 212}


@pytest.mark.parametrize(("name", "layer"), PUBLISHED_FIELDS)
def test_receptive_fields_equal_the_published_ones(name: str, layer: str) -> None:
    assert layer_map(name).layers[layer].receptive_field == PUBLISHED_FIELDS[name, layer]


def test_activations_have_the_strides_and_channels_of_their_layers(network: Network) -> None:
    layers = layer_map(network.name).layers
    activations = network.activations(torch.zeros(1, 3, 64, 64), [name for name in layers if layers[name].stride])
    assert len(activations) > 50
    for name, activation in activations.items():
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
def test_a_position_depends_on_its_receptive_field_only(name: str, layer: str) -> None:
    info = layer_map(name).layers[layer]
    assert info.receptive_field is not None
    model = model_spec(name).build().to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # nothing cancels, no ReLU is closed
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    image = torch.rand(4, 3, 160, 160, generator=torch.Generator().manual_seed(0)).requires_grad_()
    extract = trace.optimize(trace.extract(trace.trace(model), [info.operation]))
    activation = extract(image)[info.operation]
    middle = activation.shape[2] // 2
    activation[:, :, middle, middle].sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    extent = int(columns[-1] - columns[0]) + 1
    # Max pooling takes one of its positions, which may be inside the field.
    assert info.receptive_field - 8 <= extent <= info.receptive_field


def test_squeeze_and_excite_has_an_unbounded_receptive_field() -> None:
    layers = layer_map("efficientnet_b0").layers
    assert layers["features.0"].receptive_field == 3
    assert layers["features.1.0"].receptive_field is None


def test_activations_with_channels_last_are_returned_with_channels_first() -> None:
    layer = layer_map("swin_t").layers["features.3.0"]
    assert (layer.channels, layer.stride, layer.axis) == (192, 8, 3)
    swin = random_network("swin_t")
    activations = swin.activations(torch.rand(1, 3, 64, 96), ["features.3.0", swin.logits])
    assert tuple(activations["features.3.0"].shape) == (1, 192, 8, 12)
    assert tuple(activations[swin.logits].shape) == (1, 1000)


def test_an_operation_that_does_not_depend_on_the_picture_is_no_layer() -> None:
    swin, vit = layer_map("swin_t").layers, layer_map("vit_b_32").layers
    assert {"features.1.0.attn", "features.1.0.attn._get_relative_position_bias"} & swin.keys() == {"features.1.0.attn"}
    assert {"class_token", "conv_proj", "encoder.encoder_pos_embedding"} & vit.keys() == {"conv_proj"}


def test_strides_of_a_network_of_one_size_follow_from_that_size() -> None:
    layers = layer_map("vit_b_32").layers
    assert (layers["conv_proj"].stride, layers["conv_proj"].channels) == (32, 768)
    assert layers["encoder.layers.encoder_layer_3"].stride is None
    assert layers["encoder.layers.encoder_layer_3"].channels == 768


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg11", "densenet121", "googlenet", "mobilenet_v3_small", "regnet_y_400mf"]
)
def test_layers_have_the_names_of_torchvision(name: str) -> None:
    _, *names = get_graph_node_names(model_on_meta(name).eval(), suppress_diff_warning=True)[1]
    assert set(names) <= layer_map(name).layers.keys()


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_v2_s", "densenet121", "maxvit_t"])
def test_every_convolution_and_the_module_around_it_are_layers(name: str) -> None:
    layers = layer_map(name).layers
    convolutions = [n for n, module in model_on_meta(name).named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert set(convolutions) <= layers.keys()
    assert {n.rpartition(".")[0] for n in convolutions if "." in n} <= layers.keys()


def test_input_sizes_depend_on_the_published_weights() -> None:
    swag = "IMAGENET1K_SWAG_E2E_V1"
    assert layer_map("vit_b_16").input_side == 224
    assert layer_map("vit_b_16", swag).input_side == 384
    assert layer_map("resnet18").input_side is None
    sizes = [(384, 384), (224, 224)]
    assert first_unsupported_size("vit_b_16", swag, layers=["conv_proj"], sizes=sizes) == (224, 224)
    assert first_unsupported_size("resnet18", None, layers=["layer1"], sizes=sizes) is None


def test_the_blocks_are_the_modules_that_the_network_is_a_chain_of() -> None:
    assert layer_map("efficientnet_lite0").blocks == ("stem", *(f"blocks.{i}" for i in range(16)), "head")
    assert layer_map("googlenet").blocks[5:8] == ("inception3a", "inception3b", "maxpool3")
    assert "layer3.5" in layer_map("resnet50").blocks
    assert "trunk_output.block2.block2-1" in layer_map("regnet_x_400mf").blocks


@pytest.mark.parametrize(
    ("name", "layer"), [("alexnet", "features.12"), ("inception_v3", "Mixed_7c"), ("vgg11", "avgpool")]
)
def test_the_smallest_picture_of_a_layer_is_that_of_the_network_itself(name: str, layer: str) -> None:
    info = layer_map(name).layers[layer]
    network = create_feature_extractor(model_on_meta(name), [info.operation])
    height, width = info.smallest
    assert height == width > 1
    network(torch.empty(1, 3, height, 300, device="meta"))
    network(torch.empty(1, 3, 300, width, device="meta"))
    for size in ((height - 1, 300), (300, width - 1)):
        with pytest.raises(RuntimeError):
            network(torch.empty(1, 3, *size, device="meta"))
        assert not info.sees(size)


def test_a_layer_before_the_transformer_sees_any_size() -> None:
    layers = layer_map("maxvit_t").layers
    assert layers["stem"].sees((100, 300))
    assert not layers["blocks.0"].sees((100, 300))
    assert layers["blocks.0"].sees((224, 224))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vit_b_32"])
def test_a_layer_map_survives_as_json(name: str) -> None:
    layers = layer_map(name)
    assert LayerMap.from_json(json.loads(json.dumps(layers.as_json()))) == layers


def test_the_data_in_the_package_are_true() -> None:
    """Otherwise: `python -m render.models.graph_layers > render/models/efficientnet_lite0.json`."""
    spec = model_spec("efficientnet_lite0")
    assert read_layers(spec.build(), spec.input_side) == layer_map("efficientnet_lite0")
    assert list(spec.classes) == torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]


def test_an_unknown_network_is_an_error_that_suggests() -> None:
    with pytest.raises(UsageError, match="unknown network 'googlnet'; did you mean 'googlenet'"):
        layer_map("googlnet")
