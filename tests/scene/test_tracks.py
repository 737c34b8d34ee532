"""Tracks: what a constant, keyframes and an expression are worth at each frame, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from render.scene.easings import EASINGS
from render.scene.faults import Fault, Faults
from render.scene.tracks import Clock, Rule, parse_time, parse_track

PLAIN = Rule()
SHARE = Rule(low=0, high=1)
TURN = Rule(motion=True)
ZOOM = Rule(low=0.01, motion=True, geometric=True)


def values(raw: Any, rule: Rule = PLAIN, fps: int | str = 24, length: int = 97) -> NDArray[np.float64]:
    """The track's value at each frame; by default of four seconds and a frame, so that the last one is at 4 s."""
    made: NDArray[np.float64] = parse_track(raw, rule).values(Clock(Fraction(fps), length))
    return made


def travelled(raw: Any, rule: Rule, fps: int) -> NDArray[np.float64]:
    """Where the camera stands at each second: frame 0 is as the source is, every later one adds its own motion."""
    motion = values(raw, rule, fps, 4 * fps + 1)[1:]
    way = np.multiply if rule.geometric else np.add
    return np.asarray(way.accumulate(motion)[fps - 1 :: fps])


def test_a_constant_is_itself_at_every_frame() -> None:
    assert values(0.4).tolist() == [0.4] * 97
    assert values("2 * 0.2").tolist() == [0.4] * 97


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("48", 2.0), ("2s", 2.0), ("2 s", 2.0), ("0.5s", 0.5), ("50%", 2.0), ("end", 4.0), ("1e2", 25 / 6)],
)  # fmt: skip
def test_a_time_is_a_frame_a_second_a_share_or_the_end(time: str, seconds: float) -> None:
    assert parse_time(time).seconds(Clock(Fraction(24), 97)) == pytest.approx(seconds, rel=1e-15)


def test_between_keys_a_track_is_linear_and_outside_it_keeps_the_nearest_value() -> None:
    track = values({"1s": 2, "72": 6})
    assert track[[0, 12, 24, 36, 48, 60, 72, 84, 96]].tolist() == [2, 2, 2, 3, 4, 5, 6, 6, 6]


def test_keys_may_stand_in_any_order_and_unit() -> None:
    assert (
        values({"end": 4, "50%": 1, "0s": 0, "24": 3}).tolist() == values({"0": 0, "1s": 3, "48": 1, "4s": 4}).tolist()
    )


def test_one_key_is_a_constant() -> None:
    assert values({"2s": 5}).tolist() == [5.0] * 97


@pytest.mark.parametrize("ease", EASINGS)
def test_an_ease_shapes_the_way_to_its_key(ease: str) -> None:
    track = values({"0s": 10, "2s": {"value": 20, "ease": ease}, "4s": 0})
    assert track[:48] == pytest.approx(10 + 10 * EASINGS[ease](np.arange(48) / 48), abs=1e-12)
    assert track[48:] == pytest.approx(np.linspace(20, 0, 49))


@pytest.mark.parametrize("ease", EASINGS)
def test_a_weight_faded_out_is_exactly_zero_so_that_its_layer_costs_nothing(ease: str) -> None:
    assert set(values({"0s": 1, "2s": {"value": 0, "ease": ease}})[48:]) == {0.0}


def test_hold_jumps_at_its_key() -> None:
    assert values({"0s": 1, "2s": {"value": 5, "ease": "hold"}})[[0, 47, 48]].tolist() == [1, 1, 5]


def test_zoom_interpolates_by_ratio() -> None:
    assert values({"0s": 1, "4s": 4}, ZOOM)[[0, 48, 96]] == pytest.approx([1, 2, 4], rel=1e-14)


def test_per_second_is_a_share_of_it_at_every_frame() -> None:
    assert values("12/s", TURN) == pytest.approx(np.full(97, 0.5))
    assert values("1.8 / s ", ZOOM) == pytest.approx(np.full(97, 1.8 ** (1 / 24)))
    assert values({"0s": "12/s"}, TURN, "30000/1001") == pytest.approx(np.full(97, 12 * 1001 / 30000))


