from __future__ import annotations

import pytest
import torch
from torch import Tensor

from render.dream.grade import grade


def test_strength_zero_returns_the_image_exactly(photo: Tensor) -> None:
    assert grade(photo, 0.0, 0.1, 0.9) is photo


def test_strength_one_gives_the_mean_and_the_contrast(photo: Tensor) -> None:
    graded = grade(photo, 1.0, 0.5, 0.1)
    assert graded.mean((2, 3)).tolist()[0] == pytest.approx([0.5] * 3, abs=0.01)
    assert graded.std((2, 3)).mean() == pytest.approx(0.1, rel=0.05)


def test_every_frame_goes_the_stated_part_of_the_way(photo: Tensor) -> None:
    soft = 0.4 + 0.2 * photo
    graded = grade(soft, 0.25, 0.5, 0.3)
    for measure, goal in ((torch.mean, 0.5), (torch.std, 0.3)):
        before, after = (float(measure(x, (2, 3)).mean()) for x in (soft, graded))
        assert after == pytest.approx(before + 0.25 * (goal - before), abs=1e-3)


def test_a_flat_frame_stays_finite_and_in_range() -> None:
    graded = grade(torch.zeros(1, 3, 8, 8), 0.5, 0.5, 0.2)
    assert graded.isfinite().all()
    assert graded.mean() == pytest.approx(0.25)
