"""Weights: whether they fit a network, and how they get into it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from render.errors import StorageError
from render.models.efficientnet_lite import rename_keys
from render.models.sources import WeightsSource
from render.models.weights_file import read_weights, reading_errors
from render.text import quote

State = Mapping[str, Tensor]
"""A state dict."""

AUXILIARY_CLASSIFIERS = ("aux1", "aux2", "AuxLogits")
"""Of googlenet and inception_v3, used in training only; published files contain them, saved networks do not."""
MAX_MISMATCHES = 5
"""Mismatches that an error lists."""


def load_weights(model: nn.Module, source: WeightsSource, *, file: Path | None = None, quiet: bool = False) -> str:
    """Loads weights into a network on the meta device, and returns the SHA-256 of their file.

    The weights are those of `file`, or of the source, downloaded if missing, with a progress bar on standard error
    unless `quiet`. Raises MissingError when they cannot be downloaded, StorageError for a file that cannot be read or
    does not fit the network.
    """
    file = file or source.ensure(quiet=quiet)
    model.load_state_dict(matching_weights(model, source, file=file), assign=True)
    model.float()
    model.requires_grad_(False)
    with reading_errors(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def matching_weights(model: nn.Module, source: WeightsSource, *, file: Path) -> State:
    """Returns the tensors of a file by the network's keys. Raises StorageError when they do not fit the network."""
    state = network_keys(read_weights(file), source)
    expected = model.state_dict()
    mismatches = sorted(_mismatches(state, expected))
    if mismatches:
        listed = "; ".join(mismatches[:MAX_MISMATCHES])
        more = f"; and {len(mismatches) - MAX_MISMATCHES} more" if len(mismatches) > MAX_MISMATCHES else ""
        raise StorageError(f"{file} holds weights of another network: {listed}{more}")
    return state


def count_parameters(state: State) -> int:
    """Returns the number of parameters, without the statistics of batch norms."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(value.numel() for key, value in state.items() if not key.endswith(statistics))


def _mismatches(state: State, expected: State) -> list[str]:
    """Returns a message for each key that does not fit; torch itself adds missing counters of batch norms."""
    absent = [key for key in expected.keys() - state.keys() if not key.endswith("num_batches_tracked")]
    missing = [f"{key} is missing" for key in absent]
    unexpected = [f"{quote(key)[1:-1]} is unexpected" for key in state.keys() - expected.keys()]
    unequal = [
        f"{key} is {_describe(state[key])}, not {_describe(expected[key])}"
        for key in expected.keys() & state.keys()
        if state[key].shape != expected[key].shape or state[key].is_floating_point() < expected[key].is_floating_point()
    ]
    return missing + unexpected + unequal


def _describe(tensor: Tensor) -> str:
    """Returns the shape, and the dtype if it is not a floating-point one."""
    shape = "x".join(map(str, tensor.shape)) or "a scalar"
    return shape if tensor.is_floating_point() else f"{shape} of {tensor.dtype}"


def network_keys(state: State, source: WeightsSource) -> State:
    """Returns the tensors of a published file by the network's keys."""
    if source.url is None:
        return rename_keys(state)
    return {key: value for key, value in state.items() if key.partition(".")[0] not in AUXILIARY_CLASSIFIERS}
