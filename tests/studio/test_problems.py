"""The problems of a scene's text: those of the command line, as ranges of the text."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from render import load
from render.errors import SceneError, SceneFileError
from render.studio.problems import TextProblem, check
from tests.media.clips import write_clip
from tests.production.processes import run_render

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
OBJECTIVES = "objectives: [{layer: blocks.1}]\n"
SCENE = f"size: [32, 32]\n{OBJECTIVES}"
MAX_SECONDS = 0.1


def marked(text: str, path: Path = Path("s.yaml")) -> list[tuple[str, str]]:
    """The range and the message of each problem."""
    return [(text[each.start : each.end], each.message) for each in check(text, path).problems]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_the_problems_of_a_config_are_those_of_loading_it(config: Path) -> None:
    checked = check(config.read_text(), config)
    try:
        scene = load(config)
    except (SceneError, SceneFileError) as error:
        assert checked.scene is None
        expected = [(p.message, p.position.line, p.position.column) for p in error.problems if p.position]
        assert [(each.message, each.line, each.column) for each in checked.problems] == expected
    else:
        assert checked.scene is not None
        assert checked.scene.spec.model_dump() == scene.spec.model_dump()
        assert checked.problems == ()


def test_all_problems_are_printed_by_the_command_line_too(tmp_path: Path) -> None:
    text = "objectives: [{layer: blocks.10}]\ncamera: {zom: 1.02, rotate: 12 * sn(t)}\ndream: {octaves: 20}\n"
    path = tmp_path / "s.yaml"
    path.write_text(text)
    printed = run_render(tmp_path, "check", str(path)).err
    problems = check(text, path).problems
    assert len(problems) == 3
    assert all(f"{path}:{each.line}:{each.column}: {each.message}\n" in printed for each in problems)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("camera: {zom: 1.02, rotate: 12 * sn(t)}\ndream: {octaves: 20}", ["zom", "sn", "20"]),
        ("camera:\n  border: to the left # no\n", ["to the left"]),
        ("camera: {border: 'to the left', pan: [0]}", ["'to the left'", "[0]"]),
        ("camera: {look_at: {point: [0, 1]}, zoom: 1}", ["{point: [0, 1]}"]),
        ("camera:\n  look_at:\n    point: [0, 1]\n", ["point"]),
        ("camera: {zoom: '1 + 2 *'}", ["'1 + 2 *'"]),
        ('camera:\n  rotate: "4 * foo + bax"', ["foo", "bax"]),
        ("camera: {zoom: {0s: 1, 2x: 2}}", ["2x"]),
        ("source:\n  image:\nseed: 1", [":"]),
        ("seed: 1\nseed: 2", ["seed"]),
        ("camera: {zoom: 1\nseed: 2", [":"]),
        ("size: &a [1, 64]\nseed: *b", ["*b"]),
        ("seed: 2\x00", ["\x00"]),
        ("seed: -1\u2028fps: 0", ["-1", "0"]),
        ("duration: 3", ["3"]),
    ],
)
def test_a_range_is_the_wrong_token(text: str, ranges: list[str]) -> None:
    assert [part for part, _ in marked(OBJECTIVES + text)] == ranges


def test_a_position_is_that_of_the_command_line() -> None:
    (problem,) = check(f"{OBJECTIVES}camera: {{zom: 1}}", Path("s.yaml")).problems
    assert problem == TextProblem(41, 44, line=2, column=10, message="unknown key 'zom'; did you mean 'zoom'?")


def test_a_byte_order_mark_is_part_of_the_text_but_of_no_position() -> None:
    text = "\ufeffseed: -1\nobjectives: [{layer: blocks.1}]"
    (problem,) = check(text, Path("s.yaml")).problems
    assert (problem.start, problem.end, problem.line, problem.column) == (7, 9, 1, 7)


def test_an_empty_text_has_a_problem() -> None:
    assert check("", Path("s.yaml")).problems == (TextProblem(0, 0, line=1, column=1, message="the scene is empty"),)


def test_a_text_that_is_too_long_for_a_file_has_a_problem() -> None:
    assert marked("# long\n" + "# é\n" * 50_000) == [("# long", "too long for a scene, which has at most 200000 bytes")]


def test_a_warning_leaves_a_scene() -> None:
    checked = check(f"{SCENE}duration: 3\n", Path("s.yaml"))
    assert checked.scene is not None
    (problem,) = checked.problems
    assert problem.severity == "warning"
    assert problem.message.startswith("3 frames are 0.12 s at 24 fps")


def test_files_that_are_missing_or_damaged_are_marked_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    text = "source: {video: none.mp4}\nobjectives:\n  - {layer: blocks.1, guide: damaged.png}\n  - {style: gone.jpg}\n"
    problems = marked(text, tmp_path / "s.yaml")
    assert [part for part, _ in problems] == ["none.mp4", "damaged.png", "gone.jpg"]
    assert problems[0][1] == f"cannot read the clip {tmp_path}/none.mp4: No such file or directory"


def test_a_start_after_the_end_of_a_clip_is_marked(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", np.zeros((6, 32, 32, 3), np.uint8))
    ((part, message),) = marked(f"{OBJECTIVES}source: {{video: c.mp4, start: 9s}}", tmp_path / "s.yaml")
    assert part == "9s"
    assert "the film cannot start at 9 s" in message


def test_an_error_about_no_place_is_marked_at_the_first_token() -> None:
    text = f"{OBJECTIVES}source: {{noise: {{grain: 8}}}}\nsize: [16384, 16384]\noutput: {{path: a.webp}}\n"
    ((part, message),) = marked(text)
    assert part == "objectives"
    assert message == "a film of 16384x16384; sides of webp are from 16 to 16383"


TEXTS = [config.read_text() for config in CONFIGS]
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
    "&a ",
    "*a",
    "!t ",
    "|",
    "%",
    "\t",
    "\x00",
    "é",
    "\ud800",
]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(TEXTS), st.data())
def test_any_text_has_a_scene_or_problems_within_it(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(MARKS)) + text[at + data.draw(st.integers(0, 4)) :]
    checked = check(text, Path("s.yaml"))
    assert checked.scene is not None or checked.problems
    for problem in checked.problems:
        assert 0 <= problem.start <= problem.end <= len(text)
        assert problem.end > problem.start or not text.strip()


def test_threads_check_at_the_same_time() -> None:
    texts = [f"{SCENE}seed: {i}\ncamera: {{zoom: '1 + {i} / 1000 * sin(t)'}}" for i in range(1, 100)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: check(text, Path("s.yaml")), texts))
    assert [each.scene and each.scene.spec.seed for each in found] == list(range(1, 100))


def seconds(text: str) -> float:
    """Processor time of a check, the least of several."""
    check(text, Path("s.yaml"))
    times = []
    for _ in range(5):
        start = time.thread_time()
        assert check(text, Path("s.yaml")).scene is not None
        times.append(time.thread_time() - start)
    return min(times)


def test_a_scene_of_a_hundred_lines_with_300_keyframes_is_quick() -> None:
    rows = [", ".join(f"{i}: 1.0{i % 7}" for i in range(start, 240, 4)) for start in range(4)]
    keys = [f"    {i}: {{value: 0.{i}, ease: in_out_sine}}" for i in range(60)]
    objectives = [f"  - {{layer: blocks.{i}, channels: [{i}, 3], weight: {{0s: 1, 2s: 0.{i}}}}}" for i in range(1, 13)]
    classes = ["  - class: [ant, bee, fly, daisy]", "    weight:", *(f"      - {{{row}}}" for row in rows)]
    dream = [
        "dream:",
        "  octaves: 4",
        "  steps: [3, 3, 2, 2]",
        "  transforms: {jitter: 16}",
        "view: {zoom: 1 + 0.1 * t}",
    ]
    camera = ["camera:", "  zoom: '1 + 0.01 * sin(t)'", "  rotate:", *keys]
    head = ["size: [384, 384]", "fps: 24", "duration: 10s", "seed: 3", "# a scene", "objectives:"]
    text = "\n".join([*head, *objectives, *classes, *dream, *camera, "follow: null", "bpm: 120"])
    assert len(text.splitlines()) > 90
    assert seconds(text) < MAX_SECONDS


def test_a_picture_is_decoded_once_for_all_checks(tmp_path: Path) -> None:
    Image.effect_noise((4000, 3000), 50).save(tmp_path / "large.jpg")
    text = "source: {image: large.jpg}\nobjectives: [{layer: blocks.10}]\n"
    start = time.thread_time()
    check(text, tmp_path / "s.yaml")
    first = time.thread_time() - start
    start = time.thread_time()
    assert check(f"{text}seed: 3\n", tmp_path / "s.yaml").scene is not None
    assert time.thread_time() - start < min(MAX_SECONDS, first / 2)
