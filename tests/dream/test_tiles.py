"""Tiles: their gradient is the whole picture's, they cover it once, and they are halved when memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from render.dream import ascent, networks, objectives, tiles
from render.dream.anatomy import Layer
from render.dream.networks import Network
from render.dream.objectives import Objective
from render.dream.views import View
from render.errors import MissingError
from tests.conftest import photo_tensor
from tests.dream.zoo import network as random_network
from tests.dream.zoo import randomised

SIZES = [(176, 192), (165, 203), (180, 118)]


@pytest.fixture(autouse=True)
def whole_again(network: Network) -> None:
    """The network is shared by all tests."""
    network.tile = None


def gradients(network: Network, objective: Objective, photo: Tensor, side: int | None, seed: int = 0) -> list[Tensor]:
    """The objective, and its gradient."""
    network.tile = side
    view = View((photo.shape[2], photo.shape[3]), (3, -5))
    parts = [part for _, part in objective.by_mask()]
    found, value = ascent._gradients(view.look(photo), network, parts, view, (seed,))
    return [value, *found]


def apart(found: Tensor, right: Tensor) -> float:
    """Relative to the length of what is right."""
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("asked", ["layer", "channels", "two layers", "neuron", "guide"])
def test_the_gradient_of_tiles_is_that_of_the_whole(asked: str, height: int, width: int, network: Network) -> None:
    """To block 5, which sees 83 pixels; the picture's sides are no multiples of the stride."""
    photo = photo_tensor("coffee", width, height)
    guide = network.activations(photo_tensor("chelsea", 64, 64), ["blocks.4"])["blocks.4"]
    objective = {
        "layer": objectives.layer("blocks.5"),
        "channels": objectives.channels("blocks.5", [3, 17]),
        "two layers": objectives.layer("blocks.5") + 0.5 * objectives.layer("blocks.2"),
        "neuron": objectives.neuron("blocks.5", 7, (0.83, 0.4), 83),
        "guide": objectives.guide("blocks.4", guide),
    }[asked]
    right = gradients(network, objective, photo, None)
    for seed in range(3):
        found = gradients(network, objective, photo, 144, seed)
        assert all(apart(a, b) < 1e-3 for a, b in zip(found, right, strict=True))


@pytest.mark.parametrize(
    ("name", "layer"), [("googlenet", "inception3a"), ("vgg11", "features.10"), ("resnet18", "layer2")]
)
def test_other_networks_see_the_same_in_tiles(name: str, layer: str) -> None:
    net = Network(name, randomised(random_network(name)), "", torch.device("cpu"), torch.float32)
    photo = photo_tensor("astronaut", 331, 277)
    right = gradients(net, objectives.layer(layer), photo, None)
    found = gradients(net, objectives.layer(layer), photo, 256)
    assert all(apart(a, b) < 1e-3 for a, b in zip(found, right, strict=True))


def test_several_masks_are_several_gradients(network: Network) -> None:
    photo, mask = photo_tensor("coffee", 320, 288), torch.zeros(1, 1, 288, 320)
    objective = objectives.layer("blocks.4") + objectives.layer("blocks.2").within(mask)
    right, found = (gradients(network, objective, photo, side) for side in (None, 200))
    assert len(right) == len(found) == 3
    assert all(apart(a, b) < 1e-3 for a, b in zip(found, right, strict=True))


@pytest.mark.parametrize("size", [(500, 777), (64, 4000), (1080, 1920)])
def test_tiles_cover_every_place_once_and_no_grid_is_the_next(size: tuple[int, int]) -> None:
    layer = Layer("l", "block", 8, 16, 147, 1, "l")
    grids = [tiles.grid(size, 384, [layer], (seed,)) for seed in range(4)]
    assert len({str(grid) for grid in grids}) > 1
    for grid in grids:
        covered = torch.zeros(size)
        for tile in grid:
            rows, columns = tile.rows, tile.columns
            covered[rows.start : rows.stop, columns.start : columns.stop] += 1
            assert rows.seen.start % 16 == columns.seen.start % 16 == 0
            assert (size[0] - rows.seen.stop) % 16 == (size[1] - columns.seen.stop) % 16 == 0
            assert rows.seen.stop - rows.seen.start <= 384 + 32
        assert (covered == 1).all()


def test_what_sees_all_of_the_picture_is_not_cut(network: Network) -> None:
    assert len(tiles.grid((900, 900), 256, [network.layers["classifier"]], (0,))) == 1
    assert len(tiles.grid((200, 250), 256, [network.layers["blocks.4"]], (0,))) == 1


def test_where_memory_runs_out_tiles_are_halved(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = photo_tensor("coffee", 320, 288)
    right = gradients(network, objectives.layer("blocks.2"), photo, None)
    monkeypatch.setattr(network, "activations", limited(network.activations, 200 * 200))
    found = gradients(network, objectives.layer("blocks.2"), photo, None)
    assert network.tile == 160
    assert all(apart(a, b) < 1e-3 for a, b in zip(found, right, strict=True))
    monkeypatch.setattr(network, "activations", limited(networks.Network.activations.__get__(network), 10))
    with pytest.raises(MissingError, match="the memory is not enough for a picture of 320x288, not even in tiles"):
        gradients(network, objectives.layer("blocks.2"), photo, None)


def limited(function: Callable[..., dict[str, Tensor]], pixels: int) -> Callable[..., dict[str, Tensor]]:
    """As on a machine whose memory is enough for so many pixels."""

    def activations(image: Tensor, names: object) -> dict[str, Tensor]:
        if image.shape[2] * image.shape[3] > pixels:
            raise torch.OutOfMemoryError("out of memory")
        return function(image, names)

    return activations


def test_too_small_a_tile_for_what_its_places_see_leaves_no_seam(network: Network) -> None:
    """Block 10 sees 339 pixels, a tile of 256 does not; where two tiles meet the gradient is no stronger."""
    photo = photo_tensor("coffee", 400, 400)
    objective = objectives.layer("blocks.10")
    right = gradients(network, objective, photo, None)[1]
    found = torch.stack([gradients(network, objective, photo, 256, seed)[1] for seed in range(4)]).mean(0)
    assert torch.nn.functional.cosine_similarity(found.flatten(), right.flatten(), 0) > 0.9
    columns = found.abs().mean((0, 1, 2)) / right.abs().mean((0, 1, 2))
    assert columns[8:-8].max() / columns[8:-8].min() < 2.5


def test_a_picture_that_fits_is_not_cut_and_tiles_fit(network: Network) -> None:
    layers = [network.layers["blocks.10"]]
    pixel = network.memory(["blocks.10"])
    assert 500 < pixel < 1000  # a step at 1280x1280 took 500 bytes a pixel
    assert network.memory(["blocks.2"]) < pixel
    gigabyte = 2**30
    assert tiles.fitting((512, 512), layers, pixel, 8 * gigabyte) is None
    side = tiles.fitting((2160, 3840), layers, pixel, 8 * gigabyte)
    assert side is not None
    assert side % 128 == 0
    assert side * side * pixel <= 4 * gigabyte < (side + 128) ** 2 * pixel
    assert tiles.fitting((2160, 3840), layers, pixel, 1) == tiles.SMALLEST
    assert tiles.fitting((2160, 3840), [network.layers["classifier"]], pixel, 1) is None
