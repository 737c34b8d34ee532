"""Which networks there are, and what is known of them before their weights are."""

from __future__ import annotations

import pytest
import torchvision.models

from render.dream import registry
from render.errors import UsageError
from tests.dream.zoo import built


def test_all_of_torchvisions_classifiers_are_there_and_the_embedded_one_is_first() -> None:
    names = registry.names()
    assert names[0] == "efficientnet_lite0"
    assert set(torchvision.models.list_models(module=torchvision.models)) < set(names)
    assert {"googlenet", "inception_v3", "vgg16", "resnet50", "densenet121", "convnext_tiny"} < set(names)


@pytest.mark.parametrize("name", registry.names())
def test_every_network_can_be_built_in_no_time_and_is_known_in_numbers(name: str) -> None:
    blueprint = registry.blueprint(name)
    model = built(name)
    assert not model.training
    assert all(each.is_meta for each in (*model.parameters(), *model.buffers()))
    parameters = sum(each.numel() for each in model.parameters())
    assert parameters == blueprint.parameters or name == "inception_v3"  # published with its auxiliary classifier
    assert len(blueprint.classes) == 1000
    assert 50 < blueprint.accuracy < 90
    assert blueprint.source.megabytes > 4


@pytest.mark.parametrize("name", registry.names())
def test_every_training_that_is_offered_is_one_of_classes(name: str) -> None:
    for training in registry.blueprint(name).trainings:
        assert len(registry.blueprint(name, training).classes) == 1000


def test_each_network_normalises_as_it_was_trained() -> None:
    assert registry.blueprint("googlenet").mean == (0.485, 0.456, 0.406)
    assert registry.blueprint("efficientnet_v2_l").mean == (0.5, 0.5, 0.5)
    assert registry.blueprint("efficientnet_lite0").mean == (127 / 255,) * 3
    assert vars(registry.blueprint("googlenet").build())["transform_input"]


def test_the_most_accurate_training_is_the_default() -> None:
    first, best = (registry.blueprint("resnet50", name) for name in ("IMAGENET1K_V1", None))
    assert first.trainings == ("IMAGENET1K_V1", "IMAGENET1K_V2")
    assert first.accuracy < best.accuracy == registry.blueprint("resnet50", "IMAGENET1K_V2").accuracy
    assert first.source.file != best.source.file


def test_unknown_names_are_errors_that_suggest() -> None:
    with pytest.raises(UsageError, match="unknown network 'efficientnet_lit0'; did you mean 'efficientnet_lite0'"):
        registry.blueprint("efficientnet_lit0")
    with pytest.raises(UsageError, match="unknown network 'xyz'; `render networks` lists them"):
        registry.blueprint("xyz")
    with pytest.raises(UsageError, match="resnet50 has no training 'IMAGENET_V1'; did you mean 'IMAGENET1K_V1'"):
        registry.blueprint("resnet50", "IMAGENET_V1")
    with pytest.raises(UsageError, match="efficientnet_lite0 has no training 'V1'"):
        registry.blueprint("efficientnet_lite0", "V1")
