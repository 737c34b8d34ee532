"""The cache folder: values are found out once, and again when what is stored is damaged or of other versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.system import cache
from render.system.cache import cache_folder, cached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def never() -> None:
    raise AssertionError("the value is cached")


def the_file(folder: Path) -> Path:
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    return file


def test_a_value_is_made_once(folder: Path) -> None:
    assert cached("name", lambda: {"a": [1, None]}) == {"a": [1, None]}
    assert cached("name", never) == {"a": [1, None]}
    assert cached("other", lambda: 2) == 2


@pytest.mark.parametrize("data", [b"", b"{}", None], ids=["empty", "without a checksum", "cut"])
def test_a_damaged_value_is_made_again(data: bytes | None, folder: Path) -> None:
    cached("name", lambda: [1, 2])
    file = the_file(folder)
    file.write_bytes(file.read_bytes()[:-1] if data is None else data)
    assert cached("name", lambda: [3]) == [3]
    assert cached("name", never) == [3]


def test_a_changed_digit_is_noticed(folder: Path) -> None:
    cached("name", lambda: {"channels": 64})
    file = the_file(folder)
    file.write_bytes(file.read_bytes().replace(b"64", b"65"))
    assert cached("name", lambda: {"channels": 64}) == {"channels": 64}


def test_a_value_of_another_version_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached("name", lambda: 1)
    monkeypatch.setattr(cache, "_versions", lambda: "another")
    assert cached("name", lambda: 2) == 2


@pytest.mark.parametrize("home", ["file", "none"])
def test_a_cache_that_cannot_be_written_is_no_error(home: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.mkdir(exist_ok=True)
    if home == "file":
        folder.write_text("not a folder")
    else:
        monkeypatch.setattr(cache, "user_cache_path", lambda *names, **options: Path("~/.cache/render"))
    assert [cached("name", lambda: 1), cached("name", lambda: 2)] == [1, 2]
    assert not Path("~").exists()
