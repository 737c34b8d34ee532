"""Builds networks without weights: EfficientNet-Lite and torchvision's classifiers, and lists what these are.

torchvision takes as long to import as torch, so that it is imported only where its own networks are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from render.models.efficientnet_lite import EfficientNetLite
from render.models.variants import VARIANTS
from render.models.weights import AUXILIARY_CLASSIFIERS
from render.system.quiet import ignored_warnings

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


def build(name: str, weights: str | None = None) -> nn.Module:
    """Returns the network `name` on the meta device, as it is for published `weights`, by default the best."""
    if name in VARIANTS:
        return build_on_meta(partial(EfficientNetLite, VARIANTS[name]))
    import torchvision.models

    published = torchvision.models.get_model_weights(name)
    chosen: WeightsEnum = published.DEFAULT if weights is None else published[weights]
    # The table of positions of a transformer is as large as the pictures it was trained on.
    options = {"image_size": chosen.meta["min_size"][0]} if name.startswith("vit_") else {}
    return build_on_meta(partial(torchvision.models.get_model, name, weights=None, **options))


class MetaInit(TorchFunctionMode):
    """Puts what layers allocate for their parameters, with `torch.empty`, on the meta device: no storage, no time.

    Unlike under `torch.device("meta")`, other tensors that an architecture computes on the way have values.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        return func(*args, **(options | {"device": "meta"} if func is torch.empty else options))


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Returns the network on the meta device, in evaluation mode, without auxiliary classifiers."""
    with MetaInit(), ignored_warnings(FutureWarning):  # of googlenet and inception, about how to initialise
        model: Any = build()
    if hasattr(model, "transform_input"):
        model.transform_input = True  # as torchvision sets it for published weights
    for auxiliary in AUXILIARY_CLASSIFIERS:
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
    on_meta: nn.Module = model.to("meta").eval().requires_grad_(False)
    return on_meta


def torchvision_table() -> dict[str, Any]:
    """Returns torchvision's classifiers and their published weights, as plain JSON.

    `models` has for each network the name of its `default` weights, and by name those `weights` that classify;
    `classes` is the list of lists of classes that these refer to by index.
    """
    import torchvision.models

    classes: list[list[str]] = []
    models: dict[str, Any] = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        published = torchvision.models.get_model_weights(name)
        classifying = [each for each in published if each.meta.get("categories")]  # others have features only
        models[name] = {
            "default": published.DEFAULT.name,
            "weights": {each.name: _published(each, classes) for each in classifying},
        }
    return {"classes": classes, "models": models}


def _published(weights: WeightsEnum, classes: list[list[str]]) -> dict[str, Any]:
    """Returns what is known of published weights; their list of classes is added to `classes` if it is new."""
    preset: Any = weights.transforms()
    if weights.meta["categories"] not in classes:
        classes.append(weights.meta["categories"])
    return {
        "mean": preset.mean,
        "std": preset.std,
        "input_side": preset.crop_size[0],
        "classes": classes.index(weights.meta["categories"]),
        "parameters": weights.meta["num_params"],
        "accuracy": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        "megabytes": weights.meta["_file_size"],
        "url": weights.url,
    }
