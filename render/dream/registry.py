"""Which networks there are: EfficientNet-Lite, whose weights are packages, and torchvision's classifiers by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
import torchvision.models
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision.models import WeightsEnum

from render.dream import efficientnet_lite, weights
from render.dream.efficientnet_lite import EfficientNetLite, Variant
from render.dream.weights import AUXILIARY, Source
from render.errors import UsageError, did_you_mean, shown

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Blueprint:
    """A network before it is built: its architecture, what it expects, and where its weights are.

    `build` makes it on the meta device. `mean` and `std` normalise a picture in [0, 1]; it was trained on pictures of
    `side` pixels, and `classes` are the names of its logits. `accuracy` is ImageNet's top-1 in per cent. `trainings`
    are the published ones to choose from, `source` is where the weights of this one come from.
    """

    name: str
    build: Callable[[], nn.Module]
    mean: Color
    std: Color
    side: int
    classes: tuple[str, ...]
    parameters: int
    accuracy: float
    source: Source
    trainings: tuple[str, ...] = ()


@lru_cache
def names() -> tuple[str, ...]:
    """The networks that can be asked for, the embedded one first."""
    return (*efficientnet_lite.VARIANTS, *torchvision.models.list_models(module=torchvision.models))


def known(name: str) -> str:
    """The name, when there is such a network; else raises UsageError with a suggestion."""
    if name not in names():
        raise UsageError(f"unknown network {shown(name)}{did_you_mean(name, names(), '`render networks` lists them')}")
    return name


@lru_cache
def blueprint(name: str, training: str | None = None) -> Blueprint:
    """The network called `name`, as the published `training` (`IMAGENET1K_V1`) left it, or the best one there is.

    Raises UsageError for an unknown name.
    """
    if known(name) in efficientnet_lite.VARIANTS:
        return _lite(efficientnet_lite.VARIANTS[name], training)
    return _torchvision(name, training)


def _lite(variant: Variant, training: str | None) -> Blueprint:
    if training is not None:
        raise UsageError(f"{variant.name} has no training {shown(training)}; there is one, that needs no name")
    return Blueprint(
        name=variant.name,
        build=partial(_hollow, partial(EfficientNetLite, variant)),
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        side=variant.side,
        classes=_imagenet_classes(),
        parameters=variant.parameters,
        accuracy=variant.accuracy,
        source=weights.package(variant),
    )


def _torchvision(name: str, training: str | None) -> Blueprint:
    trainings = torchvision.models.get_model_weights(name)
    named = tuple(each.name for each in trainings if each.meta.get("categories"))  # not those of features alone
    if training is not None and training not in named:
        raise UsageError(f"{name} has no training {shown(training)}{did_you_mean(training, named)}")
    chosen: WeightsEnum = trainings.DEFAULT if training is None else trainings[training]
    preset: Any = chosen.transforms()
    # The table of positions of a transformer is as large as the pictures it was trained on.
    options = {"image_size": chosen.meta["min_size"][0]} if name.startswith("vit_") else {}
    return Blueprint(
        name=name,
        build=partial(_hollow, partial(torchvision.models.get_model, name, weights=None, **options)),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        side=preset.crop_size[0],
        classes=tuple(chosen.meta["categories"]),
        parameters=chosen.meta["num_params"],
        accuracy=chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        source=weights.published(name, chosen),
        trainings=named,
    )


@lru_cache
def _imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes, in the order of the logits."""
    return tuple(torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"])


class _Hollow(TorchFunctionMode):
    """Gives what is made by `torch.empty`, as layers make their parameters, no storage and so no time to fill it.

    Unlike under `torch.device("meta")`, what an architecture computes on its way stays computable.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        return func(*args, **(options | {"device": "meta"} if func is torch.empty else options))


def _hollow(build: Callable[[], nn.Module]) -> nn.Module:
    """The network on the meta device, in evaluation mode."""
    with _Hollow(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of googlenet and inception, about how to initialise
        model: Any = build()
    if hasattr(model, "transform_input"):
        model.transform_input = True  # as torchvision sets it for published weights
    for auxiliary in AUXILIARY:
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
    hollow: nn.Module = model.to("meta").eval().requires_grad_(False)
    return hollow
