"""Defaults that follow from a scene: what describes it, which rules apply, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from render.pipeline.scene import Scene, complete
from render.scene import defaults as module
from render.scene.defaults import ADDED, BY_SIZE, GROUPS, RULES, WORDS, Rule, defaults, with_defaults, words
from render.scene.model import SceneSpec
from render.scene.structure import key_paths
from tests.scene.test_document import document, load

LAYER, CLASS, STYLE = {"layer": "blocks.1"}, {"class": "ant"}, {"style": "p.png"}
NATURAL, NONE = {"statistics": "natural"}, {"statistics": "none"}
REQUESTS = {"layer": LAYER, "class": CLASS, "style": STYLE}
SOURCES: dict[str, Any] = {"noise": "noise", "picture": {"image": "p.png"}, "clip": {"video": "c.mp4"}}
DURATIONS = {"still": 1, "film": 9}
SIZE = (256, 320)
KINDS = [kind for kind in product(REQUESTS, SOURCES, DURATIONS) if kind[1:] != ("clip", "still")]


def spec(*objectives: dict[str, Any], **keys: Any) -> SceneSpec:
    """Returns the spec of a scene with these objectives, by default a layer."""
    return SceneSpec.model_validate({"objectives": objectives or (LAYER,), **keys})


def spec_of(*kind: str, **keys: Any) -> SceneSpec:
    """Returns the spec of a scene that three words describe: what it requests, its source and its length."""
    requested, source, length = kind
    return spec(REQUESTS[requested], **{"source": SOURCES[source], "duration": DURATIONS[length], **keys})


def value(of: SceneSpec, key: str) -> Any:
    """Returns the value of a dotted key as it would be written."""
    found: Any = of.model_dump(mode="json", exclude_unset=True, by_alias=True)
    for name in key.split("."):
        found = found[name]
    return found


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_scene_is_described_by_what_it_requests_its_source_and_its_length(kind: tuple[str, str, str]) -> None:
    assert words(spec_of(*kind)) == {*kind}


@pytest.mark.parametrize(
    ("objectives", "requested"),
    [
        ([LAYER, CLASS], {"class"}),
        ([CLASS, STYLE], {"style"}),
        ([{"tour": "classes"}], {"class"}),
        ([{"tour": "channels", "layer": "blocks.1"}], {"layer"}),
        ([{"content": "source", "layer": "blocks.1"}], {"layer"}),
        ([LAYER, NATURAL], {"layer", "statistics"}),
        ([LAYER, NONE], {"layer"}),
    ],
)
def test_a_style_comes_before_a_class_and_a_class_before_a_layer(
    objectives: list[dict[str, Any]], requested: set[str]
) -> None:
    assert words(spec(*objectives)) == {*requested, "noise", "film"}


def test_one_frame_of_a_clip_is_a_film() -> None:
    assert words(spec(source=SOURCES["clip"], duration=1)) == {"layer", "clip", "film"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(rule.words))
def test_a_rule_has_known_words_and_valid_settings(rule: Rule) -> None:
    assert {*rule.words} <= WORDS.keys()
    assert {tuple(key.split(".")) for key in rule.settings} <= {*key_paths()}
    source = next((SOURCES[word] for word in rule.words if word in SOURCES), "noise")
    settings = {key: 3 if setting == BY_SIZE else setting for key, setting in rule.settings.items()}
    changed = with_defaults(spec(source=source), settings)
    for key, setting in settings.items():
        assert value(changed, key) in (setting, [setting])  # steps are written as a list


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_scene_with_its_defaults_has_no_further_ones(kind: tuple[str, str, str]) -> None:
    plain = spec_of(*kind)
    chosen = defaults(plain, size=SIZE, has_norms=True)
    changed = with_defaults(plain, chosen)
    assert chosen
    assert defaults(changed, size=SIZE, has_norms=True) == {}
    assert with_defaults(plain, {}) == plain


def test_rules_that_describe_a_scene_apply_and_later_ones_override(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [(("layer",), 1), (("class",), 2), (("layer", "film"), 3), (("layer", "still"), 4), (("statistics",), 5)]
    monkeypatch.setattr(module, "RULES", [Rule(words, {"dream.octaves": octaves}) for words, octaves in rules])
    octaves = {
        kind: defaults(spec_of(*kind), size=SIZE, has_norms=False)["dream.octaves"]
        for kind in (("layer", "noise", "film"), ("layer", "noise", "still"), ("class", "noise", "film"))
    }
    assert [*octaves.values()] == [3, 4, 2]
    assert defaults(spec(LAYER), size=SIZE, has_norms=True)["dream.octaves"] == 5


@pytest.mark.parametrize(("size", "octaves"), [((256, 256), 3), ((1280, 720), 6), ((720, 1280), 6), ((64, 64), 1)])
def test_the_coarsest_octave_has_a_shorter_side_of_about_128(size: tuple[int, int], octaves: int) -> None:
    assert defaults(spec_of("class", "noise", "still"), size=size, has_norms=True)["dream.octaves"] == octaves


def test_octaves_by_size_follow_the_octave_scale_and_are_at_most_as_many_as_a_scene_may_have() -> None:
    still = spec_of("class", "noise", "still", dream={"octave_scale": 2})
    assert defaults(still, size=(512, 512), has_norms=True)["dream.octaves"] == 3
    large = spec_of("class", "noise", "still")
    chosen = defaults(large, size=(16384, 16384), has_norms=True)
    assert with_defaults(large, chosen).dream.octaves == 12


def test_a_network_that_sees_one_size_has_one_octave() -> None:
    for kind in KINDS:
        changed = with_defaults(spec_of(*kind), defaults(spec_of(*kind), size=SIZE, has_norms=True, sees_one_size=True))
        assert (changed.dream.octaves, changed.dream.first_frame_octaves[0]) == (1, 1)


def test_a_key_that_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"dream.step_size": 0.5, "dream.gradient": "raw", "dream.transforms.rotate": 9, "dream.momentum": 0.5}
    monkeypatch.setattr(module, "RULES", [Rule(("layer",), settings)])
    written = spec(dream={"step_size": 0.25, "gradient": {"gaussian": {}}, "transforms": {"jitter": 3}})
    changed = with_defaults(written, defaults(written, size=SIZE, has_norms=False))
    assert value(changed, "dream") == {
        "step_size": 0.25,
        "gradient": {"gaussian": {}},
        "transforms": {"jitter": 3, "rotate": 9},
        "momentum": 0.5,
    }


@pytest.mark.parametrize(
    ("keys", "group"),
    [
        ({"camera": {"rotate": 1}}, ("camera.",)),
        ({"grade": {"cast": 1}}, ("grade.",)),
        ({"source": {"noise": {"color": 1}}}, ("source.",)),
        ({"output": {"crf": 20}}, ("output.",)),
        *(
            ({"dream": dream}, ("dream.octaves", "dream.steps", "dream.first_frame."))
            for dream in ({"octaves": 2}, {"steps": 2}, {"first_frame": {"steps": 2}})
        ),
    ],
)
def test_a_scene_that_sets_one_key_of_a_group_decides_all_of_it(keys: dict[str, Any], group: tuple[str, ...]) -> None:
    for requested, length in product(REQUESTS, DURATIONS):
        without = defaults(spec_of(requested, "noise", length), size=SIZE, has_norms=True)
        decided = defaults(spec_of(requested, "noise", length, **keys), size=SIZE, has_norms=True)
        assert decided == {key: each for key, each in without.items() if not key.startswith(group)}


@pytest.mark.parametrize("section", ["camera", "grade", "output", "dream"])
def test_an_empty_section_sets_nothing(section: str) -> None:
    assert defaults(spec(**{section: {}}), size=SIZE, has_norms=True) == defaults(spec(), size=SIZE, has_norms=True)


def test_the_groups_are_keys_of_a_scene() -> None:
    assert {tuple(key.split(".")) for group in GROUPS for key in group} <= {*key_paths()}


@pytest.mark.parametrize(
    ("objectives", "has_norms", "is_added"),
    [
        ([LAYER], True, True),
        ([CLASS, {"content": "source", "layer": "blocks.1"}], True, True),
        ([LAYER], False, False),
        ([LAYER, NATURAL], True, False),
        ([LAYER, NONE], True, False),
        ([LAYER, STYLE], True, False),
        ([LAYER, {**CLASS, "mask": "m.png"}], True, False),
    ],
)
def test_statistics_are_added_where_nothing_speaks_against_it(
    objectives: list[dict[str, Any]], has_norms: bool, is_added: bool
) -> None:
    written = spec(*objectives)
    chosen = defaults(written, size=SIZE, has_norms=has_norms)
    added = with_defaults(written, chosen).objectives[len(objectives) :]
    assert (ADDED in chosen, [each.statistics for each in added]) == (is_added, ["natural"] * is_added)
    assert ("grade.strength" in chosen) == (is_added or NATURAL in objectives or STYLE in objectives)


def completed(folder: Path, text: str, *, is_film: bool = False) -> Scene:
    """Returns the scene of a file, or as if a film embedded it."""
    written = document(folder, text)
    spec = load(folder, text)
    return complete(spec, paths={}, stem="s", written=replace(written, film={} if is_film else None))


def test_a_scene_file_gets_defaults_and_the_scene_of_a_film_gets_none(tmp_path: Path) -> None:
    text = "objectives: [{layer: blocks.1}]\n"
    scene = completed(tmp_path, text)
    assert scene.defaults == defaults(load(tmp_path, text), size=scene.size, has_norms=True)
    assert [each.statistics for each in scene.spec.objectives] == [None, "natural"]
    for other in (completed(tmp_path, text, is_film=True), complete(load(tmp_path, text), paths={}, stem="s")):
        assert other.defaults == {}
        assert len(other.spec.objectives) == 1


@pytest.mark.parametrize(
    ("duration", "output", "path"),
    [
        (1, "{}", "s.png"),
        (2, "{}", "s.mp4"),
        (1, "{path: a.mp4}", "a.mp4"),
        (1, "{codec: jpg}", "s.jpg"),
        (1, "{crf: 20}", "s.mp4"),
        (1, "{audio: song.m4a}", "s.mp4"),
        (1, "{bit_depth: 16, segment_frames: 12}", "s.png"),
    ],
)
def test_a_still_is_a_png_unless_the_scene_sets_an_output(
    duration: int, output: str, path: str, tmp_path: Path
) -> None:
    text = f"objectives: [{{layer: blocks.1}}]\nduration: {duration}\noutput: {output}\n"
    assert completed(tmp_path, text).output.path == path


def test_a_still_may_have_odd_sides(tmp_path: Path) -> None:
    text = "size: [31, 33]\nduration: 1\nobjectives: [{layer: blocks.1}]\n"
    assert (completed(tmp_path, text).size, completed(tmp_path, text).output.codec) == ((31, 33), "png")
