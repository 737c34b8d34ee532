from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from render.choices import Border, FollowMode
from render.motion import flow
from render.motion.camera import Move
from render.motion.composite import dream_layer
from render.motion.flow import Motion
from render.motion.interpolate import interpolate_by_camera, interpolate_by_flow
from render.motion.warp import pixel_grid
from tests.conftest import photo_tensor
from tests.motion.paths import moved, path_of

INNER = (..., slice(24, -24), slice(24, -24))
ZOOM = [Move(zoom=1.03, rotate=0.5)] * 4


def laplacian(picture: Tensor) -> float:
    inner = picture[..., 1:-1, 1:-1] * 4
    around = picture[..., 2:, 1:-1] + picture[..., :-2, 1:-1] + picture[..., 1:-1, 2:] + picture[..., 1:-1, :-2]
    return float((inner - around).square().mean())


def still(picture: Tensor, confidence: float) -> Motion:
    """No motion, with the same confidence everywhere."""
    x, y = pixel_grid(picture)
    return Motion(x, y, np.full_like(x, confidence))


def between(earlier: Tensor, later: Tensor, *, moves: list[Move], index: int, border: Border = "mirror") -> Tensor:
    """The frame after the first `index` of the moves from one frame to the later one."""
    path = path_of(moves, (earlier.shape[3], earlier.shape[2]), border=border)
    return interpolate_by_camera(earlier, later, path=path, frames=(0, index, len(moves)))


@pytest.mark.parametrize("moves", [ZOOM, [Move(zoom=0.97)] * 4, [Move(pan=(0.02, -0.01), shear=(0.01, 0))] * 4])
@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_picture_that_only_moves_is_interpolated_along_the_camera(moves: list[Move], index: int) -> None:
    photo = photo_tensor("astronaut", 160, 128)
    result = between(photo, moved(photo, moves), moves=moves, index=index)
    assert (result - moved(photo, moves[:index]))[INNER].abs().mean() < 0.012


def test_without_motion_the_frames_cross_fade() -> None:
    earlier, later = (torch.full((1, 3, 64, 96), value) for value in (0.2, 0.6))
    results = [between(earlier, later, moves=[Move()] * 4, index=index) for index in (1, 2, 3)]
    for picture, value in zip(results, (0.3, 0.4, 0.5), strict=True):
        torch.testing.assert_close(picture, torch.full_like(picture, value))


def test_where_only_one_frame_reaches_the_result_is_that_one() -> None:
    """Zooming out, the earlier one is too small for the frame; zooming in, the later one is."""
    earlier, later = torch.zeros(1, 3, 96, 96), torch.ones(1, 3, 96, 96)
    out = between(earlier, later, moves=[Move(zoom=0.9)] * 2, index=1, border="edge")
    into = between(earlier, later, moves=[Move(zoom=1.1)] * 2, index=1, border="edge")
    assert out[..., :3, :].min() > 0.999
    assert into[..., :3, :].max() < 0.001
    for picture in (out, into):
        assert picture[INNER].mean() == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_an_interpolated_frame_is_as_sharp_as_its_neighbours(share: float) -> None:
    """Details that differ would be half as strong in their mean, and the film would pulse."""
    earlier, later = (0.5 + 0.1 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    result = between(earlier, later, moves=[Move()] * 4, index=round(4 * share))
    assert laplacian(torch.lerp(earlier, later, share)) < 0.7 * laplacian(earlier)
    assert laplacian(result) == pytest.approx(laplacian(earlier), rel=0.1)


@pytest.mark.parametrize("mode", ["residual", "blend"])
def test_the_source_is_visible_where_neither_motion_is_trusted(mode: FollowMode) -> None:
    source = 0.6 * photo_tensor("coffee", 96, 64)
    dreamed = [source + change for change in (0.1, 0.2)]
    layers = dream_layer(dreamed[0], source, mode), dream_layer(dreamed[1], source, mode)

    def result(back: float, ahead: float) -> Tensor:
        motions = still(source, back), still(source, ahead)
        return interpolate_by_flow(layers, motions, share=0.5, source=source, mode=mode)

    assert torch.equal(result(0, 0), source)
    torch.testing.assert_close(result(1, 0), dreamed[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(result(0, 1), dreamed[1], atol=1e-3, rtol=0)
    assert (result(1, 1) - torch.lerp(dreamed[0], dreamed[1], 0.5)).abs().mean() < 2e-3


def test_composed_motion_is_that_over_all_frames() -> None:
    photo = photo_tensor("rocket", 160, 120)
    moves = [Move(pan=(0.02, 0.01)), Move(zoom=1.03), Move(rotate=1.5)]
    frames = [photo, *(moved(photo, moves[:index]) for index in (1, 2, 3))]
    pairs = [flow.estimate_both_ways(before, now, estimate=flow.dis) for before, now in itertools.pairwise(frames)]
    back = flow.compose_motions([back for back, _ in reversed(pairs)])
    ahead = flow.compose_motions([ahead for _, ahead in pairs])
    for composed, now, before in ((back, frames[3], frames[0]), (ahead, frames[0], frames[3])):
        whole = flow.estimate_motion(before, now, estimate=flow.dis)
        trusted = (composed.confidence == 1) & (whole.confidence == 1)
        assert trusted.mean() > 0.5
        assert np.hypot(composed.x - whole.x, composed.y - whole.y)[trusted].mean() < 0.2


def test_composed_confidence_is_that_of_all_motions() -> None:
    picture = torch.empty(1, 3, 8, 8)
    composed = flow.compose_motions([still(picture, 0.5), still(picture, 0.5), still(picture, 1.0)])
    assert composed.confidence == pytest.approx(np.full((8, 8), 0.25))


def test_the_motion_of_one_frame_is_itself() -> None:
    only = still(torch.empty(1, 3, 8, 8), 0.5)
    assert flow.compose_motions([only]) is only
