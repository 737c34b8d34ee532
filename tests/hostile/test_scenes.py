"""Hostile scenes: any file and any `--set` is a film or an error with a position, within bounds of time and memory.

The examples are the same in every run.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import BaseModel

from render import Options, frames, load
from render.errors import RenderError, SceneError
from render.pipeline.scene import Scene
from render.scene.easings import EASINGS
from render.scene.fields import OneOf, section_fields
from render.scene.model import SceneSpec
from render.scene.renames import find_renames
from render.scene.structure import key_paths, sections_of
from render.scene.upgrade import upgrade_text
from render.scene.yaml_tree import parse_yaml
from render.text import Problem
from tests.production.processes import Result, run_render

ROOT = Path(__file__).parents[2]
CONFIGS = [path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml"))]
OLD_CONFIGS = [path.read_text() for path in sorted((ROOT / "tests" / "scene" / "upgrade" / "0.5.0").glob("*.yaml"))]
VALID = "objectives: [{layer: blocks.10}]\n"
MAX_SECONDS, MAX_MEGABYTES = 2, 500
Overrides = Sequence[tuple[str, str]]
BOUNDED = settings(deadline=1000 * MAX_SECONDS, derandomize=True, database=None, suppress_health_check=[*HealthCheck])


def dotted_keys() -> Iterator[str]:
    """Yields the dotted keys of a scene, and the first items of what may be a list."""
    for path in key_paths():
        dotted = ".".join(map(str, path)).replace("objectives.", "objectives.0.")
        yield from (dotted, f"{dotted}.0")


def entries(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yields every key of a tree with its value."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from ((key, value), *entries(value))
    for item in tree if isinstance(tree, list) else ():
        yield from entries(item)


DEFAULTS = SceneSpec.model_validate({"objectives": [{"layer": "blocks.10"}], "follow": {}})
VALID_VALUES: dict[str, list[Any]] = {}
for tree in [DEFAULTS.model_dump(by_alias=True, mode="json"), *map(yaml.safe_load, CONFIGS)]:
    for name, valid in entries(tree):
        VALID_VALUES.setdefault(name, []).append(valid)
NAMES = ("t", "frame", "fps", "duration", "pi", "tau", "0", "1", "2.5", "0.01", "1e308", "9**9", "64", "x", "1_0", "1j")
FUNCTIONS = (
    "sin",
    "tan",
    "exp",
    "log",
    "sqrt",
    "abs",
    "floor",
    "min",
    "max",
    "clamp",
    "lerp",
    "smoothstep",
    "sn",
    "open",
)
SIGNS = ("+", "-", "*", "/", "//", "%", "**", " - ", "@", "<")


def nested(text: SearchStrategy[str]) -> SearchStrategy[str]:
    """Returns expressions made of expressions."""
    binary = st.tuples(text, st.sampled_from(SIGNS), text).map("".join)
    call = st.tuples(st.sampled_from(FUNCTIONS), st.lists(text, max_size=3).map(", ".join)).map("{0[0]}({0[1]})".format)
    return binary | call | text.map("({})".format) | text.map("-{}".format)


ARITHMETIC = st.recursive(st.sampled_from(NAMES), nested, max_leaves=60).map(lambda text: text[:1500])
NOISE = st.text(st.sampled_from("t0129.+-*/%()[]{},:'\"= \n\\#efxj_~!@<>é×"), max_size=80)
EXPRESSIONS = ARITHMETIC | ARITHMETIC.map("{}/s".format) | NOISE
TIMES = st.sampled_from(["0s", "1s", "24", "50%", "end", "2 s", "1e308s", "-1s", "1e7%", "x", ""])
WORDS = st.sampled_from(
    ["noise", "raw", "googlenet", "zebra", "wrap", "none", "off", "1.02/s", "a.mp4", "a.png", "f/%05d.png", "png",
     "cover", "null", "~", "", "é", "\N{PILE OF POO}", "on", "1:30", "../..", "/", "%d", "*a", "&a", "\0", "\x1b"]
)  # fmt: skip
EXTREME = (-1e308, 1e308, 1e-320, 2**63, 10**390, -(10**390), 0.01, 0.5, 100, 1e5, 1e6, 16384, 1_000_000)
NUMBERS = st.integers(-3, 40) | st.sampled_from(EXTREME) | st.floats() | st.integers()
KEYS = st.fixed_dictionaries({"value": NUMBERS}, optional={"ease": st.sampled_from([*EASINGS])})
VALUES = st.recursive(
    st.one_of(NUMBERS, WORDS, EXPRESSIONS, TIMES, st.booleans(), st.none(), st.text(max_size=20), st.datetimes()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TIMES | st.text(max_size=8), inner | KEYS, max_size=4),
    max_leaves=12,
)


@st.composite
def structures(draw: DrawFn, section: type[BaseModel] = SceneSpec) -> dict[str, Any]:
    """Draws a mapping of some keys of a section; most of them have valid values."""
    tree: dict[str, Any] = {}
    one = draw(st.sampled_from([*section_fields(section)])) if issubclass(section, OneOf) else None
    for key, field in section_fields(section).items():
        inner, dice = [*sections_of(field.annotation)], draw(st.integers(0, 39))
        if dice == 0:
            tree[key] = draw(NUMBERS | VALUES)
        elif key == "objectives":
            tree[key] = draw(st.sampled_from(VALID_VALUES[key]))
        elif inner and (key == one or (one is None and dice < 20)):
            tree[key] = draw(structures(draw(st.sampled_from(inner))))
        elif key == one or (one is None and dice < 10):
            tree[key] = draw(st.sampled_from(VALID_VALUES.get(key, [None])))
    return tree


@st.composite
def mutants(draw: DrawFn, configs: Sequence[str] = CONFIGS) -> str:
    """Draws a shipped scene with a few mutations."""
    lines, others = (draw(st.sampled_from(configs)).splitlines() for _ in range(2))
    for _ in range(draw(st.integers(1, 3))):
        at, removed = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, 3))
        match draw(st.sampled_from(["lines", "value", "letters"])):
            case "lines":
                other, count = draw(st.integers(0, len(others) - 1)), draw(st.integers(1, 9))
                lines[at : at + removed] = draw(st.sampled_from([others, lines]))[other : other + count] or [""]
            case "value":
                head, colon, _ = lines[at].rpartition(": ")
                lines[at] = f"{head}{colon}{yaml_line(draw(VALUES))}"
            case "letters":
                column = draw(st.integers(0, len(lines[at])))
                typed = draw(st.text(st.sampled_from("{}[]:,'\"-?&*!|>%@`# \t\0\x1b\ufeff\u2028\x85é~0"), max_size=3))
                lines[at] = lines[at][:column] + typed + lines[at][column + removed :]
    return "\n".join(lines)


def yaml_line(value: Any) -> str:
    """Returns a value as one line of YAML."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=1e9)).removesuffix("...\n").strip()


