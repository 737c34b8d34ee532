"""Optical flow, compared with exactly known motion and with true disparity."""

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
from render.motion.camera import Move, inverse_affine, move_matrix
from render.motion.composite import warp_by_motion
from render.motion.flow import Flow
from render.motion.warp import pixel_grid, resample
from tests.conftest import photo_tensor
from tests.motion.paths import moved

MARGIN = 16


def true_flow(move: Move, width: int, height: int) -> Flow:
    """The flow from a moved frame to the one before, by the camera's matrix."""
    (xx, xy, x0), (yx, yy, y0) = inverse_affine(move_matrix(move, (width, height)))
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = [xx * columns + xy * rows + x0 - columns, yx * columns + yy * rows + y0 - rows]
    return np.stack(places, -1).astype(np.float32)


def error(estimated: Flow, true: Flow) -> float:
    """The mean end-point error in pixels, away from the borders."""
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return float(np.linalg.norm(estimated[inner] - true[inner], axis=-1).mean())


@pytest.mark.parametrize("move", [Move(zoom=1.02), Move(rotate=1), Move(pan=(0.02, -0.01)), Move(1.01, 0.5, (0.01, 0))])
def test_dis_estimates_a_known_motion_within_a_tenth_of_a_pixel(move: Move) -> None:
    before = photo_tensor("astronaut", 320, 240)
    now = moved(before, [move])
    assert error(flow.dis(now, before), true_flow(move, 320, 240)) < 0.1
    assert error(flow.farneback(now, before), true_flow(move, 320, 240)) < 0.5


