"""Hostile files of weights, of torch.save: nothing in them is executed, and none takes much memory or time."""

from __future__ import annotations

import io
import os
import pickle
import resource
import struct
import tarfile
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from render.errors import StorageError
from render.models.network import check_weights
from render.models.weights_file import LEGACY_HEAD, read_weights
from tests.models.zoo import initialized_model
from tests.production.processes import run_render

MAX_SECONDS = 10.0
"""Of processor time, in which every file is refused."""
MEGABYTES = 400
"""More memory than a process has at its start is allowed to it."""


class CreatesFile:
    """Creates a file named `executed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def torch_file(content: object, **options: Any) -> bytes:
    """Returns the bytes that torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def in_tar(content: bytes) -> bytes:
    """Returns a tar with a pickle in it, the format of torch in its first year."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def in_numpy(content: object) -> bytes:
    """Returns a numpy array of objects: a pickle after a header."""
    stream = io.BytesIO()
    array = np.empty(1, object)
    array[0] = content
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


EXECUTABLE = {
    "zip": lambda: torch_file({"conv.weight": CreatesFile()}),
    "legacy": lambda: torch_file({"conv.weight": CreatesFile()}, _use_new_zipfile_serialization=False),
    "checkpoint": lambda: torch_file({"state_dict": {"conv.weight": torch.zeros(1)}, "hooks": [CreatesFile()]}),
    "pickle": lambda: pickle.dumps({"conv.weight": CreatesFile()}),
    "text pickle": lambda: pickle.dumps({"conv.weight": CreatesFile()}, protocol=0),
    "new pickle": lambda: pickle.dumps({"conv.weight": CreatesFile()}, protocol=5),
    "after the magic number": lambda: LEGACY_HEAD + pickle.dumps(CreatesFile(), protocol=2),
    "tar": lambda: in_tar(pickle.dumps(CreatesFile(), protocol=2)),
    "tar of a file": lambda: in_tar(torch_file({"conv.weight": CreatesFile()})),
    "numpy": lambda: in_numpy(CreatesFile()),
    "module": lambda: torch_file(initialized_model("squeezenet1_1")),
}


def assert_refused(file: Path, message: str = "is not a file of weights, is damaged, or contains code") -> None:
    """Asserts that reading gives, soon, an error of one line that names the file."""
    start = time.process_time()
    with pytest.raises(StorageError, match=message) as caught:
        read_weights(file)
    assert time.process_time() - start < MAX_SECONDS
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", EXECUTABLE)
def test_code_in_any_kind_of_file_is_refused_and_not_executed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(EXECUTABLE[kind]())
    assert_refused(tmp_path / "w.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def archive(pickled: bytes, *copies: str) -> bytes:
    """Returns a zip archive of torch with this pickle, and copies of it under other names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        for name in ("w/data.pkl", *copies):
            written.writestr(name, pickled)
        for name, data in (("w/byteorder", b"little"), ("w/data/0", bytes(4)), ("w/version", b"3\n")):
            written.writestr(name, data)
    return stream.getvalue()


def integer(number: int, length: int = 8) -> bytes:
    """Returns the pickle of an integer, in `length` bytes."""
    return b"\x8a" + bytes([length]) + number.to_bytes(length, "little", signed=True)


def call(name: str, *arguments: bytes) -> bytes:
    """Returns the pickle of a call that torch allows."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def tensor(count: int, sizes: list[int], strides: list[int]) -> bytes:
    """Returns the pickle of a tensor whose storage claims to have `count` numbers."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu" + integer(count) + b"tQ"
    shape, steps = (b"(" + b"".join(map(integer, each)) + b"t" for each in (sizes, strides))
    hooks = call("collections OrderedDict")
    return call("torch._utils _rebuild_tensor_v2", storage, integer(0), shape, steps, b"\x89", hooks)


def state_dict(value: bytes) -> bytes:
    """Returns a file with a state dict of one entry."""
    return archive(b"\x80\x02}X\x01\0\0\0a" + value + b"s.")


