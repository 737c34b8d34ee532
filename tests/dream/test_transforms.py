"""Transforms of the picture, their inverse for gradients, and the positions of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from render.dream.transforms import Transform, TransformRange, random_transform

SIZE = (48, 80)
TRANSFORMS = [
    Transform(SIZE),
    Transform(SIZE, (5, -7)),
    Transform(SIZE, (5, -7), scale=1.3),
    Transform(SIZE, angle=20),
    Transform(SIZE, (-3, 9), scale=0.8, angle=-35),
    Transform(SIZE, (5, -7), border="wrap"),
    Transform(SIZE, (-3, 9), scale=1.2, angle=-15, border="wrap"),
    Transform(SIZE, (5, -7), flip=True),
    Transform(SIZE, (-3, 9), scale=1.2, angle=25, flip=True),
]


def spot(x: float, y: float) -> Tensor:
    """Returns a dark picture with a soft bright spot at (x, y), 1x1xHxW."""
    height, width = SIZE
    rows, columns = torch.arange(height).view(-1, 1) + 0.5, torch.arange(width) + 0.5
    return torch.exp(-((columns - x * width) ** 2 + (rows - y * height) ** 2) / 18).view(1, 1, height, width)


def brightest(image: Tensor) -> tuple[float, float]:
    """Returns the centre of mass around the brightest pixel, in widths and heights."""
    height, width = SIZE
    rows, columns = torch.arange(height).view(-1, 1) + 0.5, torch.arange(width) + 0.5
    row, column = divmod(int(image[0, 0].argmax()), width)
    near = ((rows - row - 0.5).abs() < 5) & ((columns - column - 0.5).abs() < 5)
    weights = image[0, 0].clamp_min(0) * near
    return float((weights * columns).sum() / weights.sum() / width), float(
        (weights * rows).sum() / weights.sum() / height
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("point", [(0.5, 0.5), (0.4, 0.55), (0.6, 0.45)])
def test_a_point_is_located_where_apply_moves_it(transform: Transform, point: tuple[float, float]) -> None:
    located = transform.locate(point)
    assert located is not None
    assert brightest(transform.apply(spot(*point))) == pytest.approx(located, abs=0.02)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_invert_moves_a_point_back(transform: Transform) -> None:
    picture = spot(0.45, 0.5)
    assert brightest(transform.invert(transform.apply(picture))) == pytest.approx((0.45, 0.5), abs=0.02)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [(7, -9), (-7, 9), (0, 5), (-20, 0), (47, 79)])
def test_a_translation_mirrors_the_picture_at_its_borders(shift: tuple[int, int], flip: bool) -> None:
    picture = torch.rand(1, 3, *SIZE)
    down, right = shift
    mirrored = np.pad(picture.numpy(), ((0, 0), (0, 0), (100, 100), (200, 200)), mode="symmetric")
    expected = mirrored[..., 100 - down : 148 - down, 200 - right : 280 - right]
    transform = Transform(SIZE, shift, flip=flip)
    moved = transform.apply(picture).numpy()
    np.testing.assert_array_equal(moved[..., ::-1] if flip else moved, expected)
    visible = transform.invert(torch.ones(1, 1, *SIZE))[0, 0] > 0
    back = transform.invert(transform.apply(picture))
    assert torch.equal(back, picture * visible)
    assert int(visible.sum()) == max(0, 48 - abs(down)) * max(0, 80 - abs(right))


def test_a_translation_may_wrap_around_and_is_inverted_exactly() -> None:
    transform = Transform(SIZE, (30, 50), border="wrap")
    picture = torch.rand(1, 3, *SIZE)
    assert not torch.equal(transform.apply(picture), picture)
    assert torch.equal(transform.invert(transform.apply(picture)), picture)
    assert transform.locate((0.5, 0.5)) == pytest.approx((0.125, 0.125))


def test_points_that_are_not_visible_are_not_located_and_have_no_gradient() -> None:
    transform = Transform(SIZE, scale=2.0)
    assert transform.locate((0.1, 0.5)) is None
    inverted = transform.invert(torch.ones(1, 1, *SIZE))
    assert inverted[0, 0, :, 0].max() == 0
    assert inverted[0, 0, 24, 40] == 1


def test_a_larger_scale_enlarges_the_picture() -> None:
    enlarged = Transform(SIZE, scale=2.0).apply(spot(0.5, 0.5))
    assert enlarged.sum() / spot(0.5, 0.5).sum() == pytest.approx(4, rel=0.05)


def test_random_transforms_follow_from_the_seed_and_fill_their_ranges() -> None:
    ranges = TransformRange(jitter=10, scale=(0.9, 1.4), rotate=15)
    transforms = [random_transform(SIZE, ranges, seed=(7, i)) for i in range(400)]
    assert random_transform(SIZE, ranges, seed=(7, 3)) == transforms[3]
    for values, low, high in (
        ([each.shift[0] for each in transforms], -10, 10),
        ([each.shift[1] for each in transforms], -10, 10),
        ([each.scale for each in transforms], 0.9, 1.4),
        ([each.angle for each in transforms], -15, 15),
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 0.1 * (high - low)


def test_half_of_the_random_transforms_flip_where_flips_are_wanted() -> None:
    flips = [random_transform(SIZE, TransformRange(flip=True), seed=(i,)).flip for i in range(400)]
    assert 160 < sum(flips) < 240
    assert random_transform(SIZE, TransformRange(), seed=(1,)) == Transform(SIZE)


def test_a_mirrored_shift_is_at_most_a_quarter_of_the_side() -> None:
    shifts = [random_transform(SIZE, TransformRange(jitter=64), seed=(i,)).shift for i in range(400)]
    assert {max(abs(down) for down, _ in shifts), max(abs(right) for _, right in shifts)} == {12, 20}
    wrapped = [random_transform(SIZE, TransformRange(jitter=64, border="wrap"), seed=(i,)).shift for i in range(400)]
    assert max(abs(down) for down, _ in wrapped) > 60
