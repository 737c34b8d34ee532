"""How a step sees the picture, and where what it finds belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from render.dream.views import View, random_view

SIZE = (48, 80)
VIEWS = [
    View(SIZE),
    View(SIZE, (5, -7)),
    View(SIZE, (5, -7), scale=1.3),
    View(SIZE, angle=20),
    View(SIZE, (-3, 9), scale=0.8, angle=-35),
]


def spot(x: float, y: float) -> Tensor:
    """A soft bright spot at a place of a dark picture, 1x1xHxW."""
    height, width = SIZE
    rows, columns = torch.arange(height).view(-1, 1) + 0.5, torch.arange(width) + 0.5
    return torch.exp(-((columns - x * width) ** 2 + (rows - y * height) ** 2) / 18).view(1, 1, height, width)


def brightest(image: Tensor) -> tuple[float, float]:
    """The centre of mass around the brightest pixel, in widths and heights."""
    height, width = SIZE
    rows, columns = torch.arange(height).view(-1, 1) + 0.5, torch.arange(width) + 0.5
    row, column = divmod(int(image[0, 0].argmax()), width)
    near = ((rows - row - 0.5).abs() < 5) & ((columns - column - 0.5).abs() < 5)
    weights = image[0, 0].clamp_min(0) * near
    return float((weights * columns).sum() / weights.sum() / width), float(
        (weights * rows).sum() / weights.sum() / height
    )


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.4, 0.55), (0.6, 0.45)])
def test_a_place_is_located_where_it_is_seen(view: View, place: tuple[float, float]) -> None:
    seen = view.locate(place)
    assert seen is not None
    assert brightest(view.look(spot(*place))) == pytest.approx(seen, abs=0.02)


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_found_goes_back_to_where_it_was_seen(view: View) -> None:
    picture = spot(0.45, 0.5)
    assert brightest(view.back(view.look(picture))) == pytest.approx((0.45, 0.5), abs=0.02)


def test_a_shift_wraps_around_and_comes_back_exactly() -> None:
    view = View(SIZE, (30, 50))
    picture = torch.rand(1, 3, *SIZE)
    assert torch.equal(view.back(view.look(picture)), picture)
    assert view.locate((0.5, 0.5)) == pytest.approx((0.125, 0.125))


def test_what_lies_outside_the_view_is_not_located_and_gets_nothing_back() -> None:
    view = View(SIZE, scale=2.0)
    assert view.locate((0.1, 0.5)) is None
    found = view.back(torch.ones(1, 1, *SIZE))
    assert found[0, 0, :, 0].max() == 0
    assert found[0, 0, 24, 40] == 1


def test_a_larger_scale_looks_closer() -> None:
    seen = View(SIZE, scale=2.0).look(spot(0.5, 0.5))
    assert seen.sum() / spot(0.5, 0.5).sum() == pytest.approx(4, rel=0.05)


def test_random_views_follow_from_the_seed_and_fill_their_ranges() -> None:
    views = [random_view((7, i), SIZE, 10, (0.9, 1.4), 15) for i in range(400)]
    assert random_view((7, 3), SIZE, 10, (0.9, 1.4), 15) == views[3]
    for values, low, high in (
        ([view.shift[0] for view in views], -10, 10),
        ([view.shift[1] for view in views], -10, 10),
        ([view.scale for view in views], 0.9, 1.4),
        ([view.angle for view in views], -15, 15),
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 0.1 * (high - low)


def test_without_ranges_the_picture_is_only_shifted() -> None:
    assert random_view((1,), SIZE, 4, (1.0, 1.0), 0).is_shift
    assert random_view((1,), SIZE, 0, (1.0, 1.0), 0) == View(SIZE)
