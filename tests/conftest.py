"""Real parts at small sizes: photos, the network."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import pytest
import skimage.data
import torch
from torch import Tensor

from render.dream import networks
from render.dream.networks import Network


def photo_tensor(name: str, width: int, height: int) -> Tensor:
    """A photo of scikit-image's, 1x3xHxW in [0, 1]."""
    picture = cv2.resize(getattr(skimage.data, name)(), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0).float().contiguous() / 255


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, also for the processes that they start; nothing is written in the user's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photo() -> Tensor:
    """The astronaut, 160x160."""
    return photo_tensor("astronaut", 160, 160)


@pytest.fixture(scope="session")
def network() -> Network:
    """The embedded network, trained."""
    return networks.load("efficientnet_lite0")
