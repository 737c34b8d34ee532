"""Atomic writes: a reader sees the old file or the complete new one, and no temporary file remains."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from render.errors import StorageError
from render.film.atomic import atomic_path, atomic_write
from render.system.checksum import sha256


def test_the_target_is_replaced_and_no_temporary_file_remains(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_has_the_suffix_and_may_be_in_another_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with atomic_path(tmp_path / "film.mov", work) as temporary:
        temporary.write_text("new")
        assert temporary.parent == work
        assert temporary.suffix == ".mov"
    assert (tmp_path / "film.mov").read_text() == "new"
    assert not list(work.iterdir())


@pytest.mark.parametrize("error", [ValueError("a"), KeyboardInterrupt(), OSError("b")])
def test_the_target_is_unchanged_when_the_block_raises(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "film.mp4"
    target.write_text("old")

    def write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    assert raised.value is error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_of_one_target_have_different_temporary_files(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with atomic_path(target) as one, atomic_path(target) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"


def test_an_unwritable_folder_is_a_storage_error_that_names_the_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "film.mp4"
    with pytest.raises(StorageError, match=rf"cannot write {target}: Not a directory"):
        atomic_write(target, b"never")


def test_a_shorter_file_replaces_a_longer_one(tmp_path: Path) -> None:
    for data in (b"a long text that was there before", b"short"):
        atomic_write(tmp_path / "film.json", data)
        assert (tmp_path / "film.json").read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_that_is_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.mkdir()
    with pytest.raises(StorageError, match="Is a directory"), atomic_path(target) as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"), atomic_path(tmp_path / "film.mp4"):
        pass


def test_sha256_is_the_checksum_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"dream" * 1000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"dream" * 1000).hexdigest()


def test_the_checksum_of_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*missing: No such file"):
        sha256(tmp_path / "missing")
