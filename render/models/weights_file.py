"""Reading files of weights, of torch.save and of safetensors. Nothing in such a file is executed.

A hostile file gives an error before it takes much memory or time: its pickle is scanned, its sizes are compared with
the size of the file, before anything is loaded.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from render.errors import StorageError
from render.system.quiet import ignored_warnings

ARCHIVE_HEAD, LEGACY_HEAD = b"PK\3\4", pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
"""The first bytes of a file of torch.save, and of one older than torch 1.6."""
LEGACY_PICKLES = 4
"""The pickles that follow in a legacy file: protocol version, machine, objects, and names of storages."""
FORBIDDEN_GLOBALS = ("__builtin__ bytearray", "builtins bytearray", "_codecs encode")
"""Functions that torch lets a pickle call, and that take as much memory or time as the pickle says."""
MAX_OBJECTS = 2**21
"""Objects in a pickle, counted again at each use; a network of a thousand tensors has 50,000."""

HEADER_LENGTH = struct.Struct("<Q")
"""The first bytes of a safetensors file: the number of bytes of the JSON object that follows."""
MAX_HEADER_BYTES = 2**22
"""Of a safetensors file; a network of a thousand tensors has 0.1 MB, and safetensors itself accepts 100 MB."""
MAX_DIMENSIONS = 8
"""Of a tensor; weights have at most five."""
UNSUPPORTED_DTYPES = (torch.float4_e2m1fn_x2,)
"""Formats that torch stores but does not convert to float32."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Returns a state dict on the CPU; also one in a training checkpoint (`state_dict`, `model`), or of DataParallel.

    Raises StorageError when the file contains no state dict, or code that would have to be executed.
    """
    with reading_errors(file):
        content = _load(file)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not (isinstance(content, dict) and content and all(_is_plain(value) for value in content.values())):
        raise StorageError(f"{file} holds no state dict; write one with torch.save(model.state_dict(), PATH)")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


@contextmanager
def reading_errors(file: Path) -> Iterator[None]:
    """Turns every error of reading a file of weights into a StorageError that names it."""
    try:
        if file.exists() and not file.is_file():
            kind = "it is a folder" if file.is_dir() else "it is not a regular file"
            raise StorageError(f"cannot read the weights {file}: {kind}")
        yield
    except OSError as error:
        raise StorageError(f"cannot read the weights {file}: {error.strerror or error}") from None
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, struct.error, SafetensorError, RuntimeError, EOFError, LookupError,
        AttributeError, TypeError, ValueError, ArithmeticError, AssertionError, MemoryError,
    ):  # fmt: skip
        raise StorageError(
            f"{file} is not a file of weights, is damaged, or contains code; "
            "write one with torch.save(model.state_dict(), PATH) or safetensors"
        ) from None


def _load(file: Path) -> object:
    with file.open("rb") as stream:
        head = stream.read(len(LEGACY_HEAD))
    if head.startswith(ARCHIVE_HEAD):
        _check_archive(file)
        return _torch_load(file, mmap=True)  # the tensors of a zip archive need no copy
    if head == LEGACY_HEAD:
        with file.open("rb") as stream:
            stream.seek(len(LEGACY_HEAD))
            for _ in range(LEGACY_PICKLES):
                _check_pickle(stream)
        return _torch_load(file, mmap=False)
    _check_safetensors(file)
    return safetensors.torch.load_file(file)


def _torch_load(file: Path, *, mmap: bool) -> object:
    with ignored_warnings(UserWarning):  # about files that may be pickles of something else
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)


def _check_archive(file: Path) -> None:
    """Raises ValueError, or an error of the parsers, for a zip archive that claims more bytes than it has."""
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename.casefold(): entry.file_size for entry in archive.infolist()}
        if len(sizes) < len(archive.infolist()) or sum(sizes.values()) > file.stat().st_size:
            raise ValueError("an entry occurs twice, or is larger than the file")
        (name,) = (each for each in archive.namelist() if each.casefold().endswith("/data.pkl"))
        with archive.open(name) as stream:
            _check_pickle(stream)


def _check_pickle(stream: IO[bytes]) -> None:
    """Raises ValueError for a pickle that would take too long to load. It is scanned, nothing is executed.

    The size of an object is the sum of the sizes of its parts. A tuple of the same tuple twice, and so on, soon exceeds
    any memory, and its hash takes forever.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[object, int] = {}
    total = 0
    for opcode, argument, _ in pickletools.genops(stream):
        if argument in FORBIDDEN_GLOBALS or (isinstance(argument, int) and argument.bit_length() > 64):
            raise ValueError(f"{argument} does not occur in weights")
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name.endswith("PUT"):
            memo[argument] = stack[-1]
        elif opcode.name.endswith("GET"):
            stack.append(memo[argument])
        else:
            count = len(opcode.stack_before)
            has_mark = pickletools.markobject in opcode.stack_before
            start = marks.pop() - (count - 2) if has_mark else len(stack) - count
            size = 1 + sum(stack[start:])
            del stack[start:]
            is_container = opcode.stack_after in ([pickletools.pylist], [pickletools.pydict])
            stack += [1 if is_container else size] * len(opcode.stack_after)
            total += size
        if total > MAX_OBJECTS:
            raise ValueError(f"more than {MAX_OBJECTS} objects")


def _check_safetensors(file: Path) -> None:
    """Raises ValueError for a header that is not one, or too large; safetensors itself checks shapes and offsets."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        (length,) = HEADER_LENGTH.unpack(stream.read(HEADER_LENGTH.size))
        if length > min(MAX_HEADER_BYTES, size - HEADER_LENGTH.size) or stream.read(1) != b"{":
            raise ValueError("not a header of safetensors")


def _is_plain(value: object) -> bool:
    """Returns whether a value is a dense tensor of real numbers on the CPU."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.dim() <= MAX_DIMENSIONS
        and not (value.is_complex() or value.is_quantized or value.dtype in UNSUPPORTED_DTYPES)
    )
