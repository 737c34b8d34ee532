"""Other renderers, run through their own functions on the same network: nothing of theirs is here, a checkout is."""

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


@dataclass(frozen=True)
class Work:
    """A dream of an image by a layer of a network, called ours and by their function; `model` has the same weights."""

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
    """gordicaleksa/pytorch-deepdream: `deep_dream_static_image`, its loading of the network kept out of the time."""
    sys.path.insert(0, str(path))
    deepdream: Any = importlib.import_module("deepdream")
    utils: Any = importlib.import_module("utils.utils")
    prepare: Callable[..., nn.Module] = utils.fetch_and_prepare_model
    image = torch.rand(1, 3, 384, 512, generator=torch.Generator().manual_seed(0))
    picture = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    asked = (("googlenet", "GOOGLENET", "inception4c", "inception4c"), ("vgg16", "VGG16", "relu4_3", "features.22"))
    for network, kind, theirs, ours in asked:
        model = random_network(network)
        with random_weights(network, model):
            made = prepare(kind, "IMAGENET", torch.device("cpu"))
        utils.fetch_and_prepare_model = lambda *_, made=made: made
        config: dict[str, Any] = {
            "model_name": kind, "pretrained_weights": "IMAGENET", "layers_to_use": [theirs], "use_noise": False,
            "pyramid_size": OCTAVES, "pyramid_ratio": SCALE, "num_gradient_ascent_iterations": STEPS, "lr": 0.09,
            "spatial_shift_size": JITTER, "smoothing_coefficient": 0.5, "img_width": 512, "input": "",
        }  # fmt: skip
        deepdream.DEVICE = torch.device("cpu")

        def run(config: dict[str, Any] = config) -> object:
            with contextlib.redirect_stdout(io.StringIO()):
                return deepdream.deep_dream_static_image(config, picture.copy())

        yield Work(network, ours, model, image, run)


def neuraldream(path: Path) -> Iterator[Work]:
    """jeremicna/deepdream-video-pytorch, ProGamerGov/neural-dream underneath: `DeepDreamer.dream`, files kept out.

    Its gradient is not conditioned, Adam steps along it, each octave begins with a look of its own, and GoogLeNet runs
    to its end; the picture is normalised once, before. It would dream it all a second time: it is stopped before that.
    """
    sys.path.insert(0, str(path))
    dreamer: Any = importlib.import_module("dreamer")
    loader: Any = importlib.import_module("neural_dream.CaffeLoader")
    image = torch.rand(1, 3, 384, 512, generator=torch.Generator().manual_seed(0))
    dreamer.preprocess = lambda *_: image
    dreamer.maybe_save = _dreamed
    asked = (("googlenet", "inception4c", "inception4c", ""), ("vgg16", "relu4_3", "features.22", loader.vgg16_dict))
    for network, theirs, ours, names in asked:
        model = random_network(network)
        layers: Any = model if network == "googlenet" else model.get_submodule("features")
        layers.has_inception = network == "googlenet"
        dreamer.loadCaffemodel = lambda *_, made=(layers, names): made
        options = {
            "gpu": "c", "model_type": "pytorch", "dream_layers": theirs, "learning_rate": 0.01, "jitter": JITTER,
            "num_octaves": OCTAVES, "octave_scale": 1 / SCALE, "octave_iter": STEPS - 1, "num_iterations": 1,
        }  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            made = dreamer.DeepDreamer([f"-{name}={value}" for name, value in options.items()])

        def run(made: Any = made) -> None:
            fresh = copy.deepcopy(made)  # every dream leaves its hooks behind
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Dreamed):
                fresh.dream("", "")

        yield Work(network, ours, model, image, run)


class Dreamed(Exception):
    """A dream has come to where it would be saved."""


def _dreamed(*_: object) -> None:
    raise Dreamed


def random_network(name: str) -> nn.Module:
    """torchvision's network of that name; random weights take as long as trained ones."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model.eval()


@contextlib.contextmanager
def random_weights(name: str, model: nn.Module) -> Iterator[None]:
    """Lets torchvision hand out this network where published weights are asked for."""
    kept = getattr(torchvision.models, name)
    setattr(torchvision.models, name, lambda *_, **__: model)
    try:
        yield
    finally:
        setattr(torchvision.models, name, kept)


def step_of_port(name: str, weights: str, layer: str, height: int, width: int) -> float:
    """Median seconds of a gradient step of the published port of EfficientNet-Lite, as it comes."""
    published: Any = importlib.import_module("efficientnet_lite_pytorch")
    with contextlib.redirect_stdout(io.StringIO()):
        model = published.EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=weights)
    model.eval().requires_grad_(False)
    image = torch.rand(1, 3, height, width)
    times = []
    for _ in range(15):
        begun = time.perf_counter()
        seen = image.clone().requires_grad_()
        x = model._swish(model._bn0(model._conv_stem((255 * seen - 127) / 128)))
        for block in model._blocks[: int(layer.removeprefix("blocks.")) + 1]:
            x = block(x)
        torch.autograd.grad(x.square().mean(), seen)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


PEERS: dict[str, Callable[[Path], Iterator[Work]]] = {"gordic": gordic, "neuraldream": neuraldream}

if __name__ == "__main__":
    print(step_of_port(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
