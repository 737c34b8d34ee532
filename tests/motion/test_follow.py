"""Following: what the dream has added goes where the footage moves, and where the camera looks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from render.motion import flow
from render.motion.camera import Move, forward_affine, move
from render.motion.flow import Motion
from render.motion.follow import follow, followed, seen
from render.motion.warp import grid
from tests.conftest import photo_tensor

WIDTH, HEIGHT = 96, 64
MOVES = [Move(pan=(0.05, 0)), Move(zoom=1.05, rotate=2), Move(rotate=-10, pan=(0.02, 0.03))]


def shifted(pixels: int, confidence: float = 1.0) -> Motion:
    """Everything was so many pixels further left."""
    columns, rows = grid(torch.empty(1, 3, HEIGHT, WIDTH))
    return Motion(columns - pixels, rows, np.full_like(columns, confidence))


def painted(photo: Tensor, column: int) -> Tensor:
    """A dream: the photo with a bright square."""
    dreamed = photo.clone()
    dreamed[..., 20:40, column : column + 20] += 0.2
    return dreamed


@pytest.fixture
def clip() -> tuple[Tensor, Tensor]:
    """Two frames of a photo that moves four pixels to the right."""
    photo = 0.5 * photo_tensor("coffee", WIDTH + 4, HEIGHT)
    return photo[..., 4:].contiguous(), photo[..., :-4].contiguous()


def test_a_residual_goes_with_what_moves(clip: tuple[Tensor, Tensor]) -> None:
    before, now = clip
    result = follow(painted(before, 40), before, now, shifted(4), 0.5, "residual")
    expected = now.clone()
    expected[..., 20:40, 44:64] += 0.1
    inner = (..., slice(22, 38), slice(46, 62))
    assert (result - expected)[inner].abs().max() < 1e-5
    assert (result - now)[..., 44:, :].abs().max() < 1e-5


@pytest.mark.parametrize("mode", ["residual", "linear"])
def test_where_nothing_is_trusted_or_kept_the_source_shows(
    mode: Literal["residual", "linear"], clip: tuple[Tensor, Tensor]
) -> None:
    before, now = clip
    dreamed = painted(before, 40)
    assert torch.equal(follow(dreamed, before, now, shifted(4, 0.0), 1.0, mode), now)
    assert torch.equal(follow(dreamed, before, now, shifted(4), 0.0, mode), now)


def test_linear_carries_the_picture_itself(clip: tuple[Tensor, Tensor]) -> None:
    before, now = clip
    dreamed = painted(before, 40)
    result = follow(dreamed, before, now, shifted(4), 1.0, "linear")
    assert (result[..., 8:-8] - followed(dreamed, shifted(4))[..., 8:-8]).abs().max() < 1e-6
    assert (result[..., 22:38, 46:62] - now[..., 22:38, 46:62] - 0.2).abs().max() < 1e-5


def test_a_camera_that_stands_still_sees_the_clips_motion() -> None:
    moved = shifted(4)
    assert seen(moved, torch.empty(1, 3, HEIGHT, WIDTH), np.eye(3), np.eye(3)) is moved


@pytest.mark.parametrize("camera", MOVES)
def test_a_clip_that_stands_still_moves_as_its_camera_does(camera: Move) -> None:
    """The dream of a still under a moving camera goes where the camera itself would have moved it, with one warp."""
    photo = photo_tensor("astronaut", WIDTH, HEIGHT)
    to = forward_affine(camera, WIDTH, HEIGHT)
    moved = seen(flow.standstill(photo), photo, np.eye(3), np.asarray(to, np.float64))
    trusted = torch.from_numpy(moved.confidence) == 1
    assert trusted.float().mean() > 0.7
    assert (followed(photo, moved).clamp(0, 1) - move(photo, [camera], "edge"))[..., trusted].abs().max() < 1e-3


def test_both_motions_are_followed_at_once() -> None:
    """A clip that pans left under a camera that pans right by as much stands still on the film."""
    before, now = Move(pan=(0.0, 0)), Move(pan=(4 / WIDTH, 0))
    cameras = [np.asarray(forward_affine(each, WIDTH, HEIGHT), np.float64) for each in (before, now)]
    left = Motion(shifted(-4).x, shifted(0).y, shifted(0).confidence)
    moved = seen(left, torch.empty(1, 3, HEIGHT, WIDTH), *cameras)
    columns, rows = grid(torch.empty(1, 3, HEIGHT, WIDTH))
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(moved.x - columns)[inner].max() < 1e-3
    assert np.abs(moved.y - rows)[inner].max() < 1e-3
