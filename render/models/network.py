"""A trained network: from a picture to the activations of some of its layers."""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from render.errors import StorageError
from render.models import trace
from render.models.graph_layers import PROBE_SIDES
from render.models.registry import layer_map, model_names, model_spec
from render.models.weights import count_parameters, load_weights, matching_weights
from render.models.weights_file import read_weights

GRADIENT_OVERHEAD = 1.4
"""Largest peak of memory of a gradient, relative to the tensors saved for it (measured on five networks: 0.6 to
1.38)."""
MAX_CACHED_EXTRACTS = 16
"""Sets of layers whose part of the network is cached; a film whose objectives change uses one set after the other."""


class Network:
    """A classifier whose layers' activations can be computed.

    `sha256` is that of the file of weights, `layers` are its layers by name, `logits` names the last of them, and
    `classes` are the names of its logits. It runs on `device` in `dtype`. `weights` names published weights, whose
    normalisation and input size it has, None for the default ones.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        sha256: str,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        weights: str | None = None,
    ) -> None:
        spec = model_spec(name, weights)
        self.name = name
        self.sha256 = sha256
        self.classes = spec.classes
        self.device = torch.device(device)
        self.dtype = dtype
        self.layers = layer_map(name, weights).layers
        self.logits = layer_map(name, weights).logits
        self._traced = trace.trace(model)
        precise = torch.promote_types(dtype, torch.float32)
        self._mean = torch.tensor(spec.mean, device=self.device, dtype=precise).view(1, 3, 1, 1)
        self._scale = 1 / torch.tensor(spec.std, device=self.device, dtype=precise).view(1, 3, 1, 1)
        self._extract = lru_cache(MAX_CACHED_EXTRACTS)(self._build_extract)

    def activations(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Returns the activations of the layers `names`, channels first (NxC, or NxCx…), in the network's dtype.

        `image` is Nx3xHxW float32 RGB in [0, 1]. Deeper layers are not computed, and batch norms are folded.
        """
        return self.measure(image, names, ())[0]

    def measure(
        self, image: Tensor, names: Collection[str], measured: Collection[str]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns the activations of the layers `names`, and the moments of the layers `measured`."""
        x = ((image - self._mean) * self._scale).to(dtype=self.dtype, memory_format=torch.channels_last)
        outputs = self._extract(frozenset(names), frozenset(measured))(x)
        layers = ((name, self.layers[name]) for name in names)
        activations = {name: outputs[layer.operation].movedim(layer.axis, 1) for name, layer in layers}
        return activations, {name: outputs[trace.moments_of(self.layers[name].operation)] for name in measured}

    def norm_statistics(self, name: str) -> Tensor:
        """Returns mean and standard deviation of each channel that a batch norm's output had in training: 2xC float32.

        Its input had the running mean and variance.
        """
        norm: Any = self._traced.model.get_submodule(str(self._traced.operations[self.layers[name].operation].target))
        deviation = norm.weight.abs() * (norm.running_var / (norm.running_var + norm.eps)).sqrt()
        return torch.stack([norm.bias, deviation]).detach().to(self.device, torch.float32)

    def bytes_per_pixel(self, names: Collection[str]) -> float:
        """Returns the peak memory of a gradient through these layers, in bytes per pixel of the picture."""
        saved: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor.detach()  # an output that refers to itself would never be freed

        side = PROBE_SIDES[0]
        image = torch.zeros(1, 3, side, side, device=self.device, requires_grad=True)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            activations = self.activations(image, names)
            value = sum(activation.float().square().mean() for activation in activations.values())
        del value
        extract = self._extract(frozenset(names), frozenset())
        for parameter in extract.parameters():
            saved.pop(parameter.untyped_storage().data_ptr(), None)
        return GRADIENT_OVERHEAD * sum(saved.values()) / side**2

    def _build_extract(self, names: frozenset[str], measured: frozenset[str]) -> fx.GraphModule:
        """Returns the network up to these layers; folded in float64, so that folding rounds nothing."""
        operations = {self.layers[name].operation for name in names}
        axes = {self.layers[name].operation: self.layers[name].axis for name in sorted(measured)}
        shared = trace.extract(self._traced, sorted(operations), measured=axes)
        folded = trace.optimize(copy.deepcopy(shared).double())
        tensors: Any = {"device": self.device, "dtype": self.dtype, "memory_format": torch.channels_last}
        extract: fx.GraphModule = folded.to(**tensors)  # torch's stubs lack the memory format
        return extract


def load_network(
    name: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    file: Path | None = None,
    weights: str | None = None,
    quiet: bool = False,
) -> Network:
    """Returns the network `name` with the weights of `file`, or with published `weights`, by default the best.

    Missing weights are downloaded, with a progress bar on standard error unless `quiet`. Raises UsageError for an
    unknown name, MissingError when weights cannot be downloaded, StorageError when they do not fit the network.
    """
    spec = model_spec(name, weights)
    model = spec.build()
    sha256 = load_weights(model, spec.weights_source, file=file, quiet=quiet)
    return Network(name, model, sha256=sha256, device=device, dtype=dtype, weights=weights)


def check_weights(name: str, file: Path) -> None:
    """Raises StorageError when a file does not hold weights of the network `name`.

    The message names the mismatches, and the network that the weights belong to.
    """
    parameters = count_parameters(read_weights(file))
    try:
        _match(name, file)
    except StorageError as error:
        candidates = [other for other in model_names() if model_spec(other).parameters == parameters]
        matching = next((other for other in candidates if _is_match(other, file)), None)
        hint = f"did you mean network: {matching}?" if matching else "`render networks` lists all networks"
        raise StorageError(f"{error}; {hint}") from None


def _match(name: str, file: Path) -> None:
    spec = model_spec(name)
    matching_weights(spec.build(), spec.weights_source, file=file)


def _is_match(name: str, file: Path) -> bool:
    try:
        _match(name, file)
    except StorageError:
        return False
    return True
