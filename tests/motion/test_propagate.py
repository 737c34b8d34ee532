"""Propagation: what the dream added moves with the footage and the camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from render.choices import FollowMode
from render.motion import flow
from render.motion.camera import Move, move_matrix
from render.motion.composite import warp_by_motion
from render.motion.flow import Motion, motion_through_camera
from render.motion.propagate import ClipFrame, FootageInterval, FootagePropagator, ShotStart, StillPropagator
from render.motion.warp import pixel_grid
from tests.conftest import photo_tensor
from tests.motion.paths import moved, path_of

WIDTH, HEIGHT = 96, 64
MOVES = [Move(pan=(0.05, 0)), Move(zoom=1.05, rotate=2), Move(rotate=-10, pan=(0.02, 0.03))]


def shifted(pixels: int, confidence: float = 1.0) -> Motion:
    """Every pixel was this far to the left."""
    columns, rows = pixel_grid(torch.empty(1, 3, HEIGHT, WIDTH))
    return Motion(columns - pixels, rows, np.full_like(columns, confidence))


def painted(photo: Tensor, column: int) -> Tensor:
    """A dream: the photo with a bright square."""
    dreamed = photo.clone()
    dreamed[..., 20:40, column : column + 20] += 0.2
    return dreamed


def propagated(
    dreamed: Tensor, clip: tuple[Tensor, Tensor], motion: Motion, *, persistence: float, mode: FollowMode = "residual"
) -> Tensor:
    """What the clip's second frame is dreamed from, after the first one was dreamed."""
    source = FootagePropagator(lambda start: (_ for _ in ()), frozenset([0, 1]), mode)
    frame = ClipFrame(1, clip[1], backward=motion, forward=None)
    return source.propagate(dreamed, FootageInterval(clip[0], (frame,)), persistence=persistence)


@pytest.fixture
def clip() -> tuple[Tensor, Tensor]:
    """Two frames of a photo that moves four pixels to the right."""
    photo = 0.5 * photo_tensor("coffee", WIDTH + 4, HEIGHT)
    return photo[..., 4:].contiguous(), photo[..., :-4].contiguous()


def test_a_residual_moves_with_the_clip(clip: tuple[Tensor, Tensor]) -> None:
    before, now = clip
    result = propagated(painted(before, 40), clip, shifted(4), persistence=0.5)
    expected = now.clone()
    expected[..., 20:40, 44:64] += 0.1
    inner = (..., slice(22, 38), slice(46, 62))
    assert (result - expected)[inner].abs().max() < 1e-5
    assert (result - now)[..., 44:, :].abs().max() < 1e-5


@pytest.mark.parametrize("mode", ["residual", "blend"])
def test_the_source_is_visible_where_nothing_is_trusted_or_persists(
    mode: FollowMode, clip: tuple[Tensor, Tensor]
) -> None:
    before, now = clip
    dreamed = painted(before, 40)
    assert torch.equal(propagated(dreamed, clip, shifted(4, 0.0), persistence=1.0, mode=mode), now)
    assert torch.equal(propagated(dreamed, clip, shifted(4), persistence=0.0, mode=mode), now)


def test_blend_moves_the_whole_dreamed_picture(clip: tuple[Tensor, Tensor]) -> None:
    before, now = clip
    dreamed = painted(before, 40)
    result = propagated(dreamed, clip, shifted(4), persistence=1.0, mode="blend")
    assert (result[..., 8:-8] - warp_by_motion(dreamed, shifted(4))[..., 8:-8]).abs().max() < 1e-6
    assert (result[..., 22:38, 46:62] - now[..., 22:38, 46:62] - 0.2).abs().max() < 1e-5


def test_a_still_camera_shows_the_motion_of_the_clip() -> None:
    motion, picture = shifted(4), torch.empty(1, 3, HEIGHT, WIDTH)
    assert motion_through_camera(motion, picture, before=np.eye(3), now=np.eye(3)) is motion


@pytest.mark.parametrize("camera", MOVES)
def test_a_still_clip_moves_with_the_camera(camera: Move) -> None:
    photo = photo_tensor("astronaut", WIDTH, HEIGHT)
    now = move_matrix(camera, (WIDTH, HEIGHT))
    motion = motion_through_camera(flow.identity_motion(photo), photo, before=np.eye(3), now=now)
    trusted = torch.from_numpy(motion.confidence) == 1
    assert trusted.float().mean() > 0.7
    difference = warp_by_motion(photo, motion).clamp(0, 1) - moved(photo, [camera], border="edge")
    assert difference[..., trusted].abs().mean() < 2e-3


def test_opposite_motions_of_clip_and_camera_cancel() -> None:
    before, now = (move_matrix(move, (WIDTH, HEIGHT)) for move in (Move(), Move(pan=(4 / WIDTH, 0))))
    left = Motion(shifted(-4).x, shifted(0).y, shifted(0).confidence)
    motion = motion_through_camera(left, torch.empty(1, 3, HEIGHT, WIDTH), before=before, now=now)
    columns, rows = pixel_grid(torch.empty(1, 3, HEIGHT, WIDTH))
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(motion.x - columns)[inner].max() < 1e-3
    assert np.abs(motion.y - rows)[inner].max() < 1e-3


@pytest.mark.parametrize("start", range(10))
def test_intervals_of_a_still_film_from_any_frame_are_its_last_ones(start: int) -> None:
    picture = torch.zeros(1, 3, HEIGHT, WIDTH)
    source = StillPropagator(lambda: picture, path_of(MOVES, (WIDTH, HEIGHT)), frozenset([0, 3, 6, 9]))
    intervals = list(source.intervals(start))
    whole = [(0, range(1)), (3, range(1, 4)), (6, range(4, 7)), (9, range(7, 10))]
    frames = [(each.index, range(1) if isinstance(each, ShotStart) else each.frames) for each in intervals]
    assert frames == [each for each in whole if each[0] >= start]
