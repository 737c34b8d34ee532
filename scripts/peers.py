"""Other renderers, called through their own functions on the same network; their code is in a checkout of theirs."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

OCTAVES, STEPS, SCALE, JITTER = 4, 10, 1.4, 32
SIZE = (384, 512)
"""(height, width) of the dreamed image."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A dream of an image by a layer of a network.

    `layer` is this project's name of the layer, `run` calls the peer, and `model` has the same weights as its network.
    """

    network: str
    layer: str
    model: nn.Module
    image: Tensor
    run: Callable[[], object]
    octaves: int = OCTAVES
    steps: int = STEPS
    scale: float = SCALE
    jitter: int = JITTER


def gordic(path: Path) -> Iterator[Work]:
    """gordicaleksa/pytorch-deepdream: `deep_dream_static_image`, without the time it takes to load the network."""
    sys.path.insert(0, str(path))
    deepdream: Any = importlib.import_module("deepdream")
    utils: Any = importlib.import_module("utils.utils")
    prepare: Callable[..., nn.Module] = utils.fetch_and_prepare_model
    image = random_image()
    picture = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    layers = (("googlenet", "GOOGLENET", "inception4c", "inception4c"), ("vgg16", "VGG16", "relu4_3", "features.22"))
    for network, kind, their_layer, layer in layers:
        model = random_model(network)
        with replaced_model(network, model):
            prepared = prepare(kind, "IMAGENET", torch.device("cpu"))
        utils.fetch_and_prepare_model = lambda *_, prepared=prepared: prepared
        config: dict[str, Any] = {
            "model_name": kind, "pretrained_weights": "IMAGENET", "layers_to_use": [their_layer], "use_noise": False,
            "pyramid_size": OCTAVES, "pyramid_ratio": SCALE, "num_gradient_ascent_iterations": STEPS, "lr": 0.09,
            "spatial_shift_size": JITTER, "smoothing_coefficient": 0.5, "img_width": SIZE[1], "input": "",
        }  # fmt: skip
        deepdream.DEVICE = torch.device("cpu")

        def run(config: dict[str, Any] = config) -> object:
            with contextlib.redirect_stdout(io.StringIO()):
                return deepdream.deep_dream_static_image(config, picture.copy())

        yield Work(network=network, layer=layer, model=model, image=image, run=run)


def neuraldream(path: Path) -> Iterator[Work]:
    """jeremicna/deepdream-video-pytorch, based on ProGamerGov/neural-dream: `DeepDreamer.dream` without file access.

    Its gradient is not conditioned, Adam steps along it, each octave starts with one additional evaluation, and
    GoogLeNet runs to its end; the picture is normalised once, before. It would repeat the whole dream: it is stopped
    before that.
    """
    sys.path.insert(0, str(path))
    dreamer: Any = importlib.import_module("dreamer")
    loader: Any = importlib.import_module("neural_dream.CaffeLoader")
    image = random_image()
    dreamer.preprocess = lambda *_: image
    dreamer.maybe_save = _raise_finished
    layers = (("googlenet", "inception4c", "inception4c", ""), ("vgg16", "relu4_3", "features.22", loader.vgg16_dict))
    for network, their_layer, layer, names in layers:
        model = random_model(network)
        modules: Any = model if network == "googlenet" else model.get_submodule("features")
        modules.has_inception = network == "googlenet"
        dreamer.loadCaffemodel = lambda *_, loaded=(modules, names): loaded
        options = {
            "gpu": "c", "model_type": "pytorch", "dream_layers": their_layer, "learning_rate": 0.01, "jitter": JITTER,
            "num_octaves": OCTAVES, "octave_scale": 1 / SCALE, "octave_iter": STEPS - 1, "num_iterations": 1,
        }  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            prepared = dreamer.DeepDreamer([f"-{name}={value}" for name, value in options.items()])

        def run(prepared: Any = prepared) -> None:
            fresh = copy.deepcopy(prepared)  # every dream adds hooks and does not remove them
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Finished):
                fresh.dream("", "")

        yield Work(network=network, layer=layer, model=model, image=image, run=run)


class Finished(Exception):
    """A dream has reached the point where it would be saved."""


def _raise_finished(*_: object) -> None:
    raise Finished


def random_image() -> Tensor:
    """Returns noise, 1x3xHxW in [0, 1]."""
    return torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def random_model(name: str) -> nn.Module:
    """Returns torchvision's network of that name with random weights, which take as long as trained ones."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model.eval()


@contextlib.contextmanager
def replaced_model(name: str, model: nn.Module) -> Iterator[None]:
    """Makes torchvision return this network whenever one of that name is requested."""
    original = getattr(torchvision.models, name)
    setattr(torchvision.models, name, lambda *_, **__: model)
    try:
        yield
    finally:
        setattr(torchvision.models, name, original)


def port_step_seconds(name: str, weights: str, *, layer: str, size: tuple[int, int]) -> float:
    """Returns the median seconds of a gradient step of the published port of EfficientNet-Lite, unmodified."""
    published: Any = importlib.import_module("efficientnet_lite_pytorch")
    with contextlib.redirect_stdout(io.StringIO()):
        model = published.EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=weights)
    model.eval().requires_grad_(False)
    image = torch.rand(1, 3, *size)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        leaf = image.clone().requires_grad_()
        x = model._swish(model._bn0(model._conv_stem((255 * leaf - 127) / 128)))
        for block in model._blocks[: int(layer.removeprefix("blocks.")) + 1]:
            x = block(x)
        torch.autograd.grad(x.square().mean(), leaf)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Prints the seconds of a step of the port, for NAME WEIGHTS LAYER HEIGHT WIDTH."""
    name, weights, layer, height, width = sys.argv[1:]
    print(port_step_seconds(name, weights, layer=layer, size=(int(height), int(width))))


PEERS: dict[str, Callable[[Path], Iterator[Work]]] = {"gordic": gordic, "neuraldream": neuraldream}

if __name__ == "__main__":
    main()
