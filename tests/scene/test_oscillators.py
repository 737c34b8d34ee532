"""What expressions can do besides arithmetic: oscillators, noise, comparisons, and names of signals and beats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from render.scene.beats import Beats
from render.scene.clock import Clock
from render.scene.field_errors import FieldError
from render.scene.functions import uniform
from render.scene.tracks import ValueRange, parse_track

BEATS = Beats.steady(Fraction(120), offset=Fraction(1, 2))
CLOCK = Clock(Fraction(8), 80, beats=BEATS, signals={"bass": lambda frames: frames / 80})


def values(text: str, clock: Clock = CLOCK) -> NDArray[np.float64]:
    """Returns the values of an expression at each of 80 frames, 8 a second."""
    result: NDArray[np.float64] = parse_track(text, ValueRange()).values(clock)
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sine(1)", [0.5, 0.853553, 1, 0.853553, 0.5, 0.146447, 0, 0.146447, 0.5]),
        ("triangle(1)", [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]),
        ("saw(1)", [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0]),
        ("square(1)", [1, 1, 1, 1, 0, 0, 0, 0, 1]),
        ("pulse(1)", [1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("pulse(1, 0.25)", [1, 1, 0, 0, 0, 0, 0, 0, 1]),
        ("saw(2b)", [0.5, 0.625, 0.75, 0.875, 0, 0.125, 0.25, 0.375, 0.5]),
        ("saw(2 * 1b)", [0.5, 0.625, 0.75, 0.875, 0, 0.125, 0.25, 0.375, 0.5]),
        ("saw(2b if t < 0.5 else 1b)", [0.5, 0.625, 0.75, 0.875, 0, 0.25, 0.5, 0.75, 0]),
        ("saw(2b if t < 1b else 1b)", [0.5, 0.625, 0.75, 0.875, 0, 0.125, 0.25, 0.375, 0]),
        ("saw(1b + 1b)", [0.5, 0.625, 0.75, 0.875, 0, 0.125, 0.25, 0.375, 0.5]),
        ("saw(0.5 + 0.5s)", [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0]),
        ("saw(max(1b, 2b))", [0.5, 0.625, 0.75, 0.875, 0, 0.125, 0.25, 0.375, 0.5]),
        ("saw(1s)", [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0]),
        ("t < .5s", [1, 1, 1, 1, 0, 0, 0, 0, 0]),
        ("1b", [1.0] * 9),
        ("t < 1b", [1, 1, 1, 1, 1, 1, 1, 1, 0]),
        ("0.25 <= t < 0.5", [0, 0, 1, 1, 0, 0, 0, 0, 0]),
        ("(t != 0) + (frame == 1)", [0, 2, 1, 1, 1, 1, 1, 1, 1]),
        ("7 if t >= 0.5 else 1 if frame > 1 else 2", [2, 2, 1, 1, 7, 7, 7, 7, 7]),
        ("bass * 80 + bar", [-0.25, 0.8125, 1.875, 2.9375, 4, 5.0625, 6.125, 7.1875, 8.25]),
        ("beat * 60 / bpm", [-0.5, -0.375, -0.25, -0.125, 0, 0.125, 0.25, 0.375, 0.5]),
    ],
)
def test_a_value_at_each_frame(text: str, expected: list[float]) -> None:
    assert values(text)[:9] == pytest.approx(expected, abs=1e-6)


def test_a_period_starts_at_its_frame() -> None:
    tenths = Clock(Fraction(10), 100)
    assert set(values("square(0.1)", tenths)) == {1}
    assert set(values("saw(0.3)", tenths)[::3]) == {0}


def test_noise_is_smooth_seeded_and_the_same_at_any_rate() -> None:
    fine, coarse = (Clock(Fraction(fps), 100 * fps) for fps in (60, 24))
    noise = values("noise(0.5, 3)", fine)
    assert np.array_equal(noise[:: 60 // 12], values("noise(0.5, 3)", coarse)[:: 24 // 12])
    assert (noise.min() < 0.1, noise.max() > 0.9, noise.min() >= 0, noise.max() <= 1) == (True,) * 4
    assert np.abs(np.diff(noise)).max() < 0.07
    assert abs(np.corrcoef(noise[::30], values("noise(0.5, 4)", fine)[::30])[0, 1]) < 0.2
    assert not np.array_equal(noise, values("noise(0.5)", fine))


def test_random_numbers_are_uniform_and_independent() -> None:
    index = np.arange(-50_000.0, 50_000.0)
    numbers = uniform(index, np.asarray(7.0))
    assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx(10_000, abs=500)
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers, uniform(index, np.asarray(8.0)))[0, 1]) < 0.02


@pytest.mark.parametrize("text", ["noise(0.5, 3)", "noise(1b)", "noise(3, 2)"])
def test_noise_of_a_loop_repeats(text: str) -> None:
    looped = Clock(Fraction(8), 80, beats=BEATS, loops=True)
    track = parse_track(text, ValueRange())
    assert track.curve(looped)(np.array([80.0, 84.0])) == pytest.approx(track.curve(looped)(np.array([0.0, 4.0])))
    assert track.curve(CLOCK)(np.array([80.0])) != pytest.approx(track.curve(CLOCK)(np.array([0.0])))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("sine(1 + 1b)", "1b)"),
        ("2 * saw(4b - 2s)", "2 )"),
        ("pulse(2 * (1b + t), 0.5)", "t)"),
        ("noise(4b if t < 8b else 2)", "2)"),
        ("sine(max(1b, 0.5))", "0.5)"),
    ],
)
def test_a_period_in_seconds_and_in_beats_is_an_error_at_the_other_one(text: str, at: str) -> None:
    with pytest.raises(FieldError, match="either in seconds or in beats") as caught:
        values(text)
    assert text.replace("s)", " )")[caught.value.offset :].startswith(at)


@pytest.mark.parametrize("text", ["sine(0)", "noise(0)", "saw(t - t)", "triangle(0b)"])
def test_a_period_of_zero_is_an_error_that_names_the_frame(text: str) -> None:
    with pytest.raises(FieldError, match=r"nan at frame 0 \(0.00 s\) is not a finite number"):
        values(text)


def test_an_oscillator_per_second_is_integrated() -> None:
    zoom = parse_track("1 + square(2) /s", ValueRange(low=0.01, motion=True)).values(CLOCK)
    assert zoom[1:9].sum() == pytest.approx(2)
    assert zoom[9:17].sum() == pytest.approx(1)
