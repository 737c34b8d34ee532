"""Cuts: found where they are, in real footage and in clips made here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from render.film import clip, cuts
from tests.conftest import photo_tensor
from tests.film.clips import footage


def panned(name: str, count: int) -> Iterator[Tensor]:
    """A shot: a photo that moves by a pixel a frame."""
    photo = photo_tensor(name, 120, 64)
    return (photo[..., i : i + 96] for i in range(count))


def test_a_cut_is_found_at_its_frame() -> None:
    shots = [*panned("coffee", 12), *panned("astronaut", 20), *panned("chelsea", 15)]
    assert cuts.find(shots) == [12, 32]


def test_one_shot_has_no_cut_though_a_light_flashes() -> None:
    shot = list(panned("coffee", 24))
    assert cuts.find(shot) == []
    shot[11] = torch.lerp(shot[11], torch.ones(()), 0.9)
    assert cuts.find(shot) == []


def test_the_cuts_of_real_footage_are_found() -> None:
    found = clip.probe(footage("bikes.mp4"))
    pictures = clip.frames(found, cuts.small(found.size), found.fps, 250, "stretch")
    assert cuts.find(pictures) == [30, 76, 137, 187, 242]
    still = clip.probe(footage("carphone_pristine.mp4"))
    assert cuts.find(clip.frames(still, cuts.small(still.size), still.fps, 120, "stretch")) == []


def test_pictures_to_look_at_are_small_and_keep_their_shape() -> None:
    assert cuts.small((1920, 1080)) == (192, 108)
    assert cuts.small((100, 60)) == (100, 60)
    assert cuts.small((4000, 8)) == (192, 2)