DUMPED = structures().map(yaml_line) | structures().map(yaml.safe_dump)


def overridden(key: str) -> SearchStrategy[tuple[str, str]]:
    """Returns overrides of a dotted key, often with a valid value."""
    values = st.sampled_from(VALID_VALUES.get(key.removesuffix(".0").split(".")[-1], [None])) | NUMBERS | VALUES
    return st.tuples(st.just(key), values.map(yaml_line) | EXPRESSIONS)


JUNK = st.tuples(st.text(st.sampled_from("abz.019-_ é\0"), max_size=12), st.text(max_size=9))
MOTION_KEYS = st.sampled_from(["camera.zoom", "camera.rotate", "objectives.0.weight"])
EXPRESSION_OVERRIDES = st.lists(st.tuples(MOTION_KEYS, EXPRESSIONS.map(json.dumps)), min_size=1, max_size=1)
OVERRIDES = st.lists(st.sampled_from([*dotted_keys()]).flatmap(overridden) | JUNK, min_size=1, max_size=4)
TINY: Overrides = [
    ("size", "[32, 32]"), ("duration", "5"), ("source", "{noise: {grain: 8}}"), ("follow", "null"),
    ("dream.octaves", "1"), ("dream.steps", "1"), ("dream.first_frame", "{octaves: 1, steps: 1}"),
    ("output", "{path: a.mp4}"), ("network", "efficientnet_lite0"),
]  # fmt: skip
EXTREME_OVERRIDES = [
    ("camera.zoom", "0.01"), ("camera.zoom", "{0: 0.01, 1: 100}"), ("camera.zoom", "100/s"), ("camera.rotate", "1e5"),
    ("camera.pan", "[-100, 100]"), ("camera.shear", "[0.9, 0.9]"), ("camera.pivot", "[100, -100]"), ("fps", "0.01"),
    ("dream.transforms.jitter", "16384"), ("dream.transforms.scale", "[4, 4]"), ("dream.transforms.rotate", "180"),
    ("dream.momentum", "0.999999"),
    ("dream.total_variation", "100"), ("dream.step_size", "1"), ("dream.steps", "0"), ("dream.cadence", "24"),
    ("dream.gradient", "{laplacian: {levels: 12}}"), ("dream.gradient", "{gaussian: {sigma: 100}}"),
    ("objectives.0.weight", "-1e6"), ("source.noise", "{grain: 1024, contrast: 1}"), ("camera.border", "black"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for scenes, after everything is imported and a valid scene has been loaded."""
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert load_or_none(folder, VALID) is not None
        yield folder


@pytest.fixture(autouse=True)
def bounded_memory(folder: Path) -> Iterator[None]:
    """Fails a test whose peak memory exceeds the bound."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < MAX_MEGABYTES * (2**20 if sys.platform == "darwin" else 2**10)


def load_or_none(folder: Path, text: str | bytes, overrides: Overrides = ()) -> Scene | None:
    """Returns the scene of a text; None after an error, whose problems must all have a position."""
    file = folder / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        return load(file, [("--set", key, value) for key, value in overrides])
    except SceneError as error:
        reported = error
    except RenderError:
        return None
    assert all(character.isprintable() or character == "\n" for character in str(reported))
    assert reported.problems
    for place in (problem.position for problem in reported.problems):
        assert place is not None
        assert place.line >= 1
        assert 1 <= place.column - place.skipped <= len(place.text) + 1
    return None


HOSTILE: dict[str, SearchStrategy[tuple[str | bytes, Overrides]]] = {
    "keys and values": st.tuples(DUMPED, st.just([])),
    "mutants": st.tuples(mutants(), st.just([])),
    "noise": st.tuples(st.text() | st.binary() | st.binary().map(VALID.encode().__add__), st.just([])),
    "expressions": st.tuples(st.just(VALID), EXPRESSION_OVERRIDES),
    "overrides": st.tuples(st.sampled_from([VALID, *CONFIGS]), OVERRIDES),
}


@pytest.mark.parametrize("scenes", HOSTILE.values(), ids=HOSTILE)
@settings(BOUNDED, max_examples=60)
@given(data=st.data())
def test_a_hostile_scene_is_a_scene_or_an_error_with_a_position(
    folder: Path, scenes: SearchStrategy[tuple[str | bytes, Overrides]], data: st.DataObject
) -> None:
    load_or_none(folder, *data.draw(scenes))


@settings(BOUNDED, max_examples=100)
@given(text=mutants([*OLD_CONFIGS, *CONFIGS]) | st.text())
def test_the_upgrade_of_a_hostile_scene_has_no_old_keys_or_is_an_error_with_positions(text: str) -> None:
    upgraded, problems = "", tuple[Problem, ...]()
    try:
        upgraded = upgrade_text(text, name="s.yaml")
    except SceneError as error:
        problems = error.problems
    assert all(problem.position is not None for problem in problems)
    assert problems or not list(find_renames(parse_yaml(upgraded, "s.yaml").plain()))


@settings(BOUNDED, max_examples=12, deadline=None)
@given(text=mutants() | DUMPED | st.just(VALID), extreme=st.lists(st.sampled_from(EXTREME_OVERRIDES), max_size=5))
def test_every_scene_that_loads_renders_finite_frames(folder: Path, text: str, extreme: Overrides) -> None:
    scene = load_or_none(folder, text, [*TINY, *extreme])
    options = Options(device="cpu", precision="float32")
    pictures = [] if scene is None else [picture for _, picture in frames(scene, options)]
    assert len(pictures) == (0 if scene is None else 5)
    assert all(picture.shape == (1, 3, 32, 32) and picture.isfinite().all() for picture in pictures)
    assert all(0 <= picture.min() <= picture.max() <= 1 for picture in pictures)


POWERS = "+".join(["t**0.1"] * 140)
ALIASES = "{layer: blocks.10, weight: *e}," * 3_000
HUGE: dict[str, Callable[[], str | bytes]] = {
    "a billion laughs": lambda: "\n".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 10 * (i > 0)}x]" for i in range(30)),
    "nested aliases": lambda: "\n".join(f"a{i}: &a{i} {'[' * 30}{f'*a{i - 1}' * (i > 0)}{']' * 30}" for i in range(50)),
    "nested in flow": lambda: "[" * 100_000,
    "nested in blocks": lambda: "- " * 100_000,
    "100 MB": lambda: b"a: 1\n" * 20_000_000,
    "NUL": lambda: f"{VALID}seed: \0",
    "UTF-16": lambda: VALID.encode("utf-16"),
    "Latin-1": lambda: "output: {path: grün.mp4}".encode("latin-1"),
    "half a character after a mark": lambda: b"\xef\xbb\xbf\xc3\xbc\xc3\xbc: \xc3\n",
    "control characters": lambda: VALID + r'source: {image: "\e[2J\a"}',
    "a number of many digits": lambda: f"{VALID}seed: {'9' * 190_000}",
    "a million keys": lambda: "\n".join(f"{i}: 1" for i in range(1_000_000)),
    "as many keys as fit": lambda: "\n".join(f"aduration{i}: 1" for i in range(9_990)),
    "as many values as fit": lambda: f"objectives: [{'1,' * 9_990}]",
    "one key many times": lambda: "seed: 1\n" * 9_000,
    "a long path many times": lambda: f"x: &e {'b/' * 60_000}\nobjectives: [{'{layer: blocks.10, mask: *e},' * 2_000}]",
    "a long expression": lambda: f"{VALID}camera: {{zoom: {'t+' * 95_000}t}}",
    "many brackets": lambda: f"{VALID}camera: {{zoom: {'(' * 95_000}t{')' * 95_000}}}",
    "a tower of powers": lambda: f"{VALID}camera: {{zoom: 10**10**10**10}}",
    "a wrong expression many times": lambda: f"objectives: [{{layer: blocks.10, weight: &e {POWERS}+x}}, {ALIASES}]",
    "an expression many times": lambda: f"objectives: [{{layer: blocks.10, weight: &e {POWERS}}}, {ALIASES}]",
    "many tracks of many frames": lambda: f"duration: 1000000\nobjectives: [{'{layer: blocks.10, weight: t},' * 1000}]",
    "years": lambda: f"{VALID}fps: 1000\nduration: 1e7s",
    "terapixels": lambda: f"{VALID}size: [1000000, 1000000]",
    "a cut after the end of time": lambda: f"{VALID}fps: 1000\nfollow: {{cuts: [1e308s]}}",
    "a tour of many turns": lambda: "duration: 1000000\nobjectives: [{tour: classes, hold: 1, fade: 0}]",
    "tours without end": lambda: f"fps: 1000\nobjectives: [{'{tour: classes, hold: 1e-30s, fade: 0},' * 1000}]",
    "many tours": lambda: f"objectives: [{'{tour: classes, hold: 1, fade: 0},' * 2_000}]",
    "50000 keyframes": lambda: f"{VALID}camera: {{zoom: {{{','.join(f'{i}: 1' for i in range(50_000))}}}}}",
    "9000 wrong keyframes": lambda: f"{VALID}camera: {{zoom: {{{','.join(f'{i}: x' for i in range(9_000))}}}}}",
    "a long class many times": lambda: f"objectives: [{{class: &s {'ß' * 65_000}}}, {'{class: *s},' * 3_300}]",
    "4000 wrong classes": lambda: f"objectives: [{'{class: xylphon},' * 4_000}]",
}  # fmt: skip
LARGEST = {
    "many keyframes": f"{VALID}duration: 1000000\n"
    f"camera: {{zoom: {{{','.join(f'{i}: 1.1/s' for i in range(9_900))}}}}}",
    "many turns": "duration: 19900\nobjectives: [{tour: classes, hold: 1, fade: 1}]",
    "many frames": f'{VALID}duration: 1000000\ncamera: {{rotate: "0*({"+".join(["t//3"] * 35)})"}}',
}
HUGE_OVERRIDES = {
    "a million items": f"objectives=[{'1,' * 1_000_000}]",
    "a long key": f"{'a' * 100_000}=1",
    "a megabyte of arithmetic": f"camera.zoom={'t+' * 500_000}t",
    "an item of no list": "source.0=noise",
}


