from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from render.choices import Border
from render.motion.camera import MAX_MAGNIFICATION, Move, inverse_affine, move_matrix
from tests.motion.paths import moved, path_of

WIDTH, HEIGHT = 160, 120


def apply(move: Move, x: float, y: float) -> tuple[float, float]:
    """The place of a pixel after a move."""
    place = move_matrix(move, (WIDTH, HEIGHT)) @ [x, y, 1]
    return float(place[0]), float(place[1])


@pytest.mark.parametrize("border", get_args(Border))
def test_an_identity_returns_the_same_tensor(photo: Tensor, border: Border) -> None:
    assert moved(photo, [Move()], border=border) is photo
    assert moved(photo, [Move(pivot=(0.2, 0.9))], border=border) is photo


@pytest.mark.parametrize("move", [Move(zoom=1.5), Move(rotate=30), Move(shear=(0.2, -0.1)), Move(zoom=0.7, rotate=-90)])
def test_the_pivot_stays_in_place(move: Move) -> None:
    around = replace(move, pivot=(0.25, 0.75))
    corner = (0.25 * WIDTH - 0.5, 0.75 * HEIGHT - 0.5)
    assert apply(around, *corner) == pytest.approx(corner)


def test_zoom_enlarges_rotation_is_counter_clockwise_pan_is_right_and_down() -> None:
    x, y = WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5
    assert apply(Move(zoom=2), x + 10, y) == pytest.approx((x + 20, y))
    assert apply(Move(rotate=90), x + 10, y) == pytest.approx((x, y - 10))
    assert apply(Move(pan=(0.1, 0.2)), 0, 0) == pytest.approx((16, 24))
    assert apply(Move(shear=(0.5, 0)), x, y + 10) == pytest.approx((x + 5, y + 10))


def test_a_picture_is_sheared_before_it_is_rotated() -> None:
    x, y = WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5
    assert apply(Move(rotate=90, shear=(0.5, 0)), x, y + 10) == pytest.approx((x + 10, y - 5))


def test_a_quarter_turn_is_numpys(photo: Tensor) -> None:
    turned = moved(photo, [Move(rotate=90)])
    torch.testing.assert_close(turned, torch.rot90(photo, 1, (2, 3)), atol=1e-4, rtol=0)


def test_a_move_and_its_inverse_cancel() -> None:
    matrix = move_matrix(
        Move(zoom=1.3, rotate=17, pan=(0.1, -0.2), shear=(0.05, 0.1), pivot=(0.3, 0.6)), (WIDTH, HEIGHT)
    )
    product = matrix @ np.vstack([inverse_affine(matrix), [0, 0, 1]])
    assert product == pytest.approx(np.eye(3), abs=1e-12)


def test_a_moved_frame_stays_in_range(photo: Tensor) -> None:
    result = moved(photo.round(), [Move(zoom=1.03, rotate=0.4)])
    assert result.min() >= 0
    assert result.max() <= 1


MOVES = [Move(pan=(0.1, 0)), Move(zoom=2), Move(rotate=90)]


def test_a_path_composes_its_moves_in_order() -> None:
    path = path_of(MOVES, (WIDTH, HEIGHT))
    first, second, third = (move_matrix(move, (WIDTH, HEIGHT)) for move in MOVES)
    assert path.between(0, 3) == pytest.approx(third @ second @ first)
    assert path.between(1, 2) == pytest.approx(second)
    assert path.between(2, 2) == pytest.approx(np.eye(3))
    from_start = list(islice(path.from_start(), 4))
    assert all(matrix == pytest.approx(path.between(0, index)) for index, matrix in enumerate(from_start))


def test_a_path_does_not_magnify_without_bound() -> None:
    matrix = path_of([Move(zoom=10)] * 20, (WIDTH, HEIGHT)).between(0, 20)
    assert np.abs(matrix[0, 0]) == pytest.approx(MAX_MAGNIFICATION)


def test_a_path_that_magnifies_no_further_still_pans() -> None:
    path = path_of([Move(zoom=10, pan=(0.1, 0.2))] * 8, (WIDTH, HEIGHT))
    before, after = path.between(0, 6), path.between(0, 8)
    assert after - before == pytest.approx(np.array([[0, 0, 32], [0, 0, 48], [0, 0, 0]]))
