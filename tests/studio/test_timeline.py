"""`timeline`: the tracks of a scene as JSON, in the unit of the text, with few points for films of any length."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from render.pipeline.load import load_text
from render.pipeline.scene import Scene
from render.studio.timeline import MAX_POINTS, cuts_of, easings, sound_of, timeline, values_of
from tests.sound.music import RATE, write_wav

CONFIGS = Path(__file__).parents[2] / "configs"
LONG = """\
duration: 100000
bpm: 120
camera: {zoom: "1.01 + 0.01 * sin(40 * t)", rotate: {0: "0/s", 50000: "1/s"}}
objectives: [{layer: blocks.4, channels: [3]}, {class: [tiger, castle], weight: [1, 2]}]
signals: {slow: {noise: 2s}}
"""


def scene_of(text: str) -> Scene:
    return load_text(text, CONFIGS / "scene.yaml")


def test_all_tracks_are_listed_with_names_and_ranges() -> None:
    scene = scene_of(LONG)
    tracks = {track["name"]: track for track in timeline(scene)["tracks"]}
    assert {".".join(map(str, path)) for path, _ in scene.spec.tracks()} < tracks.keys()
    titles = {name: (track["group"], track["label"]) for name, track in tracks.items()}
    assert titles["camera.pan.1"] == ("camera", "pan y")
    assert titles["objectives.0.weight"] == ("objectives", "blocks.4 · 3")
    assert titles["objectives.1.weight.1"] == ("objectives", "castle")
    assert titles["signals.slow"] == ("signals", "slow")
    for track in tracks.values():
        assert track["minimum"] <= track["low"] < track["high"] <= track["maximum"], track["name"]
        assert 200 <= (track["high"] - track["low"]) / track["step"] <= 2000.001
        assert 1 <= len(track["values"]) <= MAX_POINTS
    assert (tracks["camera.zoom"]["is_editable"], tracks["camera.zoom"]["note"]) == (
        False,
        "is an expression; change it in the text",
    )
    assert tracks["camera.rotate"]["unit"] == "/s"
    assert tracks["camera.rotate"]["keys"] == [
        {"frame": 0, "value": 0, "easing": "linear", "time": "0"},
        {"frame": 50000, "value": 1, "easing": "linear", "time": "50000"},
    ]


def test_a_long_film_has_the_extremes_of_a_fast_curve_and_its_parts_have_all_of_it() -> None:
    scene = scene_of(LONG)
    data = timeline(scene)
    zoom = next(track for track in data["tracks"] if track["name"] == "camera.zoom")
    assert (min(zoom["values"]), max(zoom["values"])) == (1.0, 1.02)
    frames = np.linspace(100, 110, 40)
    expected = 1.01 + 0.01 * np.sin(40 * frames / 24)
    assert values_of(scene, "camera.zoom", first=100, last=110) == pytest.approx(expected, abs=1e-5)
    assert len(json.dumps(data)) < 150_000
    assert data["beats"][:3] == [0, 0.5, 1]
    assert data["bars"][:3] == [0, 2, 4]


def test_the_curve_of_look_at_is_visible_and_not_editable() -> None:
    scene = scene_of("duration: 48\ncamera: {look_at: {point: [0.2, 0.5], by: end}}\nobjectives: [{layer: blocks.4}]\n")
    pivot = next(track for track in timeline(scene)["tracks"] if track["name"] == "camera.pivot.0")
    assert pivot["values"][1] == pytest.approx(0.2)
    assert pivot["values"][-1] == pytest.approx(0.5, abs=0.01)
    assert pivot["note"] == "follows from camera.look_at"
    assert timeline(scene)["cuts"] == []


def test_an_easing_is_listed_with_its_values_before_its_end() -> None:
    curves = easings()
    assert curves["hold"] == [0] * len(curves["hold"])
    assert curves["linear"][32] == 0.5
    assert max(curves["out_back"]) > 1


def test_a_film_without_sound_and_clip_has_neither_waveform_nor_cuts() -> None:
    scene = scene_of(LONG)
    assert sound_of(scene) == {"waveform": [], "problem": None}
    assert cuts_of(scene) == {"cuts": [], "problem": None}


def test_the_waveform_is_in_equal_parts_of_the_film(tmp_path: Path) -> None:
    sound = np.zeros(2 * RATE)
    sound[RATE // 2 : RATE] = np.sin(np.arange(RATE // 2) / 5)
    write_wav(tmp_path / "song.wav", sound)
    scene = scene_of(f"duration: 4s\nobjectives: [{{layer: blocks.4}}]\noutput: {{audio: {tmp_path}/song.wav}}\n")
    peaks = np.array(sound_of(scene)["waveform"])
    seconds = np.arange(len(peaks)) * 4 / len(peaks)
    loud = (seconds > 0.51) & (seconds < 0.99)
    assert peaks[loud, 1].max() == pytest.approx(1, abs=0.05)
    assert np.abs(peaks[(seconds < 0.49) | (seconds > 1.02)]).max() < 0.01
