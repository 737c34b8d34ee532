"""Tiles: the geometry of the grid, and gradients in tiles that equal those of the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from render.choices import MIN_TILE_SIZE
from render.dream import objectives
from render.dream.objectives import Objective
from render.dream.statistics import ChannelTarget, statistics
from render.dream.tiled import TiledNetwork
from render.dream.tiles import fitting_tile_size, tile_grid
from render.dream.transforms import Transform
from render.errors import MissingError
from render.models.layers import LayerInfo
from render.models.network import Network
from render.models.registry import layer_map
from tests.conftest import covering, photo_tensor
from tests.models.zoo import random_network

Measured = tuple[dict[str, Tensor], dict[str, Tensor]]

SIZES = [(176, 192), (165, 203), (180, 118)]


def gradients(
    network: Network, objective: Objective, photo: Tensor, *, tile_size: int | None = None, seed: int = 0
) -> list[Tensor]:
    """Returns the objective, and its gradients."""
    return tiled_gradients(TiledNetwork(network, tile_size=tile_size), objective, photo, seed=seed)


def tiled_gradients(tiled: TiledNetwork, objective: Objective, photo: Tensor, *, seed: int = 0) -> list[Tensor]:
    transform = Transform((photo.shape[2], photo.shape[3]), (3, -5))
    by_mask = [masked for _, masked in objective.by_mask()]
    by_objective, value = tiled.gradients(transform.apply(photo), objectives=by_mask, transform=transform, seed=(seed,))
    return [value, *by_objective]


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def assert_close(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert all(relative_error(a, b) < 1e-3 for a, b in zip(actual, expected, strict=True))


@pytest.mark.parametrize(("kind", "size"), covering(["layer", "channels", "two layers", "position", "guide"], SIZES))
def test_the_gradient_in_tiles_is_that_of_the_whole_picture(kind: str, size: tuple[int, int], network: Network) -> None:
    """Up to block 5, whose receptive field is 83 pixels; the sides of the picture are no multiples of the stride."""
    height, width = size
    photo = photo_tensor("coffee", width, height)
    guide = network.activations(photo_tensor("chelsea", 64, 64), ["blocks.4"])["blocks.4"]
    objective = {
        "layer": objectives.layer("blocks.5"),
        "channels": objectives.channels("blocks.5", [3, 17]),
        "two layers": objectives.layer("blocks.5") + 0.5 * objectives.layer("blocks.2"),
        "position": objectives.position("blocks.5", 7, point=(0.83, 0.4), receptive_field=83),
        "guide": objectives.guide("blocks.4", guide),
    }[kind]
    expected = gradients(network, objective, photo)
    for seed in range(3):
        assert_close(gradients(network, objective, photo, tile_size=144, seed=seed), expected)


@pytest.mark.parametrize(
    ("name", "deepest"),
    [
        ("googlenet", "inception3a"),
        ("vgg11", "features.10"),
        ("resnet18", "layer2.0"),
        ("mobilenet_v2", "features.4"),
        ("efficientnet_b0", "features.1.0.block.0"),
    ],
)
def test_other_networks_have_the_same_gradient_in_tiles(name: str, deepest: str) -> None:
    """Of a layer, of a style, of content, and of natural statistics beside a layer."""
    net = random_network(name)
    photo, source, painting = (photo_tensor(each, 203, 165) for each in ("astronaut", "coffee", "immunohistochemistry"))
    names = list(net.layers)
    until = names[: names.index(deepest) + 1]
    norms = [each for each in until if net.layers[each].kind == "BatchNorm2d"]
    style_layers = norms or [each for each in layer_map(name).blocks if each in until]
    with torch.no_grad():
        activations = net.activations(painting, style_layers)
    compared = [
        objectives.layer(deepest),
        statistics({each: ChannelTarget.of(activations[each]) for each in style_layers}),
        objectives.content(deepest, scale=1.0).of_source(source),
    ]
    if norms:
        natural = statistics({each: ChannelTarget.natural(net.norm_statistics(each)) for each in norms})
        compared.append(natural + objectives.layer(deepest))
    for objective in compared:
        assert_close(gradients(net, objective, photo, tile_size=144), gradients(net, objective, photo))


def test_each_mask_has_a_gradient_of_its_own(network: Network) -> None:
    photo, mask = photo_tensor("coffee", 320, 288), torch.zeros(1, 1, 288, 320)
    objective = objectives.layer("blocks.4") + objectives.layer("blocks.2").masked(mask)
    expected, actual = (gradients(network, objective, photo, tile_size=tile_size) for tile_size in (None, 200))
    assert len(expected) == len(actual) == 3
    assert_close(actual, expected)


@pytest.mark.parametrize("size", [(500, 777), (64, 4000), (1080, 1920)])
def test_tiles_cover_every_pixel_once_and_the_grid_changes_with_the_seed(size: tuple[int, int]) -> None:
    layer = LayerInfo("l", "block", channels=8, stride=16, receptive_field=147, axis=1, operation="l")
    grids = [tile_grid(size, tile_size=384, layers=[layer], seed=(seed,)) for seed in range(4)]
    assert len({str(grid) for grid in grids}) > 1
    for grid in grids:
        covered = torch.zeros(size)
        for tile in grid:
            rows, columns = tile.rows, tile.columns
            covered[rows.start : rows.stop, columns.start : columns.stop] += 1
            assert rows.window.start % 16 == columns.window.start % 16 == 0
            assert (size[0] - rows.window.stop) % 16 == (size[1] - columns.window.stop) % 16 == 0
            assert rows.window.stop - rows.window.start <= 384 + 32
        assert (covered == 1).all()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("resnet18", ["relu", "layer2", "layer3"]),
        ("googlenet", ["maxpool1", "inception3a", "inception4a"]),
        ("inception_v3", ["Conv2d_2a_3x3", "Mixed_5b", "Mixed_6a"]),
    ],
)
def test_the_size_of_the_whole_layer_follows_from_every_tile(name: str, names: list[str]) -> None:
    """Also where convolutions have no padding (inception_v3), and for layers of several strides at once."""
    net = random_network(name)
    photo = photo_tensor("coffee", 401, 331)
    layers = [net.layers[each] for each in names]
    whole = net.activations(photo, names)
    grid = tile_grid((331, 401), tile_size=256, layers=layers, seed=(1,))
    assert len(grid) > 1
    for tile in grid:
        activations = net.activations(tile.crop(photo), names)
        for layer in layers:
            assert layer.stride is not None
            _, region = tile.region(activations[layer.name], layer.stride, transform=Transform((331, 401)))
            assert (region.rows.total, region.columns.total) == tuple(whole[layer.name].shape[2:])


def test_layers_that_depend_on_the_whole_picture_and_pictures_that_fit_have_one_tile(network: Network) -> None:
    classifier, block = network.layers["classifier"], network.layers["blocks.4"]
    assert len(tile_grid((900, 900), tile_size=256, layers=[classifier], seed=(0,))) == 1
    assert len(tile_grid((200, 250), tile_size=256, layers=[block], seed=(0,))) == 1
    assert len(tile_grid((900, 900), tile_size=256, layers=[block], seed=(0,))) > 1


def test_the_tile_size_is_halved_when_memory_runs_out(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, objective = photo_tensor("coffee", 320, 288), objectives.layer("blocks.2")
    expected = gradients(network, objective, photo)
    tiled = TiledNetwork(network, tile_size=None)
    monkeypatch.setattr(network, "measure", limited(network.measure, 200 * 200))
    assert_close(tiled_gradients(tiled, objective, photo), expected)
    assert tiled.tile_size == 160
    monkeypatch.setattr(network, "measure", limited(Network.measure.__get__(network), 10))
    with pytest.raises(MissingError, match="not enough memory for a picture of 320x288, even in tiles of 128 pixels"):
        tiled_gradients(tiled, objective, photo)


def test_other_errors_are_not_taken_for_lack_of_memory(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Measured:
        raise RuntimeError("shapes do not match")

    tiled = TiledNetwork(network)
    monkeypatch.setattr(network, "measure", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        tiled_gradients(tiled, objectives.layer("blocks.2"), photo_tensor("coffee", 320, 288))
    assert tiled.tile_size is None


def limited(function: Callable[..., Measured], pixels: int) -> Callable[..., Measured]:
    """Fails as on a machine whose memory is enough for this number of pixels."""

    def measure(image: Tensor, *names: object) -> Measured:
        if image.shape[2] * image.shape[3] > pixels:
            raise torch.OutOfMemoryError("out of memory")
        return function(image, *names)

    return measure


def test_a_tile_smaller_than_the_receptive_field_leaves_no_seam(network: Network) -> None:
    """The receptive field of block 10 is 339 pixels, more than a tile of 256."""
    photo = photo_tensor("coffee", 400, 400)
    objective = objectives.layer("blocks.10")
    expected = gradients(network, objective, photo)[1]
    actual = torch.stack([gradients(network, objective, photo, tile_size=256, seed=seed)[1] for seed in range(4)]).mean(
        0
    )
    assert torch.nn.functional.cosine_similarity(actual.flatten(), expected.flatten(), 0) > 0.9
    columns = actual.abs().mean((0, 1, 2)) / expected.abs().mean((0, 1, 2))
    assert columns[8:-8].max() / columns[8:-8].min() < 2.5


def test_the_automatic_tile_size_fits_into_half_of_the_free_memory(network: Network) -> None:
    layers = [network.layers["blocks.10"]]
    pixel = network.bytes_per_pixel(["blocks.10"])
    assert 500 < pixel < 1000  # a step at 1280x1280 took 500 bytes a pixel
    assert network.bytes_per_pixel(["blocks.2"]) < pixel
    gigabyte = 2**30
    assert fitting_tile_size((512, 512), layers, bytes_per_pixel=pixel, free_bytes=8 * gigabyte) is None
    tile_size = fitting_tile_size((2160, 3840), layers, bytes_per_pixel=pixel, free_bytes=8 * gigabyte)
    assert tile_size is not None
    assert tile_size % 128 == 0
    assert tile_size**2 * pixel <= 4 * gigabyte < (tile_size + 128) ** 2 * pixel
    assert fitting_tile_size((2160, 3840), layers, bytes_per_pixel=pixel, free_bytes=1) == MIN_TILE_SIZE
    classifier = [network.layers["classifier"]]
    assert fitting_tile_size((2160, 3840), classifier, bytes_per_pixel=pixel, free_bytes=1) is None
