"""Real parts at small sizes: photos, the network, engines. One thread, because a film's bytes depend on the number."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import cv2
import pytest
import skimage.data
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

from render.dream.tiled import TiledNetwork
from render.models.network import Network, load_network
from render.pipeline import autotune
from render.pipeline.engine import Engine
from render.pipeline.plan import Options, plan
from render.pipeline.scene import Scene

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # of processes that tests start
torch.set_num_threads(1)


def photo_tensor(name: str, width: int, height: int) -> Tensor:
    """A photo of scikit-image's, 1x3xHxW in [0, 1]."""
    picture = cv2.resize(getattr(skimage.data, name)(), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0).float().contiguous() / 255


def engine_of(scene: Scene, network: Network, options: Options = Options()) -> Engine:
    """An engine that runs a scene on a network that is loaded already, without tiles."""
    planned = plan(scene, options)
    return Engine(planned, planned.device, TiledNetwork(network, tile_size=None))


def covering(first: Sequence[Any], *others: Sequence[Any]) -> list[ParameterSet]:
    """All combinations of values for `parametrize`, of which one for each value of `first` always runs.

    The others are slow. Those that run have each value of `others` if `first` has enough.
    """
    chosen = set()
    for number in range(len(first)):
        indices, stride = [number], 1
        for values in others:
            indices.append(number // stride % len(values))
            stride *= len(values)
        chosen.add(tuple(indices))
    axes = (first, *others)
    return [
        pytest.param(
            *(values[index] for values, index in zip(axes, indices, strict=True)),
            marks=() if indices in chosen else pytest.mark.slow,
        )
        for indices in product(*(range(len(values)) for values in axes))
    ]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own, for all their processes; the user's is not written to."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the workers' folders are beside each other
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_precision_trial() -> Iterator[None]:
    """Films are made in float32 without a trial, which takes a second for each network, layer and size."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(autotune, "_measure", lambda scene, load: "float32")
        yield


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restores the handlers that the program sets, which end the process at once."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def photo() -> Tensor:
    """The astronaut, 160x160."""
    return photo_tensor("astronaut", 160, 160)


@pytest.fixture(scope="session")
def network() -> Network:
    """The embedded network, trained."""
    return load_network("efficientnet_lite0")
