"""Beats and bars as times: of a constant tempo, of one that changes, as durations, and without a tempo."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.scene.beats import Beats
from render.scene.clock import Clock, parse_time
from tests.scene.test_document import load, problems, under_caret

STEADY = Beats.steady(Fraction(120), offset=Fraction(1, 8))
SLOWER = Beats((Fraction(1), Fraction(2), Fraction(4)), per_bar=3, zero=1)
OBJECTIVES = "objectives: [{layer: blocks.4}]"


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("0b", 0.125), ("4b", 2.125), ("2.5 b", 1.375), ("bar 0", 0.125), ("bar 3", 6.125), ("bar1.5", 3.125)],
)
def test_a_beat_and_a_bar_are_exact_times(time: str, seconds: float) -> None:
    assert parse_time(time).frames(Clock(Fraction(24), 1000, beats=STEADY)) == Fraction(seconds) * 24


def test_beats_of_a_changing_tempo_are_interpolated_and_go_on_at_both_ends() -> None:
    beats = (-2, -1, Fraction(-1, 2), 0, Fraction(1, 2), 1, 2)
    times = [SLOWER.time(Fraction(beat)) for beat in beats]
    assert times == [0, 1, Fraction(3, 2), 2, 3, 4, 6]
    assert SLOWER.beat(np.array(times, np.float64)).tolist() == [float(beat) for beat in beats]
    assert SLOWER.bpm(np.array([0.0, 1.5, 2.5, 9.0])).tolist() == [60, 60, 30, 30]
    assert parse_time("bar 1").frames(Clock(Fraction(10), 99, beats=SLOWER)) == 80


def test_beats_are_fitted_to_a_time() -> None:
    third, beats = Fraction(1, 3), Beats((Fraction(1), Fraction(2), Fraction(4)), zero=1)
    fitted = beats.fitted(Fraction(3), Fraction(5))
    start, end = fitted.beat(np.array([0.0, 5.0]))
    assert (start, end) == (-2, 1)
    assert fitted.time(Fraction(0)) == 2 * Fraction(5, 4)
    assert Beats.steady(Fraction(60)).fitted(third, Fraction(1, 2)).time(third) == Fraction(1, 2)


def test_a_beat_is_whole_at_its_time() -> None:
    for bpm in (Fraction(61), Fraction(130), Fraction("128.7")):
        times = np.array([float(number * 60 / bpm) for number in range(400)])
        assert (Beats.steady(bpm).beat(times) == np.arange(400)).all()


def test_a_duration_in_beats_starts_at_beat_0(tmp_path: Path) -> None:
    spec = load(tmp_path, f"fps: 30\nbpm: {{value: 90, offset: 0.12s}}\nduration: 64b\n{OBJECTIVES}\n")
    assert spec.length == 1280
    assert spec.clock.beats == Beats.steady(Fraction(90), offset=Fraction(3, 25))


def test_keyframes_and_cuts_of_names_are_at_beats(tmp_path: Path) -> None:
    spec = load(tmp_path, f"fps: 24\nbpm: 120\nduration: 8b\ncamera: {{rotate: {{0b: 0, bar 1: 4}}}}\n{OBJECTIVES}\n")
    assert spec.timeline["camera", "rotate"][[0, 12, 24, 48, 95]].tolist() == [0, 1, 2, 4, 4]


def test_a_tour_in_beats_changes_on_the_beats(tmp_path: Path) -> None:
    tour = "{tour: classes, classes: [zebra, lion], hold: 3b, fade: 1b}"
    spec = load(tmp_path, f"bpm: {{value: 120, offset: 0.25s}}\nduration: 20b\nobjectives: [{tour}]\n")
    turns = [[float(time / spec.fps) for time in turn.times] for turn in spec.tours[0]]
    assert turns[:3] == [[0, 0, 1.75, 2.25], [1.75, 2.25, 3.75, 4.25], [3.75, 4.25, 5.75, 6.25]]
    assert all(sum(spec.params(frame).weights[0]) == pytest.approx(1) for frame in range(spec.length))


def test_a_tour_that_is_held_in_beats_and_faded_in_seconds_has_both(tmp_path: Path) -> None:
    tour = "{tour: classes, classes: [zebra, lion], hold: 2b, fade: 0.5s}"
    spec = load(tmp_path, f"bpm: 60\nduration: 10s\nobjectives: [{tour}]\n")
    assert [float(turn.times[1] / spec.fps) for turn in spec.tours[0]] == [0, 2.5, 5, 7.5, 10]


@pytest.mark.parametrize(
    ("line", "caret"),
    [
        ("duration: 64b", "64b"),
        ("camera: {rotate: {0s: 0, 4b: 1}}", "4b: 1"),
        ("camera: {rotate: 2 * sine(4b)}", "4b)"),
        ("camera: {rotate: 1 if t < 16b else 0}", "16b"),
        ("camera: {rotate: 0.1 * beat}", "beat"),
        ("camera: {look_at: {point: [0, 0], by: bar 2}}", "bar 2"),
        ("signals: {a: {noise: 2b}}", "2b"),
    ],
)
def test_a_beat_without_a_tempo_is_an_error_at_the_beat(line: str, caret: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"{line}\n{OBJECTIVES}\n")
    assert {problem.message.partition(" needs ")[2] for problem in found} == {
        "a tempo; add bpm: 120, or bpm: auto to find it in the sound"
    }
    assert under_caret(found[-1]).startswith(caret)
    assert "loop" not in found[0].message


def test_a_clip_cannot_start_at_a_beat_that_is_found_later(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"bpm: auto\nsource: {{video: a.mp4, start: 2b}}\n{OBJECTIVES}\n")
    assert problem.message == "beats are found from the film's start on; start: 2s, or bpm: 120"
    assert under_caret(problem).startswith("2b")


@pytest.mark.parametrize(
    ("bpm", "says"),
    [
        ("10", "10 beats per minute; a tempo is from 20 to 400"),
        ("quick", "a tempo is needed: 128, in beats per minute, or auto, not 'quick'"),
        ("{value: 120, audio: a.wav}", "a tempo that is set is not found in a sound; value: auto"),
        ("{value: auto, offset: 1b}", "beat 0 is at a time in seconds or a frame: 0.12s"),
        ("{offset: 1s}", "the key 'value' is missing in 'bpm'"),
    ],
)
def test_a_wrong_tempo_is_an_error(bpm: str, says: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"duration: 4b\nbpm: {bpm}\nexposure: sine(1b)\n{OBJECTIVES}\n")
    assert problem.message == says
