"""The scene: its defaults, what fits together, its numbers at each frame, and its smaller copy."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from render.scene.model import CameraNow, GradeNow, Scene
from render.scene.source import Noise

LAYERS: list[Any] = [{"layer": "blocks.10"}]


@pytest.fixture
def soon() -> Iterator[None]:
    """Fails what takes longer than two seconds, instead of waiting for it."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError("longer than two seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(2)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def scene(**keys: Any) -> Scene:
    """A scene of one layer and these keys."""
    return Scene.model_validate({"layers": LAYERS} | keys)


def test_a_scene_needs_nothing_but_a_layer() -> None:
    small = scene()
    assert small.size is None
    assert (small.length, small.seed) == (240, 0)
    assert small.fps == Fraction(24)
    assert (small.network.name, small.source.chosen) == ("efficientnet_lite0", Noise(grain=64, contrast=0.2, color=0))
    now = small.at(7)
    assert now.camera == CameraNow(zoom=1, rotate=0, pan=(0, 0), shear=(0, 0), pivot=(0.5, 0.5))
    assert (now.weights, now.steps, now.step_size, now.jitter) == (((1,),), (4, 4, 4), 0.01, 32)
    assert now.grade == GradeNow(strength=0.15, mean=0.46, contrast=0.19)


def test_a_scene_without_a_layer_is_refused() -> None:
    with pytest.raises(ValidationError, match="layers"):
        Scene.model_validate({})
    with pytest.raises(ValidationError, match="at least one layer"):
        scene(layers=[])


def test_a_scene_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        scene().seed = 3


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (24, "24"),
        (25.0, "25"),
        ("30", "30"),
        (12.5, "25/2"),
        (29.97, "30000/1001"),
        (23.976, "24000/1001"),
        (23.98, "24000/1001"),
        (59.94, "60000/1001"),
        (119.88, "120000/1001"),
        ("30000/1001", "30000/1001"),
        ("24000/1001", "24000/1001"),
        (1, "1"),
        (1000, "1000"),
    ],
)
def test_a_rate_is_exact(fps: Any, exact: str) -> None:
    assert scene(fps=fps).fps == Fraction(exact)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "fps",
    [0, -24, 0.005, 1001, "1/0", "fast", True, None, [24], float("nan"), float("inf"), "1e999999999", "1e-999999999",
     "9" * 5000],
)  # fmt: skip
def test_what_is_no_rate_is_refused_at_once_in_few_words(fps: Any) -> None:
    with pytest.raises(ValidationError, match="rate") as caught:
        scene(fps=fps)
    assert len(caught.value.errors()[0]["msg"]) < 200


