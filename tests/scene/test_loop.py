"""`loop`: what closes, what does not and what would, and where a blend starts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from render import load
from render.errors import SceneError

SCENE: dict[str, Any] = {"duration": "4s", "objectives": [{"layer": "blocks.2"}], "loop": {}}
TOUR = {"tour": "classes", "classes": ["lion", "daisy"]}


def problem(**keys: Any) -> str:
    """The message about a scene with these keys."""
    with pytest.raises(SceneError) as error:
        load({**SCENE, **keys})
    return str(error.value)


@pytest.mark.parametrize(
    "zoom",
    [
        1.02, "1.8/s", "1.02 + 0.01*sin(tau*t/2)", "1.5 + 0.4*sin(tau*t/duration) /s",
        {"0s": 1.02, "50%": 1.04, "end": 1.02}, {"0s": "1.2/s", "2s": "2/s", "end": "1.2/s"},
    ],
)  # fmt: skip
def test_tracks_that_return_to_their_start_close(zoom: Any) -> None:
    assert load({**SCENE, "camera": {"zoom": zoom}}).spec.blend_start == 48


@pytest.mark.parametrize("bpm", [120, 129.3, 130, 174])
@pytest.mark.parametrize(
    "exposure",
    ["sine(4b)", "square(1b)", "saw(2b)", "beat % 8 / 8", "floor(bar) % 2", {"0b": 0, "3b": 1, "8b": 0}, "noise(1b)"],
)
def test_a_film_in_beats_closes_at_any_tempo(exposure: Any, bpm: float) -> None:
    tour = {**TOUR, "hold": "3b", "fade": "1b"}
    keys = {"bpm": bpm, "duration": "8b", "exposure": exposure, "objectives": [tour]}
    spec = load({**SCENE, **keys}).spec
    assert spec.length == round(8 * 60 / bpm * 24)
    assert spec.timeline["exposure",][-1] == pytest.approx(spec.timeline["exposure",][0], abs=1e-6)
    assert spec.clock.beats is not None
    assert float(spec.clock.beats.time(Fraction(8)) * spec.fps) == spec.length


def test_a_film_in_beats_whose_first_beat_comes_later_closes() -> None:
    spec = load({**SCENE, "bpm": {"value": 130, "offset": "0.1s"}, "duration": "bar 2", "exposure": "saw(1b)"}).spec
    assert spec.timeline["exposure",][-1] == pytest.approx(spec.timeline["exposure",][0], abs=1e-6)


@pytest.mark.parametrize("keys", [{"hue": "-360 * t / duration"}, {"view": {"rotate": {"0s": 10, "end": 370}}}])
def test_angles_close_after_whole_turns(keys: dict[str, Any]) -> None:
    assert load({**SCENE, **keys}).spec.blend_start == 48


@pytest.mark.parametrize(
    ("duration", "hold"),
    [("4s", "0.83333s"), ("4.5s", "1s"), ("10s", "0.928571s"), ("10.5s", "1s"), ("4.02s", "0.84s")],
)
def test_a_tour_closes_with_what_an_error_suggests(duration: str, hold: str) -> None:
    tour = {**TOUR, "hold": hold, "fade": "0.5s"}
    assert load({**SCENE, "duration": duration, "objectives": [tour]}).spec.loop is not None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hue": "180 * t / duration"}, "a difference of 180;"),
        ({"camera": {"zoom": {"0s": 1.02, "end": 1.04}}}, "1.02 at frame 0, 1.04 at frame 96, where the loop starts "
         "again: a difference of 0.02; end the keyframes with the first value, end: 1.02"),
        ({"camera": {"rotate": {"0s": "4/s", "end": "6/s"}}}, 'a difference of 2/s; end the keyframes with the first '
         'value, end: "4/s"'),
        ({"camera": {"rotate": "t"}}, "a difference of 4; write what repeats in the film's duration, as "
         "sin(tau * t / duration) does"),
        ({"camera": {"pan": [0, "0.01*sin(t)"]}}, "0 at frame 0, -0.00756802 at frame 96"),
        ({"dream": {"step_size": {"0s": 0.01, "end": 0.02}}}, "a difference of 0.01;"),
        ({"loop": {"blend": "5s"}}, "the blend is longer than the film, which has 96 frames, 4s"),
        ({"loop": {"blend": 2}}, "a blend of 2 frames is a cut; it has 4 dreamed frames at least, 4 frames"),
        ({"loop": {"blend": 6}, "dream": {"cadence": 3}}, "4 dreamed frames at least, 12 frames"),
        ({"camera": {"look_at": {"point": [0.3, 0.5], "by": "2s"}}}, "'look_at' moves to its point once"),
        ({"objectives": [{**TOUR, "hold": "1s", "fade": "0.5s"}]}, "a turn, hold + fade, is 1.5s, and the film 2.667 "
         "turns; a loop has whole ones: hold + fade of 1.33333s, or the duration 4.5s"),
        ({"source": {"video": "clip.mp4"}}, "a clip does not repeat"),
    ],
)  # fmt: skip
def test_what_does_not_close_is_reported_with_what_would(keys: dict[str, Any], message: str) -> None:
    assert message in problem(**keys)


def test_each_track_that_does_not_close_is_reported_at_its_position() -> None:
    text = problem(camera={"zoom": "1 + t/100", "rotate": {"0s": 0, "end": 1}})
    assert text.count("where the loop starts again") == 2
    assert "end: 0" in text


@pytest.mark.parametrize(
    ("blend", "duration", "cadence", "start"),
    [("1s", "4s", 1, 72), (24, "4s", 1, 72), ("end", "4s", 1, 1), (96, "4s", 1, 0), ("1s", "4s", 5, 70),
     (None, "1s", 1, 12), (None, "1s", 4, 8)],
)  # fmt: skip
def test_the_blend_starts_at_a_dreamed_frame(blend: Any, duration: str, cadence: int, start: int) -> None:
    scene = load({**SCENE, "duration": duration, "dream": {"cadence": cadence}, "loop": {"blend": blend}})
    assert scene.spec.blend_start == start


def test_a_tour_returns_to_its_first_turn() -> None:
    tour = {"tour": "classes", "classes": ["lion", "daisy", "volcano"], "hold": "1s", "fade": "0.5s"}
    scene = load({**SCENE, "duration": "9s", "objectives": [tour, {"statistics": "none"}]})
    assert [turn.thing for turn in scene.spec.tours[0]] == ["lion", "daisy", "volcano"] * 2 + ["lion"]
    assert scene.params(scene.length).weights[0] == (0, 0, 0, 0, 0, 0, 1)
    assert scene.params(scene.length - 6).weights[0][-2:] == (0.5, 0.5)