def nested_pairs(times: int) -> bytes:
    """Returns the pickle of a tuple that holds the same tuple twice, and so on."""
    return b")" + b"".join(b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86" for level in range(times))


def zip_bomb(claimed: int) -> bytes:
    """Returns a zip archive with a pickle that inflates to `claimed` zeros: a packed block of 64 MB, repeated."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**26)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = block * (claimed >> 26) + packer.flush()
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), min(claimed, 2**32 - 2), 10, 0)
    local = b"PK\3\4" + head + b"w/data.pkl" + data
    central = b"PK\1\2\x14\0" + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"w/data.pkl"
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


EXCESSIVE: dict[str, Callable[[], bytes]] = {
    "a zip bomb": lambda: zip_bomb(2**32),
    "an entry larger than its file": lambda: archive(b"\x80\x02}.").replace(
        struct.pack("<II", 2, 2), struct.pack("<II", 2**31, 2**31)
    ),
    "two pickles": lambda: archive(b"\x80\x02}.", "w/DATA.PKL"),
    "bytes that the file does not contain": lambda: state_dict(call("builtins bytearray", integer(10**11))),
    "text that is encoded slowly": lambda: state_dict(call("_codecs encode", b"X\1\0\0\0xX\x08\0\0\0punycode")),
    "a key whose hash takes forever": lambda: archive(b"\x80\x02}" + nested_pairs(60) + b"Ns."),
    "integers whose hashes are equal": lambda: state_dict(integer((2**61 - 1) << 20, 11)),
    "a storage of 10**18 numbers": lambda: state_dict(tensor(10**18, [10**9, 10**9], [10**9, 1])),
    "a tensor of negative size": lambda: state_dict(tensor(-1, [-1], [1])),
    "a missing storage": lambda: state_dict(tensor(1, [1], [1])).replace(b"w/data/0", b"w/data/1"),
    "a storage by number": lambda: state_dict(b"K\1Q"),
    "an empty memo": lambda: archive(b"\x80\x02h\7."),
    "an empty stack": lambda: archive(b"\x80\x02RRRtttsss."),
    "half an integer": lambda: archive(b"\x80\x02J\1"),
    "an endless list": lambda: archive(b"\x80\x02](" + b"N" * 2**22 + b"e."),
}


@pytest.mark.parametrize("kind", EXCESSIVE)
def test_files_that_claim_much_memory_or_time_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(EXCESSIVE[kind]())
    assert_refused(tmp_path / "w.pth")


def limit_memory() -> None:
    """Allows the process little more memory than it has."""
    limit = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def test_a_zip_bomb_is_refused_in_little_memory_with_its_position_in_the_scene(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(zip_bomb(2**34))
    (tmp_path / "s.yaml").write_text(
        "network: {name: efficientnet_lite0, weights_file: w.pth}\nobjectives: [{layer: blocks.4}]\n"
    )
    ended = run_render(tmp_path, "check", "s.yaml", preexec=limit_memory)
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("render: s.yaml:1:51: w.pth is not a file of weights, is damaged, or contains code")
    assert "Traceback" not in ended.err


def changed(change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the state dict of a random network, with one tensor changed."""
    state = dict(initialized_model("squeezenet1_1").state_dict())
    return state | {"classifier.1.bias": change(state["classifier.1.bias"])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bias: bias.to_sparse(), "holds no state dict"),
        (lambda bias: bias.to("meta"), "holds no state dict"),
        (lambda bias: bias.to(torch.complex64), "holds no state dict"),
        (lambda bias: torch.quantize_per_tensor(bias, 0.1, 0, torch.qint8), "holds no state dict"),
        (lambda bias: bias.to(torch.uint8).view(torch.float4_e2m1fn_x2), "holds no state dict"),
        (lambda bias: bias.expand(*[1] * 20, 1000), "holds no state dict"),
        (lambda bias: bias.to(torch.int32), "classifier.1.bias is 1000 of torch.int32, not 1000;"),
        (lambda bias: torch.zeros(()).expand(10**9, 10**9), "classifier.1.bias is 1000000000x1000000000, not 1000"),
    ],
    ids=["sparse", "meta", "complex", "quantized", "float4", "21 dimensions", "integer", "expanded"],
)
@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning", "ignore:.*quantiz.*:DeprecationWarning")
def test_tensors_that_a_network_cannot_use_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save(changed(change), tmp_path / "w.pth")
    with pytest.raises(StorageError, match=message) as caught:
        check_weights("squeezenet1_1", tmp_path / "w.pth")
    assert "w.pth" in str(caught.value)


def test_names_of_tensors_are_printed_short_and_without_control_characters(tmp_path: Path) -> None:
    torch.save({f"\x1b[2J\n{'x' * 500}{i}": torch.zeros(1) for i in range(1000)}, tmp_path / "w.pth")
    with pytest.raises(StorageError, match=r"w\.pth holds weights of another network: .*; and \d+ more") as caught:
        check_weights("squeezenet1_1", tmp_path / "w.pth")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_folders_pipes_and_devices_are_refused_without_reading_them(kind: str, tmp_path: Path) -> None:
    match kind:
        case "folder":
            (tmp_path / "w.pth").mkdir()
        case "pipe":
            os.mkfifo(tmp_path / "w.pth")
        case "device":
            (tmp_path / "w.pth").symlink_to("/dev/zero")
    kind_of_error = "it is a folder" if kind == "folder" else "it is not a regular file"
    assert_refused(tmp_path / "w.pth", rf"cannot read the weights .*w\.pth: {kind_of_error}")


@pytest.mark.parametrize("format_name", ["zip", "legacy"])
def test_a_truncated_file_is_refused_wherever_it_ends(format_name: str, tmp_path: Path) -> None:
    data = small_file(format_name)
    for cut in range(1, len(data), max(1, len(data) // 150)):
        (tmp_path / "w.pth").write_bytes(data[:-cut])
        assert_refused(tmp_path / "w.pth")


@pytest.mark.parametrize("format_name", ["zip", "legacy"])
def test_a_damaged_file_gives_weights_or_an_error_that_names_it(format_name: str, tmp_path: Path) -> None:
    data = small_file(format_name)
    errors: list[str] = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        flipped = np.frombuffer(data, np.uint8).copy()
        flipped[random.integers(0, len(flipped), 4)] ^= random.integers(1, 256, 4, np.uint8)
        (tmp_path / "w.pth").write_bytes(flipped.tobytes())
        try:
            read_weights(tmp_path / "w.pth")
        except StorageError as error:
            errors.append(str(error))
    assert len(errors) > 30
    assert all("w.pth" in error for error in errors)


def small_file(format_name: str) -> bytes:
    """Returns a file of twelve small tensors."""
    state = OrderedDict((f"layer.{i}", torch.arange(i + 1.0)) for i in range(12))
    return torch_file(state, _use_new_zipfile_serialization=format_name == "zip")
