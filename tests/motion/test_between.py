from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from render.motion import between, flow
from render.motion.camera import Move, move
from render.motion.flow import Motion
from render.motion.follow import carried
from render.motion.warp import grid
from tests.conftest import photo_tensor

INNER = (..., slice(24, -24), slice(24, -24))
ZOOM = [Move(zoom=1.03, rotate=0.5)] * 4


def laplacian(picture: Tensor) -> float:
    inner = picture[..., 1:-1, 1:-1] * 4
    around = picture[..., 2:, 1:-1] + picture[..., :-2, 1:-1] + picture[..., 1:-1, 2:] + picture[..., 1:-1, :-2]
    return float((inner - around).square().mean())


def standing(picture: Tensor, confidence: float) -> Motion:
    x, y = grid(picture)
    return Motion(x, y, np.full_like(x, confidence))


@pytest.mark.parametrize("moves", [ZOOM, [Move(zoom=0.97)] * 4, [Move(pan=(0.02, -0.01), shear=(0.01, 0))] * 4])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_picture_that_only_moves_is_between_where_the_camera_is(moves: list[Move], at: int) -> None:
    photo = photo_tensor("astronaut", 160, 128)
    found = between.by_camera(photo, move(photo, moves, "mirror"), moves, at, "mirror")
    assert (found - move(photo, moves[:at], "mirror"))[INNER].abs().mean() < 0.01


def test_without_motion_one_fades_into_the_other() -> None:
    earlier, later = (torch.full((1, 3, 64, 96), value) for value in (0.2, 0.6))
    found = [between.by_camera(earlier, later, [Move()] * 4, at, "mirror") for at in (1, 2, 3)]
    for picture, value in zip(found, (0.3, 0.4, 0.5), strict=True):
        torch.testing.assert_close(picture, torch.full_like(picture, value))


def test_where_only_one_of_them_reaches_the_frame_is_that_one() -> None:
    """Zooming out, the earlier one is too small for the frame; zooming in, the later one is."""
    earlier, later = torch.zeros(1, 3, 96, 96), torch.ones(1, 3, 96, 96)
    out = between.by_camera(earlier, later, [Move(zoom=0.9)] * 2, 1, "edge")
    into = between.by_camera(earlier, later, [Move(zoom=1.1)] * 2, 1, "edge")
    assert out[..., :3, :].min() > 0.999
    assert into[..., :3, :].max() < 0.001
    for picture in (out, into):
        assert picture[INNER].mean() == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_frame_between_is_as_sharp_as_those_it_is_between(share: float) -> None:
    """Details that differ would be half as strong in their mean, and the film would pulse."""
    earlier, later = (0.5 + 0.1 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    found = between.by_camera(earlier, later, [Move()] * 4, round(4 * share), "mirror")
    assert laplacian(torch.lerp(earlier, later, share)) < 0.7 * laplacian(earlier)
    assert laplacian(found) == pytest.approx(laplacian(earlier), rel=0.1)


@pytest.mark.parametrize("mode", ["residual", "linear"])
def test_footage_shows_through_where_neither_is_trusted(mode: str) -> None:
    source = 0.6 * photo_tensor("coffee", 96, 64)
    dreamed = [source + change for change in (0.1, 0.2)]
    ends = [carried(picture, source, mode) for picture in dreamed]  # type: ignore[arg-type]  # a parameter is a str

    def shown(back: float, onward: float) -> Tensor:
        trust = standing(source, back), standing(source, onward)
        return between.by_flow(ends[0], ends[1], source, *trust, 0.5, mode)  # type: ignore[arg-type]  # as above

    assert torch.equal(shown(0, 0), source)
    torch.testing.assert_close(shown(1, 0), dreamed[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(shown(0, 1), dreamed[1], atol=1e-3, rtol=0)
    assert (shown(1, 1) - torch.lerp(dreamed[0], dreamed[1], 0.5)).abs().mean() < 2e-3


def test_motion_over_several_frames_is_that_of_each_after_the_other() -> None:
    photo = photo_tensor("rocket", 160, 120)
    moves = [Move(pan=(0.02, 0.01)), Move(zoom=1.03), Move(rotate=1.5)]
    frames = [photo, *(move(photo, moves[:at], "mirror") for at in (1, 2, 3))]
    pairs = [flow.back_and_forth(before, now, flow.dis) for before, now in itertools.pairwise(frames)]
    back = flow.chained([back for back, _ in reversed(pairs)])
    onward = flow.chained([onward for _, onward in pairs])
    for found, here, there in ((back, frames[3], frames[0]), (onward, frames[0], frames[3])):
        whole = flow.motion(there, here, flow.dis)
        trusted = (found.confidence == 1) & (whole.confidence == 1)
        assert trusted.mean() > 0.5
        assert np.hypot(found.x - whole.x, found.y - whole.y)[trusted].mean() < 0.2


def test_the_motion_of_one_frame_is_itself() -> None:
    only = standing(torch.empty(1, 3, 8, 8), 0.5)
    assert flow.chained([only]) is only
