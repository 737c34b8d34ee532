"""Tracks: the values of constants, keyframes and expressions at each frame, and their errors."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from render.scene.clock import Clock, parse_time
from render.scene.easings import EASINGS
from render.scene.field_errors import FieldError, FieldErrors
from render.scene.tracks import ValueRange, parse_track

PLAIN = ValueRange()
UNIT = ValueRange(low=0, high=1)
TURN = ValueRange(motion=True)
ZOOM = ValueRange(low=0.01, motion=True, geometric=True)


def values(raw: Any, bounds: ValueRange = PLAIN, *, fps: int | str = 24, length: int = 97) -> NDArray[np.float64]:
    """Returns the track's value at each frame, by default of 97 frames, so that the last is at 4 s."""
    result: NDArray[np.float64] = parse_track(raw, bounds).values(Clock(Fraction(fps), length))
    return result


def accumulated(raw: Any, bounds: ValueRange, fps: int) -> NDArray[np.float64]:
    """Returns the camera's total motion after each second; frame 0 has none, every later frame adds its own."""
    motion = values(raw, bounds, fps=fps, length=4 * fps + 1)[1:]
    combine = np.multiply if bounds.geometric else np.add
    return np.asarray(combine.accumulate(motion)[fps - 1 :: fps])


def test_a_constant_has_its_value_at_every_frame() -> None:
    assert values(0.4).tolist() == [0.4] * 97
    assert values("2 * 0.2").tolist() == [0.4] * 97


@pytest.mark.parametrize(
    ("time", "frame"), [("48", 48), ("2s", 48), ("2 s", 48), ("0.5s", 12), ("50%", 48), ("end", 96), ("1e2", 100)]
)
def test_a_time_is_a_frame_seconds_a_percentage_or_the_end(time: str, frame: int) -> None:
    assert parse_time(time).frames(Clock(Fraction(24), 97)) == frame


RATES = [
    Fraction(text) for text in ("12", "23.976", "24", "24000/1001", "25", "30", "30000/1001", "48", "50", "60", "90")
]


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_the_frame_number_is_whole_at_every_frame(fps: Fraction) -> None:
    numbers = parse_track("floor(frame)", PLAIN).values(Clock(fps, 5000))
    assert numbers.tolist() == list(range(5000))


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_key_acts_on_its_own_frame(fps: Fraction) -> None:
    """Also where its time in seconds is not a float."""
    clock = Clock(fps, 400)
    for frame in range(1, 400):
        seconds = frame / fps
        times = [str(frame)]
        if (10**9 * seconds).denominator == 1:
            times.append(f"{seconds.numerator * 10**9 // seconds.denominator}e-9s")
        for time in times:
            values = parse_track({"0s": 0, time: {"value": 1, "ease": "hold"}}, PLAIN).values(clock)
            assert values[frame - 1 : frame + 1].tolist() == [0, 1]


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_time_that_an_expression_compares_is_that_of_its_frame(fps: Fraction) -> None:
    for frame in (7, 58, 101, 290):
        seconds = float(frame / fps)
        steps = parse_track(f"min(1, max(0, floor(t / {seconds!r})))", PLAIN).values(Clock(fps, 300))
        assert steps[frame - 1 : frame + 1].tolist() == [0, 1]


def test_a_track_is_linear_between_keys_and_constant_outside_them() -> None:
    track = values({"1s": 2, "72": 6})
    assert track[[0, 12, 24, 36, 48, 60, 72, 84, 96]].tolist() == [2, 2, 2, 3, 4, 5, 6, 6, 6]


def test_keys_may_have_any_order_and_unit() -> None:
    assert (
        values({"end": 4, "50%": 1, "0s": 0, "24": 3}).tolist() == values({"0": 0, "1s": 3, "48": 1, "4s": 4}).tolist()
    )


def test_one_key_is_a_constant() -> None:
    assert values({"2s": 5}).tolist() == [5.0] * 97


