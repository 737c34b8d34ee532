"""The command that rewrites scenes of earlier versions."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.program import Call

OLD = """\
# a zoom
layers: [{layer: blocks.1}]   # --set dream.every=2
dream:
  every: 2   # half the frames
"""
NEW = """\
# a zoom
objectives: [{layer: blocks.1}]   # --set dream.cadence=2
dream:
  cadence: 2   # half the frames
"""
CHANGES = """\
old.yaml:2:1: 'layers' was renamed to 'objectives'
old.yaml:4:3: 'every' was renamed to 'cadence'
"""


@pytest.fixture
def old(folder: Path) -> Path:
    """A scene file of 0.5.0 in the current folder."""
    (folder / "old.yaml").write_text(OLD)
    return folder / "old.yaml"


def test_an_old_scene_is_rewritten_and_every_change_printed(old: Path, call: Call) -> None:
    ended = call("upgrade", "old.yaml")
    assert (ended.status, ended.out, ended.err) == (0, f"{CHANGES}old.yaml: upgraded\n", "")
    assert old.read_text() == NEW
    assert sorted(path.name for path in old.parent.iterdir()) == ["old.yaml", "s.yaml"]


def test_a_scene_of_today_is_up_to_date(call: Call, folder: Path) -> None:
    before = (folder / "s.yaml").stat().st_mtime_ns
    for option in ([], ["--check"], ["--diff"]):
        ended = call("upgrade", "s.yaml", *option)
        assert (ended.status, ended.out) == (0, "s.yaml: up to date\n")
    assert (folder / "s.yaml").stat().st_mtime_ns == before


def test_check_writes_nothing_and_is_status_1(old: Path, call: Call) -> None:
    ended = call("upgrade", "old.yaml", "--check")
    hint = "old.yaml: out of date; `render upgrade old.yaml` rewrites it\n"
    assert (ended.status, ended.out) == (1, CHANGES + hint)
    assert old.read_text() == OLD


def test_diff_prints_the_changes_writes_nothing_and_is_status_1(old: Path, call: Call) -> None:
    ended = call("upgrade", "old.yaml", "--diff")
    assert ended.status == 1
    changed = [line for line in ended.out.splitlines() if line[:1] in "+-"]
    assert changed == [
        "--- old.yaml", "+++ old.yaml",
        f"-{OLD.splitlines()[1]}", f"+{NEW.splitlines()[1]}", f"-{OLD.splitlines()[3]}", f"+{NEW.splitlines()[3]}",
    ]  # fmt: skip
    assert old.read_text() == OLD


def test_old_keys_in_comments_alone_are_reported(folder: Path, call: Call) -> None:
    (folder / "c.yaml").write_text("# --set dream.every=2\nobjectives: []\n")
    assert call("upgrade", "c.yaml").out == "c.yaml: old keys of --set in comments\nc.yaml: upgraded\n"
    assert (folder / "c.yaml").read_text() == "# --set dream.cadence=2\nobjectives: []\n"


def test_permissions_byte_order_mark_and_line_ends_are_kept(old: Path, call: Call) -> None:
    old.write_bytes(b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode())
    old.chmod(0o640)
    assert call("upgrade", "old.yaml").status == 0
    assert old.read_bytes() == b"\xef\xbb\xbf" + NEW.replace("\n", "\r\n").encode()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_link_stays_a_link_to_the_upgraded_file(old: Path, call: Call) -> None:
    link = old.with_name("link.yaml")
    link.symlink_to("old.yaml")
    assert call("upgrade", "link.yaml").status == 0
    assert link.is_symlink()
    assert old.read_text() == NEW


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        (None, 4, "render: there is no scene file x.yaml"),
        ("layers: [", 2, "x.yaml:1:"),
        ("layers: []\nobjectives: []\n", 2, "'layers' was renamed to 'objectives', but 'objectives' exists here"),
    ],
    ids=["missing", "not YAML", "conflict"],
)
def test_what_cannot_be_upgraded_is_a_message_and_unchanged(
    text: str | None, status: int, message: str, folder: Path, call: Call
) -> None:
    if text is not None:
        (folder / "x.yaml").write_text(text)
    ended = call("upgrade", "x.yaml")
    assert (ended.status, ended.out) == (status, "")
    assert message in ended.err
    assert text is None or (folder / "x.yaml").read_text() == text
