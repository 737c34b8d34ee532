"""Completion in a scene's text, also while it is no valid YAML."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from render.models.registry import layer_map, model_spec
from render.scene.easings import EASINGS
from render.scene.field_errors import Loc
from render.scene.functions import FUNCTIONS
from render.scene.schema import scene_schema
from render.scene.yaml_tree import parse_yaml
from render.studio.completion import TRACKS, Completions, complete
from render.studio.outline import outline
from render.studio.schema_walk import NAME, Schema, alternatives_at, is_mapping

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
TEXTS = [config.read_text() for config in CONFIGS]
VALIDATOR = Draft202012Validator(scene_schema())
LITE = "efficientnet_lite0"
MAX_SECONDS = 0.05
SEARCHED = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def at_cursor(text: str, path: Path = Path("s.yaml")) -> Completions:
    """The completions at the | in a text."""
    before, after = text.split("|")
    return complete(before + after, len(before), path)


def labels(text: str, path: Path = Path("s.yaml")) -> list[str]:
    return [option.label for option in at_cursor(text, path).options]


def completed(text: str, label: str) -> str:
    """The text with an option at the | in it."""
    before, after = text.split("|")
    found = at_cursor(text)
    (insert,) = (option.insert for option in found.options if option.label == label)
    return (before + after)[: found.start] + insert + (before + after)[found.end :]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cam|", ["camera"]),
        ("camera:\n  zo|", ["zoom"]),
        ("camera:\n  zo|\n  rotate: 1\n", ["zoom"]),
        ("camera: {zo|", ["zoom"]),
        ("camera: {zo|: 1, rotate: 2}", ["zoom"]),
        ("camera: {zoom: 1\nobjectives:\n  - {lay|\ncamera: {}", ["layer"]),
        ("dream:\n  transforms:\n    fl|\nseed: 1", ["flip"]),
        ("camera:\n  border: wr|", ["wrap"]),
        ("dream: {transforms: {flip: |}}", ["true", "false"]),
        ("network: lite1|", ["efficientnet_lite1"]),
        ("network: {name: efficientnet_lite1|}", ["efficientnet_lite1"]),
        ("network: {name: alexnet, weights: |}", ["IMAGENET1K_V1"]),
        ("objectives:\n  - {class: shep|}", ["German shepherd"]),
        ("objectives: [{class: [ant, SHEP|", ["German shepherd"]),
        ("objectives: [{class: steam_l|}]", ["steam locomotive"]),
        ("output: {codec: h|}", ["h264", "h265"]),
        ("bpm: {value: a|}", ["auto"]),
        ("source: {image: a.png, |}", []),
        ("source: {video: a.mp4, |}", ["start", "fit", "track"]),
        ("dream: {gradient: {raw: {}, |}}", []),
        ("signals: {a: {csv: a.csv, col|}}", ["column"]),
        ("objectives: [{style: a.png, |}]", ["depth", "layers", "mask", "weight"]),
        ("seed: 1 |", []),
        ("seed: 1\n  |", []),
        ("seed: 1 # cam|", []),
    ],
)
def test_completions_are_those_of_the_place(text: str, expected: list[str]) -> None:
    assert labels(text) == expected


def test_a_key_that_is_present_is_no_option() -> None:
    assert "zoom" in labels("camera:\n  rotate: 1\n  |")
    assert "rotate" not in labels("camera:\n  |\n  rotate: 1\n")
    assert "seed" not in labels("|\nseed: 1\n")


def test_a_key_has_its_description() -> None:
    (option,) = at_cursor("see|").options
    assert (option.detail, option.insert) == ("Seed of all random numbers.", "seed: ")


@pytest.mark.parametrize(
    ("text", "label", "result"),
    [
        ("cam|", "camera", "camera:\n  "),
        ("obj|", "objectives", "objectives:\n  - "),
        ("dream:\n  tra|", "transforms", "dream:\n  transforms:\n    "),
        ("camera: {look|}", "look_at", "camera: {look_at: }"),
        ("camera: {zo|m: 1}", "zoom", "camera: {zoom: 1}"),
        ("network:|", LITE, f"network: {LITE}"),
        ("network: |", LITE, f"network: {LITE}"),
        ("objectives:\n  |", "- {layer: }", "objectives:\n  - {layer: }"),
        ("objectives:\n  - {layer: a}\n  |", "{layer: }", "objectives:\n  - {layer: a}\n  - {layer: }"),
        ("objectives:\n  - |", "{layer: }", "objectives:\n  - {layer: }"),
        ("objectives:\n  -|", "layer", "objectives:\n  - layer: "),
        ("objectives: |", "[{layer: }]", "objectives: [{layer: }]"),
        ("objectives: [{layer: blo|cks.3}]", "blocks.10", "objectives: [{layer: blocks.10}]"),
        ("objectives: [{class: 'jack|'}]", "jack-o'-lantern", "objectives: [{class: 'jack-o''-lantern'}]"),
        ("objectives: [{layer: blocks.3, channels: [1|]}]", "17", "objectives: [{layer: blocks.3, channels: [17]}]"),
        ("camera: {zoom: '1 + si|n(t)'}", "sine", "camera: {zoom: 'sine(t)'}".replace("'sine", "'1 + sine")),
        ("camera:\n  zoom: 1 + si|", "sin", "camera:\n  zoom: 1 + sin("),
    ],
)
def test_an_option_replaces_what_is_typed(text: str, label: str, result: str) -> None:
    assert completed(text, label) == result


def test_layers_are_those_of_the_scenes_network_and_blocks_come_first() -> None:
    assert labels("objectives: [{layer: |}]")[: len(layer_map(LITE).blocks)] == list(layer_map(LITE).blocks)
    other = "network: {name: efficientnet_lite1}\nobjectives:\n  - layer: blocks.2|"
    names = [name for name in layer_map("efficientnet_lite1").layers if name.startswith("blocks.2")]
    assert sorted(labels(other)) == sorted(names)
    assert labels(other)[0] == "blocks.2"


def test_channels_are_numbers_of_the_objectives_layer() -> None:
    text = "objectives:\n  - {layer: blocks.0}\n  - {channels: [3, |], layer: blocks.3}\n"
    assert labels(text) == [str(number) for number in range(layer_map(LITE).layers["blocks.3"].channels)]
    assert labels("objectives: [{layer: none, channels: |}]") == []


def test_classes_are_searched_anywhere_in_the_name() -> None:
    names = [name for name in model_spec(LITE).classes if "terrier" in name.casefold()]
    assert len(names) > 10
    assert sorted(labels("objectives: [{class: terrier|}]")) == sorted(dict.fromkeys(names))


def test_what_begins_with_the_text_comes_first() -> None:
    found = labels("objectives: [{class: fox|}]")
    assert found[0] == "fox squirrel"
    assert {"red fox", "grey fox"} <= set(found[1:])


def test_easings_are_options_of_keyframes() -> None:
    text = "camera:\n  zoom:\n    0s: 1\n    2s: {value: 1, ease: |}"
    assert labels(text) == list(EASINGS)


def test_an_expression_has_functions_times_and_the_scenes_signals() -> None:
    text = 'signals: {hit: {noise: 1s}, kick: {noise: 2s}}\nview: {zoom: "1 + |"}'
    found = labels(text)
    assert found[:2] == ["hit", "kick"]
    assert set(FUNCTIONS) | {"t", "frame", "pi"} <= set(found)
    assert "beat" not in found
    assert "beat" in labels(f"bpm: 120\n{text}")
    assert labels("view: {zoom: '1.0|'}") == []
    assert labels("view: {zoom: '1 + 2 * ki|'}\nsignals:\n  kick: {noise: 1s}") == ["kick"]


def test_files_are_those_of_the_scenes_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    (folder / "shots").mkdir(parents=True)
    for name in ("scene/a.png", "scene/b.txt", "scene/c.mp4", "scene/.hidden.png", "secret.png", "scene/shots/d.jpg"):
        (tmp_path / name).touch()
    for number in range(3):
        (folder / "shots" / f"{number:04d}.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "out").symlink_to(tmp_path)
    path = folder / "s.yaml"
    assert labels("source: {image: |}", path) == ["a.png", "shots/"]
    assert labels("source:\n  video: |", path) == ["c.mp4", "shots/"]
    assert labels("source: {video: shots/|}", path) == ["shots/%04d.png"]
    assert labels("objectives: [{mask: shots/d|}]", path) == ["shots/d.jpg"]
    for typed in ("../", "out/", "/", f"{tmp_path}/", "shots/../../", "\0/", "none/"):
        assert labels(f"source: {{image: '{typed}|'}}", path) == []
    assert "output" in labels("signals: {a: {audio: |}}", path)


MARKS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "  ",
    "'",
    '"',
    "#",
    ",",
    "&a ",
    "|",
    "\t",
    "\r",
    "\u2028",
    "\xa0",
    "é",
]


@SEARCHED
@given(st.sampled_from(TEXTS), st.data())
def test_any_text_has_options_at_any_offset(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(MARKS)) + text[at + data.draw(st.integers(0, 4)) :]
    offset = data.draw(st.integers(0, len(text)))
    if data.draw(st.booleans()):
        text = text[:offset]
    found = complete(text, offset, CONFIGS[0])
    assert 0 <= found.start <= found.end <= len(text)
    assert len(found.options) <= 100
    assert all(option.label and option.insert for option in found.options)


def sample(part: Schema, path: Loc) -> Any:
    """A value that a schema accepts."""
    if part.get(NAME) in TRACKS:
        return "0.5"
    if is_mapping(part) and "properties" in part:
        keys = part.get("required") or (
            list(part["properties"])[:1] if "oneOf" in part or "maxProperties" in part else []
        )
        keys = ["layer"] if path and path[0] == "objectives" else keys
        return {key: sample(alternatives_at((*path, key))[0], (*path, key)) for key in keys}
    if is_mapping(part):
        return {"0s": 1} if "patternProperties" in part else {}
    if part.get("type") == "array" and "prefixItems" in part:
        return [sample(alternatives_at((*path, i))[0], (*path, i)) for i in range(len(part["prefixItems"]))]
    if part.get("type") == "array":
        return [sample(alternatives_at((*path, 0))[0], (*path, 0))]
    if "enum" in part or "const" in part:
        return [*part.get("enum", ()), part.get("const")][0]
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    if kinds[0] in ("number", "integer"):
        return part.get("minimum", part.get("exclusiveMinimum", 0) + 1)
    return {"string": part.get("examples", ["a"])[0], "boolean": True}[kinds[0]]


def accepted_keys(text: str, offset: int, *, end: str) -> int:
    """Inserts every key that is proposed at an offset of a valid text, with a value; each is accepted."""
    cursor = outline(text, offset).cursor
    if cursor is None or cursor.place not in ("key", "either"):
        return 0
    options = [each for each in complete(text, offset, CONFIGS[0]).options if each.insert.startswith(f"{each.label}:")]
    for option in options:
        path = (*cursor.path, option.label)
        value: Any = {"0s": 1, "end": 2}.get(option.label) or sample(alternatives_at(path)[0], path)
        value = value[0] if option.insert.endswith("- ") else value
        inserted = f"{text[:offset]}{option.insert}{json.dumps(value)}{end}{text[offset:]}"
        errors = [error.message for error in VALIDATOR.iter_errors(parse_yaml(inserted, "s").plain())]
        assert errors == [], inserted
    return len(options)


@SEARCHED
@given(st.sampled_from(TEXTS), st.data())
def test_every_key_that_is_proposed_on_a_line_is_accepted_there(text: str, data: st.DataObject) -> None:
    lines = text.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines)))
    around = [line for line in lines[max(number - 1, 0) : number + 1] if line.strip()]
    assume(around)
    line = data.draw(st.sampled_from(around))
    indent = len(line) - len(line.lstrip(" -")) if data.draw(st.booleans()) else len(line) - len(line.lstrip(" "))
    following = next((each for each in lines[number:] if each.strip()), "")
    assume(len(following) - len(following.lstrip(" ")) <= indent)  # else it belongs to the line above
    before = "".join(lines[:number]) + " " * indent
    accepted_keys(before + "\n" + "".join(lines[number:]), len(before), end="")


@pytest.mark.parametrize("text", TEXTS, ids=[config.name for config in CONFIGS])
def test_every_key_that_is_proposed_in_brackets_is_accepted_there(text: str) -> None:
    openings = [i + 1 for i, character in enumerate(text) if character == "{" and "#" not in text[:i].splitlines()[-1]]
    texts = [(f"{text[:offset]} {text[offset:]}", offset) for offset in openings]
    counts = [accepted_keys(spaced, offset, end="" if spaced[offset + 1] == "}" else ", ") for spaced, offset in texts]
    assert sum(counts) > 0 or not openings


@pytest.mark.parametrize("text", TEXTS, ids=[config.name for config in CONFIGS])
def test_completion_is_quick(text: str) -> None:
    complete(text, 0, CONFIGS[0])
    slowest = 0.0
    for offset in range(0, len(text), 23):
        start = time.thread_time()
        complete(text, offset, CONFIGS[0])
        slowest = max(slowest, time.thread_time() - start)
    assert slowest < MAX_SECONDS
