from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from render.motion import warp
from render.motion.camera import Move, backward_affine, move
from render.motion.warp import Border, warp_affine
from tests.conftest import photo_tensor

MARGIN = 32


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels, away from the borders."""
    difference = (a - b)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return -10 * math.log10(float(difference.square().mean()))


def detail(image: Tensor) -> float:
    """High-frequency energy: the mean square of the Laplacian, away from the borders."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    inner = image[..., MARGIN:-MARGIN, MARGIN:-MARGIN].mean(1, keepdim=True)
    return float(F.conv2d(inner, kernel).square().mean())


@pytest.mark.parametrize(
    "there_and_back", [(Move(rotate=1), Move(rotate=-1)), (Move(zoom=1.02), Move(zoom=1 / 1.02))], ids=["turn", "zoom"]
)
def test_forty_warps_keep_the_picture_and_its_detail(there_and_back: tuple[Move, Move]) -> None:
    """DESIGN section 5: Lanczos-4 keeps 32.4 and 31.8 dB, and 0.95 and 1.01 of the detail."""
    photo = photo_tensor("astronaut", 384, 384)
    image = photo
    for i in range(40):
        image = move(image, [there_and_back[i % 2]], "mirror")
    assert psnr(image, photo) >= 31
    assert 0.9 <= detail(image) / detail(photo) <= 1.1


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize(
    "by",
    [
        Move(zoom=1.03, rotate=0.4),
        Move(rotate=33, pan=(0.3, 0.2), shear=(0.1, 0)),
        Move(zoom=0.3, pivot=(0.1, 0.9)),
        Move(pan=(1.7, -2.4)),
    ],
)
def test_both_bodies_of_the_resampler_agree(photo: Tensor, by: Move, border: Border) -> None:
    image = photo[..., :120, :]
    affine = backward_affine([by], 160, 120)
    columns, rows = np.meshgrid(np.arange(160.0), np.arange(120.0))
    x, y = ((a * columns + b * rows + c).astype(np.float32) for a, b, c in affine)
    near = (warp._near(x, 160, border), warp._near(y, 120, border))
    torch.testing.assert_close(
        warp.resample_torch(image, *near, border), warp.resample(image, x, y, border), atol=2e-6, rtol=0
    )


def test_far_coordinates_are_read_as_the_border_says(photo: Tensor) -> None:
    """OpenCV's positions have 16 bits; farther ones must not be clipped to them."""
    far = warp_affine(photo, np.array([[1, 0, 160.0 * 300], [0, 1, 0]]), "wrap")
    torch.testing.assert_close(far, photo, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("border", "expected"),
    [
        ("mirror", [3, 2, 1, 0, 1, 2, 3, 4, 3, 2]),
        ("edge", [0, 0, 0, 0, 1, 2, 3, 4, 4, 4]),
        ("wrap", [2, 3, 4, 0, 1, 2, 3, 4, 0, 1]),
        ("black", [9, 9, 9, 0, 1, 2, 3, 4, 9, 9]),
    ],
)
def test_borders_are_what_their_names_say(border: Border, expected: list[int]) -> None:
    ramp = (torch.arange(5.0) + 1).expand(1, 3, 5, 5).contiguous()
    x, y = np.meshgrid(np.arange(-3, 7, dtype=np.float32), np.zeros(1, np.float32))
    read = warp.resample(ramp, x, y, border)[0, 0, 0]
    assert (read - 1).tolist() == pytest.approx([-1 if value == 9 else value for value in expected], abs=1e-5)


def test_a_shift_by_whole_pixels_is_exact(photo: Tensor) -> None:
    shifted = warp_affine(photo, np.array([[1, 0, -5], [0, 1, 3]], np.float64), "wrap")
    assert torch.equal(shifted, torch.roll(photo, (-3, 5), (2, 3)))


def test_a_zoom_out_does_not_alias() -> None:
    """A grating too fine for the smaller picture turns grey, not into a coarser grating; a coarse one stays."""
    columns = torch.arange(256.0)
    for cycles, expected in ((0.4, 0.0), (0.05, 0.5)):
        grating = (0.5 + 0.5 * torch.cos(math.tau * cycles * columns)).expand(1, 3, 64, 256).contiguous()
        small = move(grating, [Move(zoom=0.5)], "mirror")[0, 0, 32, 80:176]
        assert float(small.max() - small.min()) / 2 == pytest.approx(expected, abs=0.03)


def test_a_mild_zoom_out_costs_no_sharpness(photo: Tensor) -> None:
    assert warp._low_pass(photo, 0.95, "mirror") is photo
