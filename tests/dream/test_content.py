"""Content: the features of the source, which a dream keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from render.dream import gradients
from render.dream.ascent import AscentSettings, dream
from render.dream.objectives import Objective, content, layer
from render.dream.statistics import ChannelTarget, statistics
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform, TransformRange
from render.models.network import Network
from tests.conftest import photo_tensor


def features(network: Network, picture: Tensor) -> Tensor:
    with torch.no_grad():
        return network.activations(picture, ["blocks.4"])["blocks.4"]


def test_content_is_the_distance_from_the_features_of_the_source(network: Network) -> None:
    photo, other = features(network, photo_tensor("coffee", 96, 96)), features(network, photo_tensor("chelsea", 96, 96))
    objective = content("blocks.4", scale=2.0).of_source(torch.zeros(1, 3, 96, 96))
    value = objective.given({"blocks.4": photo})({"blocks.4": other}, Transform((96, 96)))
    torch.testing.assert_close(value, -(photo - other).square().mean() / 2)


def test_without_a_source_content_changes_nothing(network: Network) -> None:
    photo = photo_tensor("coffee", 96, 96)
    settings = AscentSettings(octave_scale=1.4, steps=(2,), step_size=0.01, conditioner=gradients.raw())
    dreamed = dream(
        photo, TiledNetwork(network), objective=content("blocks.4", scale=1.0), settings=settings, seed=(0, 0)
    )
    assert torch.equal(dreamed, photo)


@pytest.mark.parametrize("ranges", [TransformRange(jitter=8), TransformRange(4, (0.9, 1.2), 10)])
def test_a_dream_with_content_stays_nearer_to_its_source(ranges: TransformRange, network: Network) -> None:
    photo, painting = photo_tensor("coffee", 128, 96), photo_tensor("immunohistochemistry", 128, 128)
    with torch.no_grad():
        activations = network.activations(painting, ["blocks.1", "blocks.4"])
    style = statistics({name: ChannelTarget.of(each) for name, each in activations.items()})
    settings = AscentSettings(
        octave_scale=1.4, steps=(6, 6), step_size=0.02, conditioner=gradients.raw(), transforms=ranges
    )

    def distance(objective: Objective) -> float:
        dreamed = dream(photo, TiledNetwork(network), objective=objective, settings=settings, seed=(0, 0))
        return float((features(network, dreamed) - features(network, photo)).square().mean())

    held = style + content("blocks.4", scale=2.0).of_source(photo)
    assert distance(held) < 0.6 * distance(style)


def test_content_in_tiles_has_the_gradient_of_the_whole_picture(network: Network) -> None:
    photo, source = photo_tensor("coffee", 192, 176), photo_tensor("chelsea", 192, 176)
    objective = layer("blocks.5") + content("blocks.4", scale=3.0).of_source(source)
    whole, tiled = (
        TiledNetwork(network, tile_size=size).gradients(
            photo, objectives=[objective], transform=Transform((176, 192), (3, -5)), seed=(0,)
        )
        for size in (None, 144)
    )
    torch.testing.assert_close(tiled[1], whole[1], rtol=1e-3, atol=0)
    assert float((tiled[0][0] - whole[0][0]).norm() / whole[0][0].norm()) < 1e-3
