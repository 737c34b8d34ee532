"""Names in messages: what controls a terminal, the line or the direction of writing is escaped everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from render.text import escape, escape_lines, quote
from tests.cli.program import SCENE, Call

FORBIDDEN = "\x1b\x07\r\x9b\x7f\u202e\u2066\u2069\u200f\u061c\u2028\ufeff"
NAME = f"a{FORBIDDEN}\nrender: done"


def test_no_line_that_is_printed_has_controls(call: Call, folder: Path) -> None:
    (folder / f"{NAME}.yaml").write_text(SCENE)
    scene = (f"{NAME}.yaml", "--set", "duration=1")
    lines = [call(*arguments) for arguments in (
        ("check", f"{NAME}.yaml"),
        ("upgrade", f"{NAME}.yaml"),
        ("new", "zoom", f"{NAME}2.yaml"),
        scene,
        scene,
        (*scene, "--set", "seed=2"),
        ("inspect", f"{NAME}3.mp4"),
        (f"{NAME}4.yaml",),
        ("s.yaml", "--set", f"source.image={NAME}.png"),
        ("join", f"{NAME}.mp4", "--output", "joined.mp4"),
    )]  # fmt: skip
    assert not set(FORBIDDEN) & set("".join(ended.out + ended.err for ended in lines))
    assert lines[4].out == f"{escape(NAME)}.png exists already; nothing to render\n"


@pytest.mark.parametrize("name", ["é 🎬", "夢　見る", "👩\u200d💻", "می\u200cخواهم", "עברית", "a'b\"c\\d", "tab\there"])
def test_the_letters_of_every_language_stay(name: str) -> None:
    assert escape_lines(name) == name


def test_escapes_say_which_character_it_was() -> None:
    assert escape("a\x1b\n\t\u202e\U000e0001") == r"a\x1b\x0a\x09\u202e\U000e0001"
    assert escape_lines("a\x1b\nb\tc") == "a\\x1b\nb\tc"
    assert quote("a\x1bb") == r"'a\x1bb'"
    assert escape(os.fsdecode(b"caf\xe9")) == r"caf\udce9"


def test_a_name_too_long_for_the_disk_is_an_error_in_a_sentence(call: Call, folder: Path) -> None:
    long = "夢" * 86
    for arguments in (
        ("s.yaml", "--output", f"{long}.mp4"),
        ("check", "s.yaml", "--set", f"output.path={long}.mp4"),
        ("s.yaml", "--output", f"{'x' * 248}%05d.png"),
        ("s.yaml", "--frames", "0:1", "--set", f"output.path={'x' * 250}.mp4"),
        (f"{long}.yaml",),
        (f"{long}.mp4",),
        ("inspect", f"{long}.mp4"),
        ("inspect", f"{long}.png"),
        ("join", f"{long}.mp4", "--output", "a.mp4"),
        ("score", f"{long}.mp4"),
        ("score", f"{long}%d.png"),
        ("upgrade", f"{long}.yaml"),
        ("new", "zoom", f"{long}.yaml"),
        ("new", "photo", "new.yaml", "--source", f"{long}.png"),
        ("s.yaml", "--set", f"source.image={long}.png"),
        ("s.yaml", "--set", f"source.video={long}.mp4"),
        ("s.yaml", "--set", f"source.video={long}%d.png"),
        ("s.yaml", "--set", f"output.audio={long}.m4a"),
        ("s.yaml", "--set", f"network.weights_file={long}.pth"),
        ("atlas", "efficientnet_lite0", "--output", f"{long}.png"),
    ):
        ended = call(*arguments)
        assert ended.status == 4, arguments
        assert ended.err.startswith("render: "), arguments
        assert "Traceback" not in ended.err
    assert sorted(path.name for path in folder.iterdir()) == ["s.yaml"]


@pytest.mark.parametrize("name", ["夢" * 83 + "ab.mp4", "x" * 251 + ".mp4", "x" * 251 + ".mov", "x" * 240 + "%d.png"])
def test_a_name_up_to_the_limit_is_a_film(call: Call, folder: Path, name: str) -> None:
    ended = call("s.yaml", "--output", name)
    assert (ended.status, ended.err) == (0, "")
    assert call("s.yaml", "--output", name).out.endswith("exists already; nothing to render\n")
    assert all(path.suffix in (".yaml", ".mp4", ".mov", ".png") for path in folder.iterdir())
