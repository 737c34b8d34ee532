"""Signals and beats of whole scenes: measured in made sound, from tables, from each other; at any frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from render import Options, load
from render.errors import RenderError, SceneError, StorageError
from render.media import ffmpeg
from render.media.audio import AudioTrack
from render.media.pcm import read_mono
from render.pipeline.identity import without_sound
from render.pipeline.plan import plan
from render.sound import analysis
from tests.media.clips import LOSSLESS, levels, write_clip
from tests.sound.made import RATE, clicks, made_music, note, place, write_sound

TIMES = (0.51, 1.26, 2.11, 3.31)
"""Of the clicks, in seconds."""
BASE = {"size": [64, 64], "duration": "4s", "objectives": [{"layer": "blocks.4"}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a sound of clicks."""
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "clicks.wav", clicks(TIMES, 5))
    return tmp_path


def curve(signal: object, seconds: NDArray[np.float64], name: str = "a", **keys: object) -> NDArray[np.float64]:
    """Returns the values of one signal of a scene at some times."""
    spec = load({**BASE, "signals": {name: signal}, **keys}).spec
    return spec.clock.signals[name](seconds * float(spec.fps))


def test_a_signal_is_the_same_at_the_same_instant_of_every_rate() -> None:
    write_sound(Path("music.wav"), made_music(110, 5))
    seconds = np.arange(0, 4, 1 / 12)
    for signal in (
        {"audio": "music.wav", "band": [20, 150], "smooth": "0.05s"},
        {"audio": "music.wav"},
        {"audio": "music.wav", "chroma": "A"},
        {"noise": "0.7s"},
    ):
        values = [curve(signal, seconds, fps=fps) for fps in (24, "30000/1001", 60)]
        assert np.abs(values[1] - values[0]).max() < 1e-5
        assert np.abs(values[2] - values[0]).max() < 1e-5
    assert np.ptp(values[0]) > 0.5


@pytest.mark.parametrize("fps", [24, "30000/1001", 60])
def test_the_frame_that_displays_an_onset_has_its_whole_strength(fps: float | str) -> None:
    spec = load({**BASE, "fps": fps, "signals": {"hit": {"audio": "clicks.wav", "onsets": True}}}).spec
    values = spec.clock.signals["hit"](np.arange(float(spec.length)))
    frames = [int(time * spec.fps) for time in TIMES]
    assert values[frames] == pytest.approx(1, abs=0.15)
    assert max(values[frame - 1] for frame in frames) < 0.2
    later = np.array([frame + 3 for frame in frames])
    since = later / float(spec.fps) - np.array(TIMES)
    assert values[later] == pytest.approx(values[frames] * np.exp(-since / 0.3), abs=0.05)


def test_a_click_where_a_frame_begins_is_in_that_frame() -> None:
    times = np.array([12, 30, 51, 77]) / 24
    write_sound(Path("on.wav"), clicks(times, 5))
    spec = load({**BASE, "signals": {"hit": {"audio": "on.wav", "onsets": True, "decay": "0.01s"}}}).spec
    values = spec.clock.signals["hit"](np.arange(float(spec.length)))
    assert np.flatnonzero(values > 0.5).tolist() == [12, 30, 51, 77]


def test_a_film_that_starts_within_its_clip_hears_what_it_shows(folder: Path) -> None:
    silent = write_clip(folder / "silent.mkv", levels(40), *LOSSLESS, fps="10")
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(silent), "-i", "clicks.wav", "-c:v", "copy", "-c:a", "aac", "clip.mp4")
    spec = load(
        {
            "objectives": BASE["objectives"],
            "source": {"video": "clip.mp4", "start": "1s"},
            "signals": {"hit": {"audio": "source", "onsets": True}},
        }
    ).spec
    values = spec.clock.signals["hit"](np.arange(float(spec.length)))
    assert [int(frame) for frame in np.flatnonzero(np.diff(values) > 0.5) + 1] == [
        int((time - 1) * spec.fps) for time in TIMES[1:]
    ]