@pytest.mark.parametrize("ease", EASINGS)
def test_an_ease_shapes_the_interpolation_to_its_key(ease: str) -> None:
    track = values({"0s": 10, "2s": {"value": 20, "ease": ease}, "4s": 0})
    assert track[:48] == pytest.approx(10 + 10 * EASINGS[ease](np.arange(48) / 48), abs=1e-12)
    assert track[48:] == pytest.approx(np.linspace(20, 0, 49))


@pytest.mark.parametrize("ease", EASINGS)
def test_a_weight_is_exactly_zero_after_fading_out(ease: str) -> None:
    assert set(values({"0s": 1, "2s": {"value": 0, "ease": ease}})[48:]) == {0.0}


def test_hold_jumps_at_its_key() -> None:
    assert values({"0s": 1, "2s": {"value": 5, "ease": "hold"}})[[0, 47, 48]].tolist() == [1, 1, 5]


def test_zoom_interpolates_by_ratio() -> None:
    assert values({"0s": 1, "4s": 4}, ZOOM)[[0, 48, 96]] == pytest.approx([1, 2, 4], rel=1e-14)


def test_a_value_per_second_is_divided_among_the_frames() -> None:
    assert values("12/s", TURN) == pytest.approx(np.full(97, 0.5))
    assert values("1.8 / s ", ZOOM) == pytest.approx(np.full(97, 1.8 ** (1 / 24)))
    assert values({"0s": "12/s"}, TURN, fps="30000/1001") == pytest.approx(np.full(97, 12 * 1001 / 30000))


@pytest.mark.parametrize(
    ("raw", "bounds", "tolerance"),
    [
        ("1.8/s", ZOOM, 1e-12),
        ({"0s": "1.2/s", "2s": {"value": "2.5/s", "ease": "in_out_sine"}, "4s": "0.9/s"}, ZOOM, 1e-8),
        ({"0s": "1.2/s", "1.33s": {"value": "2.5/s", "ease": "out_cubic"}}, ZOOM, 1e-9),
        ("1.5 + 0.3 * sin(3 * t) /s", ZOOM, 1e-7),
        ("12/s", TURN, 1e-12),
        ("12*sin(t)/s", TURN, 1e-7),
        ({"0s": "0/s", "50%": {"value": "30/s", "ease": "in_out_quint"}, "4s": "-5/s"}, TURN, 1e-5),
        ({"0s": "3/s", "2s": {"value": "30/s", "ease": "hold"}}, TURN, 1e-9),
        ({"0s": "1.2/s", "2s": {"value": "2/s", "ease": "hold"}}, ZOOM, 1e-9),
    ],
    ids=["zoom", "eased zoom", "zoom off the frames", "zoom expression",
         "turn", "turn expression", "eased turn", "held turn", "held zoom"],
)  # fmt: skip
def test_motion_per_second_is_the_same_at_24_and_60_fps(raw: Any, bounds: ValueRange, tolerance: float) -> None:
    assert accumulated(raw, bounds, 24) == pytest.approx(accumulated(raw, bounds, 60), rel=tolerance, abs=tolerance)


def test_the_motion_of_a_track_per_second_is_its_integral() -> None:
    assert accumulated("1.8/s", ZOOM, 24) == pytest.approx([1.8, 1.8**2, 1.8**3, 1.8**4], rel=1e-12)
    assert accumulated("12*sin(t)/s", TURN, 24) == pytest.approx(12 * (1 - np.cos([1, 2, 3, 4])), rel=1e-7)
    assert accumulated({"0s": "0/s", "4s": "8/s"}, TURN, 24) == pytest.approx([1, 4, 9, 16], rel=1e-12)


def test_two_keys_at_one_time_make_a_jump() -> None:
    jump = values({"0s": 0, "24": 1, "1s": 5, "2s": 6}, PLAIN)
    assert jump[[0, 12, 23, 24, 36, 48]] == pytest.approx([0, 0.5, 23 / 24, 5, 5.5, 6])