@pytest.mark.parametrize(
    ("duration", "fps", "length"),
    [
        ("10s", 24, 240),
        ("10 s", 24, 240),
        (100, 24, 100),
        ("100", 24, 100),
        ("0.5s", 24, 12),
        ("10s", 29.97, 300),
        ("100s", 29.97, 2997),
        (1, 24, 1),
        (1_000_000, 24, 1_000_000),
    ],
)
def test_a_duration_is_seconds_or_frames(duration: Any, fps: Any, length: int) -> None:
    assert scene(duration=duration, fps=fps).length == length


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "duration",
    [0, -1, 2.5, "0s", "-2s", "50%", "end", "1:30", "5m", True, None, 1_000_001, "1e300s", "1" * 100_000 + "x"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_at_once_in_few_words(duration: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        scene(duration=duration)
    (error,) = caught.value.errors()
    assert len(error["msg"]) < 200


@pytest.mark.parametrize(
    ("key", "value", "chosen"),
    [
        ("source", "noise", {"noise": {}}),
        ("source", {"noise": {"grain": 8}}, {"noise": {"grain": 8}}),
        ("source", {"image": "p.jpg"}, {"image": "p.jpg"}),
        ("gradient", "raw", {"raw": {}}),
        ("gradient", {"gaussian": {"sigma": 2}}, {"gaussian": {"sigma": 2}}),
    ],
)
def test_a_choice_is_one_key_or_its_word(key: str, value: Any, chosen: Any) -> None:
    short, long = (scene(**({key: v} if key == "source" else {"dream": {key: v}})) for v in (value, chosen))
    assert short == long


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"source": "nose"}, "unknown word 'nose'; did you mean 'noise'?"),
        ({"source": {}}, "exactly one of noise, image, video belongs here, not 0"),
        ({"source": {"noise": {}, "image": "p.jpg"}}, "exactly one of noise, image, video belongs here, not 2"),
        ({"source": {"image": None}}, "add --set source.image=PATH"),
        ({"source": {"image": ""}}, "add --set source.image=PATH"),
        ({"source": {"noise": {"grain": 0}}}, "grain"),
        ({"dream": {"gradient": "lapplacian"}}, "did you mean 'laplacian'?"),
        ({"dream": {"gradient": {"natural": {}, "raw": {}}}}, "exactly one of"),
        ({"dream": {"octaves": 0}}, "octaves"),
        ({"size": [15, 32]}, "size"),
        ({"size": [33, 32]}, "a film's sides are even"),
        ({"size": [33, 32], "output": {"codec": "prores"}}, "a film's sides are even"),
        ({"output": {"path": "a.gif"}}, "a film's path ends in .mp4, .mov, .png, .jpg, .jpeg, not in '.gif'"),
        ({"output": {"path": ".mp4"}}, "path"),
        ({"output": {"path": "film/.mov"}}, "path"),
        ({"output": {"path": "f/x.png"}}, "240 frames do not fit into one picture"),
        ({"output": {"path": "f%d/x%d.png"}}, "one number"),
        ({"output": {"path": "f%d/x.png"}}, "number"),
        ({"output": {"path": "f/%999999999d.png"}}, "number"),
        ({"output": {"codec": "prores", "path": "a.mp4"}}, "prores goes into .mov, not into .mp4"),
        ({"output": {"codec": "png", "path": "a.mp4"}}, "png goes into .png, not into .mp4"),
        ({"output": {"codec": "h264", "path": "f/%d.png"}}, "h264 goes into .mp4 or .mov"),
        ({"output": {"codec": "prores", "crf": 18}}, "crf means nothing to prores"),
        ({"output": {"path": "f/%d.png", "crf": 18}}, "crf means nothing to png"),
        ({"output": {"depth": 16}}, "depth means nothing to h264"),
        ({"output": {"codec": "h265", "depth": 8}}, "depth means nothing to h265"),
        ({"output": {"codec": "png", "depth": 12}}, "depth"),
        ({"output": {"crf": 52}}, "crf"),
        ({"layers": [{"layer": "x", "weight": "2/s"}]}, "cannot be per second"),
        ({"camera": {"zoom": 0}}, "0 must be from 0.01 to 100"),
        ({"zoom": 1}, "zoom"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_does_not_fit_is_refused(keys: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        scene(**keys)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("output", "whole"),
    [
        ({}, ("s.mp4", "h264", 18, None)),
        ({"codec": "h265"}, ("s.mp4", "h265", 20, None)),
        ({"codec": "prores"}, ("s.mov", "prores", None, None)),
        ({"codec": "png"}, ("s/%05d.png", "png", None, 8)),
        ({"path": "f/%03d.PNG", "depth": 16}, ("f/%03d.PNG", "png", None, 16)),
        ({"path": "a.MOV", "crf": 30}, ("a.MOV", "h264", 30, None)),
    ],
)
def test_an_output_is_completed(output: Any, whole: tuple[Any, ...]) -> None:
    made = scene(output=output).concrete((32, 32), "s", 1).output
    assert (made.path, made.codec, made.crf, made.depth) == whole


def test_a_sequence_may_have_odd_sides() -> None:
    assert scene(size=[33, 17], output={"path": "f/%d.png"}).size == (33, 17)
    assert scene(size=[33, 17], output={"codec": "png"}).size == (33, 17)


def test_any_name_of_a_scene_file_names_a_sequence() -> None:
    assert scene(output={"codec": "png"}).concrete((32, 32), "take %d", 1).output.path is not None


def test_the_first_frame_has_its_own_octaves_and_steps() -> None:
    long = scene(dream={"octaves": 2, "steps": 3, "first": {"octaves": 5, "steps": 0}})
    assert [long.at(i).steps for i in (0, 1)] == [(0,) * 5, (3, 3)]
    half = scene(dream={"octaves": 2, "steps": [5, 3], "first": {"steps": 9}})
    assert [half.at(i).steps for i in (0, 1)] == [(9, 9), (5, 3)]
    listed = scene(dream={"first": {"octaves": 4, "steps": [9, 7, 5, 3]}})
    assert [listed.at(i).steps for i in (0, 1)] == [(9, 7, 5, 3), (4, 4, 4)]


def test_at_is_every_track_at_that_frame() -> None:
    moving = scene(
        fps=10,
        duration="2s",
        camera={"zoom": {"0s": 1, "1s": 4}, "pan": ["t", 0.5], "rotate": "10/s"},
        layers=[{"layer": "a", "weight": {"0": 0, "end": 19}}, {"layer": "b", "weight": "-t"}],
        dream={"jitter": "t * 3.3", "step_size": {"0s": 0, "1s": 0.1}},
    )
    now = moving.at(5)
    assert now.index == 5
    assert (now.camera.zoom, now.camera.rotate) == pytest.approx((2, 1))
    assert now.camera[2:] == ((0.5, 0.5), (0, 0), (0.5, 0.5))
    assert [weight for (weight,) in now.weights] == pytest.approx([5, -0.5])
    assert now.step_size == pytest.approx(0.05)
    assert now.jitter == 2


def test_a_shrunk_scene_differs_in_size_jitter_and_grain_and_nothing_else() -> None:
    big = scene(
        size=[400, 300],
        source={"noise": {"grain": 48, "contrast": 0.1, "color": 0.3}},
        camera={"zoom": "1.5/s", "pan": [0.1, "t"]},
        dream={"jitter": {"0s": 10, "2s": {"value": 20, "ease": "smooth"}}, "step_size": 0.02},
        output={"path": "a.mov"},
    ).concrete((400, 300), "s", 1)
    small = big.concrete((400, 300), "s", 0.5)
    assert small.size == (200, 150)
    assert small.source.chosen == Noise(grain=24, contrast=0.1, color=0.3)
    jitter = ("dream", "jitter")
    assert small.timeline[jitter] == pytest.approx(big.timeline[jitter] / 2)
    assert small.timeline.keys() == big.timeline.keys()
    assert all(np.array_equal(small.timeline[key], big.timeline[key]) for key in big.timeline if key != jitter)
    a, b = (each.model_dump(exclude={"size": True, "source": True, "dream": {"jitter"}}) for each in (big, small))
    assert a == b


@pytest.mark.parametrize(
    ("size", "scale", "small"),
    [
        ((100, 60), 0.5, (50, 30)),
        ((50, 50), 0.3, (16, 16)),
        ((32, 48), 2, (64, 96)),
    ],
)
def test_scaled_sides_are_even_and_not_too_small(size: Any, scale: float, small: Any) -> None:
    assert scene().concrete(size, "s", scale).size == small


def test_a_scene_written_as_json_is_the_same_scene() -> None:
    whole = scene(
        fps="30000/1001",
        duration="3s",
        camera={"zoom": {"0s": "1.1/s", "end": {"value": "2/s", "ease": "out_expo"}}, "pan": ["sin(t)", {"0": 0}]},
        layers=[{"layer": "a", "weight": "t"}, {"layer": "b", "weight": -2}],
        dream={"gradient": "laplacian", "first": {"steps": 3}},
    )
    for each in (whole, whole.concrete((64, 48), "s", 1), whole.concrete((64, 48), "s", 0.5)):
        again = Scene.model_validate(each.model_dump(mode="json", exclude_none=True))
        assert again.timeline.keys() == each.timeline.keys()
        assert all(np.array_equal(again.timeline[path], each.timeline[path]) for path in each.timeline)
        assert again.model_dump() == each.model_dump()


def test_frames_of_a_film_are_named_before_its_suffix() -> None:
    named = scene(output={"path": "out/a.b.mp4"}).concrete((32, 32), "s", 1).titled("3-9")
    assert named.output.path == "out/a.b.3-9.mp4"
    numbered = scene(output={"path": "out/%03d.png"}).concrete((32, 32), "s", 1)
    assert numbered.titled("x0.5").output.path == "out/x0.5/%03d.png"