def test_beats_are_found_in_the_film_s_sound_and_are_times() -> None:
    write_sound(Path("music.wav"), made_music(100, 20, offset=0.3))
    spec = load({**BASE, "bpm": "auto", "duration": "16b", "output": {"audio": "music.wav"}}).spec
    assert spec.length == pytest.approx(16 * 0.6 * 24, abs=1)
    assert spec.clock.beats is not None
    assert spec.clock.beats.median_bpm == pytest.approx(100, rel=0.01)
    assert float(spec.clock.beats.times[spec.clock.beats.zero]) == pytest.approx(0.3, abs=0.03)
    later = load({**BASE, "bpm": {"value": "auto", "offset": "1s", "audio": "music.wav"}}).spec
    assert later.clock.beats is not None
    assert float(later.clock.beats.time(later.clock.beats.times[0] * 0)) == pytest.approx(1.5, abs=0.03)


@pytest.mark.parametrize(("seconds", "is_sure"), [(4.5, False), (9, True)])
def test_a_tempo_that_is_found_in_little_sound_is_a_warning(seconds: float, is_sure: bool) -> None:
    write_sound(Path("music.wav"), made_music(128, seconds, pattern="four"))
    scene = load({**BASE, "bpm": {"value": "auto", "audio": "music.wav"}})
    assert scene.spec.beats is not None
    assert scene.spec.beats.median_bpm == pytest.approx(128, rel=0.01)
    found = [str(problem) for problem in scene.warnings]
    expected = "128 beats per minute are found in 4.5 s of sound; in less than 8 s that may be twice or half of it"
    assert (found == []) if is_sure else (expected in found[0])


def test_tables_in_seconds_and_in_frames_are_exact_at_their_points(folder: Path) -> None:
    (folder / "t.csv").write_text("time,a,b\n0.5,0,10\n1,1,30\n2,0.5,20\n")
    (folder / "f.csv").write_text("frame,a\n12,0\n24,1\n48,0.5\n")
    seconds = np.array([0.0, 0.5, 0.75, 1, 1.5, 2, 3])
    expected = [0, 0, 0.5, 1, 0.75, 0.5, 0.5]
    assert curve({"csv": "t.csv"}, seconds) == pytest.approx(expected, abs=1e-9)
    assert curve({"csv": "f.csv"}, seconds) == pytest.approx(expected, abs=1e-9)
    assert curve({"csv": "t.csv", "delay": "-0.5s"}, seconds)[:2] == pytest.approx([0, 1])
    assert curve({"csv": "t.csv", "column": "b", "normalize": 100}, seconds)[3] == pytest.approx(1)
    assert curve({"csv": "t.csv", "power": 2, "gate": 0.6}, seconds) == pytest.approx([0, 0, 0, 1, 0.5625, 0, 0])


def test_a_signal_of_signals_is_evaluated_with_them(folder: Path) -> None:
    (folder / "t.csv").write_text("0,0\n4,1\n")
    signals = {"sum": "min(1, ramp + 0.5 * twice)", "twice": "ramp * ramp", "ramp": {"csv": "t.csv"}}
    spec = load({**BASE, "signals": signals, "camera": {"rotate": "10 * sum if twice > 0.25 else -1"}}).spec
    ramp = np.arange(96) / 96
    total = np.minimum(1, ramp + 0.5 * ramp**2)
    assert spec.timeline["camera", "rotate"] == pytest.approx(np.where(ramp**2 > 0.25, 10 * total, -1))


def test_an_expression_is_smoothed_like_any_signal() -> None:
    seconds = np.arange(0, 4, 1 / 24)
    sharp = curve({"value": "square(2)"}, seconds)
    falling = curve({"value": "square(2)", "decay": "0.2s"}, seconds)
    smooth = curve({"value": "square(2)", "smooth": "0.4s"}, seconds)
    assert set(sharp.tolist()) == {0, 1}
    assert falling[24 + 5] == pytest.approx(np.exp(-5 / 24 / 0.2), abs=0.03)
    assert 0.4 < smooth[24] < 0.6
    assert np.abs(np.diff(smooth)).max() < 0.2


