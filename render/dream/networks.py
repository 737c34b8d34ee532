"""A trained network: from a picture to the activations of the layers that are asked for."""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from render.dream import graph, registry, tiles, weights
from render.dream.anatomy import PICTURES, anatomy
from render.errors import MissingError, StorageError

MORE = 1.4
"""The most memory that a gradient takes, over what is held for it (measured on five networks: 0.6 to 1.38)."""
CUTS = 16
"""So many sets of layers are kept ready; a film whose layers come and go uses one after the other."""


class Network:
    """A classifier that gives the activations of its layers.

    `sha256` of its weights' file, its `layers` by name, the last of them, `logits`, the `classes` that these are for,
    and the `device` and `dtype` it runs in. Gradients of pictures with a side longer than `tile` pixels, None for any,
    are to be taken in tiles of about that side.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        sha256: str,
        device: torch.device,
        dtype: torch.dtype,
        training: str | None = None,
    ) -> None:
        blueprint = registry.blueprint(name, training)
        self.name = name
        self.sha256 = sha256
        self.classes = blueprint.classes
        self.device = device
        self.dtype = dtype
        self.tile: int | None = None
        self.layers = anatomy(name, training).layers
        self.logits = anatomy(name, training).logits
        self._traced = graph.traced(model)
        precise = torch.promote_types(dtype, torch.float32)
        self._mean = torch.tensor(blueprint.mean, device=device, dtype=precise).view(1, 3, 1, 1)
        self._scale = 1 / torch.tensor(blueprint.std, device=device, dtype=precise).view(1, 3, 1, 1)
        self._cut = lru_cache(CUTS)(self._made_cut)

    def activations(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """The activations of the layers `names`, channels first (NxC, or NxCx…), in the network's dtype.

        `image` is Nx3xHxW float32 RGB in [0, 1]. Nothing deeper is computed, and batch norms are folded.
        """
        x = ((image - self._mean) * self._scale).to(dtype=self.dtype, memory_format=torch.channels_last)
        wanted = {name: self.layers[name] for name in names}
        found = self._cut(frozenset(layer.operation for layer in wanted.values()))(x)
        return {name: found[layer.operation].movedim(layer.axis, 1) for name, layer in wanted.items()}

    def memory(self, names: Collection[str]) -> float:
        """Bytes that a gradient of what these layers see takes, for each pixel of the picture."""
        held: dict[int, int] = {}

        def seen(tensor: Tensor) -> Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor.detach()  # an output that held itself would never be freed

        side = PICTURES[0]
        image = torch.zeros(1, 3, side, side, device=self.device, requires_grad=True)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
            found = self.activations(image, names)
            value = sum(activation.float().square().mean() for activation in found.values())
        del value
        cut = self._cut(frozenset(self.layers[name].operation for name in names))
        for parameter in cut.parameters():
            held.pop(parameter.untyped_storage().data_ptr(), None)
        return MORE * sum(held.values()) / side**2

    def halve_tile(self, size: tuple[int, int]) -> None:
        """Halves the tiles, of a picture of this size. Raises MissingError when they are too small already."""
        half = min(self.tile or max(size), max(size)) // 2
        if half < tiles.SMALLEST:
            raise MissingError(f"the memory is not enough for a picture of {size[1]}x{size[0]}, not even in tiles")
        self.tile = half

    def _made_cut(self, operations: frozenset[str]) -> fx.GraphModule:
        """The network up to these operations; folded in float64, so that folding rounds nothing."""
        shared = graph.cut(self._traced, sorted(operations))
        own = graph.optimised(copy.deepcopy(shared).double())
        tensors: Any = {"device": self.device, "dtype": self.dtype, "memory_format": torch.channels_last}
        ready: fx.GraphModule = own.to(**tensors)  # torch's stubs leave the memory format out
        return ready


def load(
    name: str,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    file: Path | None = None,
    training: str | None = None,
    quiet: bool = False,
) -> Network:
    """The network called `name`, with the weights of `file`, or of a published `training`, by default the best.

    Weights that are not on this machine are downloaded, with a bar on standard error unless `quiet`. Raises UsageError
    for an unknown name, MissingError when its weights cannot be had, StorageError when they do not fit.
    """
    blueprint = registry.blueprint(name, training)
    model = blueprint.build()
    sha256 = weights.load(model, blueprint.source, file, quiet)
    return Network(name, model, sha256, torch.device(device), dtype, training)


def check_weights(name: str, file: Path) -> None:
    """Raises StorageError when a file does not hold weights of the network called `name`.

    It names every mismatch, and the network whose weights they are.
    """
    parameters = weights.count(weights.read(file))
    try:
        _check(name, file)
    except StorageError as error:
        alike = [other for other in registry.names() if registry.blueprint(other).parameters == parameters]
        meant = next((other for other in alike if _fits(other, file)), None)
        hint = f"did you mean network: {meant}?" if meant else "`render networks` lists those there are"
        raise StorageError(f"{error}; {hint}") from None


def _check(name: str, file: Path) -> None:
    blueprint = registry.blueprint(name)
    weights.fitting(blueprint.build(), blueprint.source, file)


def _fits(name: str, file: Path) -> bool:
    try:
        _check(name, file)
    except StorageError:
        return False
    return True
