"""Shot detection: exactly the cuts of real footage and of synthetic clips."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from render.media.clip import clip_frames, probe_clip
from render.media.shots import find_cuts, thumbnail_size
from tests.conftest import photo_tensor
from tests.media.clips import footage


def panned(name: str, count: int) -> Iterator[Tensor]:
    """A shot: a photo that moves one pixel per frame."""
    photo = photo_tensor(name, 120, 64)
    return (photo[..., i : i + 96] for i in range(count))


def test_a_cut_is_detected_at_its_frame() -> None:
    shots = [*panned("coffee", 12), *panned("astronaut", 20), *panned("chelsea", 15)]
    assert find_cuts(shots) == [12, 32]


def test_a_flash_is_not_a_cut() -> None:
    shot = list(panned("coffee", 24))
    assert find_cuts(shot) == []
    shot[11] = torch.lerp(shot[11], torch.ones(()), 0.9)
    assert find_cuts(shot) == []


@pytest.mark.parametrize(
    ("name", "count", "cuts"), [("bikes.mp4", 250, [30, 76, 137, 187, 242]), ("carphone_pristine.mp4", 120, [])]
)
def test_the_cuts_of_real_footage_are_detected(name: str, count: int, cuts: list[int]) -> None:
    clip = probe_clip(footage(name))
    pictures = clip_frames(clip, thumbnail_size(clip.size), fps=clip.fps, frames=range(count), fit="stretch")
    assert find_cuts(pictures) == cuts


def test_the_pictures_of_the_detector_are_small_and_have_the_shape_of_the_clip() -> None:
    assert thumbnail_size((1920, 1080)) == (192, 108)
    assert thumbnail_size((100, 60)) == (100, 60)
    assert thumbnail_size((4000, 8)) == (192, 2)