@pytest.mark.parametrize(
    ("raw", "bounds", "says"),
    [
        ("1 / (t - 1)", PLAIN, r"inf at frame 24 \(1\.00 s\) is not a finite number"),
        ("log(2 - t)", PLAIN, r"-inf at frame 48 \(2\.00 s\)"),
        ("2 - t", ZOOM, r"0 at frame 48 \(2\.00 s\) must be at least 0.01"),
        ("2.01 - t /s", ZOOM, r"at frame 48 \(2\.00 s\) must be at least 0.01"),
        ("t", UNIT, r"at frame 25 \(1\.04 s\) must be from 0 to 1"),
        ({"0s": 0, "1s": {"value": 1, "ease": "out_back"}}, UNIT, "must be from 0 to 1"),
        ("-t", ValueRange(low=0), r"at frame 1 .* must be at least 0"),
        ({"0s": 1e308, "2s": -1e308}, PLAIN, "is not a finite number"),
        ({"0s": "1e308/s", "2s": "-1e308/s"}, TURN, "is not a finite number"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_frame(raw: Any, bounds: ValueRange, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        values(raw, bounds)


@pytest.mark.parametrize(
    ("raw", "bounds", "says"),
    [
        (0, ZOOM, "0 must be at least 0.01"),
        ({"0s": 1, "1s": -2}, ZOOM, "-2 must be at least 0.01"),
        (1.5, UNIT, "1.5 must be from 0 to 1"),
        (float("inf"), PLAIN, "'inf' is not a finite number"),
        (10**400, PLAIN, "not a finite number"),
        (True, PLAIN, "not true or false"),
        (None, PLAIN, "a number, keyframes or an expression is needed"),
        ([1, 2], PLAIN, "a number, keyframes or an expression is needed"),
        ({}, PLAIN, "at least one keyframe is needed"),
        ("2/s", PLAIN, "only camera motion can be per second"),
        ({"0s": "2/s"}, PLAIN, "only camera motion can be per second"),
        ({"0s": "2/s", "2s": 3}, TURN, "the keyframes of a track are either all per second or none"),
        ({"0s": "fast"}, TURN, "'fast' is not a number or a number per second"),
        ({"0s": True}, PLAIN, "a number is needed"),
        ({"2x": 1}, PLAIN, "'2x' is not a time: a frame number, 2s, 50%, end, 4b or bar 3"),
        ({"-1s": 1}, PLAIN, "the time '-1s' must be from 0 to 10000000"),
        ({"0s": {"value": 1, "ease": "in_out_sin"}}, PLAIN, "unknown easing 'in_out_sin'; did you mean 'in_out_sine'?"),
        ({"0s": {"value": 1, "eas": "hold"}}, PLAIN, "unknown key 'eas'; did you mean 'ease'?"),
        ({"0s": {"ease": "hold"}}, PLAIN, "the key 'value' is missing in the keyframe"),
    ],
)
def test_an_invalid_track_is_an_error(raw: Any, bounds: ValueRange, says: str) -> None:
    with pytest.raises((FieldError, FieldErrors)) as caught:
        parse_track(raw, bounds)
    assert says in str(caught.value)


def test_all_wrong_keyframes_are_reported_at_once_with_their_paths() -> None:
    with pytest.raises(FieldErrors) as caught:
        parse_track({"x": 1, "1s": {"value": "a"}, "2s": {"value": 1, "ease": "fast"}, "3s": 1}, PLAIN)
    assert [error.path for error in caught.value.errors] == [("x",), ("1s", "value"), ("2s", "ease")]
    assert [error.at_key for error in caught.value.errors] == [True, False, False]


def test_in_a_film_of_one_frame_the_last_of_all_keys_at_time_0_counts() -> None:
    assert values({"0s": 1, "50%": 2, "end": 3}, length=1).tolist() == [3.0]
    assert values({"end": 3, "0s": 1}, length=1).tolist() == [1.0]
