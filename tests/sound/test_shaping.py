"""Signals are the same at any frame rate, and shaped by the closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from render.sound.measures import Events, Samples
from render.sound.shaping import EVENT_DECAY, Shape, shaped

HITS = Events(np.array([0.51, 1.0, 1.2]), np.array([1.0, 0.5, 1.0]))
SMALL = 2**-19


def grid(values: np.ndarray) -> Samples:
    return Samples(values.astype(np.float32), 0.0, 100.0, floor=1e-5)


STEP = grid(np.concatenate([np.zeros(100), np.ones(100), np.zeros(100)]))


@pytest.mark.parametrize("fps", [24, 30000 / 1001, 60])
def test_the_frame_that_shows_a_hit_has_its_strength_and_later_ones_decay(fps: float) -> None:
    times = np.arange(0, 3, 1 / fps)
    values = shaped(HITS, Shape())(times, 1 / fps)
    assert values[int(np.floor(0.51 * fps))] == 1
    assert values[times + 1 / fps <= 0.51].max() == 0
    later = times[times > 1.25]
    assert values[times > 1.25] == pytest.approx(np.exp(-(later - 1.2) / EVENT_DECAY), abs=SMALL)


def test_a_hit_at_the_start_of_a_frame_is_in_that_frame() -> None:
    values = shaped(HITS, Shape(decay=0))(np.arange(72) / 24, 1 / 24)
    assert np.flatnonzero(values).tolist() == [12, 24, 28]


def test_samples_are_the_same_at_any_rate() -> None:
    signal = shaped(grid(np.random.default_rng(0).random(500)), Shape(smooth=0.1, decay=0.2))
    assert signal(np.arange(0, 4, 0.5), 1 / 24).tolist() == signal(np.arange(0, 4, 0.25), 1 / 60)[::2].tolist()


def test_smoothing_does_not_delay() -> None:
    values = shaped(STEP, Shape(smooth=0.2))(np.array([0.995, 1.495, 1.995]), 0.04)
    assert values == pytest.approx([0.5, 1, 0.5], abs=0.02)


def test_attack_and_decay_are_seconds() -> None:
    values = shaped(STEP, Shape(attack=0.5, decay=0.5))(np.array([1.25, 1.6, 2.49, 1.99 + 0.5]), 0.04)
    assert values == pytest.approx([0.5, 1, np.exp(-1), np.exp(-1)], abs=0.03)


def test_gate_power_and_delay() -> None:
    ramp = grid(np.linspace(0, 1, 101))
    assert shaped(ramp, Shape(normalize=100, gate=0.3))(np.array([0.29, 0.31]), 0.04) == pytest.approx(
        [0, 0.31], abs=1e-5
    )
    assert shaped(ramp, Shape(normalize=100, power=2))(np.array([0.5]), 0.04) == pytest.approx([0.25], abs=1e-5)
    moved = shaped(HITS, Shape(delay=-0.51, decay=0))(np.array([0.0, 0.49]), 0.04)
    assert moved.tolist() == [1, 1 / 2]


def test_one_loud_moment_does_not_flatten_the_rest() -> None:
    values = np.full(1000, 0.1)
    values[500] = 1
    assert shaped(grid(values), Shape())(np.array([1.0]), 0.04) == 1
    assert shaped(grid(values), Shape(normalize="absolute"))(np.array([1.0]), 0.04) == pytest.approx(0.1, abs=SMALL)


def test_smoothed_hits_keep_their_place() -> None:
    values = shaped(Events(np.array([1.0]), np.array([1.0])), Shape(smooth=0.1, decay=0.1))(np.arange(0, 2, 0.01), 0.01)
    assert abs(values.argmax() / 100 - 1.0) < 0.06
    assert 0 < values.max() < 1


def test_nothing_is_zero() -> None:
    empty = Events(np.zeros(0), np.zeros(0))
    assert not shaped(empty, Shape(smooth=0.1))(np.arange(3.0), 0.04).any()
    assert not shaped(grid(np.zeros(0)), Shape(smooth=0.1, decay=0.1))(np.arange(3.0), 0.04).any()
