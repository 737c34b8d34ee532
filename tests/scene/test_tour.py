"""Tours: in which order classes and channels take turns, when each has which weight, and what of it is in a film."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from render.errors import SceneError
from render.pipeline.catalogue import MODELS
from render.scene.clock import Clock
from render.scene.model import SceneSpec
from render.scene.objectives import ObjectiveSpec
from render.scene.tour import Thing, shuffled
from render.scene.validation import check_timing
from tests.scene.test_document import document, load, under_caret
from tests.scene.test_objective_specs import load_objectives

NAMES = ("ant", "bee", "fly")
LISTED = f"classes: [{', '.join(NAMES)}]"


def tour(folder: Path, keys: str, *lines: str) -> SceneSpec:
    """Returns a spec whose one objective is a tour with these keys."""
    return load_objectives(folder, f"{{tour: {keys}}}", *lines)


def things(spec: SceneSpec) -> list[Thing]:
    """Returns the classes or channels of the tour's turns."""
    return [turn.thing for turn in spec.tours[0]]


def expected_weights(frame: int, clock: Clock, *, hold: Fraction, fade: Fraction) -> dict[int, float]:
    """Returns the weights of the turns at a frame that have one; `hold` and `fade` are in seconds."""
    number, elapsed = divmod(Fraction(frame) / clock.fps, hold + fade)
    faded = max(Fraction(0), elapsed - hold) / fade if fade else Fraction(0)
    weights = {int(number): float(1 - faded), int(number) + 1: float(faded)}
    return {turn: weight for turn, weight in weights.items() if weight}


@pytest.mark.parametrize("fps", ["24", "60", "12.5", "30000/1001", "0.7"])
@pytest.mark.parametrize(("hold", "fade"), [("2", "1"), ("0.5", "1.7"), ("1.5", "0"), ("0", "2"), ("0.1", "1.9")])
def test_every_turn_is_held_and_cross_faded_at_its_exact_time(hold: str, fade: str, fps: str, tmp_path: Path) -> None:
    spec = tour(tmp_path, f"classes, hold: {hold}s, fade: {fade}s", f"fps: {fps}", "duration: 20s")
    clock = Clock(spec.fps, spec.length)
    for frame in range(spec.length):
        (weights,) = spec.params(frame).weights
        assert sum(weights) == pytest.approx(1, abs=1e-12)
        expected = expected_weights(frame, clock, hold=Fraction(hold), fade=Fraction(fade))
        assert {i: weight for i, weight in enumerate(weights) if weight} == pytest.approx(expected, abs=1e-9)


def test_a_turn_is_an_ordinary_objective_with_an_ordinary_track(tmp_path: Path) -> None:
    spec = tour(tmp_path, f"classes, {LISTED}, hold: 4, fade: 2", "duration: 20")
    equal = [{0: 0, 4: 0, 6: 1, 10: 1, 12: 0}, {0: 0, 10: 0, 12: 1, 16: 1, 18: 0}]
    for turn, keys in zip(spec.tours[0][1:3], equal, strict=True):
        objective = spec.objectives[0].at(turn)
        assert objective.classes == (turn.thing,)
        assert isinstance(objective, ObjectiveSpec)
        written = load_objectives(tmp_path, f"{{class: {turn.thing}, weight: {keys}}}", "duration: 20")
        whole = objective.weights[0].values(Clock(spec.fps, spec.length))
        assert np.array_equal(whole, written.timeline["objectives", 0, "weight"])
    channel = tour(tmp_path, "channels, layer: blocks.3, channels: [7, 5]")
    first = channel.objectives[0].at(channel.tours[0][0])
    assert (first.tour, first.layer, first.channels) == (None, "blocks.3", (7,))


def test_a_film_has_only_the_turns_that_come_within_it(tmp_path: Path) -> None:
    assert len(tour(tmp_path, "classes", "duration: 60s").tours[0]) == 21  # the last fades in at 59 s
    assert len(tour(tmp_path, "classes", "duration: 59s").tours[0]) == 20
    assert len(tour(tmp_path, "classes, fade: 0", "duration: 60s").tours[0]) == 30
    assert things(tour(tmp_path, f"classes, {LISTED}", "duration: 1")) == ["ant"]


def test_the_order_follows_from_the_seed_alone(tmp_path: Path) -> None:
    spec = tour(tmp_path, "classes", "duration: 14s", "seed: 5")
    order = ["tailed frog", "Siamese cat", "flatworm", "airship", "white wolf"]
    assert things(spec) == order
    assert things(tour(tmp_path, "classes, hold: 7, fade: 3", "duration: 600", "fps: 60", "seed: 5"))[:5] == order
    assert things(tour(tmp_path, "classes, seed: 5", "duration: 14s", "seed: 6")) == order
    assert things(tour(tmp_path, "classes", "duration: 14s", "seed: 6")) != order
    assert things(spec.replaced(seed=6)) != order


