"""Old keys: each is an error that names the new key, at its position, alone and with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from render.errors import SceneError
from render.pipeline.catalogue import MODELS
from render.scene.renames import KEYS, VALUES, upgraded_path
from render.scene.validation import validate
from tests.scene.test_document import document, problems, under_caret

OBJECTIVES = "objectives: [{layer: blocks.10}]\n"
HINT = "; `render upgrade SCENE` rewrites the file"

OLD_KEYS = [
    ("layers: [{layer: blocks.10}]", "'layers' was renamed to 'objectives'", 1),
    ("objectives: [{layer: blocks.10, channels: 3, neuron: [0, 0]}]", "'neuron' was renamed to 'position'", 46),
    ("network: {name: resnet50, training: IMAGENET1K_V1}", "'training' was renamed to 'weights'", 27),
    ("network: {name: resnet50, weights: my.pth}", "'weights' was renamed to 'weights_file'", 27),
    ("network: {weights: nets/mine}", "'weights' was renamed to 'weights_file'", 11),
    ("dream: {gradient: {natural: {power: 0.3}}}", "'power' was renamed to 'decay_power'", 30),
    ("dream: {gradient: {natural: {color: 0.3}}}", "'color' was renamed to 'color_correlation'", 30),
    ("dream: {gradient: {natural: {lowest: 3}}}", "'lowest' was renamed to 'min_frequency'", 30),
    ("dream: {every: 2}", "'every' was renamed to 'cadence'", 9),
    ("dream: {first: {steps: 3}}", "'first' was renamed to 'first_frame'", 9),
    ("dream: {last_step: 0.5}", "'last_step' was renamed to 'final_step_scale'", 9),
    ("dream: {octaves: 2, jitter: 3}", "'jitter' was moved to 'transforms.jitter'", 21),
    ("dream: {octaves: 2, scale: [1, 2]}", "'scale' was moved to 'transforms.scale'", 21),
    ("dream: {octaves: 2, rotate: 3}", "'rotate' was moved to 'transforms.rotate'", 21),
    ("dream: {tile: 256}", "'tile' was renamed to 'tile_size'", 9),
    ("follow: {keep: 0.9}", "'keep' was renamed to 'persistence'", 10),
    ("follow: {mode: linear}", "'linear' was renamed to 'blend'", 16),
    ("output: {segment: 24}", "'segment' was renamed to 'segment_frames'", 10),
    ("output: {codec: png, depth: 16}", "'depth' was renamed to 'bit_depth'", 22),
]


def scene_with(line: str) -> str:
    """Returns a scene with that line as its second one, whose other keys are valid."""
    text = f"fps: 24\n{line}\n"
    if "follow" in line:
        text += "source: {video: clip.mp4}\n"
    if "resnet50" in line:
        return f"{text}objectives: [{{layer: fc}}]\n"
    return text if "layer:" in line else text + OBJECTIVES


@pytest.mark.parametrize(("line", "message", "column"), OLD_KEYS)
def test_an_old_key_alone_is_an_error_that_names_the_new_one(
    line: str, message: str, column: int, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, scene_with(line))
    assert problem.message == message + HINT
    assert problem.position is not None
    assert (problem.position.line, problem.position.column) == (2, column)
    assert under_caret(problem).startswith(message.split("'")[1])


def test_every_rename_of_the_table_is_tested_here() -> None:
    assert {message for _, message, _ in OLD_KEYS} == {str(rename) for rename in (*KEYS, *VALUES)}


def test_all_old_keys_of_a_scene_are_reported_at_once_with_the_errors_of_other_keys(tmp_path: Path) -> None:
    text = (
        "layers: [{layer: nope, neuron: [0, 0]}]\n"
        "network: {training: IMAGENET1K_V1}\n"
        "dream:\n"
        "  every: 99\n"
        "  jitter: x\n"
        "  scale: [2, 1]\n"
        "output: {segment: 0, dept: 3}\n"
    )
    reported = [(p.position.line, p.position.column, p.message) for p in problems(tmp_path, text) if p.position]
    assert [(line, column, message.split(";")[0]) for line, column, message in reported] == [
        (1, 1, "'layers' was renamed to 'objectives'"),
        (1, 18, "efficientnet_lite0 has no layer 'nope'"),
        (1, 24, "'neuron' was renamed to 'position'"),
        (1, 24, "a position needs exactly one channel: channels: [17]"),
        (2, 11, "'training' was renamed to 'weights'"),
        (2, 21, "efficientnet_lite0 has no weights 'IMAGENET1K_V1'"),
        (4, 3, "'every' was renamed to 'cadence'"),
        (4, 10, "dream.cadence must be at most 24, not '99'"),
        (5, 3, "'jitter' was moved to 'transforms.jitter'"),
        (5, 11, "unknown name 'x'"),
        (6, 3, "'scale' was moved to 'transforms.scale'"),
        (6, 10, "the smaller scale comes first"),
        (7, 10, "'segment' was renamed to 'segment_frames'"),
        (7, 19, "output.segment_frames must be at least 1, not '0'"),
        (7, 22, "unknown key 'dept'"),
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dream.every=2", "'every' was renamed to 'cadence'"),
        ("dream.jitter=2", "'jitter' was moved to 'transforms.jitter'"),
        ("dream={every: 2}", "'every' was renamed to 'cadence'"),
        ("layers=[{layer: blocks.10}]", "'layers' was renamed to 'objectives'"),
        ("objectives.0.neuron=[0, 0]", "'neuron' was renamed to 'position'"),
        ("network.weights=w.pth", "'weights' was renamed to 'weights_file'"),
    ],
)
def test_an_old_key_in_an_override_is_an_error_in_the_override(override: str, message: str, tmp_path: Path) -> None:
    text = "objectives: [{layer: blocks.10, channels: 3}]\n"
    (problem,) = problems(tmp_path, text, [override])
    assert problem.message == message
    assert problem.position is not None
    assert (problem.position.name, problem.position.text) == ("--set", override)
    assert under_caret(problem).startswith(override if "={" not in override else "every")


def test_an_old_key_in_an_override_and_one_in_the_file_are_both_reported(tmp_path: Path) -> None:
    reported = problems(tmp_path, OBJECTIVES + "output: {segment: 24}\n", ["dream.every=2"])
    assert [problem.message.removesuffix(HINT) for problem in reported] == [
        "'every' was renamed to 'cadence'",
        "'segment' was renamed to 'segment_frames'",
    ]


def test_an_old_key_inside_an_old_section_is_reported_for_an_override(tmp_path: Path) -> None:
    messages = {problem.message for problem in problems(tmp_path, OBJECTIVES, ["layers.0.neuron=[0, 0]"])}
    assert messages == {"'layers' was renamed to 'objectives'", "'neuron' was renamed to 'position'"}


def test_the_old_keys_of_a_film_are_reported_without_a_hint_to_rewrite_it(tmp_path: Path) -> None:
    film = replace(document(tmp_path, OBJECTIVES + "dream: {every: 2}\n"), film={})
    with pytest.raises(SceneError) as caught:
        validate(film, MODELS)
    assert [problem.message for problem in caught.value.problems] == ["'every' was renamed to 'cadence'"]


@pytest.mark.parametrize(
    "line",
    [
        "network: {name: resnet50, weights: IMAGENET1K_V2}",
        "source: {noise: {color: 0.5}}",
        "camera: {rotate: 2}",
        "output: {codec: png}",
    ],
)
def test_a_key_that_is_old_only_elsewhere_is_accepted(line: str, tmp_path: Path) -> None:
    validate(document(tmp_path, scene_with(line)), MODELS)


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("layers", None, "objectives"),
        ("layers.0.neuron", None, "objectives.0.position"),
        ("dream.jitter", None, "dream.transforms.jitter"),
        ("dream.first.steps", None, "dream.first_frame.steps"),
        ("network.weights", "w.pth", "network.weights_file"),
        ("network.weights", "IMAGENET1K_V1", "network.weights"),
        ("camera.rotate", None, "camera.rotate"),
        ("objectives.0.weight", None, "objectives.0.weight"),
    ],
)
def test_a_dotted_key_is_upgraded_at_every_step(old: str, value: str | None, new: str) -> None:
    assert upgraded_path(old, value) == new
