"""Strict YAML: what scalars mean, what is refused, and where the caret points."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from render.errors import Place, Problem, SceneError, StorageError
from render.scene import yaml


def refusals(text: str | bytes, folder: Path) -> tuple[Problem, ...]:
    """What is wrong with a file of that text."""
    file = folder / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SceneError) as caught:
        yaml.read(file)
    return caught.value.problems


def under_caret(place: Place) -> str:
    """The text of the printed line from the character above the caret on; the caret itself after the line's end."""
    line, caret = str(place).split("\n")
    return line[caret.index("^") :] or "^"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("Yes", "Yes"),
        ("off", "off"),
        ("n", "n"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1/2", "1/2"),
        ("<<", "<<"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("12", 12),
        ("-3", -3),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    plain = yaml.parse(f"key: {text}\n", "s").plain()["key"]
    assert plain == value
    assert type(plain) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(yaml.parse("a: .nan", "s").plain()["a"])


def test_comments_anchors_flow_and_block_text_are_read() -> None:
    text = "a: [&x {k: 1}, *x] # c\nb: |\n  one\n  two\nc: >-\n  one\n  two\n"
    assert yaml.parse(text, "s").plain() == {"a": [{"k": 1}, {"k": 1}], "b": "one\ntwo\n", "c": "one two"}


@pytest.mark.parametrize(
    ("text", "line", "column", "under", "says"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", 3, 1, "a: 3", "'a' stands here twice; first in line 1", id="duplicate"),
        pytest.param("c: {zoom: 1, zoom: 2}", 1, 14, "zoom: 2}", "'zoom' stands here twice", id="duplicate in flow"),
        pytest.param("a: !!python/object/apply:os.system [x]", 1, 4, "!!python", "tag", id="python tag"),
        pytest.param("a: !mine 3", 1, 4, "!mine", "tag '!mine' means nothing", id="own tag"),
        pytest.param("a: 1\n---\nb: 2\n", 2, 1, "---", "a second document", id="second document"),
        pytest.param("a: *b", 1, 4, "*b", "'*b' names nothing above it", id="undefined alias"),
        pytest.param("a: &x [*x]", 1, 8, "*x]", "'*x' names nothing above it", id="alias to itself"),
        pytest.param("a:\n\tb: 1", 2, 1, " b: 1", "not YAML", id="tab"),
        pytest.param("a: [1, 2\nb: 3", 2, 2, ": 3", "not YAML", id="unclosed"),
        pytest.param("? [a]\n: 1", 1, 3, "[a]", "a key is a word or a number", id="list as key"),
        pytest.param("", 1, 1, "^", "empty", id="empty"),
        pytest.param("# only\n", 1, 1, "# only", "empty", id="comment only"),
        pytest.param("a: 1\nb: \0", 2, 4, " ", "U+0000", id="NUL"),
        pytest.param("a: 1\nb: x\x1by", 2, 5, " y", "U+001B", id="escape character"),
        pytest.param("a: x\x0cy\nb: 1", 1, 5, " y", "U+000C", id="form feed"),
        pytest.param("é: 1\nü: \x01", 2, 4, " ", "U+0001", id="control after umlaut"),
        pytest.param(b"a: 1\nb: \xff\n", 2, 4, "\ufffd", "not UTF-8", id="not UTF-8"),
        pytest.param("grün: ".encode() + b"\xe9\n", 1, 7, "\ufffd", "not UTF-8", id="Latin-1 after umlaut"),
        pytest.param("x: " + "[" * 100, 1, 36, "[", "nested deeper than 32", id="deep"),
    ],
)
def test_what_is_not_strict_yaml_is_refused_with_the_caret_under_it(
    text: str | bytes, line: int, column: int, under: str, says: str, tmp_path: Path
) -> None:
    (problem,) = refusals(text, tmp_path)
    assert says in problem.message
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (line, column)
    assert under_caret(problem.place).startswith(under)


def test_a_quote_left_open_is_shown_where_it_opens_or_where_the_text_ends(tmp_path: Path) -> None:
    (problem,) = refusals("a: 'x\n", tmp_path)
    assert problem.place is not None
    assert under_caret(problem.place) in ("'x", "^")


@pytest.mark.parametrize(
    "text", [r'a: "\UFFFFFFFF"', r'a: "\ud800"', r'"\ud800": 1'], ids=["beyond Unicode", "half a character", "as key"]
)
def test_an_escape_that_is_no_character_is_refused(text: str, tmp_path: Path) -> None:
    (problem,) = refusals(text, tmp_path)
    assert problem.place is not None
    assert problem.place.line == 1


def test_duplicates_and_tags_are_all_told_at_once_in_order(tmp_path: Path) -> None:
    problems = refusals("a: !t 1\na: 2\nb: {c: 1, c: 2}\n", tmp_path)
    assert [(p.place.line, p.place.column) for p in problems if p.place] == [(1, 4), (2, 1), (3, 11)]


def test_a_billion_laughs_are_refused_in_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    begun = time.monotonic()
    (problem,) = refusals("\n".join(lines), tmp_path)
    assert time.monotonic() - begun < 1
    assert "aliases counted" in problem.message


@pytest.mark.parametrize("text", ["[" * 199_000, "- " * 99_000, "{a: " * 49_000, "a: " + "[" * 199_000])
def test_deep_nesting_is_refused_in_no_time(text: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    (problem,) = refusals(text, tmp_path)
    assert time.monotonic() - begun < 2
    assert "nested deeper" in problem.message


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"#" * (yaml.MAX_BYTES + 1))
    with pytest.raises(SceneError, match=f"at most {yaml.MAX_BYTES} bytes"):
        yaml.read(file)


def test_a_stream_beyond_the_limit_is_not_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "s.yaml"
    os.mkfifo(pipe)  # like /dev/zero, it has a size of 0 and more to give than one wants

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(b"a: 1\n" + b"#" * 5_000_000)

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(SceneError, match=f"at most {yaml.MAX_BYTES}"):
        yaml.read(pipe)
    writer.join()


def test_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no scene file"):
        yaml.read(tmp_path / "none.yaml")


def test_a_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: [1,\r\n 2]\r\n")
    assert yaml.read(tmp_path / "s.yaml").plain() == {"a": 1, "b": [1, 2]}


def test_of_a_long_line_the_part_around_the_caret_is_shown(tmp_path: Path) -> None:
    (problem,) = refusals(f"a: [{'x, ' * 1000}*here]", tmp_path)
    assert problem.place is not None
    assert len(problem.place.text) <= yaml.MAX_LINE
    assert under_caret(problem.place).startswith("*here]")


def test_every_node_and_key_knows_its_place() -> None:
    root: Any = yaml.parse("a: 1\nb:\n  - {c: x}\n", "s")
    assert (root.find(("b", 0, "c")).place.line, root.find(("b", 0, "c")).place.column) == (3, 9)
    assert (root.key_place(("b", 0, "c")).line, root.key_place(("b", 0, "c")).column) == (3, 6)