def test_a_longer_film_begins_with_the_weights_of_a_shorter_one(tmp_path: Path) -> None:
    short, long = (tour(tmp_path, "classes", f"duration: {seconds}s") for seconds in (10, 40))
    for frame in range(short.length):
        (some,), (more,) = short.params(frame).weights, long.params(frame).weights
        assert more == some + (0,) * (len(more) - len(some))


@pytest.mark.parametrize("count", [2, 3, 40])
def test_each_comes_once_before_any_comes_again_and_none_twice_in_a_row(count: int) -> None:
    for seed in range(20):
        order = list(islice(shuffled(range(count), seed), 10 * count))
        rounds = [order[i : i + count] for i in range(0, len(order), count)]
        assert all(sorted(each) == [*range(count)] for each in rounds)
        assert all(one != other for one, other in pairwise(order))
        assert count == 2 or len({tuple(each) for each in rounds}) > 2


def test_a_tour_of_classes_goes_through_all_of_the_network(tmp_path: Path) -> None:
    names = set(MODELS["efficientnet_lite0"].classes)
    order = things(tour(tmp_path, "classes, hold: 1, fade: 0", "duration: 2000"))
    assert set(order[: len(names)]) == set(order[len(names) : 2 * len(names)]) == names


def test_a_tour_of_channels_goes_through_all_of_the_layer(tmp_path: Path) -> None:
    order = things(tour(tmp_path, "channels, layer: blocks.3, hold: 1, fade: 0", "duration: 40"))
    assert order != [*range(40)]
    assert sorted(order, key=int) == [*range(40)]


def test_a_list_is_repeated_in_its_order_unless_the_order_is_random(tmp_path: Path) -> None:
    assert things(tour(tmp_path, f"classes, {LISTED}", "duration: 14s")) == ["ant", "bee", "fly", "ant", "bee"]
    assert things(tour(tmp_path, "classes, classes: [954, Measuring_cup]", "duration: 6s"))[:2] == [
        "banana",
        "measuring cup",
    ]
    channels = "channels, layer: blocks.3, channels: [7, 5]"
    assert things(tour(tmp_path, channels, "duration: 8s")) == [7, 5, 7]
    orders = {tuple(things(tour(tmp_path, f"classes, {LISTED}, order: random, seed: {i}"))[:3]) for i in range(40)}
    assert len(orders) == 6
    order = things(tour(tmp_path, "classes, order: listed", "duration: 8s"))
    assert order == ["tench", "goldfish", "great white shark"]


def test_the_weight_of_a_tour_multiplies(tmp_path: Path) -> None:
    spec = tour(tmp_path, f"classes, {LISTED}, hold: 4, fade: 2, weight: {{0: -2, 10: 0}}", "duration: 12")
    assert spec.params(0).weights == ((-2, 0, 0),)
    assert spec.params(5).weights == ((-0.5, -0.5, 0),)
    assert spec.params(10).weights == ((0, 0, 0),)


def test_a_tour_takes_its_length_and_rate_from_a_clip(tmp_path: Path) -> None:
    spec = tour(tmp_path, "classes", "source: {video: c.mp4}")
    timed = spec.with_clip_timing(fps=Fraction(50), duration=Fraction(7))
    assert [turn.times[1] for turn in timed.tours[0]] == [0, 150, 300]


def test_a_turn_that_is_too_short_at_the_rate_of_a_clip_is_an_error_at_its_position(tmp_path: Path) -> None:
    text = "source: {video: c.mp4}\nobjectives: [{tour: classes, hold: 0.1s, fade: 0}]\n"
    timed = load(tmp_path, text).with_clip_timing(fps=Fraction(9), duration=Fraction(7))
    with pytest.raises(SceneError, match="a turn, hold \\+ fade, is shorter than a frame") as caught:
        check_timing(document(tmp_path, text), timed)
    (problem,) = caught.value.problems
    assert under_caret(problem).startswith("0.1s")


def test_a_tour_is_serialised_as_it_is_written(tmp_path: Path) -> None:
    spec = tour(tmp_path, "classes, hold: 3s, weight: 2")
    (written,) = spec.model_dump(mode="json", exclude_none=True, by_alias=True)["objectives"]
    assert written == {"tour": "classes", "hold": "3s", "weight": 2}
