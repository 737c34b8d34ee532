"""Overrides: `--set KEY=VALUE` changes a scene, and mistakes in it are reported as they were typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.errors import RenderError, UsageError
from render.scene.document import read_document
from render.scene.validation import validate
from tests.scene.test_document import BASE, ONE_LAYER, document, load, problems, under_caret


@pytest.mark.parametrize(
    ("set_", "says", "under"),
    [
        ("seed=x", "seed must be a whole number, not 'x'", "x"),
        ("camera.zom=2", "did you mean 'zoom'?", "camera.zom"),
        ("camera.rotate=12*sin(x)/s", "unknown name 'x'", "x)/s"),
        ("camera.rotate='12*sin(x)/s'", "unknown name 'x'", "x)/s'"),
        ("camera={zoom: 1, zoom: 2}", "duplicate key 'zoom'", "zoom: 2}"),
        ("camera.zoom={0s: 1, 2x: 2}", "'2x' is not a time", "2x"),
        ("objectives.1.weight=1/t", "inf at frame 0", "1/t"),
        ("objectives.0.layer=blocks.77", "did you mean 'blocks.7'?", "blocks.77"),
        ("seed=[1", "not YAML", "[1"),
        ("seed=!x 3", "the tag '!x'", "!x"),
        ("output.path=a.avi", "ends in .mp4", "a.avi"),
    ],
)
def test_a_wrong_override_is_printed_as_it_was_typed(set_: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, sets=[set_])
    assert says in problem.message
    assert problem.position is not None
    assert (problem.position.name, problem.position.text) == ("--set", set_)
    assert under_caret(problem).startswith(under)


@pytest.mark.parametrize(
    "key",
    ["objectives.7.weight", "objectives.first.weight", "objectives.-1.weight", "objectives.².weight",
     f"objectives.{'9' * 5000}.weight",
     "fps.x", "camera.pan.2", "camera.zoom.x"],
)  # fmt: skip
def test_an_override_of_a_key_that_cannot_exist_is_an_error_in_the_override(key: str, tmp_path: Path) -> None:
    reported = problems(tmp_path, sets=[f"{key}=1"])
    assert {problem.position.name for problem in reported if problem.position} == {"--set"}
    assert not [problem for problem in reported if "tuple" in problem.message]


def test_overrides_change_nested_keys_items_and_whole_sections(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        sets=[
            "objectives.0.weight=0.25",
            "objectives.1={layer: blocks.4, weight: t}",
            "camera.pan.1=0.5",
            "camera.zoom.0s=1.5",
            "camera.zoom.1s=3",
            "grade.strength=0",
            "output.path=x.mov",
            "size=[32, 48]",
            "source.noise.color=1",
            "dream.gradient.natural.color_correlation=0.5",
        ],
    )
    params, natural = spec.params(24), spec.dream.gradient.chosen
    assert params.weights == ((0.25,), (1.0,))
    assert params.camera.pan == (0, 0.5)
    assert params.camera.zoom == pytest.approx(3)
    assert (spec.objectives[1].layer, params.grade.strength, spec.output.path, spec.size) == (
        "blocks.4",
        0,
        "x.mov",
        (32, 48),
    )
    assert (spec.source.chosen.grain, spec.source.chosen.color) == (8, 1)
    assert (natural.decay_power, natural.color_correlation) == (0.3, 0.5)


def test_an_override_turns_a_word_into_a_mapping(tmp_path: Path) -> None:
    spec = load(tmp_path, BASE.replace("{noise: {grain: 8}}", "noise"), ["source.noise.grain=5", "dream.gradient=raw"])
    assert (spec.source.chosen.grain, spec.dream.gradient.raw is not None) == (5, True)


def test_an_override_may_choose_another_source_than_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, sets=["source={image: p.png}"]).source.image == "p.png"
    assert (
        load(tmp_path, BASE.replace("{noise: {grain: 8}}", "noise"), ["source={image: p.png}"]).source.image == "p.png"
    )


def test_the_last_override_of_a_key_applies(tmp_path: Path) -> None:
    assert load(tmp_path, sets=["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize("set_", ["=3", "a..b=3", ".a=3", "a.=3", "a b=3"])
def test_an_override_without_a_valid_key_is_a_usage_error(set_: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dotted"):
        load(tmp_path, sets=[set_])


@pytest.mark.parametrize(
    "set_",
    [
        f"{'a.' * 1000}b=3",
        "seed=\udcff",
        "seed=\0",
        "\udcff=3",
        "seed=\x1b[2J",
        "a\x1b[2J=1",
        "seed=# 3",
        "seed=1\n---\n2",
    ],
    ids=["deep", "not UTF-8", "NUL", "key not UTF-8", "control", "control in key", "comment", "second document"],
)
def test_a_hostile_override_is_an_error_without_control_characters(set_: str, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        load(tmp_path, sets=[set_])
    assert not set("\0\x1b") & set(str(caught.value))


def test_an_empty_override_is_a_null(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, sets=["source={image: }"])
    assert "add --set source.image=PATH" in problem.message
    (problem,) = problems(tmp_path, sets=["seed="])
    assert problem.position is not None
    assert (problem.position.text, problem.position.column) == ("seed=", 6)


def test_paths_are_relative_to_the_file_and_those_of_overrides_to_the_current_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    text = BASE.replace("{noise: {grain: 8}}", "{image: p.png}")
    image = ("source", "image")
    assert document(folder, text).folder(image) == folder
    assert document(folder, text, ["source.image=p.png"]).folder(image) == Path()
    assert document(folder, text, ["source={image: p.png}"]).folder(image) == Path()
    assert document(folder, text, ["seed=3"]).folder(image) == folder


def test_an_override_of_one_choice_removes_the_other(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("source: {noise: {grain: 8}}\nobjectives: [{layer: a}]\ndream: {gradient: {raw: {}}}\n")
    sets = [("--set", "source.image", "p.jpg"), ("--set", "dream.gradient.natural.decay_power", "0.1")]
    scene = validate(read_document(file, sets), ONE_LAYER)
    assert (scene.source.noise, scene.source.image) == (None, "p.jpg")
    assert scene.dream.gradient.raw is None
    assert scene.dream.gradient.natural is not None
    assert scene.dream.gradient.natural.decay_power == 0.1
