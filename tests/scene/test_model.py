"""The scene's spec: defaults, combinations of keys, values at each frame, and scaling."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from render.pipeline.scene import complete
from render.scene.model import SceneSpec
from render.scene.params import CameraParams, GradeParams
from render.scene.source import NoiseSpec

OBJECTIVES: list[Any] = [{"layer": "blocks.10"}]


@pytest.fixture
def two_seconds() -> Iterator[None]:
    """Fails a test after two seconds."""

    def fail(number: int, frame: object) -> None:
        raise TimeoutError("longer than two seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(2)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def scene(**keys: Any) -> SceneSpec:
    """Returns a spec with one objective and these keys."""
    return SceneSpec.model_validate({"objectives": OBJECTIVES} | keys)


def test_every_key_but_objectives_has_a_default() -> None:
    spec = scene()
    assert spec.size is None
    assert (spec.length, spec.seed) == (240, 0)
    assert spec.fps == Fraction(24)
    assert (spec.network.name, spec.source.chosen) == (
        "efficientnet_lite0",
        NoiseSpec(grain=64, contrast=0.2, color=0),
    )
    params = spec.params(7)
    assert params.camera == CameraParams(zoom=1, rotate=0, pan=(0, 0), shear=(0, 0), pivot=(0.5, 0.5))
    assert (params.weights, params.steps, params.step_size, params.jitter) == (((1,),), (4, 4, 4), 0.01, 32)
    assert params.grade == GradeParams(strength=0.15, mean=0.46, contrast=0.19, cast=0)


def test_a_scene_without_objectives_is_an_error() -> None:
    with pytest.raises(ValidationError, match="objectives"):
        SceneSpec.model_validate({})
    with pytest.raises(ValidationError, match="at least one"):
        scene(objectives=[])


def test_a_spec_is_frozen() -> None:
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


@pytest.mark.usefixtures("two_seconds")
@pytest.mark.parametrize(
    "fps",
    [0, -24, 0.005, 1001, "1/0", "fast", True, None, [24], float("nan"), float("inf"), "1e999999999", "1e-999999999",
     "9" * 5000],
)  # fmt: skip
def test_an_invalid_rate_is_an_error_with_a_short_message(fps: Any) -> None:
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


@pytest.mark.usefixtures("two_seconds")
@pytest.mark.parametrize(
    "duration",
    [0, -1, 2.5, "0s", "-2s", "50%", "end", "1:30", "5m", True, None, 1_000_001, "1e300s", "1" * 100_000 + "x"],
)  # fmt: skip
def test_an_invalid_duration_is_an_error_with_a_short_message(duration: Any) -> None:
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
def test_a_choice_is_a_mapping_of_one_key_or_its_word(key: str, value: Any, chosen: Any) -> None:
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
        (
            {"output": {"path": "a.avi"}},
            "a film's path ends in .mp4, .mov, .mkv, .webm, .gif, .webp, .png, .jpg, .jpeg, not in '.avi'",
        ),
        ({"output": {"path": ".mp4"}}, "path"),
        ({"output": {"path": "film/.mov"}}, "path"),
        ({"output": {"path": "f/x.png"}}, "240 frames do not fit into one picture"),
        ({"output": {"path": "f%d/x%d.png"}}, "one number"),
        ({"output": {"path": "f%d/x.png"}}, "number"),
        ({"output": {"path": "f/%999999999d.png"}}, "number"),
        ({"output": {"codec": "prores", "path": "a.mp4"}}, "prores needs a path that ends in .mov, not in .mp4"),
        ({"output": {"codec": "png", "path": "a.mp4"}}, "png needs a path that ends in .png, not in .mp4"),
        (
            {"output": {"codec": "h264", "path": "f/%d.png"}},
            "h264 needs a path that ends in .mp4 or .mov or .mkv, not in .png",
        ),
        ({"output": {"codec": "prores", "crf": 18}}, "prores has no crf"),
        ({"output": {"path": "f/%d.png", "crf": 18}}, "png has no crf"),
        ({"output": {"bit_depth": 16}}, "bit_depth applies to png, not to h264"),
        ({"output": {"codec": "h265", "bit_depth": 8}}, "bit_depth applies to png, not to h265"),
        ({"output": {"codec": "png", "bit_depth": 12}}, "bit_depth"),
        ({"output": {"crf": 52}}, "crf"),
        ({"objectives": [{"layer": "x", "weight": "2/s"}]}, "only camera motion can be per second"),
        ({"camera": {"zoom": 0}}, "0 must be from 0.01 to 100"),
        ({"zoom": 1}, "zoom"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_invalid_value_or_combination_is_an_error(keys: Any, says: str) -> None:
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
        ({"path": "f/%03d.PNG", "bit_depth": 16}, ("f/%03d.PNG", "png", None, 16)),
        ({"path": "a.MOV", "crf": 30}, ("a.MOV", "h264", 30, None)),
    ],
)
def test_a_complete_output_has_every_default_of_its_codec(output: Any, whole: tuple[Any, ...]) -> None:
    made = scene(output=output).output.complete("s", frames=2)
    assert (made.path, made.codec, made.crf, made.bit_depth) == whole


def test_a_sequence_may_have_odd_sides() -> None:
    assert scene(size=[33, 17], output={"path": "f/%d.png"}).size == (33, 17)
    assert scene(size=[33, 17], output={"codec": "png"}).size == (33, 17)


def test_the_name_of_a_sequence_has_no_number_from_the_scene_file() -> None:
    assert scene(output={"codec": "png"}).output.complete("take %d", frames=2).path == "take _d/%05d.png"


def test_the_first_frame_has_its_own_octaves_and_steps() -> None:
    long = scene(dream={"octaves": 2, "steps": 3, "first_frame": {"octaves": 5, "steps": 0}})
    assert [long.params(i).steps for i in (0, 1)] == [(0,) * 5, (3, 3)]
    half = scene(dream={"octaves": 2, "steps": [5, 3], "first_frame": {"steps": 9}})
    assert [half.params(i).steps for i in (0, 1)] == [(9, 9), (5, 3)]
    listed = scene(dream={"first_frame": {"octaves": 4, "steps": [9, 7, 5, 3]}})
    assert [listed.params(i).steps for i in (0, 1)] == [(9, 7, 5, 3), (4, 4, 4)]


def test_params_are_the_values_of_every_track_at_that_frame() -> None:
    moving = scene(
        fps=10,
        duration="2s",
        camera={"zoom": {"0s": 1, "1s": 4}, "pan": ["t", 0.5], "rotate": "10/s"},
        objectives=[{"layer": "a", "weight": {"0": 0, "end": 19}}, {"layer": "b", "weight": "-t"}],
        dream={"transforms": {"jitter": "t * 3.3"}, "step_size": {"0s": 0, "1s": 0.1}},
    )
    params = moving.params(5)
    assert params.index == 5
    assert (params.camera.zoom, params.camera.rotate) == pytest.approx((2, 1))
    assert params.camera[2:] == ((0.5, 0.5), (0, 0), (0.5, 0.5))
    assert [weight for (weight,) in params.weights] == pytest.approx([5, -0.5])
    assert params.step_size == pytest.approx(0.05)
    assert params.jitter == 2


def test_scaling_changes_grain_and_keeps_the_side_that_octaves_are_counted_at() -> None:
    big = scene(
        size=[400, 300],
        source={"noise": {"grain": 48, "contrast": 0.1, "color": 0.3}},
        camera={"zoom": "1.5/s", "pan": [0.1, "t"]},
        output={"path": "a.mov"},
    )
    small = big.scaled(0.5, 400)
    assert small.source.chosen == NoiseSpec(grain=24, contrast=0.1, color=0.3)
    assert small.dream.reference_side == 400
    assert small.scaled(0.5, 200).dream.reference_side == 400
    assert small.timeline.keys() == big.timeline.keys()
    assert all(np.array_equal(small.timeline[key], big.timeline[key]) for key in big.timeline)
    a, b = (each.model_dump(exclude={"source": True, "dream": {"reference_side"}}) for each in (big, small))
    assert a == b


@pytest.mark.parametrize(
    ("size", "scale", "small"),
    [
        ((100, 60), 0.5, (50, 30)),
        ((50, 50), 0.3, (16, 16)),
        ((32, 48), 2, (64, 96)),
    ],
)
def test_sides_after_scaling_are_even_and_at_least_the_minimum(size: Any, scale: float, small: Any) -> None:
    assert complete(scene(size=size), paths={}, stem="s", scale=scale).size == small


def test_a_spec_serialised_as_json_is_the_same_spec() -> None:
    whole = scene(
        fps="30000/1001",
        duration="3s",
        camera={"zoom": {"0s": "1.1/s", "end": {"value": "2/s", "ease": "out_expo"}}, "pan": ["sin(t)", {"0": 0}]},
        objectives=[{"layer": "a", "weight": "t"}, {"layer": "b", "weight": -2}],
        dream={"gradient": "laplacian", "first_frame": {"steps": 3}},
    )
    for each in (whole, whole.scaled(0.5, 512)):
        again = SceneSpec.model_validate(each.model_dump(mode="json", exclude_none=True))
        assert again.timeline.keys() == each.timeline.keys()
        assert all(np.array_equal(again.timeline[path], each.timeline[path]) for path in each.timeline)
        assert again.model_dump() == each.model_dump()


def test_a_title_is_inserted_before_the_suffix_or_as_a_folder_of_a_sequence() -> None:
    film = scene(output={"path": "out/a.b.mp4"}).output.complete("s", frames=2)
    assert film.titled("3-9").path == "out/a.b.3-9.mp4"
    sequence = scene(output={"path": "out/%03d.png"}).output.complete("s", frames=2)
    assert sequence.titled("x0.5").path == "out/x0.5/%03d.png"
