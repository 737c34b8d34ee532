"""Optical flow, held against motion that is known exactly and against true disparity."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor
from torchvision.models import optical_flow

from render.motion import flow
from render.motion.camera import Move, backward_affine, move
from render.motion.flow import Flow
from render.motion.follow import followed
from tests.conftest import photo_tensor

MARGIN = 16


def true_flow(moved: Move, width: int, height: int) -> Flow:
    """From a moved frame to the one before: what the camera's affine says."""
    (xx, xy, x0), (yx, yy, y0) = backward_affine([moved], width, height)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = [xx * columns + xy * rows + x0 - columns, yx * columns + yy * rows + y0 - rows]
    return np.stack(places, -1).astype(np.float32)


def error(found: Flow, true: Flow) -> float:
    """The mean end-point error in pixels, away from the borders."""
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return float(np.linalg.norm(found[inner] - true[inner], axis=-1).mean())


@pytest.mark.parametrize(
    "moved", [Move(zoom=1.02), Move(rotate=1), Move(pan=(0.02, -0.01)), Move(1.01, 0.5, (0.01, 0))]
)
def test_dis_finds_a_known_motion_within_a_tenth_of_a_pixel(moved: Move) -> None:
    before = photo_tensor("astronaut", 320, 240)
    now = move(before, [moved], "mirror").clamp(0, 1)
    assert error(flow.dis(now, before), true_flow(moved, 320, 240)) < 0.1
    assert error(flow.farneback(now, before), true_flow(moved, 320, 240)) < 0.5


def test_dis_finds_the_true_disparity_of_a_stereo_pair() -> None:
    left, right, disparity = skimage.data.stereo_motorcycle()  # type: ignore[no-untyped-call]  # skimage has no types
    half = (left.shape[1] // 2, left.shape[0] // 2)
    first, second = (tensor(cv2.resize(each, half, interpolation=cv2.INTER_AREA)) for each in (left, right))
    true = cv2.resize(disparity, half, interpolation=cv2.INTER_NEAREST) / 2
    known = np.isfinite(true)
    found = flow.dis(first, second)
    errors = np.hypot(found[..., 0] + true, found[..., 1])[known]
    assert np.median(errors) < 0.25
    assert (errors < 3).mean() > 0.87
    trusted = flow.motion(second, first, flow.dis).confidence[known] > 0.9
    assert errors[trusted].mean() < 0.7 * errors.mean()
    assert trusted.mean() > 0.8


def tensor(picture: Any) -> Tensor:
    """1x3xHxW in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).unsqueeze(0).float() / 255


def crossing(place: int) -> Tensor:
    """A textured square at a column, before another texture."""
    scene = 0.3 + 0.4 * photo_tensor("coffee", 160, 120)
    scene[..., 40:80, place : place + 40] = photo_tensor("chelsea", 40, 40)
    return scene


def test_what_an_object_uncovers_is_not_trusted_and_what_stands_still_is() -> None:
    moved = flow.motion(crossing(60), crossing(68), flow.dis)
    assert moved.confidence[44:76, 61:67].max() < 0.1
    assert moved.confidence[:30].mean() > 0.99
    assert moved.confidence[52:68, 80:96].mean() > 0.6


@pytest.mark.parametrize("behind", ["coffee", "astronaut", "chelsea", "rocket"])
def test_nothing_of_an_object_is_trusted_where_it_has_been(behind: str) -> None:
    """Behind it another texture, or a sky without any, where flow is anyone's guess; the guess is never the object."""
    background, square = 0.2 + 0.5 * photo_tensor(behind, 160, 96), photo_tensor("immunohistochemistry", 40, 40)

    def at(place: int) -> Tensor:
        scene = background.clone()
        scene[..., 28:68, place : place + 40] = square
        return scene

    for place in range(16, 88, 8):
        moved = flow.motion(at(place), at(place + 8), flow.dis)
        uncovered = (slice(29, 67), slice(place + 1, place + 7))
        x, y, confidence = (values[uncovered] for values in (moved.x, moved.y, moved.confidence))
        of_object = (x >= place) & (x < place + 40) & (y >= 28) & (y < 68)
        assert not (of_object & (confidence > 0)).any()
        assert behind == "rocket" or (confidence > 0).mean() < 0.05


def test_what_comes_from_outside_is_not_trusted() -> None:
    before = photo_tensor("astronaut", 160, 160)
    moved = flow.motion(before, move(before, [Move(pan=(0.1, 0))], "mirror").clamp(0, 1), flow.dis)
    assert moved.confidence[20:140, :8].mean() < 0.1
    assert moved.confidence[20:140, 60:120].mean() > 0.7


def test_a_frame_follows_its_motion() -> None:
    before = photo_tensor("astronaut", 240, 240)
    now = move(before, [Move(zoom=1.02, rotate=0.5)], "mirror").clamp(0, 1)
    moved = flow.motion(before, now, flow.dis)
    trusted = torch.from_numpy(moved.confidence > 0.9)
    error = (followed(before, moved) - now).abs().mean(1)[0]
    still = (before - now).abs().mean(1)[0]
    assert error[trusted].mean() < 0.15 * still[trusted].mean()
    assert trusted.float().mean() > 0.7


def test_a_still_clip_stands_still_and_is_trusted_everywhere() -> None:
    photo = photo_tensor("coffee", 96, 64)
    moved = flow.motion(photo, photo, flow.dis)
    assert moved.confidence.min() == 1
    assert (followed(photo, moved) - photo).abs().max() < 0.02


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(("width", "height"), [(50, 70), (131, 140), (160, 128)])
def test_raft_takes_any_size_and_keeps_its_scale(size: Any, width: int, height: int) -> None:
    """Random weights: the shape is right, and padding moves nothing in the middle."""
    torch.manual_seed(0)
    model = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[size]().eval()
    estimate = flow.raft("raft_small" if size == "small" else "raft_large", model.state_dict(), torch.device("cpu"))
    first, second = (torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    found = estimate(first, second)
    assert found.shape == (height, width, 2)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    sides = [max(128, -(-side // 8) * 8) for side in (width, height)]
    left, top = (sides[0] - width) // 2, (sides[1] - height) // 2
    pads = (left, sides[0] - width - left, top, sides[1] - height - top)
    frames = (torch.nn.functional.pad(2 * frame - 1, pads, mode="replicate") for frame in (first, second))
    with torch.no_grad():
        expected = model(*frames)[-1][0, :, top : top + height, left : left + width].permute(1, 2, 0).numpy()
    assert np.allclose(found, expected, atol=1e-4)
