"""The registry of networks, and what it knows about them without their weights."""

from __future__ import annotations

import pytest
import torchvision.models

from render.errors import UsageError
from render.models.registry import model_names, model_spec
from tests.models.zoo import marks, model_from_spec


def test_the_embedded_network_is_listed_first_and_all_torchvision_classifiers_are_listed() -> None:
    names = model_names()
    assert names[0] == "efficientnet_lite0"
    assert set(torchvision.models.list_models(module=torchvision.models)) < set(names)
    assert {"googlenet", "inception_v3", "vgg16", "resnet50", "densenet121", "convnext_tiny"} < set(names)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in model_names()])
def test_every_network_is_built_on_the_meta_device_with_the_published_number_of_parameters(name: str) -> None:
    spec = model_spec(name)
    model = model_from_spec(name)
    assert not model.training
    assert all(each.is_meta for each in (*model.parameters(), *model.buffers()))
    parameters = sum(each.numel() for each in model.parameters())
    if name == "inception_v3":  # the published number includes the auxiliary classifier
        assert 0 < spec.parameters - parameters < 4_000_000
    else:
        assert parameters == spec.parameters
    assert len(spec.classes) == 1000
    assert 50 < spec.accuracy < 90
    assert spec.weights_source.megabytes > 4


@pytest.mark.parametrize("name", [name for name in model_names() if model_spec(name).published_weights])
def test_all_published_weights_of_a_network_classify_imagenet(name: str) -> None:
    for weights in model_spec(name).published_weights:
        assert len(model_spec(name, weights).classes) == 1000


def test_pictures_are_normalised_as_in_training() -> None:
    assert model_spec("googlenet").mean == (0.485, 0.456, 0.406)
    assert model_spec("efficientnet_v2_l").mean == (0.5, 0.5, 0.5)
    assert model_spec("efficientnet_lite0").mean == (127 / 255,) * 3
    assert vars(model_spec("googlenet").build())["transform_input"]


def test_the_most_accurate_weights_are_the_default() -> None:
    first, default = (model_spec("resnet50", name) for name in ("IMAGENET1K_V1", None))
    assert first.published_weights == ("IMAGENET1K_V1", "IMAGENET1K_V2")
    assert first.accuracy < default.accuracy == model_spec("resnet50", "IMAGENET1K_V2").accuracy
    assert first.weights_source.file != default.weights_source.file


def test_unknown_names_are_errors_that_suggest() -> None:
    with pytest.raises(UsageError, match="unknown network 'efficientnet_lit0'; did you mean 'efficientnet_lite0'"):
        model_spec("efficientnet_lit0")
    for misspelt in ("eficientnet", "effnet_lite", "efficientnet-lite"):  # all others need a download
        with pytest.raises(UsageError, match="did you mean 'efficientnet_lite0'"):
            model_spec(misspelt)
    with pytest.raises(
        UsageError, match="there are 'efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2', "
    ):
        model_spec("efficientnet")
    with pytest.raises(UsageError, match="unknown network 'xyz'; `render networks` lists them"):
        model_spec("xyz")
    with pytest.raises(UsageError, match="resnet50 has no weights 'IMAGENET_V1'; did you mean 'IMAGENET1K_V1'"):
        model_spec("resnet50", "IMAGENET_V1")
    with pytest.raises(UsageError, match="efficientnet_lite0 has no weights 'V1'"):
        model_spec("efficientnet_lite0", "V1")
