"""Scenes that nobody meant: whatever a file or `--set` holds is a film, or an error with a place; soon, and in little
memory. The examples are the same every time."""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import BaseModel

from render import frames, load
from render.errors import RenderError, SceneError
from render.scene.easings import EASINGS
from render.scene.fields import Choice, keys
from render.scene.model import Scene
from tests.production.processes import Ended, rendered

CONFIGS = [path.read_text() for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))]
GOOD = "layers: [{layer: blocks.10}]\n"
SECONDS, MEGABYTES = 2, 500
Sets = Sequence[tuple[str, str]]
LITTLE = settings(deadline=1000 * SECONDS, derandomize=True, database=None, suppress_health_check=[*HealthCheck])


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts of a scene that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)


def ways(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """The dotted keys of a scene, and the first items of what may be a list."""
    for key, field in keys(model).items():
        yield from (f"{before}{key}", f"{before}{key}.0")
        for part in models(field.annotation):
            yield from ways(part, f"{before}{key}.0." if key == "layers" else f"{before}{key}.")


def held(tree: Any) -> Iterator[tuple[str, Any]]:
    """The keys of a scene with what they hold."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from ((key, value), *held(value))
    for item in tree if isinstance(tree, list) else ():
        yield from held(item)


FIRST = Scene.model_validate({"layers": [{"layer": "blocks.10"}], "follow": {}})
RIGHT: dict[str, list[Any]] = {}
for tree in [FIRST.model_dump(by_alias=True, mode="json"), *map(yaml.safe_load, CONFIGS)]:
    for name, right in held(tree):
        RIGHT.setdefault(name, []).append(right)
NAMES = ("t", "frame", "fps", "duration", "pi", "tau", "0", "1", "2.5", "0.01", "1e308", "9**9", "64", "x", "1_0", "1j")
CALLED = ("sin", "tan", "exp", "log", "sqrt", "abs", "floor", "min", "max", "clamp", "lerp", "smoothstep", "sn", "open")
SIGNS = ("+", "-", "*", "/", "//", "%", "**", " - ", "@", "<")


def longer(text: SearchStrategy[str]) -> SearchStrategy[str]:
    """Expressions made of expressions."""
    binary = st.tuples(text, st.sampled_from(SIGNS), text).map("".join)
    call = st.tuples(st.sampled_from(CALLED), st.lists(text, max_size=3).map(", ".join)).map("{0[0]}({0[1]})".format)
    return binary | call | text.map("({})".format) | text.map("-{}".format)


ARITHMETIC = st.recursive(st.sampled_from(NAMES), longer, max_leaves=60).map(lambda text: text[:1500])
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
def structures(draw: DrawFn, model: type[BaseModel] = Scene) -> dict[str, Any]:
    """A mapping of some keys that a part has; most of them hold what they should."""
    made: dict[str, Any] = {}
    one = draw(st.sampled_from([*keys(model)])) if issubclass(model, Choice) else None
    for key, field in keys(model).items():
        parts, dice = [*models(field.annotation)], draw(st.integers(0, 39))
        if dice == 0:
            made[key] = draw(NUMBERS | VALUES)
        elif key == "layers":
            made[key] = draw(st.sampled_from(RIGHT[key]))
        elif parts and (key == one or (one is None and dice < 20)):
            made[key] = draw(structures(draw(st.sampled_from(parts))))
        elif key == one or (one is None and dice < 10):
            made[key] = draw(st.sampled_from(RIGHT.get(key, [None])))
    return made


@st.composite
def accidents(draw: DrawFn) -> str:
    """A shipped scene after a few accidents."""
    lines, others = (draw(st.sampled_from(CONFIGS)).splitlines() for _ in range(2))
    for _ in range(draw(st.integers(1, 3))):
        at, lost = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, 3))
        match draw(st.sampled_from(["lines", "value", "letters"])):
            case "lines":
                other, more = draw(st.integers(0, len(others) - 1)), draw(st.integers(1, 9))
                lines[at : at + lost] = draw(st.sampled_from([others, lines]))[other : other + more] or [""]
            case "value":
                head, colon, _ = lines[at].rpartition(": ")
                lines[at] = f"{head}{colon}{written(draw(VALUES))}"
            case "letters":
                column = draw(st.integers(0, len(lines[at])))
                typed = draw(st.text(st.sampled_from("{}[]:,'\"-?&*!|>%@`# \t\0\x1b\ufeff\u2028\x85é~0"), max_size=3))
                lines[at] = lines[at][:column] + typed + lines[at][column + lost :]
    return "\n".join(lines)


def written(value: Any) -> str:
    """A value in one line of YAML."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=1e9)).removesuffix("...\n").strip()


DUMPED = structures().map(written) | structures().map(yaml.safe_dump)


def settled(way: str) -> SearchStrategy[tuple[str, str]]:
    """A key with a value, often one that it may have."""
    values = st.sampled_from(RIGHT.get(way.removesuffix(".0").split(".")[-1], [None])) | NUMBERS | VALUES
    return st.tuples(st.just(way), values.map(written) | EXPRESSIONS)


JUNK = st.tuples(st.text(st.sampled_from("abz.019-_ é\0"), max_size=12), st.text(max_size=9))
MOVED = st.sampled_from(["camera.zoom", "camera.rotate", "layers.0.weight"])
EXPRESSED = st.lists(st.tuples(MOVED, EXPRESSIONS.map(json.dumps)), min_size=1, max_size=1)
SETS = st.lists(st.sampled_from([*ways(Scene)]).flatmap(settled) | JUNK, min_size=1, max_size=4)
TINY: Sets = [
    ("size", "[32, 32]"), ("duration", "5"), ("source", "{noise: {grain: 8}}"), ("follow", "null"),
    ("dream.octaves", "1"), ("dream.steps", "1"), ("dream.first", "{octaves: 1, steps: 1}"),
    ("output", "{path: a.mp4}"), ("network", "efficientnet_lite0"),
]  # fmt: skip
FARTHEST = [
    ("camera.zoom", "0.01"), ("camera.zoom", "{0: 0.01, 1: 100}"), ("camera.zoom", "100/s"), ("camera.rotate", "1e5"),
    ("camera.pan", "[-100, 100]"), ("camera.shear", "[0.9, 0.9]"), ("camera.pivot", "[100, -100]"), ("fps", "0.01"),
    ("dream.jitter", "16384"), ("dream.scale", "[4, 4]"), ("dream.rotate", "180"), ("dream.momentum", "0.999999"),
    ("dream.total_variation", "100"), ("dream.step_size", "1"), ("dream.steps", "0"), ("dream.every", "24"),
    ("dream.gradient", "{laplacian: {levels: 12}}"), ("dream.gradient", "{gaussian: {sigma: 100}}"),
    ("layers.0.weight", "-1e6"), ("source.noise", "{grain: 1024, contrast: 1}"), ("camera.border", "black"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, when everything is imported and a good scene has been loaded."""
    here = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(here)
        assert loaded(here, GOOD) is not None
        yield here


@pytest.fixture(autouse=True)
def little_memory(folder: Path) -> Iterator[None]:
    """Fails a test that takes much memory, for a moment even."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEGABYTES * (2**20 if sys.platform == "darwin" else 2**10)


def loaded(folder: Path, text: str | bytes, sets: Sets = ()) -> Scene | None:
    """The scene of a text, None when it is refused as it should be: with a place for everything that is wrong."""
    file = folder / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        return load(file, [("--set", key, value) for key, value in sets])
    except SceneError as error:
        refused = error
    except RenderError:
        return None
    assert all(character.isprintable() or character == "\n" for character in str(refused))
    assert refused.problems
    for place in (problem.place for problem in refused.problems):
        assert place is not None
        assert place.line >= 1
        assert 1 <= place.column - place.skipped <= len(place.text) + 1
    return None


WHATEVER: dict[str, SearchStrategy[tuple[str | bytes, Sets]]] = {
    "keys and values": st.tuples(DUMPED, st.just([])),
    "accidents": st.tuples(accidents(), st.just([])),
    "noise": st.tuples(st.text() | st.binary() | st.binary().map(GOOD.encode().__add__), st.just([])),
    "expressions": st.tuples(st.just(GOOD), EXPRESSED),
    "overrides": st.tuples(st.sampled_from([GOOD, *CONFIGS]), SETS),
}


@pytest.mark.parametrize("scenes", WHATEVER.values(), ids=WHATEVER)
@settings(LITTLE, max_examples=60)
@given(data=st.data())
def test_whatever_it_is_it_is_a_scene_or_an_error_with_a_place(
    folder: Path, scenes: SearchStrategy[tuple[str | bytes, Sets]], data: st.DataObject
) -> None:
    loaded(folder, *data.draw(scenes))


@settings(LITTLE, max_examples=12, deadline=None)
@given(text=accidents() | DUMPED | st.just(GOOD), far=st.lists(st.sampled_from(FARTHEST), max_size=5))
def test_what_is_a_scene_is_a_film(folder: Path, text: str, far: Sets) -> None:
    scene = loaded(folder, text, [*TINY, *far])
    pictures = [] if scene is None else [picture for _, picture in frames(scene, "cpu", "float32")]
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
    "NUL": lambda: f"{GOOD}seed: \0",
    "UTF-16": lambda: GOOD.encode("utf-16"),
    "Latin-1": lambda: "output: {path: grün.mp4}".encode("latin-1"),
    "half a character after a mark": lambda: b"\xef\xbb\xbf\xc3\xbc\xc3\xbc: \xc3\n",
    "control characters": lambda: GOOD + r'source: {image: "\e[2J\a"}',
    "a number of many digits": lambda: f"{GOOD}seed: {'9' * 190_000}",
    "a million keys": lambda: "\n".join(f"{i}: 1" for i in range(1_000_000)),
    "as many keys as fit": lambda: "\n".join(f"aduration{i}: 1" for i in range(9_990)),
    "as many values as fit": lambda: f"layers: [{'1,' * 9_990}]",
    "one key many times": lambda: "seed: 1\n" * 9_000,
    "a long path many times": lambda: f"x: &e {'b/' * 60_000}\nlayers: [{'{layer: blocks.10, mask: *e},' * 2_000}]",
    "a long expression": lambda: f"{GOOD}camera: {{zoom: {'t+' * 95_000}t}}",
    "many brackets": lambda: f"{GOOD}camera: {{zoom: {'(' * 95_000}t{')' * 95_000}}}",
    "a tower of powers": lambda: f"{GOOD}camera: {{zoom: 10**10**10**10}}",
    "a wrong expression many times": lambda: f"layers: [{{layer: blocks.10, weight: &e {POWERS}+x}}, {ALIASES}]",
    "an expression many times": lambda: f"layers: [{{layer: blocks.10, weight: &e {POWERS}}}, {ALIASES}]",
    "many tracks of many frames": lambda: f"duration: 1000000\nlayers: [{'{layer: blocks.10, weight: t},' * 1000}]",
    "years": lambda: f"{GOOD}fps: 1000\nduration: 1e7s",
    "terapixels": lambda: f"{GOOD}size: [1000000, 1000000]",
    "a cut after the end of time": lambda: f"{GOOD}fps: 1000\nfollow: {{cuts: [1e308s]}}",
    "50000 keyframes": lambda: f"{GOOD}camera: {{zoom: {{{','.join(f'{i}: 1' for i in range(50_000))}}}}}",
    "9000 wrong keyframes": lambda: f"{GOOD}camera: {{zoom: {{{','.join(f'{i}: x' for i in range(9_000))}}}}}",
    "a long class many times": lambda: f"layers: [{{class: &s {'ß' * 65_000}}}, {'{class: *s},' * 3_300}]",
    "4000 wrong classes": lambda: f"layers: [{'{class: xylphon},' * 4_000}]",
}  # fmt: skip
FITTING = {
    "many keyframes": f"{GOOD}duration: 1000000\ncamera: {{zoom: {{{','.join(f'{i}: 1.1/s' for i in range(9_900))}}}}}",
    "many frames": f'{GOOD}duration: 1000000\ncamera: {{rotate: "0*({"+".join(["t//3"] * 35)})"}}',
}
OVERRIDES = {
    "a million items": f"layers=[{'1,' * 1_000_000}]",
    "a long key": f"{'a' * 100_000}=1",
    "a megabyte of arithmetic": f"camera.zoom={'t+' * 500_000}t",
    "an item of no list": "source.0=noise",
}


def confined() -> None:
    """Lets a process that has just begun take little more than a good scene does, which is half a second."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + 1, SECONDS + 1))
    most = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def checked(folder: Path, text: str | bytes, *arguments: str) -> Ended:
    """What `render check` says of a text, in little time and memory."""
    (folder / "s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return rendered(folder, "check", "s.yaml", *arguments, before=confined)


@pytest.mark.parametrize("what", [*HUGE, *OVERRIDES])
def test_what_is_too_much_is_refused_soon_and_with_a_place(what: str, tmp_path: Path) -> None:
    sets = ("--set", OVERRIDES[what]) if what in OVERRIDES else ()
    ended = checked(tmp_path, HUGE.get(what, lambda: f"source: [1]\n{GOOD}")(), *sets)
    assert (ended.status, ended.out) == (2, "")
    assert re.match(r"render: (--set|s\.yaml):[0-9]+:[0-9]+: ", ended.err)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("text", FITTING.values(), ids=FITTING)
def test_what_just_fits_is_a_scene_as_soon(text: str, tmp_path: Path) -> None:
    assert checked(tmp_path, text).status == 0