@pytest.mark.parametrize(
    ("raw", "rule", "tolerance"),
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
def test_the_same_film_at_24_and_60_fps(raw: Any, rule: Rule, tolerance: float) -> None:
    assert travelled(raw, rule, 24) == pytest.approx(travelled(raw, rule, 60), rel=tolerance, abs=tolerance)


def test_what_is_travelled_is_the_integral() -> None:
    assert travelled("1.8/s", ZOOM, 24) == pytest.approx([1.8, 1.8**2, 1.8**3, 1.8**4], rel=1e-12)
    assert travelled("12*sin(t)/s", TURN, 24) == pytest.approx(12 * (1 - np.cos([1, 2, 3, 4])), rel=1e-7)
    assert travelled({"0s": "0/s", "4s": "8/s"}, TURN, 24) == pytest.approx([1, 4, 9, 16], rel=1e-12)


@pytest.mark.parametrize(
    "raw",
    [32, 0.5, "8 + t", {"0s": 4, "2s": {"value": 8, "ease": "smooth"}}, "t" + "+1" * 30,
     "-" * 64 + "t", "1" * 300],
)  # fmt: skip
def test_scaled_multiplies_every_value(raw: Any) -> None:
    assert parse_track(raw, PLAIN).scaled(0.5).values(Clock(Fraction(24), 97)) == pytest.approx(values(raw) / 2)


def test_two_keys_at_one_time_make_a_jump() -> None:
    jump = values({"0s": 0, "24": 1, "1s": 5, "2s": 6}, PLAIN)
    assert jump[[0, 12, 23, 24, 36, 48]] == pytest.approx([0, 0.5, 23 / 24, 5, 5.5, 6])


@pytest.mark.parametrize("raw", ["12*t/s", {"0s": "3/s", "2s": {"value": "-4/s", "ease": "in_sine"}}])
def test_scaled_keeps_the_unit(raw: Any) -> None:
    assert parse_track(raw, TURN).scaled(3).values(Clock(Fraction(24), 97)) == pytest.approx(3 * values(raw, TURN))


@pytest.mark.parametrize(
    ("raw", "rule", "says"),
    [
        ("1 / (t - 1)", PLAIN, r"inf at frame 24 \(1\.00 s\) is not a finite number"),
        ("log(2 - t)", PLAIN, r"-inf at frame 48 \(2\.00 s\)"),
        ("2 - t", ZOOM, r"0 at frame 48 \(2\.00 s\) must be at least 0.01"),
        ("2.01 - t /s", ZOOM, r"at frame 48 \(2\.00 s\) must be at least 0.01"),
        ("t", SHARE, r"at frame 25 \(1\.04 s\) must be from 0 to 1"),
        ({"0s": 0, "1s": {"value": 1, "ease": "out_back"}}, SHARE, "must be from 0 to 1"),
        ("-t", Rule(low=0), r"at frame 1 .* must be at least 0"),
        ({"0s": 1e308, "2s": -1e308}, PLAIN, "is not a finite number"),
        ({"0s": "1e308/s", "2s": "-1e308/s"}, TURN, "is not a finite number"),
    ],
)
def test_a_value_out_of_bounds_is_refused_and_its_frame_named(raw: Any, rule: Rule, says: str) -> None:
    with pytest.raises(Fault, match=says):
        values(raw, rule)


@pytest.mark.parametrize(
    ("raw", "rule", "says"),
    [
        (0, ZOOM, "0 must be at least 0.01"),
        ({"0s": 1, "1s": -2}, ZOOM, "-2 must be at least 0.01"),
        (1.5, SHARE, "1.5 must be from 0 to 1"),
        (float("inf"), PLAIN, "'inf' is not a finite number"),
        (10**400, PLAIN, "not a finite number"),
        (True, PLAIN, "not true or false"),
        (None, PLAIN, "a number, keyframes or an expression is needed"),
        ([1, 2], PLAIN, "a number, keyframes or an expression is needed"),
        ({}, PLAIN, "keyframes without a key"),
        ("2/s", PLAIN, "cannot be per second"),
        ({"0s": "2/s"}, PLAIN, "cannot be per second"),
        ({"0s": "2/s", "2s": 3}, TURN, "either all keys of a track are per second or none"),
        ({"0s": "fast"}, TURN, "'fast' is not a number or a number per second"),
        ({"0s": True}, PLAIN, "a number is needed"),
        ({"2x": 1}, PLAIN, "'2x' is not a time: a frame number, 2s, 50% or end"),
        ({"-1s": 1}, PLAIN, "'-1s' is not within the film"),
        ({"0s": {"value": 1, "ease": "in_out_sin"}}, PLAIN, "unknown easing 'in_out_sin'; did you mean 'in_out_sine'?"),
        ({"0s": {"value": 1, "eas": "hold"}}, PLAIN, "unknown key 'eas'; did you mean 'ease'?"),
        ({"0s": {"ease": "hold"}}, PLAIN, "a key needs a value"),
    ],
)
def test_what_is_no_track_is_refused(raw: Any, rule: Rule, says: str) -> None:
    with pytest.raises((Fault, Faults)) as caught:
        parse_track(raw, rule)
    assert says in str(caught.value)


def test_all_wrong_keys_are_told_at_once_with_the_way_to_each() -> None:
    with pytest.raises(Faults) as caught:
        parse_track({"x": 1, "1s": {"value": "a"}, "2s": {"value": 1, "ease": "fast"}, "3s": 1}, PLAIN)
    assert [fault.path for fault in caught.value.faults] == [("x",), ("1s", "value"), ("2s", "ease")]
    assert [fault.at_key for fault in caught.value.faults] == [True, False, False]


def test_keys_at_the_start_and_the_end_suit_a_film_of_one_frame() -> None:
    assert values({"0s": 1, "50%": 2, "end": 3}, length=1)[0] in (1.0, 3.0)
