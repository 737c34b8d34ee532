"""Progress of the dream: moved with the clip, and caught up where it is behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from render.motion.flow import Motion, identity_motion
from render.motion.progress import COMPLETE, MAX_SCALE, Progress, initial_progress, propagate_progress

HEIGHT, WIDTH = 48, 64


def still(*, uncovered: int = 0) -> Motion:
    """Everything stays where it is; the first columns are not trusted."""
    motion = identity_motion(torch.empty(1, 3, HEIGHT, WIDTH))
    motion.confidence[:, :uncovered] = 0
    return motion


def advanced(progress: Progress, count: int, *, persistence: float = 0.95) -> Progress:
    """The progress some frames later, in which nothing is uncovered."""
    for _ in range(count):
        progress = propagate_progress(progress, still(), persistence=persistence).dreamed()
    return progress


def test_where_everything_is_trusted_nothing_catches_up() -> None:
    progress = initial_progress((HEIGHT, WIDTH), 3)
    for _ in range(12):
        catch_up = propagate_progress(progress, still(), persistence=0.95)
        assert catch_up.scale is None
        progress = catch_up.dreamed()
    assert progress.min() == progress.max() <= COMPLETE


def test_uncovered_ground_is_as_far_on_as_the_rest_within_six_frames() -> None:
    progress = advanced(initial_progress((HEIGHT, WIDTH), 1), 40)
    catch_up = propagate_progress(progress, still(uncovered=16), persistence=0.95)
    assert catch_up.scale is not None
    assert (catch_up.scale[:, :16] == MAX_SCALE).all()
    assert not catch_up.scale[:, 16:].any()
    behind = catch_up.dreamed()
    assert behind[0, 0] == 1 + MAX_SCALE
    later = advanced(behind, 5)
    assert later.min() > 0.9 * later.max()
    assert np.array_equal(later[:, 16:], advanced(progress, 6)[:, 16:])


def test_ground_never_overtakes_the_rest() -> None:
    progress = advanced(initial_progress((HEIGHT, WIDTH), 1), 2)
    progress = propagate_progress(progress, still(uncovered=16), persistence=0.95).dreamed()
    for _ in range(10):
        assert progress[0, 0] <= progress[0, -1] + 1e-5
        progress = advanced(progress, 1)


@pytest.mark.parametrize(("uncovered", "persistence"), [(0, 0.95), (16, 0.0)])
def test_no_steps_are_taken_when_nothing_is_behind(uncovered: int, persistence: float) -> None:
    progress = initial_progress((HEIGHT, WIDTH), 8)
    assert propagate_progress(progress, still(uncovered=uncovered), persistence=persistence).scale is None


def test_progress_moves_with_the_clip() -> None:
    progress = initial_progress((HEIGHT, WIDTH), 2)
    progress[:, 20:30] = 6
    motion = still()
    moved = propagate_progress(progress, Motion(motion.x - 4, motion.y, motion.confidence), persistence=1.0)
    assert (moved.progress[:, 24:34] == 6).all()
    assert (moved.progress[:, :24] == 2).all()
