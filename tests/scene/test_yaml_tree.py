"""Strict YAML: the values of scalars, what is an error, and where the caret points."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from render.errors import SceneError, StorageError
from render.scene.yaml_loader import MAX_LINE
from render.scene.yaml_tree import MAX_BYTES, parse_yaml, read_yaml
from render.text import Position, Problem


def problems(text: str | bytes, folder: Path) -> tuple[Problem, ...]:
    """Returns the problems of a file with that text."""
    file = folder / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SceneError) as caught:
        read_yaml(file)
    return caught.value.problems


def under_caret(position: Position) -> str:
    """Returns the printed line from the character above the caret on; the caret itself after the line's end."""
    line, caret = str(position).split("\n")
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
def test_a_scalar_has_the_value_of_yaml_1_2(text: str, value: object) -> None:
    plain = parse_yaml(f"key: {text}\n", "s").plain()["key"]
    assert plain == value
    assert type(plain) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse_yaml("a: .nan", "s").plain()["a"])


def test_comments_anchors_flow_and_block_text_are_accepted() -> None:
    text = "a: [&x {k: 1}, *x] # c\nb: |\n  one\n  two\nc: >-\n  one\n  two\n"
    assert parse_yaml(text, "s").plain() == {"a": [{"k": 1}, {"k": 1}], "b": "one\ntwo\n", "c": "one two"}


@pytest.mark.parametrize(
    ("text", "line", "column", "under", "says"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", 3, 1, "a: 3", "duplicate key 'a'; first on line 1", id="duplicate"),
        pytest.param("c: {zoom: 1, zoom: 2}", 1, 14, "zoom: 2}", "duplicate key 'zoom'", id="duplicate in flow"),
        pytest.param("a: !!python/object/apply:os.system [x]", 1, 4, "!!python", "tag", id="python tag"),
        pytest.param("a: !mine 3", 1, 4, "!mine", "tag '!mine' means nothing", id="own tag"),
        pytest.param("a: 1\n---\nb: 2\n", 2, 1, "---", "a second document", id="second document"),
        pytest.param("a: ! 12", 1, 4, "! 12", "tag '!'", id="tag without a name"),
        pytest.param("!x a: 1", 1, 1, "!x", "tag '!x'", id="tag of a key"),
        pytest.param("a: &x 1\n*x : 2", 2, 1, "*x", "a key is a word or a number", id="alias as key"),
        pytest.param("a: &x {b: *x}", 1, 11, "*x}", "'*x' names nothing above it", id="mapping in itself"),
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
def test_text_that_is_not_strict_yaml_is_an_error_with_the_caret_under_it(
    text: str | bytes, line: int, column: int, under: str, says: str, tmp_path: Path
) -> None:
    (problem,) = problems(text, tmp_path)
    assert says in problem.message
    assert problem.position is not None
    assert (problem.position.line, problem.position.column) == (line, column)
    assert under_caret(problem.position).startswith(under)


def test_an_unclosed_quote_is_reported_where_it_opens(tmp_path: Path) -> None:
    (problem,) = problems("a: 'x\n", tmp_path)
    assert problem.position is not None
    assert under_caret(problem.position) == "'x"


@pytest.mark.parametrize(
    "text", [r'a: "\UFFFFFFFF"', r'a: "\ud800"', r'"\ud800": 1'], ids=["beyond Unicode", "half a character", "as key"]
)
def test_an_escape_that_is_not_a_character_is_an_error(text: str, tmp_path: Path) -> None:
    (problem,) = problems(text, tmp_path)
    assert problem.position is not None
    assert problem.position.line == 1


def test_duplicates_and_tags_are_all_reported_at_once_in_the_order_of_the_text(tmp_path: Path) -> None:
    reported = problems("a: !t 1\na: 2\nb: {c: 1, c: 2}\n", tmp_path)
    assert [(p.position.line, p.position.column) for p in reported if p.position] == [(1, 4), (2, 1), (3, 11)]


def test_every_duplicate_of_a_key_is_reported_with_the_line_of_the_first(tmp_path: Path) -> None:
    messages = [problem.message for problem in problems("a: 1\na: 2\na: 3\n", tmp_path)]
    assert messages == ["duplicate key 'a'; first on line 1"] * 2


def test_a_billion_laughs_are_an_error_within_a_second(tmp_path: Path) -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    start = time.monotonic()
    (problem,) = problems("\n".join(lines), tmp_path)
    assert time.monotonic() - start < 1
    assert "aliases counted" in problem.message


@pytest.mark.parametrize("text", ["[" * 199_000, "- " * 99_000, "{a: " * 49_000, "a: " + "[" * 199_000])
def test_deep_nesting_is_an_error_within_two_seconds(text: str, tmp_path: Path) -> None:
    start = time.monotonic()
    (problem,) = problems(text, tmp_path)
    assert time.monotonic() - start < 2
    assert "nested deeper" in problem.message


def test_a_file_beyond_the_limit_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SceneError, match=f"at most {MAX_BYTES} bytes"):
        read_yaml(file)


def test_an_endless_stream_is_read_only_up_to_the_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "s.yaml"
    os.mkfifo(pipe)  # like /dev/zero, it has a size of 0 and more data than the limit

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(b"a: 1\n" + b"#" * 5_000_000)

    opened = os.open(pipe, os.O_RDWR)
    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(SceneError, match=f"at most {MAX_BYTES}"):
        read_yaml(pipe)
    os.close(opened)
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_an_empty_scene(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.yaml")
    with pytest.raises(SceneError, match="empty"):
        read_yaml(tmp_path / "s.yaml")


def test_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no scene file"):
        read_yaml(tmp_path / "none.yaml")


def test_a_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: [1,\r\n 2]\r\n")
    assert read_yaml(tmp_path / "s.yaml").plain() == {"a": 1, "b": [1, 2]}


def test_of_a_long_line_the_part_around_the_caret_is_printed(tmp_path: Path) -> None:
    (problem,) = problems(f"a: [{'x, ' * 1000}*here]", tmp_path)
    assert problem.position is not None
    assert len(problem.position.text) <= MAX_LINE
    assert under_caret(problem.position).startswith("*here]")


def test_every_node_and_key_has_its_position() -> None:
    root: Any = parse_yaml("a: 1\nb:\n  - {c: x}\n", "s")
    value, key = root.find(("b", 0, "c")).position, root.key_position(("b", 0, "c"))
    assert (value.line, value.column) == (3, 9)
    assert (key.line, key.column) == (3, 6)


def test_an_anchor_of_an_earlier_name_replaces_it() -> None:
    assert parse_yaml("a: &x 1\nb: *x\nc: &x 2\nd: *x\n", "s").plain() == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_keys_do_not_count_as_values(tmp_path: Path) -> None:
    assert len(parse_yaml("\n".join(f"a{i}: 1" for i in range(9_990)), "s").plain()) == 9_990
    (problem,) = problems("\n".join(f"a{i}: 1" for i in range(10_001)), tmp_path)
    assert "more than 10000 values" in problem.message
