"""Hostile files of weights, of safetensors: each gives an error that names it, before it takes much memory or time."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from render.errors import StorageError
from render.models.network import check_weights
from render.models.weights_file import MAX_HEADER_BYTES, read_weights
from tests.models.zoo import initialized_model

MAX_SECONDS = 5.0
"""Of processor time, in which every file is refused."""


def entry(shape: list[int], start: int, stop: int, *, dtype: str = "F32") -> dict[str, Any]:
    """Returns the header's entry of a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def content(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """Returns a file with this header."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


HOSTILE = {
    "empty": b"",
    "no header": struct.pack("<Q", 0),
    "a header of 2^64 bytes": struct.pack("<Q", 2**64 - 1) + b"{",
    "a header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "a valid but large header": content(
        json.dumps({"a": entry([1], 0, 4)}).encode().ljust(MAX_HEADER_BYTES + 1), bytes(4)
    ),
    "deeply nested objects": content(b'{"a":' * 500_000),
    "deeply nested lists": content(b'{"a":' + b"[" * 2**21),
    "no JSON": content(b"{nonsense}"),
    "no UTF-8": content(b'{"\xff": 1}'),
    "no tensors": content({}),
    "metadata only": content({"__metadata__": {"format": "pt"}}),
    "overlapping tensors": content({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)),
    "partly overlapping tensors": content({"a": entry([2], 0, 8), "b": entry([1], 4, 8)}, bytes(8)),
    "a gap": content({"a": entry([1], 4, 8)}, bytes(8)),
    "offsets beyond the end": content({"a": entry([1000], 0, 4000)}, bytes(4)),
    "offsets of 2^64": content({"a": entry([1], 0, 2**64 - 1)}, bytes(4)),
    "offsets in reverse": content({"a": entry([1], 4, 0)}, bytes(4)),
    "a negative shape": content({"a": entry([-1], 0, 4)}, bytes(4)),
    "a shape that overflows": content({"a": entry([2**40, 2**40], 0, 0)}),
    "a shape of other size than the data": content({"a": entry([2], 0, 4)}, bytes(4)),
    "100,000 dimensions": content({"a": entry([1] * 100_000, 0, 4)}, bytes(4)),
    "an unknown dtype": content({"a": entry([1], 0, 4, dtype="X32")}, bytes(4)),
    "complex numbers": content({"a": entry([1], 0, 8, dtype="C64")}, bytes(8)),
    "numbers of 4 bits": content({"a": entry([8], 0, 4, dtype="F4")}, bytes(4)),
    "bytes after the data": content({"a": entry([1], 0, 4)}, bytes(400)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(HOSTILE[kind])
    start = time.process_time()
    with pytest.raises(StorageError, match=r"w\.safetensors (is not a file of weights|holds no state dict)") as caught:
        read_weights(file)
    assert time.process_time() - start < MAX_SECONDS
    assert "\n" not in str(caught.value)


def test_a_header_of_many_tensors_gives_an_error_of_few_words_in_a_short_time(tmp_path: Path) -> None:
    header = {f"\x1b[2J{i}": entry([0], 0, 0) for i in range(40_000)}
    file = tmp_path / "w.safetensors"
    file.write_bytes(content(header))
    assert 2**20 < file.stat().st_size < MAX_HEADER_BYTES
    start = time.process_time()
    with pytest.raises(StorageError, match=r"; and 400\d\d more") as caught:
        check_weights("squeezenet1_1", file)
    assert time.process_time() - start < MAX_SECONDS
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_integers_in_place_of_weights_are_refused(tmp_path: Path) -> None:
    state = dict(initialized_model("squeezenet1_1").state_dict())
    state["classifier.1.bias"] = state["classifier.1.bias"].to(torch.int32)
    file = tmp_path / "w.safetensors"
    file.write_bytes(save(state))
    with pytest.raises(StorageError, match=r"classifier\.1\.bias is 1000 of torch\.int32, not 1000;"):
        check_weights("squeezenet1_1", file)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    data, file = small_file(), tmp_path / "w.safetensors"
    for length in range(0, len(data), 3):
        file.write_bytes(data[:length])
        with pytest.raises(StorageError, match=r"w\.safetensors"):
            read_weights(file)


def test_a_damaged_header_gives_weights_or_an_error_that_names_the_file(tmp_path: Path) -> None:
    data, file = small_file(), tmp_path / "w.safetensors"
    (header_length,) = struct.unpack("<Q", data[:8])
    errors: list[str] = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        flipped = np.frombuffer(data, np.uint8).copy()
        flipped[random.integers(0, 8 + header_length, 2)] ^= random.integers(1, 256, 2, np.uint8)
        file.write_bytes(flipped.tobytes())
        try:
            read_weights(file)
        except StorageError as error:
            errors.append(str(error))
    assert len(errors) > 250
    assert all("w.safetensors" in error for error in errors)


def small_file() -> bytes:
    """Returns a file of twelve small tensors."""
    return save({f"layer.{i}": torch.arange(i + 1.0) for i in range(12)})