def test_sound_repeats_in_a_loop() -> None:
    scene = {**BASE, "loop": {"blend": "1s"}, "signals": {"hit": {"audio": "clicks.wav", "onsets": True}}}
    spec = load({**scene, "view": {"zoom": "1 + hit"}}).spec
    at = spec.clock.signals["hit"]
    assert at(np.array([96.0 + 12, 96.0 + 40])) == pytest.approx(at(np.array([12.0, 40.0])))


@pytest.mark.parametrize("signal", [{"value": "triangle(2)"}, {"noise": "0.7s"}])
def test_what_is_shaped_repeats_in_a_loop(signal: dict[str, Any]) -> None:
    seconds = np.arange(0, 8, 1 / 24)
    for shape in ({"decay": "3s"}, {"smooth": "1s"}, {"attack": "2s"}, {"delay": "0.5s"}):
        values = curve({**signal, **shape}, seconds, loop={"blend": "1s"})
        assert np.ptp(values) > 0.05
        assert abs(values[95] - values[96]) < 0.1
        assert values[:96] == pytest.approx(values[96:])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,0\n3,0.9\n", {1: 0.3, 3: 0.9, 3.5: 0.45, 4: 0, 5: 0.3, 7.5: 0.45}),
        ("1,0\n3,1\n", {0: 0.5, 0.5: 0.25, 2: 0.5, 3.5: 0.75, 4: 0.5}),
        ("0,0.2\n2,1\n4,0.2\n5,0\n", {0: 0.2, 1: 0.6, 3: 0.6, 3.99: 0.204, 4: 0.2, 5: 0.6}),
        ("-1,0\n1,1\n", {0: 0.5, 1: 1, 2.5: 0.75, 4: 0.5}),
        ("-2,0.1\n-1,0.3\n", {0: 0.3, 2: 0.3, 4: 0.3}),
        ("5,0.1\n6,0.3\n", {0: 0.1, 2: 0.1, 4: 0.1}),
    ],
)
def test_a_table_closes_in_a_loop(text: str, expected: dict[float, float], folder: Path) -> None:
    (folder / "t.csv").write_text(text)
    values = curve({"csv": "t.csv"}, np.array(list(expected)), loop={"blend": "1s"})
    assert values == pytest.approx(list(expected.values()), abs=1e-9)


def test_a_table_that_jumps_where_the_loop_starts_again_is_refused(folder: Path) -> None:
    (folder / "t.csv").write_text("time,a\n0,0.25\n1,1\n4,0.75\n6,0.25\n")
    scene = {**BASE, "loop": {"blend": "1s"}, "signals": {"a": {"csv": "t.csv"}}}
    with pytest.raises(SceneError) as caught:
        load(scene)
    assert (
        "0.25 at frame 0, 0.75 at frame 96, where the loop starts again: a difference of 0.5; without its lines from "
        "4 s on, the table goes on from its last value to its first"
    ) in str(caught.value)
    load({**scene, "loop": None})


