"""Weights that nobody means well with: nothing in them runs, nothing fills the memory; and nowhere is a shell."""

from __future__ import annotations

import ast
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from render.dream import networks, weights
from render.errors import StorageError
from tests.dream.zoo import network as random_network
from tests.production.processes import rendered

ROOT = Path(__file__).parents[2]
SOON = 5.0
"""Seconds."""
MEGABYTES = 400


class Runs:
    """Would make a file named `ran` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def torch_file(content: object, **options: Any) -> bytes:
    """As torch.save writes it."""
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def in_tar(content: bytes) -> bytes:
    """As torch wrote weights in its first year: a tar with a pickle in it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def in_numpy(content: object) -> bytes:
    """An array of objects, which is a pickle after a head."""
    stream = io.BytesIO()
    array = np.empty(1, object)
    array[0] = content
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


EXECUTES = {
    "zip": lambda: torch_file({"conv.weight": Runs()}),
    "legacy": lambda: torch_file({"conv.weight": Runs()}, _use_new_zipfile_serialization=False),
    "checkpoint": lambda: torch_file({"state_dict": {"conv.weight": torch.zeros(1)}, "hooks": [Runs()]}),
    "pickle": lambda: pickle.dumps({"conv.weight": Runs()}),
    "text pickle": lambda: pickle.dumps({"conv.weight": Runs()}, protocol=0),
    "new pickle": lambda: pickle.dumps({"conv.weight": Runs()}, protocol=5),
    "after the magic number": lambda: weights.LEGACY + pickle.dumps(Runs(), protocol=2),
    "tar": lambda: in_tar(pickle.dumps(Runs(), protocol=2)),
    "tar of a file": lambda: in_tar(torch_file({"conv.weight": Runs()})),
    "numpy": lambda: in_numpy(Runs()),
    "module": lambda: torch_file(random_network("squeezenet1_1")),
}


def refused(
    file: Path, told: str = "is not a file of weights, damaged, or holds what would have to be executed"
) -> None:
    """One sentence that names the file, soon."""
    begun = time.monotonic()
    with pytest.raises(StorageError, match=told) as caught:
        weights.read(file)
    assert time.monotonic() - begun < SOON
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", EXECUTES)
def test_what_would_run_is_refused_in_every_kind_of_file(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(EXECUTES[how]())
    refused(tmp_path / "w.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def archive(pickled: bytes, *more: str) -> bytes:
    """A file of torch's with this pickle, and more of these names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        for name in ("w/data.pkl", *more):
            written.writestr(name, pickled)
        for name, data in (("w/byteorder", b"little"), ("w/data/0", bytes(4)), ("w/version", b"3\n")):
            written.writestr(name, data)
    return stream.getvalue()


def whole(number: int, length: int = 8) -> bytes:
    """A number of so many bytes in a pickle."""
    return b"\x8a" + bytes([length]) + number.to_bytes(length, "little", signed=True)


def known(name: str, *arguments: bytes) -> bytes:
    """Something that torch lets a pickle call."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def tensor(count: int, sizes: list[int], strides: list[int]) -> bytes:
    """A tensor of a storage that claims to have so many numbers."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu" + whole(count) + b"tQ"
    shape, steps = (b"(" + b"".join(map(whole, each)) + b"t" for each in (sizes, strides))
    none = known("collections OrderedDict")
    return known("torch._utils _rebuild_tensor_v2", storage, whole(0), shape, steps, b"\x89", none)


def holding(value: bytes) -> bytes:
    """A file of one entry."""
    return archive(b"\x80\x02}X\x01\0\0\0a" + value + b"s.")


def squared(times: int) -> bytes:
    """A tuple of a tuple twice, and so on."""
    return b")" + b"".join(b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86" for level in range(times))


def packed(claimed: int) -> bytes:
    """A zip archive with a pickle that inflates to so many zeros, of which a 64 MB are written out again and again."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**26)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = block * (claimed >> 26) + packer.flush()
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), min(claimed, 2**32 - 2), 10, 0)
    local = b"PK\3\4" + head + b"w/data.pkl" + data
    central = b"PK\1\2\x14\0" + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"w/data.pkl"
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


EATS: dict[str, Callable[[], bytes]] = {
    "a zip bomb": lambda: packed(2**32),
    "a stored entry larger than its file": lambda: archive(b"\x80\x02}.").replace(
        struct.pack("<II", 2, 2), struct.pack("<II", 2**31, 2**31)
    ),
    "two pickles": lambda: archive(b"\x80\x02}.", "w/DATA.PKL"),
    "bytes that are only claimed": lambda: holding(known("builtins bytearray", whole(10**11))),
    "text that is encoded slowly": lambda: holding(known("_codecs encode", b"X\1\0\0\0xX\x08\0\0\0punycode")),
    "a key whose hash takes for ever": lambda: archive(b"\x80\x02}" + squared(60) + b"Ns."),
    "numbers whose hashes are equal": lambda: holding(whole((2**61 - 1) << 20, 11)),
    "a storage of 10**18 numbers": lambda: holding(tensor(10**18, [10**9, 10**9], [10**9, 1])),
    "a tensor of fewer numbers than none": lambda: holding(tensor(-1, [-1], [1])),
    "a storage that is not there": lambda: holding(tensor(1, [1], [1])).replace(b"w/data/0", b"w/data/1"),
    "a storage by number": lambda: holding(b"K\1Q"),
    "what was never kept": lambda: archive(b"\x80\x02h\7."),
    "nothing to take": lambda: archive(b"\x80\x02RRRtttsss."),
    "half a number": lambda: archive(b"\x80\x02J\1"),
    "an endless pickle": lambda: archive(b"\x80\x02" + b"N" * 2**22),
}


