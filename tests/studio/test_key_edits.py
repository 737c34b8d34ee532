"""Edits of keyframes: the scene gets exactly the requested ones, and the rest of its text stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.errors import RenderError, UsageError
from render.pipeline.load import load_text
from render.pipeline.scene import Scene
from render.scene.beats import Beats
from render.scene.clock import Clock, Unit, parse_time
from render.scene.easings import EASINGS
from render.scene.yaml_layout import Layout
from render.studio import key_edits
from render.studio.key_edits import EARLIER, ROUNDING, dotted, time_text
from render.studio.text_edit import TextEdit, apply_edits

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = {
    path.stem: text
    for path in sorted(CONFIGS.glob("*.yaml"))
    if "with --set source" not in (text := path.read_text()) and "bpm: auto" not in text and "loop:" not in text
}
"""The scenes that need no file, and whose tracks need not close."""
SCENE = """\
# a scene
size: [64, 64]
fps: 24
duration: 4s
bpm: 120   # two beats a second
camera:
  zoom:       # how close
    0s: 1     # start
    # the middle
    2s: {value: 1.03, ease: smooth}   # m
    end: 1.01
  rotate: {0: "1.5/s", 48: "2.50/s"}
  pan: [0.01, {0: 0, 48: 0.1}]
objectives:
  - layer: blocks.4     # first
    weight: {0b: 1,   # a
             4b: 0.5, # b
             bar 3: 1 # c
             }
  - {layer: blocks.6}
