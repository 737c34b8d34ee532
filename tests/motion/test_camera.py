from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from render.motion.camera import Move, backward_affine, forward_affine, move

WIDTH, HEIGHT = 160, 120


def put(by: Move, x: float, y: float) -> tuple[float, float]:
    """Where the move puts a pixel."""
    moved = forward_affine(by, WIDTH, HEIGHT) @ [x, y, 1]
    return float(moved[0]), float(moved[1])


@pytest.mark.parametrize("border", ["mirror", "edge", "wrap", "black"])
def test_an_identity_returns_the_image_exactly(photo: Tensor, border: str) -> None:
    assert move(photo, [Move()], border) is photo  # type: ignore[arg-type]  # a parameter is a str
    assert move(photo, [Move(pivot=(0.2, 0.9))], border) is photo  # type: ignore[arg-type]  # a parameter is a str


@pytest.mark.parametrize("by", [Move(zoom=1.5), Move(rotate=30), Move(shear=(0.2, -0.1)), Move(zoom=0.7, rotate=-90)])
def test_the_pivot_stays_in_place(by: Move) -> None:
    around = Move(by.zoom, by.rotate, by.pan, by.shear, pivot=(0.25, 0.75))
    corner = (0.25 * WIDTH - 0.5, 0.75 * HEIGHT - 0.5)
    assert put(around, *corner) == pytest.approx(corner)


def test_zoom_grows_rotation_turns_counter_clockwise_pan_goes_right_and_down() -> None:
    x, y = WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5
    assert put(Move(zoom=2), x + 10, y) == pytest.approx((x + 20, y))
    assert put(Move(rotate=90), x + 10, y) == pytest.approx((x, y - 10))
    assert put(Move(pan=(0.1, 0.2)), 0, 0) == pytest.approx((16, 24))
    assert put(Move(shear=(0.5, 0)), x, y + 10) == pytest.approx((x + 5, y + 10))


def test_a_quarter_turn_is_numpys(photo: Tensor) -> None:
    turned = move(photo, [Move(rotate=90)], "mirror")
    torch.testing.assert_close(turned, torch.rot90(photo, 1, (2, 3)), atol=1e-5, rtol=0)


def test_forward_and_backward_undo_each_other() -> None:
    by = Move(1.3, 17, (0.1, -0.2), (0.05, 0.1), (0.3, 0.6))
    product = forward_affine(by, WIDTH, HEIGHT) @ np.vstack([backward_affine([by], WIDTH, HEIGHT), [0, 0, 1]])
    assert product == pytest.approx(np.eye(3), abs=1e-12)


def test_a_moved_frame_stays_in_range(photo: Tensor) -> None:
    moved = move(photo.round(), [Move(zoom=1.03, rotate=0.4)], "mirror")
    assert moved.min() >= 0
    assert moved.max() <= 1