@pytest.mark.parametrize("how", EATS)
def test_what_would_take_all_memory_or_time_is_refused(how: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(EATS[how]())
    refused(tmp_path / "w.pth")


def confined() -> None:
    """A process that may take little more memory than it has."""
    most = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def test_a_zip_bomb_is_refused_in_little_memory_and_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(packed(2**34))
    (tmp_path / "s.yaml").write_text(
        "network: {name: efficientnet_lite0, weights: w.pth}\nlayers: [{layer: blocks.4}]\n"
    )
    ended = rendered(tmp_path, "check", "s.yaml", before=confined)
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("render: s.yaml:1:46: w.pth is not a file of weights, damaged, or holds what would")
    assert "Traceback" not in ended.err


def own_state() -> dict[str, torch.Tensor]:
    """Of a network that is random."""
    return dict(random_network("squeezenet1_1").state_dict())


def changed(change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state with another tensor in it."""
    return own_state() | {"classifier.1.bias": change(own_state()["classifier.1.bias"])}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda bias: bias.to_sparse(), "holds no state dict"),
        (lambda bias: bias.to("meta"), "holds no state dict"),
        (lambda bias: bias.to(torch.complex64), "holds no state dict"),
        (lambda bias: torch.quantize_per_tensor(bias, 0.1, 0, torch.qint8), "holds no state dict"),
        (lambda bias: bias.to(torch.int32), "classifier.1.bias is 1000 of torch.int32, not 1000;"),
        (lambda bias: torch.zeros(()).expand(10**9, 10**9), "classifier.1.bias is 1000000000x1000000000, not 1000"),
    ],
    ids=["sparse", "meta", "complex", "quantized", "whole", "expanded"],
)
@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning", "ignore:.*quantiz.*:DeprecationWarning")
def test_tensors_that_no_network_runs_with_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], told: str, tmp_path: Path
) -> None:
    torch.save(changed(change), tmp_path / "w.pth")
    with pytest.raises(StorageError, match=told) as caught:
        networks.check_weights("squeezenet1_1", tmp_path / "w.pth")
    assert "w.pth" in str(caught.value)


def test_names_of_tensors_cannot_flood_the_terminal_nor_command_it(tmp_path: Path) -> None:
    torch.save({f"\x1b[2J\n{'x' * 500}{i}": torch.zeros(1) for i in range(1000)}, tmp_path / "w.pth")
    with pytest.raises(StorageError, match=r"w\.pth holds weights of another network: .*; and \d+ more") as caught:
        networks.check_weights("squeezenet1_1", tmp_path / "w.pth")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    match kind:
        case "folder":
            (tmp_path / "w.pth").mkdir()
        case "pipe":
            os.mkfifo(tmp_path / "w.pth")
        case "device":
            (tmp_path / "w.pth").symlink_to("/dev/zero")
    refused(tmp_path / "w.pth", r"cannot read the weights .*w\.pth: (a folder|no file)")


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_lacks_its_end_or_is_damaged_is_weights_or_a_sentence(new: bool, tmp_path: Path) -> None:
    state = OrderedDict((f"layer.{i}", torch.arange(i + 1.0)) for i in range(12))
    data = torch_file(state, _use_new_zipfile_serialization=new)
    for cut in range(1, len(data), max(1, len(data) // 150)):
        (tmp_path / "w.pth").write_bytes(data[:-cut])
        refused(tmp_path / "w.pth")
    for seed in range(150):
        random = np.random.default_rng(seed)
        flipped = np.frombuffer(data, np.uint8).copy()
        flipped[random.integers(0, len(flipped), 4)] ^= random.integers(1, 256, 4, np.uint8)
        (tmp_path / "w.pth").write_bytes(flipped.tobytes())
        assert "w.pth" in read_or_sentence(tmp_path / "w.pth")


def read_or_sentence(file: Path) -> str:
    """What becomes of a file."""
    try:
        return f"w.pth holds {len(weights.read(file))}"
    except StorageError as error:
        return str(error)


SOURCES = [path for folder in ("render", "scripts") for path in (ROOT / folder).rglob("*.py")]
RUNS_CODE = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "pickle.load",
    "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "pyyaml.load", "pyyaml.unsafe_load",
    "torch.hub.load", "torch.jit.load",
}  # fmt: skip


def calls(path: Path) -> Iterator[tuple[str, dict[str | None, str]]]:
    """Each call of a file: of what, and with which named arguments."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_calls_a_shell_or_runs_what_it_has_read(path: Path) -> None:
    for called, words in calls(path):
        assert called not in RUNS_CODE, called
        assert "shell" not in words, called
        if called == "torch.load":
            assert words["weights_only"] == "True"
        if called.endswith(("np.load", "numpy.load")):
            assert words.get("allow_pickle", "False") == "False"