@pytest.mark.parametrize(
    ("keys", "says", "error"),
    [
        (
            {"signals": {"a": {"noise": "1s", "smooth": "61s"}}},
            "61s is longer than 60 s, the longest smooth",
            SceneError,
        ),
        (
            {"bpm": 20, "signals": {"a": {"audio": "clicks.wav", "decay": "30b"}}},
            "30b is longer than 60 s, the longest decay",
            SceneError,
        ),
        ({"signals": {"a": {"audio": "source"}}}, "without a clip there is no 'source' of sound", SceneError),
        (
            {"signals": {"a": {"audio": "output"}}},
            "the film has no sound; output.audio or --song names one",
            SceneError,
        ),
        ({"signals": {"a": {"audio": "photo.png"}}}, "photo.png holds no sound", StorageError),
        ({"signals": {"a": {"audio": "nothing.wav"}}}, "nothing.wav", StorageError),
        ({"signals": {"a": {"audio": "silence.wav"}}}, "silence.wav is silent", SceneError),
        ({"signals": {"a": {"audio": "silence.wav", "onsets": True}}}, "silence.wav is silent", SceneError),
        ({"signals": {"a": {"audio": "clicks.wav", "audio_track": 3}}}, "clicks.wav has", StorageError),
        ({"signals": {"a": {"csv": "gap.csv"}}}, "gap.csv:3: the column 'value' has no value here", StorageError),
        ({"signals": {"a": {"csv": "high.csv"}}}, "high.csv has the value 3; a signal is from 0 to 1", SceneError),
        ({"bpm": "auto"}, "the film has no sound", SceneError),
        ({"bpm": {"value": "auto", "audio": "silence.wav"}}, "silence.wav has no beat that can be found", SceneError),
        (
            {"bpm": {"value": "auto", "audio": "short.wav"}},
            "short.wav lasts 3.5 s; a tempo is found in 4 s",
            SceneError,
        ),
        ({"signals": {"a": "2 * t"}}, "1.08333 at frame 13 (0.54 s) must be from 0 to 1", SceneError),
    ],
)
def test_what_cannot_be_measured_is_said_where_the_scene_names_it(
    keys: dict[str, Any], says: str, error: type[RenderError], folder: Path
) -> None:
    cv2.imwrite("photo.png", np.zeros((16, 16, 3), np.uint8))
    write_sound(folder / "silence.wav", np.zeros(5 * RATE))
    write_sound(folder / "short.wav", made_music(120, 3.5))
    (folder / "gap.csv").write_text("time,value\n0,1\n1,\n")
    (folder / "high.csv").write_text("0,1\n1,3\n")
    with pytest.raises(error) as caught:
        load({**BASE, **keys})
    assert says in str(caught.value)


def test_frames_depend_on_the_film_s_sound_only_where_a_signal_is_measured_in_it() -> None:
    def identity(signals: object, **keys: object) -> dict[str, Any]:
        scene = {"signals": signals, "output": {"audio": "a.wav"}, **keys}
        return without_sound({"scene": scene, "files": {"output.audio": "1"}})

    assert identity({"a": {"audio": "b.wav"}})["files"] == {}
    assert identity({"a": {"audio": "output"}})["files"] == {"output.audio": "1"}
    assert identity({}, bpm={"value": "auto"})["files"] == {"output.audio": "1"}
    assert identity({}, bpm={"value": "auto", "audio": "b.wav"})["files"] == {}
    assert identity({}, bpm={"value": 120.0})["files"] == {}


def test_a_note_is_found_by_its_pitch_and_its_band() -> None:
    sound = np.zeros(4 * RATE)
    place(sound, note(440, 1.5), 0)
    place(sound, note(523.25, 1.5), 2)
    write_sound(Path("notes.wav"), sound)
    seconds = np.array([0.5, 2.5])
    assert curve({"audio": "notes.wav", "chroma": "A"}, seconds) == pytest.approx([1, 0], abs=0.2)
    assert curve({"audio": "notes.wav", "chroma": "C"}, seconds) == pytest.approx([0, 1], abs=0.2)


def test_a_plan_has_the_sound_that_the_signals_are_measured_in() -> None:
    scene = load({**BASE, "output": {"audio": "clicks.wav"}, "signals": {"a": {"audio": "output"}}})
    audio = plan(scene, Options()).audio
    assert audio is not None
    assert audio.track.path.name == "clicks.wav"


def test_all_that_a_scene_measures_in_a_sound_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(Path("music.wav"), made_music(110, 12))
    decoded: list[Path] = []

    def counted(track: AudioTrack, *, rate: int, chunk: int) -> Iterator[NDArray[np.float32]]:
        decoded.append(track.path)
        return read_mono(track, rate=rate, chunk=chunk)

    monkeypatch.setattr(analysis, "read_mono", counted)
    signals = {
        "bass": {"audio": "music.wav", "band": [20, 150]},
        "hit": {"audio": "music.wav", "onsets": True},
        "beats": {"audio": "music.wav", "beats": True},
        "a": {"audio": "music.wav", "chroma": "A"},
        "b": {"audio": "music.wav", "part": "harmonic"},
        "other": {"audio": "clicks.wav"},
    }
    load({**BASE, "bpm": {"value": "auto", "audio": "music.wav"}, "signals": signals})
    assert sorted(path.name for path in decoded) == ["clicks.wav", "music.wav"]
