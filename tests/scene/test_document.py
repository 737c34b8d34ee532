"""Documents: every problem of a scene and of its overrides is reported with its position and remedy."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from render.errors import SceneError, StorageError
from render.pipeline.catalogue import MODELS
from render.scene.document import Document, Override, read_document
from render.scene.model import SceneSpec
from render.scene.objectives import ModelInfo
from render.scene.source import NoiseSpec
from render.scene.validation import validate
from render.text import Problem

ONE_LAYER = {"efficientnet_lite0": ModelInfo({"a": SimpleNamespace(channels=4, stride=8)}, ("banana",), ())}
BASE = """\
size: [64, 64]
source: {noise: {grain: 8}}
camera: {zoom: 1.02, pan: [0, 0]}
objectives:
  - {layer: blocks.10}
  - {layer: blocks.7, weight: 0.5}
dream: {gradient: {natural: {decay_power: 0.3}}}
"""


def document(folder: Path, text: str = BASE, sets: Sequence[str] = ()) -> Document:
    """Returns the document of a file `s.yaml` with that text, and overrides `key=value`."""
    file = folder / "s.yaml"
    file.write_text(text, encoding="utf-8")
    overrides: list[Override] = [("--set", key, value) for key, value in (each.split("=", 1) for each in sets)]
    return read_document(file, overrides)


def load(folder: Path, text: str = BASE, sets: Sequence[str] = ()) -> SceneSpec:
    """Returns the spec of that document."""
    return validate(document(folder, text, sets), MODELS)


def problems(folder: Path, text: str = BASE, sets: Sequence[str] = ()) -> tuple[Problem, ...]:
    """Returns the problems of that document."""
    with pytest.raises(SceneError) as caught:
        load(folder, text, sets)
    return caught.value.problems


def under_caret(problem: Problem) -> str:
    """Returns the printed line from the character above the caret on."""
    line, caret = str(problem).split("\n")[-2:]
    return line[caret.index("^") :]


@pytest.mark.parametrize(
    ("line", "says", "under"),
    [
        ("camera: {zom: 1}", "unknown key 'zom'; did you mean 'zoom'?", "zom"),
        ("camera: {steps: 1}", "unknown key 'steps'; it belongs in 'dream'", "steps"),
        ("zoom: 1.02", "unknown key 'zoom'; it belongs in 'camera'", "zoom"),
        ("crf: 18", "unknown key 'crf'; it belongs in 'output'", "crf"),
        ("strength: 0", "unknown key 'strength'; it belongs in 'grade'", "strength"),
        ("duraton: 5s", "unknown key 'duraton'; did you mean 'duration'?", "duraton"),
        ("fps: fast", "'fast' is not a rate: 24, 29.97 or 30000/1001", "fast"),
        ("seed: -1", "seed must be at least 0, not '-1'", "-1"),
        ("camera: {border: miror}", "unknown value 'miror'; did you mean 'mirror'?", "miror"),
        ("camera: {border: \"miror\"}", "did you mean 'mirror'?", '"miror"'),
        ("network: efficientnet_lite9", "unknown network 'efficientnet_lite9'; did you mean", "efficientnet_lite9"),
        ("source: {image: }", "add --set source.image=PATH", " }"),
        ("camera: {rotate: 12 * sn(t)}", "did you mean 'sin'?", "sn(t)"),
        ("camera: {rotate: '12 * sn(t)'}", "did you mean 'sin'?", "sn(t)"),
        ("camera: {zoom: {0s: 1, 2 s: 0}}", "0 must be from 0.01 to 100", "0}}"),
        ("camera: {zoom: {0s: 1, 2m: 1}}", "'2m' is not a time", "2m"),
        ("camera: {zoom: {0s: {value: 1, ease: in_sin}}}", "did you mean 'in_sine'?", "in_sin"),
        ("camera: {rotate: {0s: 1, 2s: 3/s}}", "either all per second or none", "{0s"),
        ("camera: {pan: [0, 1 - s]}", "unknown name 's'", "s]"),
        ("camera: {zoom: 1 - t}", "0 at frame 24 (1.00 s) must be from 0.01 to 100", "1 - t"),
        ("camera: {look_at: {point: [0.3, 1.2], by: 3s}}", "point.1 must be at most 1, not '1.2'", "1.2]"),
        ("camera: {look_at: {point: [0.3], by: 3s}}", "camera.look_at.point needs 2 values", "[0.3]"),
        ("camera: {look_at: {point: [0.3, 0.6]}}", "the key 'by' is missing in 'camera.look_at'", "{point"),
        ("camera: {look_at: {point: [0.3, 0.6], by: 0s}}", "the point arrives later: 48, 3s, 50% or end", "0s"),
        ("camera: {look_at: {point: [0.3, 0.6], by: soon}}", "'soon' is not a time", "soon"),
        ("camera: {look_at: {point: [0, 1], by: 9, ease: in_sin}}", "unknown easing 'in_sin'; did you", "in_sin"),
        ("camera: {pan: [t, 0], look_at: {point: [0, 1], by: 9}}", "'pan' and 'look_at' exclude each other", "pan"),
        ("camera: {look_at: {point: [0, 1], by: 9}, pivot: [0, 0]}", "'pivot' and 'look_at' exclude", "pivot"),
        ("output: {codec: prores, crf: 3}", "prores has no crf; remove it", "crf"),
        ("output: {path: a.mp4, codec: png}", "png needs a path that ends in .png, not in .mp4", "png}"),
        ("grade: {strength: 2}", "2 must be from 0 to 1", "2}"),
        ("camera:", "camera must be a mapping of zoom, rotate, pan", ""),
        ("dream: {octaves: 2.5}", "dream.octaves must be a whole number, not '2.5'", "2.5"),
        ("dream: {octaves: true}", "dream.octaves must be a whole number, not 'True'", "true"),
        ("dream: {octave_scale: x}", "dream.octave_scale must be a number, not 'x'", "x}"),
        ("dream: {momentum: 1}", "dream.momentum must be less than 1, not '1'", "1}"),
        ("dream: {steps: -1}", "dream.steps must be at least 0, not '-1'", "-1"),
        ("dream: {steps: many}", "dream.steps must be a whole number, not 'many'", "many"),
        ("dream: {steps: [3, 2000, 3]}", "dream.steps.1 must be at most 1000, not '2000'", "2000"),
        ("dream: {steps: []}", "at least one value is needed", "[]"),
        ("dream: {steps: [1, 2]}", "2 numbers of steps for 3 octaves", "[1, 2]"),
        ("dream: {first_frame: {steps: 1.5}}", "dream.first_frame.steps must be a whole number", "1.5"),
        ("dream: {tile_size: of}", "unknown word 'of'; did you mean 'off'?", "of}"),
        ("dream: {tile_size: 64}", "dream.tile_size must be at least 128, not '64'", "64"),
        ("dream: {transforms: {scale: [2, 1]}}", "the smaller scale comes first", "[2, 1]"),
        ("output: {codec: png, bit_depth: 12}", "unknown value '12'; expected one of 16, 8", "12"),
        ("output: {audio: 3}", "output.audio must be text, not '3'", "3"),
        ("follow: {cuts: autom}\nsource: {video: c.mp4}", "unknown word 'autom'; did you mean 'auto'?", "autom"),
        ("follow: {cuts: 3}\nsource: {video: c.mp4}", "follow.cuts must be a list", "3"),
        ("follow: {cuts: [1s, 2x]}\nsource: {video: c.mp4}", "'2x' is not a time", "2x"),
        ("follow: {}", "'follow' needs a clip, source.video", "follow"),
        ("source: {noise: {grain: -1}}", "source.noise.grain must be at least 1, not '-1'", "-1"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_with_its_remedy_and_the_caret_under_it(
    line: str, says: str, under: str, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, f"objectives: [{{layer: blocks.10}}]\n{line}\n")
    assert says in problem.message
    assert problem.position is not None
    assert problem.position.line == 2
    assert under_caret(problem).startswith(under)
    assert str(problem).startswith(f"{tmp_path / 's.yaml'}:2:{problem.position.column}: ")


@pytest.mark.parametrize(
    ("objectives", "says", "under"),
    [
        ("[{layer: block.10}]", "efficientnet_lite0 has no layer 'block.10'; did you mean 'blocks.10'?", "block.10"),
        ("[{layer: blocks.10, wieght: 1}]", "did you mean 'weight'?", "wieght"),
        (
            "[{weight: 1}]",
            "an objective needs a 'layer', a 'class', 'statistics', a 'style', 'content' or a 'tour'",
            "{weight",
        ),
        ("[]", "at least one", "[]"),
        (
            "[blocks.10]",
            "must be a mapping of layer, channels, position, class, statistics, depth, style, layers, guide, content",
            "blocks.10",
        ),
    ],
)
def test_a_wrong_objective_is_reported(objectives: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"objectives: {objectives}\n")
    assert says in problem.message
    assert under_caret(problem).startswith(under)


def test_a_key_of_another_section_gets_no_suggestion_of_a_similar_key(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{BASE}grain: 8\n")
    assert "did you mean 'duration'" not in problem.message


@pytest.mark.parametrize(
    "line",
    ["size: 512", "size: 512x512", "size: [512]", "size: [1, 2, 3]", "size: {w: 1}", "camera: {pan: 0}", "objectives:"],
)  # fmt: skip
def test_a_missing_list_is_reported_in_the_words_of_yaml_and_not_of_python(line: str, tmp_path: Path) -> None:
    text = line if line == "objectives:" else f"objectives: [{{layer: blocks.10}}]\n{line}\n"
    (problem,) = problems(tmp_path, text)
    assert not [word for word in ("tuple", "key '1'", "after validation") if word in problem.message]


def test_missing_objectives_are_reported(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "fps: 24\n")
    assert "the key 'objectives' is missing" in problem.message


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "3\n"])
def test_a_scene_is_a_mapping(text: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.message.startswith("scene must be a mapping of size, fps")


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    objectives, camera = "objectives: [{layer: blocks.99}, {layer: nope}]", "camera: {zoom: 0, rotate: {1x: 1, 2x: 2}}"
    reported = problems(tmp_path, f"fps: x\nbogus: 1\n{objectives}\n{camera}\nseed: -1\n")
    assert [(p.position.line, p.position.column) for p in reported if p.position] == [
        (1, 6), (2, 1), (3, 22), (3, 42), (4, 16), (4, 28), (4, 35), (5, 7)
    ]  # fmt: skip


def test_all_tracks_with_wrong_values_are_reported_with_their_frames(tmp_path: Path) -> None:
    text = "objectives: [{layer: blocks.10, weight: log(t)}]\ncamera: {zoom: 1 - t, rotate: 1 / t}\n"
    assert sorted(p.message[:13] for p in problems(tmp_path, text)) == sorted(
        ["-inf at frame", "0 at frame 24", "inf at frame "]
    )


def test_a_missing_scene_is_reported_with_a_similar_file(tmp_path: Path) -> None:
    load(tmp_path)
    with pytest.raises(StorageError, match=r"there is no scene file .*s\.yml; did you mean 's\.yaml'\?"):
        read_document(tmp_path / "s.yml")
    with pytest.raises(StorageError, match="is a folder, not a scene"):
        read_document(tmp_path)
    with pytest.raises(StorageError):
        read_document(tmp_path / ("long" * 100))


def test_a_mutated_scene_is_a_scene_or_an_error_with_a_position(tmp_path: Path) -> None:
    chance = random.Random(1)
    pieces = [*map(str.encode, "{[:' \n\"-\t\0é~"), b"&a ", b"*a", b"\x80", b"1e9"]
    original = BASE.encode()
    start = time.monotonic()
    reported: list[Problem] = []
    for _ in range(300):
        mutant = bytearray(original)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(mutant))
            mutant[at : at + chance.randint(0, 3)] = chance.choice(pieces)
        (tmp_path / "s.yaml").write_bytes(mutant)
        try:
            validate(read_document(tmp_path / "s.yaml"), MODELS)
        except SceneError as error:
            reported += error.problems
    assert time.monotonic() - start < 10
    assert len(reported) > 100
    places = [problem.position for problem in reported if problem.position]
    assert len(places) == len(reported)
    assert all(1 <= place.column - place.skipped <= len(place.text) + 1 for place in places)


@pytest.mark.parametrize("choice", ["source: {noise: }", "source: noise", "dream: {gradient: {raw: }}"])
def test_a_choice_without_parameters_has_its_defaults(choice: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"{choice}\nobjectives: [{{layer: a}}]\n")
    scene = validate(read_document(file), ONE_LAYER)
    assert scene.source.chosen == NoiseSpec()
    assert scene.dream.gradient.chosen is not None


def test_errors_of_an_early_check_do_not_hide_those_of_a_later_one(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "size: [33, 33]\n"
        "camera: {zom: 1, rotate: 1/t}\n"
        "objectives: [{layer: a, weight: {0s: 1, 3x: 2}}, {layer: b}]\n"
        "output: {path: a.mp4, codec: png}\n"
    )
    with pytest.raises(SceneError) as caught:
        validate(read_document(file), ONE_LAYER)
    messages = [problem.message.split(";")[0] for problem in caught.value.problems]
    assert messages == [
        "a film's sides are even",
        "unknown key 'zom'",
        "inf at frame 0 (0.00 s) is not a finite number",
        "'3x' is not a time: a frame number, 2s, 50%, end, 4b or bar 3",
        "efficientnet_lite0 has no layer 'b'",
        "png needs a path that ends in .png, not in .mp4",
    ]