def limit_resources() -> None:
    """Limits a new process to little more time and memory than a valid scene takes, which is half a second."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS + 1, MAX_SECONDS + 1))
    limit = psutil.Process().memory_info().vms + MAX_MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def check(folder: Path, text: str | bytes, *arguments: str) -> Result:
    """Returns the result of `render check` of a text, within limits of time and memory."""
    (folder / "s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return run_render(folder, "check", "s.yaml", *arguments, preexec=limit_resources)


@pytest.mark.parametrize("name", [*HUGE, *HUGE_OVERRIDES])
def test_a_huge_scene_or_override_is_an_error_with_a_position_within_limits(name: str, tmp_path: Path) -> None:
    overrides = ("--set", HUGE_OVERRIDES[name]) if name in HUGE_OVERRIDES else ()
    ended = check(tmp_path, HUGE.get(name, lambda: f"source: [1]\n{VALID}")(), *overrides)
    assert (ended.status, ended.out) == (2, "")
    assert re.match(r"render: (--set|s\.yaml):[0-9]+:[0-9]+: ", ended.err)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("text", LARGEST.values(), ids=LARGEST)
def test_the_largest_scenes_are_valid_within_the_same_limits(text: str, tmp_path: Path) -> None:
    assert check(tmp_path, text).status == 0
