"""Errors that teach: every problem of a scene and of its overrides, with its place and its remedy."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from render.api import NETWORKS
from render.errors import Problem, RenderError, SceneError, StorageError, UsageError
from render.scene import document
from render.scene.document import Override
from render.scene.layers import Known
from render.scene.model import Scene
from render.scene.source import Noise

ONE_LAYER = {"efficientnet_lite0": Known({"a": SimpleNamespace(channels=4, stride=8)}, ("banana",), ())}
BASE = """\
size: [64, 64]
source: {noise: {grain: 8}}
camera: {zoom: 1.02, pan: [0, 0]}
layers:
  - {layer: blocks.10}
  - {layer: blocks.7, weight: 0.5}
dream: {gradient: {natural: {power: 0.3}}}
"""


def load(folder: Path, text: str = BASE, sets: Sequence[str] = (), option: str = "--set") -> Scene:
    """The scene of that text in a file `s.yaml`, with these `key=value`."""
    file = folder / "s.yaml"
    file.write_text(text, encoding="utf-8")
    overrides: list[Override] = [(option, *each.split("=", 1)) for each in sets]  # type: ignore[misc]  # split gives a list of two
    return document.validate(document.read(file, overrides), NETWORKS)


def problems(folder: Path, text: str = BASE, sets: Sequence[str] = ()) -> tuple[Problem, ...]:
    """What is wrong with it."""
    with pytest.raises(SceneError) as caught:
        load(folder, text, sets)
    return caught.value.problems


def under_caret(problem: Problem) -> str:
    """The text of the printed line from the character above the caret on."""
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
        ("seed: -1", "seed should be greater than or equal to 0", "-1"),
        ("camera: {border: miror}", "'miror' is not known; did you mean 'mirror'?", "miror"),
        ("camera: {border: \"miror\"}", "did you mean 'mirror'?", '"miror"'),
        ("network: efficientnet_lite9", "unknown network 'efficientnet_lite9'; did you mean", "efficientnet_lite9"),
        ("source: {image: }", "add --set source.image=PATH", " }"),
        ("camera: {rotate: 12 * sn(t)}", "did you mean 'sin'?", "sn(t)"),
        ("camera: {rotate: '12 * sn(t)'}", "did you mean 'sin'?", "sn(t)"),
        ("camera: {zoom: {0s: 1, 2 s: 0}}", "0 must be from 0.01 to 100", "0}}"),
        ("camera: {zoom: {0s: 1, 2m: 1}}", "'2m' is not a time", "2m"),
        ("camera: {zoom: {0s: {value: 1, ease: in_sin}}}", "did you mean 'in_sine'?", "in_sin"),
        ("camera: {rotate: {0s: 1, 2s: 3/s}}", "all keys of a track are per second or none", "{0s"),
        ("camera: {pan: [0, 1 - s]}", "unknown name 's'", "s]"),
        ("camera: {zoom: 1 - t}", "0 at frame 24 (1.00 s) must be from 0.01 to 100", "1 - t"),
        ("output: {codec: prores, crf: 3}", "crf means nothing to prores", "crf"),
        ("output: {path: a.mp4, codec: png}", "png goes into .png, not into .mp4", "png}"),
        ("grade: {strength: 2}", "2 must be from 0 to 1", "2}"),
        ("camera:", "a mapping of zoom, rotate, pan", ""),
        ("source: {noise: {grain: -1}}", "source.noise.grain should be greater than or equal to 1", "-1"),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_remedy_and_the_caret_under_it(
    line: str, says: str, under: str, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, f"layers: [{{layer: blocks.10}}]\n{line}\n")
    assert says in problem.message
    assert problem.place is not None
    assert problem.place.line == 2
    assert under_caret(problem).startswith(under)
    assert str(problem).startswith(f"{tmp_path / 's.yaml'}:2:{problem.place.column}: ")


@pytest.mark.parametrize(
    ("layers", "says", "under"),
    [
        ("[{layer: block.10}]", "efficientnet_lite0 has no layer 'block.10'; did you mean 'blocks.10'?", "block.10"),
        ("[{layer: blocks.10, wieght: 1}]", "did you mean 'weight'?", "wieght"),
        ("[{weight: 1}]", "a layer or a class is needed", "{weight"),
        ("[]", "at least one layer is needed", "[]"),
        ("[blocks.10]", "a mapping of layer, channels, neuron, class, guide, mask, weight belongs here", "blocks.10"),
    ],
)
def test_a_wrong_layer_is_shown(layers: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"layers: {layers}\n")
    assert says in problem.message
    assert under_caret(problem).startswith(under)


def test_a_key_of_another_part_is_not_taken_for_a_slip_of_the_pen(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{BASE}grain: 8\n")
    assert "did you mean 'duration'" not in problem.message


@pytest.mark.parametrize(
    "line",
    ["size: 512", "size: 512x512", "size: [512]", "size: [1, 2, 3]", "size: {w: 1}", "camera: {pan: 0}", "layers:"],
)  # fmt: skip
def test_a_list_is_asked_for_in_words_of_yaml_not_of_python(line: str, tmp_path: Path) -> None:
    text = line if line == "layers:" else f"layers: [{{layer: blocks.10}}]\n{line}\n"
    (problem,) = problems(tmp_path, text)
    assert not [word for word in ("tuple", "key '1'", "after validation") if word in problem.message]


def test_a_scene_without_layers_says_so(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "fps: 24\n")
    assert "the key 'layers' is missing" in problem.message


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "3\n"])
def test_a_scene_is_a_mapping(text: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.message.startswith("a mapping of size, fps")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    layers, camera = "layers: [{layer: blocks.99}, {layer: nope}]", "camera: {zoom: 0, rotate: {1x: 1, 2x: 2}}"
    found = problems(tmp_path, f"fps: x\nbogus: 1\n{layers}\n{camera}\nseed: -1\n")
    assert [(p.place.line, p.place.column) for p in found if p.place] == [
        (1, 6), (2, 1), (3, 18), (3, 38), (4, 16), (4, 28), (4, 35), (5, 7)
    ]  # fmt: skip


def test_tracks_that_go_wrong_later_are_all_told_with_their_frames(tmp_path: Path) -> None:
    text = "layers: [{layer: blocks.10, weight: log(t)}]\ncamera: {zoom: 1 - t, rotate: 1 / t}\n"
    assert sorted(p.message[:13] for p in problems(tmp_path, text)) == sorted(
        ["-inf at frame", "0 at frame 24", "inf at frame "]
    )


@pytest.mark.parametrize(
    ("set_", "says", "under"),
    [
        ("seed=x", "seed should be a valid integer", "x"),
        ("camera.zom=2", "did you mean 'zoom'?", "camera.zom"),
        ("camera.rotate=12*sin(x)/s", "unknown name 'x'", "x)/s"),
        ("camera.rotate='12*sin(x)/s'", "unknown name 'x'", "x)/s'"),
        ("camera={zoom: 1, zoom: 2}", "'zoom' stands here twice", "zoom: 2}"),
        ("camera.zoom={0s: 1, 2x: 2}", "'2x' is not a time", "2x"),
        ("layers.1.weight=1/t", "inf at frame 0", "1/t"),
        ("layers.0.layer=blocks.77", "did you mean 'blocks.7'?", "blocks.77"),
        ("seed=[1", "not YAML", "^"),
        ("seed=!x 3", "the tag '!x'", "!x"),
        ("output.path=a.gif", "ends in .mp4", "a.gif"),
    ],
)
def test_a_wrong_override_is_shown_as_it_was_typed(set_: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, sets=[set_])
    assert says in problem.message
    assert problem.place is not None
    assert (problem.place.name, problem.place.text) == ("--set", set_)
    assert (under_caret(problem) or "^").startswith(under)


@pytest.mark.parametrize(
    "key",
    ["layers.7.weight", "layers.first.weight", "layers.-1.weight", "layers.².weight", f"layers.{'9' * 5000}.weight",
     "fps.x", "camera.pan.2", "camera.zoom.x"],
)  # fmt: skip
def test_an_override_that_leads_nowhere_is_blamed_itself(key: str, tmp_path: Path) -> None:
    with pytest.raises((SceneError, UsageError)) as caught:
        load(tmp_path, sets=[f"{key}=1"])
    if isinstance(caught.value, SceneError):
        assert {p.place.name for p in caught.value.problems if p.place} == {"--set"}
        assert "tuple" not in str(caught.value)


def test_overrides_change_nested_keys_items_and_whole_parts(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        sets=[
            "layers.0.weight=0.25",
            "layers.1={layer: blocks.4, weight: t}",
            "camera.pan.1=0.5",
            "camera.zoom.0s=1.5",
            "camera.zoom.1s=3",
            "grade.strength=0",
            "output.path=x.mov",
            "size=[32, 48]",
            "source.noise.color=1",
            "dream.gradient.natural.color=0.5",
        ],
    )
    now = made.at(24)
    assert now.weights == ((0.25,), (1.0,))
    assert now.camera.pan == (0, 0.5)
    assert now.camera.zoom == pytest.approx(3)
    assert (made.layers[1].layer, now.grade.strength, made.output.path, made.size) == ("blocks.4", 0, "x.mov", (32, 48))
    assert (made.source.chosen.grain, made.source.chosen.color) == (8, 1)
    assert (made.dream.gradient.chosen.power, made.dream.gradient.chosen.color) == (0.3, 0.5)


def test_an_override_makes_a_mapping_of_a_word(tmp_path: Path) -> None:
    made = load(tmp_path, BASE.replace("{noise: {grain: 8}}", "noise"), ["source.noise.grain=5", "dream.gradient=raw"])
    assert (made.source.chosen.grain, made.dream.gradient.raw is not None) == (5, True)


def test_an_override_may_choose_otherwise_than_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, sets=["source={image: p.png}"]).source.image == "p.png"
    assert (
        load(tmp_path, BASE.replace("{noise: {grain: 8}}", "noise"), ["source={image: p.png}"]).source.image == "p.png"
    )


def test_the_last_override_of_a_key_counts(tmp_path: Path) -> None:
    assert load(tmp_path, sets=["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize("set_", ["=3", "a..b=3", ".a=3", "a.=3", "a b=3"])
def test_an_override_without_a_proper_key_is_a_usage_error(set_: str, tmp_path: Path) -> None:
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
def test_no_override_breaks_the_program_or_reaches_the_terminal_raw(set_: str, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        load(tmp_path, sets=[set_])
    assert not set("\0\x1b") & set(str(caught.value))


def test_an_empty_override_is_an_empty_value(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, sets=["source={image: }"])
    assert "add --set source.image=PATH" in problem.message
    (problem,) = problems(tmp_path, sets=["seed="])
    assert problem.place is not None
    assert (problem.place.text, problem.place.column) == ("seed=", 6)


def test_a_path_in_the_file_starts_at_the_file_and_one_of_an_override_here(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    text = BASE.replace("{noise: {grain: 8}}", "{image: p.png}")
    image = ("source", "image")
    assert load(folder, text).locate("p.png", image) == folder / "p.png"
    assert load(folder, text, ["source.image=p.png"]).locate("p.png", image) == Path("p.png")
    assert load(folder, text, ["source={image: p.png}"]).locate("p.png", image) == Path("p.png")
    assert load(folder, text, ["seed=3"]).locate("p.png", image) == folder / "p.png"
    assert load(folder, text).locate("/p.png", image) == Path("/p.png")


def test_a_missing_scene_is_told_with_its_neighbour(tmp_path: Path) -> None:
    load(tmp_path)
    with pytest.raises(StorageError, match=r"there is no scene file .*s\.yml; did you mean 's\.yaml'\?"):
        document.read(tmp_path / "s.yml")
    with pytest.raises(StorageError, match="is a folder, not a scene"):
        document.read(tmp_path)
    with pytest.raises(StorageError):
        document.read(tmp_path / ("long" * 100))


def test_no_mutation_of_a_scene_breaks_the_program(tmp_path: Path) -> None:
    """Whatever a file holds, it is a scene or an error that says where; nothing else, and soon."""
    chance = random.Random(1)
    pieces = [*map(str.encode, "{[:' \n\"-\t\0é~"), b"&a ", b"*a", b"\x80", b"1e9"]
    original = BASE.encode()
    begun = time.monotonic()
    found: list[Problem] = []
    for _ in range(300):
        mutant = bytearray(original)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(mutant))
            mutant[at : at + chance.randint(0, 3)] = chance.choice(pieces)
        (tmp_path / "s.yaml").write_bytes(mutant)
        try:
            document.validate(document.read(tmp_path / "s.yaml"), NETWORKS)
        except SceneError as error:
            found += error.problems
    assert time.monotonic() - begun < 10
    assert len(found) > 100
    places = [problem.place for problem in found if problem.place]
    assert len(places) == len(found)
    assert all(1 <= place.column - place.skipped <= len(place.text) + 1 for place in places)


def test_choosing_another_source_replaces_the_one_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("source: {noise: {grain: 8}}\nlayers: [{layer: a}]\ndream: {gradient: {raw: {}}}\n")
    sets = [("--set", "source.image", "p.jpg"), ("--set", "dream.gradient.natural.power", "0.1")]
    scene = document.validate(document.read(file, sets), ONE_LAYER)
    assert (scene.source.noise, scene.source.image) == (None, "p.jpg")
    assert scene.dream.gradient.raw is None
    assert scene.dream.gradient.natural is not None
    assert scene.dream.gradient.natural.power == 0.1


@pytest.mark.parametrize("choice", ["source: {noise: }", "source: noise", "dream: {gradient: {raw: }}"])
def test_a_choice_without_its_numbers_has_its_defaults(choice: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"{choice}\nlayers: [{{layer: a}}]\n")
    scene = document.validate(document.read(file), ONE_LAYER)
    assert scene.source.chosen == Noise()
    assert scene.dream.gradient.chosen is not None


def test_one_stage_of_checks_does_not_hide_the_next(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "size: [33, 33]\n"
        "camera: {zom: 1, rotate: 1/t}\n"
        "layers: [{layer: a, weight: {0s: 1, 3x: 2}}, {layer: b}]\n"
        "output: {path: a.mp4, codec: png}\n"
    )
    with pytest.raises(SceneError) as caught:
        document.validate(document.read(file), ONE_LAYER)
    told = [problem.message.split(";")[0] for problem in caught.value.problems]
    assert told == [
        "a film's sides are even",
        "unknown key 'zom'",
        "inf at frame 0 (0.00 s) is not a finite number",
        "'3x' is not a time: a frame number, 2s, 50% or end",
        "efficientnet_lite0 has no layer 'b'",
        "png goes into .png, not into .mp4",
    ]