def test_dis_estimates_the_disparity_of_a_stereo_pair() -> None:
    left, right, disparity = skimage.data.stereo_motorcycle()
    half = (left.shape[1] // 2, left.shape[0] // 2)
    first, second = (tensor(cv2.resize(each, half, interpolation=cv2.INTER_AREA)) for each in (left, right))
    true = cv2.resize(disparity, half, interpolation=cv2.INTER_NEAREST) / 2
    is_known = np.isfinite(true)
    estimated = flow.dis(first, second)
    errors = np.hypot(estimated[..., 0] + true, estimated[..., 1])[is_known]
    assert np.median(errors) < 0.25
    assert (errors < 3).mean() > 0.87
    trusted = flow.estimate_motion(second, first, estimate=flow.dis).confidence[is_known] > 0.9
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


def test_an_uncovered_area_is_not_trusted_and_a_still_one_is() -> None:
    motion = flow.estimate_motion(crossing(60), crossing(68), estimate=flow.dis)
    assert motion.confidence[44:76, 61:67].max() < 0.1
    assert motion.confidence[:30].mean() > 0.99
    assert motion.confidence[52:68, 80:96].mean() > 0.6


@pytest.mark.parametrize("behind", ["coffee", "astronaut", "chelsea", "rocket"])
def test_an_uncovered_area_never_shows_the_object(behind: str) -> None:
    """The background is another texture, or a sky without any, where flow is a guess; it never leads to the object."""
    background, square = 0.2 + 0.5 * photo_tensor(behind, 160, 96), photo_tensor("immunohistochemistry", 40, 40)

    def at(place: int) -> Tensor:
        scene = background.clone()
        scene[..., 28:68, place : place + 40] = square
        return scene

    for place in range(16, 88, 8):
        motion = flow.estimate_motion(at(place), at(place + 8), estimate=flow.dis)
        uncovered = (slice(29, 67), slice(place + 1, place + 7))
        x, y, confidence = (values[uncovered] for values in (motion.x, motion.y, motion.confidence))
        of_object = (x >= place) & (x < place + 40) & (y >= 28) & (y < 68)
        assert not (of_object & (confidence > 0)).any()
        assert behind == "rocket" or (confidence > 0).mean() < 0.05


def test_what_enters_from_outside_is_not_trusted() -> None:
    before = photo_tensor("astronaut", 160, 160)
    motion = flow.estimate_motion(before, moved(before, [Move(pan=(0.1, 0))]), estimate=flow.dis)
    assert motion.confidence[20:140, :8].mean() < 0.1
    assert motion.confidence[20:140, 60:120].mean() > 0.7


def test_a_frame_warped_by_its_motion_is_the_next_one() -> None:
    before = photo_tensor("astronaut", 240, 240)
    now = moved(before, [Move(zoom=1.02, rotate=0.5)])
    motion = flow.estimate_motion(before, now, estimate=flow.dis)
    trusted = torch.from_numpy(motion.confidence > 0.9)
    error = (warp_by_motion(before, motion) - now).abs().mean(1)[0]
    still = (before - now).abs().mean(1)[0]
    assert error[trusted].mean() < 0.15 * still[trusted].mean()
    assert trusted.float().mean() > 0.7


def test_what_bends_everywhere_is_trusted() -> None:
    """As water does: the flow is nowhere smooth, but returns."""
    columns, rows = pixel_grid(torch.empty(1, 3, 96, 128))
    photo = photo_tensor("immunohistochemistry", 128, 96)
    bend = (0.8 * np.sin(columns / 4 + rows / 7)).astype(np.float32)
    bent = resample(photo, columns + bend, rows + bend, border="mirror").clamp(0, 1)
    motion = flow.estimate_motion(photo, bent, estimate=flow.dis)
    assert flow.consistent_motion(photo, bent, estimate=flow.dis).confidence[16:-16, 16:-16].mean() < 0.5
    assert motion.confidence[16:-16, 16:-16].mean() > 0.9
    assert np.abs(motion.x - columns - bend)[16:-16, 16:-16].mean() < 0.25


def test_a_still_clip_has_no_motion_and_is_trusted_everywhere() -> None:
    photo = photo_tensor("coffee", 96, 64)
    motion = flow.estimate_motion(photo, photo, estimate=flow.dis)
    assert motion.confidence.min() == 1
    assert (warp_by_motion(photo, motion) - photo).abs().max() < 0.02


def test_both_ways_are_the_motions_of_each_way() -> None:
    before = photo_tensor("coffee", 96, 64)
    now = moved(before, [Move(zoom=1.03)])
    motions = flow.estimate_both_ways(before, now, estimate=flow.dis)
    for motion, frames in zip(motions, ((before, now), (now, before)), strict=True):
        alone = flow.estimate_motion(*frames, estimate=flow.dis)
        assert all(np.array_equal(getattr(motion, name), getattr(alone, name)) for name in ("x", "y", "confidence"))


def test_consistent_motion_is_trusted_or_not_by_the_flows_alone() -> None:
    """A constant flow of three pixels between a black and a white frame; what it leads outside is not trusted."""
    before, now = torch.zeros(1, 3, 32, 48), torch.ones(1, 3, 32, 48)

    def estimate(first: Tensor, second: Tensor) -> Flow:
        return np.full((32, 48, 2), (-3, 0) if first is now else (3, 0), np.float32)

    motion = flow.consistent_motion(before, now, estimate=estimate)
    columns, _ = pixel_grid(before)
    assert np.array_equal(motion.x, columns - 3)
    assert np.array_equal(motion.confidence, (columns >= 3).astype(np.float32))


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(("width", "height"), [(50, 70), (131, 140), (160, 128)])
def test_raft_takes_any_size_and_keeps_its_scale(size: Any, width: int, height: int) -> None:
    """With random weights: the shape is the picture's, and padding moves nothing in the middle."""
    torch.manual_seed(0)
    model = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[size]().eval()
    estimate = flow.raft(
        "raft_small" if size == "small" else "raft_large", model.state_dict(), device=torch.device("cpu")
    )
    first, second = (torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    estimated = estimate(first, second)
    assert estimated.shape == (height, width, 2)
    assert estimated.dtype == np.float32
    assert np.isfinite(estimated).all()
    sides = [max(128, -(-side // 8) * 8) for side in (width, height)]
    left, top = (sides[0] - width) // 2, (sides[1] - height) // 2
    pads = (left, sides[0] - width - left, top, sides[1] - height - top)
    frames = (torch.nn.functional.pad(2 * frame - 1, pads, mode="replicate") for frame in (first, second))
    with torch.no_grad():
        expected = model(*frames)[-1][0, :, top : top + height, left : left + width].permute(1, 2, 0).numpy()
    assert np.allclose(estimated, expected, atol=1e-4)
