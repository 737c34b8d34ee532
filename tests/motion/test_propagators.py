"""What the two propagators have in common: their intervals, and the pictures that they make of them."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from render.motion.camera import Move
from render.motion.flow import Motion, identity_motion
from render.motion.propagate import (
    ClipFrame,
    FootageInterval,
    FootagePropagator,
    Propagator,
    ShotStart,
    StillInterval,
    StillPropagator,
)
from tests.conftest import photo_tensor
from tests.motion.paths import path_of

WIDTH, HEIGHT = 96, 64
LENGTH = 12
DREAMED = frozenset([0, 3, 5, 6, 9, 11])
SHOTS = frozenset([0, 6])


def still() -> StillPropagator:
    """A film from a photo, under a camera that zooms."""
    path = path_of([Move(zoom=1.01)] * LENGTH, (WIDTH, HEIGHT))
    return StillPropagator(lambda: photo_tensor("coffee", WIDTH, HEIGHT), path, DREAMED)


def clip_picture(index: int) -> Tensor:
    """A frame of a clip of grey pictures, each brighter than the one before."""
    return torch.full((1, 3, HEIGHT, WIDTH), index / LENGTH)


def shift(pixels: int) -> Motion:
    """Returns the motion of a clip all of which moves to the right."""
    motion = identity_motion(clip_picture(0))
    return Motion(motion.x - pixels, motion.y, motion.confidence)


def clip_from(start: int) -> Generator[ShotStart | ClipFrame]:
    """Yields that clip from a frame on, each frame with another motion."""
    for index in range(start, LENGTH):
        if index == start or index in SHOTS:
            yield ShotStart(index, clip_picture(index))
        else:
            yield ClipFrame(index, clip_picture(index), backward=shift(index), forward=shift(-index))


def footage() -> FootagePropagator:
    """A film that follows that clip."""
    return FootagePropagator(clip_from, DREAMED, "residual")


def contents(interval: ShotStart | StillInterval | FootageInterval) -> tuple[range, list[Tensor]]:
    """Returns the frames of an interval, and the pictures and motions that it holds."""
    match interval:
        case ShotStart(index=index, picture=picture):
            return range(index, index + 1), [picture]
        case FootageInterval(source=source, clip_frames=clip_frames):
            motions = [frame.backward for frame in clip_frames]
            motions += [frame.forward for frame in clip_frames if frame.forward is not None]
            pictures = [source, *(frame.picture for frame in clip_frames)]
            return interval.frames, [*pictures, *(torch.from_numpy(motion.x) for motion in motions)]
    return interval.frames, []


both = pytest.mark.parametrize("propagator", [still(), footage()], ids=["still", "footage"])


@both
@pytest.mark.parametrize("start", range(1, LENGTH))
def test_the_intervals_from_any_frame_are_those_of_the_whole_film(propagator: Propagator[Any], start: int) -> None:
    expected = [interval for interval in propagator.intervals(0) if interval.index >= start]
    intervals = list(propagator.intervals(start))
    assert [type(interval) for interval in intervals] == [type(interval) for interval in expected]
    for interval, other in zip(map(contents, intervals), map(contents, expected), strict=True):
        assert interval[0] == other[0]
        assert all(torch.equal(a, b) for a, b in zip(interval[1], other[1], strict=True))


@pytest.mark.parametrize(
    ("propagator", "shots"), [(still(), frozenset([0])), (footage(), SHOTS)], ids=["still", "footage"]
)
def test_intervals_end_at_the_dreamed_frames_and_cover_the_film(
    propagator: Propagator[Any], shots: frozenset[int]
) -> None:
    intervals = list(propagator.intervals(0))
    assert [interval.index for interval in intervals] == sorted(DREAMED)
    assert {interval.index for interval in intervals if isinstance(interval, ShotStart)} == shots
    assert [index for interval in intervals for index in contents(interval)[0]] == list(range(LENGTH))


@both
def test_propagated_and_interpolated_frames_are_pictures(propagator: Propagator[Any]) -> None:
    canvas, later = photo_tensor("coffee", WIDTH, HEIGHT), photo_tensor("chelsea", WIDTH, HEIGHT)
    interval: Any = next(interval for interval in propagator.intervals(0) if not isinstance(interval, ShotStart))
    assert list(interval.frames) == [1, 2, 3]
    pictures = [
        propagator.propagate(canvas, interval, persistence=1.0),
        *(propagator.interpolate(canvas, later, interval=interval, position=position) for position in (0, 1)),
    ]
    for picture in pictures:
        assert picture.shape == (1, 3, HEIGHT, WIDTH)
        assert 0 <= picture.min() < picture.max() <= 1
    assert not torch.equal(pictures[1], pictures[2])


def test_the_source_of_a_dreamed_frame_is_its_picture_without_any_dream() -> None:
    propagator = still()
    assert torch.equal(propagator.source(ShotStart(0, propagator.initial())), propagator.initial())
    moved = propagator.path.warp(propagator.initial(), 0, 5)
    assert torch.equal(propagator.source(StillInterval(range(4, 6))), moved)
    for interval in footage().intervals(0):
        picture = interval.picture if isinstance(interval, ShotStart) else interval.clip_frames[-1].picture
        assert torch.equal(footage().source(interval), picture)


def test_a_still_film_is_warped_once_from_dreamed_frame_to_dreamed_frame() -> None:
    propagator, canvas = still(), photo_tensor("coffee", WIDTH, HEIGHT)
    propagated = propagator.propagate(canvas, StillInterval(range(4, 6)), persistence=0.0)
    assert torch.equal(propagated, propagator.path.warp(canvas, 3, 5))


def test_the_motions_of_all_frames_of_an_interval_are_composed() -> None:
    """A square on a black canvas moves right by 4 and then by 6 pixels; the last frame is trusted by half."""
    black = torch.zeros(1, 3, HEIGHT, WIDTH)
    canvas = black.clone()
    canvas[..., 20:40, 40:60] = 0.2
    half_trusted = replace(shift(6), confidence=np.full((HEIGHT, WIDTH), 0.5, np.float32))
    frames = (
        ClipFrame(1, black, backward=shift(4), forward=None),
        ClipFrame(2, black, backward=half_trusted, forward=None),
    )
    propagated = footage().propagate(canvas, FootageInterval(black, frames), persistence=1.0)
    assert (propagated - 0.1)[..., 22:38, 52:68].abs().max() < 1e-5
    assert propagated[..., :46].abs().max() < 1e-5


def test_closing_the_intervals_closes_the_clip() -> None:
    clips: list[Generator[ShotStart | ClipFrame]] = []  # one that is referenced is not closed by being collected

    def clip(start: int) -> Generator[ShotStart | ClipFrame]:
        clips.append(clip_from(start))
        return clips[-1]

    intervals = FootagePropagator(clip, DREAMED, "residual").intervals(4)
    next(intervals)
    assert [inspect.getgeneratorstate(clip) for clip in clips] == [inspect.GEN_SUSPENDED]
    intervals.close()
    assert [inspect.getgeneratorstate(clip) for clip in clips] == [inspect.GEN_CLOSED]