mix: {0s: 1, 50%: 0.5}
hue: "90 * t"
"""
Key = tuple[float, float, str]
"""Frame, value, easing."""


def scene_of(text: str) -> Scene:
    return load_text(text, CONFIGS / "scene.yaml")


def keys_of(scene: Scene) -> dict[str, Any]:
    """The keyframes of every track, or what it is instead."""
    clock = scene.spec.clock
    return {
        dotted(path): [(float(key.time.frames(clock)), key.value, key.ease) for key in track.shape]
        if isinstance(track.shape, tuple)
        else track.raw
        if isinstance(track.raw, str)
        else track.shape
        for path, track in scene.spec.tracks()
    }


def comments(text: str) -> list[str]:
    return [text[start:end] for start, end in Layout(text, "scene").comments()]


def changed_lines(before: str, edits: Sequence[TextEdit]) -> int:
    """The number of lines of a text that edits change, besides those that they insert."""
    return len({before.count("\n", 0, edit.start) for edit in edits if edit.start < edit.end})


def is_at(key: Key, frame: float) -> bool:
    return -float(EARLIER + ROUNDING) <= key[0] - frame <= float(ROUNDING)


SCENES = {name: scene_of(text) for name, text in (SHIPPED | {"scene": SCENE}).items()}
KEYED = [
    (name, track, index)
    for name, scene in SCENES.items()
    for track, keys in keys_of(scene).items()
    if isinstance(keys, list)
    for index in range(len(keys))
]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KEYED), st.integers(0, 500), st.integers(1, 89))
def test_a_moved_keyframe_is_where_it_was_dropped(chosen: tuple[str, str, int], frame: int, value: int) -> None:
    name, track, index = chosen
    text, scene = (SHIPPED | {"scene": SCENE})[name], SCENES[name]
    before = keys_of(scene)
    others = [key for i, key in enumerate(before[track]) if i != index]
    try:
        edits = key_edits.move_key(text, scene, track, key=index, frame=frame, value=value / 100)
    except UsageError:
        assert any(abs(key[0] - frame) < 1 for key in others)
        return
    edited = apply_edits(text, edits)
    after = keys_of(scene_of(edited))
    (moved,) = after[track][index : index + 1]
    assert is_at(moved, frame)
    assert moved[1:] == (value / 100, before[track][index][2])
    assert [key for i, key in enumerate(after[track]) if i != index] == others
    assert {**after, track: None} == {**before, track: None}
    assert comments(edited) == comments(text)
    assert changed_lines(text, edits) <= 1
    assert edited.count("\n") == text.count("\n")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(list(SCENES)), st.integers(0, 500), st.data())
def test_an_added_keyframe_is_there_and_a_constant_begins_with_its_value(name: str, frame: int, data: Any) -> None:
    text, scene = (SHIPPED | {"scene": SCENE})[name], SCENES[name]
    before = keys_of(scene)
    track = data.draw(st.sampled_from([track for track in before if not track.startswith("grade")]))
    value = 0.5
    try:
        edits = key_edits.add_key(text, scene, track, frame=frame, value=value)
    except UsageError:
        keys = before[track]
        assert isinstance(keys, str) or any(abs(key[0] - frame) < 1 for key in keys)
        return
    edited = apply_edits(text, edits)
    after = keys_of(scene_of(edited))
    start = before[track] if isinstance(before[track], list) else [(0, number_of(before[track]), "linear")]
    added = [key for key in after[track] if key not in start]
    if frame > 0 or isinstance(before[track], list):
        assert [key for key in after[track] if key in start] == start
    assert all(is_at(key, frame) and key[1] == value for key in added)
    assert {**after, track: None} == {**before, track: None}
    assert comments(edited) == comments(text)


def number_of(raw: float | str) -> float:
    return float(raw.removesuffix("/s")) if isinstance(raw, str) else raw


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KEYED), st.sampled_from(list(EASINGS)))
def test_a_keyframe_gets_an_easing_and_is_removed(chosen: tuple[str, str, int], easing: str) -> None:
    name, track, index = chosen
    text, scene = (SHIPPED | {"scene": SCENE})[name], SCENES[name]
    before = keys_of(scene)
    eased = apply_edits(text, key_edits.set_easing(text, scene, track, key=index, easing=easing))
    keys = [(*key[:2], easing) if i == index else key for i, key in enumerate(before[track])]
    assert keys_of(scene_of(eased)) == before | {track: keys}
    assert comments(eased) == comments(text)
    removed = apply_edits(text, key_edits.remove_key(text, scene, track, key=index))
    assert keys_of(scene_of(removed)) == before | {track: [key for i, key in enumerate(before[track]) if i != index]}


@given(
    st.integers(0, 200_000),
    st.sampled_from(["", "s", "%", "b", "bar"]),
    st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(1)]),
)
def test_the_time_of_a_frame_is_at_it_or_shortly_before_it(frame: int, unit: Unit, fps: Fraction) -> None:
    clock = Clock(fps, 10_000, beats=Beats.steady(Fraction(1283, 10)))
    text = time_text(frame, unit, clock)
    assert -EARLIER <= parse_time(text).frames(clock) - frame <= ROUNDING
    assert len(text) <= 13


@pytest.mark.parametrize(
    ("frame", "unit", "written"),
    [(48, "s", "2s"), (50, "s", "2.08s"), (49, "", "49"), (48, "b", "4b"), (50, "%", "50%"), (96, "bar", "bar 2"),
     (54, "b", "4.5b")],
)  # fmt: skip
def test_a_time_has_few_digits(frame: int, unit: Unit, written: str) -> None:
    assert time_text(frame, unit, Clock(Fraction(24), 101, beats=Beats.steady(Fraction(120)))) == written


def test_a_time_keeps_its_unit_and_a_value_its_form() -> None:
    scene = SCENES["scene"]

    def moved(track: str, key: int, frame: float, value: float) -> str:
        edited = apply_edits(SCENE, key_edits.move_key(SCENE, scene, track, key=key, frame=frame, value=value))
        return next(line.strip() for line in edited.splitlines() if line not in SCENE.splitlines())

    assert moved("camera.zoom", 1, 60, 1.05) == "2.5s: {value: 1.05, ease: smooth}   # m"
    assert moved("camera.zoom", 2, 90, 1.01) == "3.75s: 1.01"
    assert moved("camera.rotate", 1, 60, 2.5) == 'rotate: {0: "1.5/s", 60: "2.50/s"}'
    assert moved("camera.rotate", 0, 0, 3) == 'rotate: {0: "3/s", 48: "2.50/s"}'
    assert moved("objectives.0.weight", 1, 66.0, 0.5) == "5.5b: 0.5, # b"
    assert moved("objectives.0.weight", 2, 120, 0.25) == "bar 2.5: 0.25 # c"
    assert moved("mix.amount", 1, 57, 0.5) == "mix: {0s: 1, 60%: 0.5}"


def test_defaults_that_an_edit_would_drop_are_written() -> None:
    text = "duration: 2s\nobjectives: [{layer: blocks.4}]\n"
    scene = scene_of(text)
    edited = apply_edits(text, key_edits.add_key(text, scene, "camera.rotate", frame=24, value=3))
    assert edited.splitlines()[1] == "camera: {zoom: 1.02, rotate: {0s: 0, 1s: 3}}"
    added = apply_edits(text, key_edits.add_key(text, scene, "objectives.1.weight", frame=24, value=3))
    assert "{statistics: natural, weight: {0s: 1, 1s: 3}}" in added


@pytest.mark.parametrize(
    ("track", "message"),
    [("hue", "hue is an expression"), ("camera.zom", "no track 'camera.zom'"), ("camera.zoom", "at frame 48 already")],
)
def test_what_cannot_be_edited_is_refused_with_a_sentence(track: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        key_edits.add_key(SCENE, SCENES["scene"], track, frame=48, value=1)


def test_an_edit_of_a_track_that_has_changed_since_is_refused() -> None:
    with pytest.raises(UsageError, match="has changed"):
        key_edits.move_key(SCENE.replace("1.03", "1.04"), SCENES["scene"], "camera.zoom", key=1, frame=60, value=1)


def test_the_last_keyframe_becomes_a_constant_and_a_constant_any_value() -> None:
    text = SCENE.replace("mix: {0s: 1, 50%: 0.5}", "mix: {0s: {value: 0.5, ease: smooth}} # m")
    scene = scene_of(text)
    assert "\nmix: 0.5 # m\n" in apply_edits(text, key_edits.remove_key(text, scene, "mix.amount", key=0))
    edited = apply_edits(text, key_edits.set_constant(text, scene, "camera.rotate", value=2))
    assert '\n  rotate: "2/s"\n' in edited


def test_a_value_is_set_as_on_the_command_line_and_an_item_appended() -> None:
    assert "\nmix: {amount: 0.25}\n" in apply_edits(SCENE, key_edits.set_value(SCENE, "mix.amount", 0.25))
    assert "\nsource: {image: a.png}\n" in apply_edits(SCENE, key_edits.set_value(SCENE, "source.image", "a.png"))
    appended = apply_edits(SCENE, key_edits.append_value(SCENE, "objectives", {"class": "tiger"}))
    assert "  - {layer: blocks.6}\n  - {class: tiger}\nmix" in appended
    with pytest.raises(RenderError):
        key_edits.set_value(SCENE, "objectives.9.weight", 1)
