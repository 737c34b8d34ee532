"""Grading toward a mean and a contrast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from render.dream.grade import color_cast, grade
from tests.conftest import photo_tensor

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")


def means(image: Tensor) -> list[float]:
    """The means of the channels."""
    return [float(value) for value in image.mean((0, 2, 3)).tolist()]


def test_strength_zero_returns_the_image_exactly(photo: Tensor) -> None:
    assert grade(photo, strength=0.0, mean=0.1, contrast=0.9, cast=0) is photo


def test_strength_one_reaches_the_mean_and_the_contrast(photo: Tensor) -> None:
    graded = grade(photo, strength=1.0, mean=0.5, contrast=0.1, cast=0)
    assert means(graded) == pytest.approx([0.5] * 3, abs=0.01)
    assert graded.std((2, 3)).mean() == pytest.approx(0.1, rel=0.05)


def test_strength_is_the_fraction_of_the_way_to_mean_and_contrast(photo: Tensor) -> None:
    soft = 0.4 + 0.2 * photo
    graded = grade(soft, strength=0.25, mean=0.5, contrast=0.3, cast=1)
    for measure, goal in ((torch.mean, 0.5), (torch.std, 0.3)):
        before, after = (float(measure(x, (2, 3)).mean()) for x in (soft, graded))
        assert after == pytest.approx(before + 0.25 * (goal - before), abs=1e-3)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_keeps_its_hue_and_saturation_at_another_mean(name: str) -> None:
    """The hue is that of the relative differences of the channels; their size is the saturation."""
    photo = graded = photo_tensor(name, 96, 64)
    for _ in range(500):
        graded = grade(graded, strength=0.15, mean=0.4, contrast=0.15, cast=1)
    assert sum(means(graded)) / 3 == pytest.approx(0.4, abs=0.01)
    before, after = (torch.tensor(means(x)) / sum(means(x)) * 3 - 1 for x in (photo, graded))
    assert float(torch.nn.functional.cosine_similarity(before, after, dim=0)) > 0.999
    assert float(after.norm()) == pytest.approx(float(before.norm()), rel=0.03)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_stays_as_it_is_with_its_own_targets(name: str) -> None:
    photo = graded = photo_tensor(name, 96, 64)
    mean, contrast = float(photo.mean()), float(photo.std((2, 3)).mean())
    cast = float(color_cast(photo.mean((2, 3), keepdim=True)))
    for _ in range(500):
        graded = grade(graded, strength=0.15, mean=mean, contrast=contrast, cast=cast)
    torch.testing.assert_close(graded, photo, atol=1e-3, rtol=0)


def test_a_cast_beyond_the_limit_is_reduced_to_it(photo: Tensor) -> None:
    blue = (photo * torch.tensor([0.6, 0.7, 1.0]).view(1, 3, 1, 1) + torch.tensor([0, 0, 0.2]).view(1, 3, 1, 1)) / 1.3
    assert color_cast(blue.mean((2, 3), keepdim=True)) > 0.15
    for _ in range(100):
        blue = grade(blue, strength=0.15, mean=0.4, contrast=0.15, cast=0.1)
    assert color_cast(blue.mean((2, 3), keepdim=True)) == pytest.approx(0.1, abs=0.01)


def test_the_cast_of_a_pure_color_is_one_and_of_grey_zero() -> None:
    for channel in range(3):
        pure = torch.zeros(1, 3, 1, 1)
        pure[0, channel] = 0.7
        assert color_cast(pure) == pytest.approx(1)
    assert color_cast(torch.full((1, 3, 1, 1), 0.3)) == pytest.approx(0)


def test_a_flat_frame_stays_finite_and_in_range() -> None:
    graded = grade(torch.zeros(1, 3, 8, 8), strength=0.5, mean=0.5, contrast=0.2, cast=0.5)
    assert graded.isfinite().all()
    assert graded.mean() == pytest.approx(0.25)
