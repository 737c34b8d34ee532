"""Signals in a scene file: what is wrong with them is reported where it is, with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.scene.clock import Clock
from render.scene.names import in_order
from tests.scene.test_document import load, problems, under_caret

OBJECTIVES = "objectives: [{layer: blocks.4}]"


@pytest.mark.parametrize(
    ("line", "says", "caret"),
    [
        ("signals: {hit: 1}\ncamera: {zoom: 1 + hitt}", "unknown name 'hitt'; did you mean 'hit'?", "hitt}"),
        ("camera: {zoom: 1 + prev}", "'prev' does not exist: a frame never depends on how the run got to it", "prev"),
        ("signals: {sin: 1}", "'sin' already means something in expressions; a signal needs another name", "sin"),
        ("signals: {beat: 1}", "'beat' already means something in expressions; a signal needs another name", "beat"),
        ("signals: {my-hit: 1}", "'my-hit' is not a name: letters, digits and _, not beginning with a digit", "my-hit"),
        ("signals: {a: 0.5 * b, b: c + 0.1, c: 1 - a}", "'a' depends on itself: a -> b -> c -> a", "a}"),
        ("signals: {a: a / 2}", "'a' depends on itself: a -> a", "a / 2"),
        ("signals: {a: 1.5}", "1.5 must be from 0 to 1", "1.5"),
        ("signals: {a: {noise: 3}}", "'3' has no unit: 0.1s, or beats, 1b", "3}"),
        ("signals: {a: {noise: 2s, csv: t.csv}}", "one of audio, csv, noise, value belongs in a signal, not 2", "{"),
        ("signals: {a: {smooth: 2s}}", "exactly one of audio, csv, noise, value belongs in a signal, not 0", "{"),
        ("signals: {a: {noise: 2s, band: [1, 2]}}", "'band' belongs to 'audio'", "band"),
        ("signals: {a: {audio: source, onsets: true, beats: true}}", "a signal is one of onsets, beats", "beats"),
        ("signals: {a: {audio: source, band: [1, 2], beats: true}}", "'band' cannot be combined with 'beats'", "band"),
        ("signals: {a: {audio: source, band: [200, 100]}}", "the lower frequency comes first", "[200"),
        ("signals: {a: {audio: source, chroma: H}}", "unknown pitch 'H'", "H}"),
        ("signals: {a: {audio: source, smoth: 1s}}", "unknown key 'smoth'; did you mean 'smooth'?", "smoth"),
        ("signals: {a: {value: 1, normalize: 90}}", "only loudness and tables are normalized", "normalize"),
        ("signals: {a: {noise: 1s, normalize: 90}}", "only loudness and tables are normalized", "normalize"),
        ("signals: {a: {audio: source, chroma: C, normalize: 90}}", "only loudness and tables are", "normalize"),
        ("signals: {a: {audio: source, band: [16000, 20000]}}", "the lower frequency is below 15000", "16000"),
        ("signals: {a: {audio: output, audio_track: 1}}", "output.audio_track chooses the track", "audio_track"),
        ("signals: {a: {noise: 0s}}", "'0s' is no time in which anything changes", "0s"),
        ("signals: {lambda: 1}", "'lambda' is a word of Python", "lambda"),
        ("signals: {a: 1.5}\nexposure: a", "1.5 must be from 0 to 1", "1.5"),
        ("mix: {mode: multiply}", "unknown value 'multiply'; expected one of lighten, normal", "multiply"),
        ("mix: {amout: 0.5}", "unknown key 'amout'; did you mean 'amount'?", "amout"),
        ("signals: {a: {0s: 0, 1s: 0.5, decay: 1s}}", "'decay' is not a time", "decay"),
        ("mix: 0.5\nexposure: mix", "unknown name 'mix'; did you mean 'min'?", "mix"),
    ],
)  # fmt: skip
def test_a_wrong_signal_is_an_error_where_it_is_wrong(line: str, says: str, caret: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{line}\n{OBJECTIVES}\n")
    assert says in problem.message
    assert under_caret(problem).startswith(caret)


def test_a_signal_with_an_error_is_known_to_others(tmp_path: Path) -> None:
    text = "signals: {bass: {audio: a.wav, bnd: [1, 2]}}\ncamera: {zoom: 1 + bass, rotate: bas}"
    assert [problem.message for problem in problems(tmp_path, f"{text}\n{OBJECTIVES}\n")] == [
        "unknown key 'bnd'; did you mean 'band'?",
        "unknown name 'bas'; did you mean 'bass'?",
    ]


def test_signals_come_after_those_that_they_refer_to(tmp_path: Path) -> None:
    spec = load(tmp_path, f"signals: {{a: b * c, b: 0.5, c: b - d, d: {{noise: 1s}}}}\n{OBJECTIVES}\n")
    assert in_order(spec.signals) == ("b", "d", "c", "a")
    assert spec.signals["b"].value is not None


def test_pitches_have_sharps_and_flats(tmp_path: Path) -> None:
    names = {"c": "C", "Bb": "A#", "eb": "D#", "F#": "F#"}
    for written, pitch in names.items():
        spec = load(tmp_path, f"signals: {{a: {{audio: output, chroma: '{written}'}}}}\n{OBJECTIVES}\n")
        assert spec.signals["a"].chroma == pitch


def test_an_override_adds_to_what_is_written_alone(tmp_path: Path) -> None:
    text = f"bpm: 120\nmix: 0.5\nsignals: {{a: 0.25}}\n{OBJECTIVES}\n"
    spec = load(tmp_path, text, ["bpm.offset=0.5s", "mix.mode=screen", "signals.a.power=2"])
    assert spec.bpm is not None
    assert (float(spec.bpm.value), str(spec.bpm.offset)) == (120.0, "0.5s")
    assert (spec.mix.amount.raw, spec.mix.mode) == (0.5, "screen")
    assert spec.signals["a"].power == 2


def test_an_override_adds_to_keyframes_that_are_written_alone(tmp_path: Path) -> None:
    text = f"mix: {{0s: 0, end: 1}}\n{OBJECTIVES}\n"
    mix = load(tmp_path, text, ["mix.mode=screen", "mix.amount.0s=0.5"]).mix
    assert (mix.amount.raw, mix.mode) == ({"0s": 0.5, "end": 1}, "screen")
    assert load(tmp_path, text, ["mix.amount=0.5"]).mix.amount.raw == 0.5
    assert load(tmp_path, text, ["mix.0s=0.5"]).mix.amount.raw == {"0s": 0.5, "end": 1}


def test_keyframes_may_be_written_alone(tmp_path: Path) -> None:
    spec = load(tmp_path, f"fps: 2\nmix: {{0: 0, end: 1}}\nsignals: {{a: {{0s: 0, 2s: 1}}}}\n{OBJECTIVES}\n")
    assert spec.mix.amount.raw == {"0": 0, "end": 1}
    assert spec.signals["a"].value is not None
    assert spec.signals["a"].value.values(Clock(spec.fps, 5)).tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("key", ["zoom: 1.1/s", "rotate: 3/s", "pan: [0.1/s, 0]", "shear: [0, 0.1/s]"])
def test_a_view_is_not_per_second(key: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"view: {{{key}}}\n{OBJECTIVES}\n")
    assert problem.message == "only camera motion can be per second; write the number without /s"
