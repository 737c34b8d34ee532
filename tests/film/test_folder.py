"""The working folder: what render did not make or write is never written to or removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from render.errors import StorageError
from render.film.folder import MARKER, WorkFolder, require_own, unfinished_film
from tests.film.test_checkpoint import canvas_after, make, opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The path of the working folder."""
    return tmp_path / "film.mp4.parts"


def snapshot(folder: Path) -> dict[str, str]:
    """Everything below a folder, links not followed."""
    return {
        str(path.relative_to(folder)): "" if path.is_dir() or path.is_symlink() or path.is_fifo() else path.read_text()
        for path in folder.rglob("*")
    }


def link_to_folder(path: Path, outside: Path) -> None:
    """A link to a folder with files of somebody's."""
    path.symlink_to(outside)


def relative_link(path: Path, outside: Path) -> None:
    """A relative link to it."""
    path.symlink_to(outside.name)


def foreign_folder(path: Path, outside: Path) -> None:
    """A folder of somebody's, with the name of a segment in it."""
    shutil.copytree(outside, path)


def folder_with_a_link(path: Path, outside: Path) -> None:
    """A marked folder in which the sound is a link."""
    WorkFolder(path).close()
    (path / "sound.mp4").symlink_to(outside / "00000.mp4")


def folder_with_a_linked_lock(path: Path, outside: Path) -> None:
    """A marked folder in which the lock is a link."""
    WorkFolder(path).close()
    (path / "lock").unlink()
    (path / "lock").symlink_to(outside / "00000.mp4")


def folder_with_a_hard_link(path: Path, outside: Path) -> None:
    """A marked folder in which the lock is another file's second name."""
    WorkFolder(path).close()
    (path / "lock").unlink()
    (path / "lock").hardlink_to(outside / "00000.mp4")


def folder_with_a_pipe(path: Path, outside: Path) -> None:
    """A marked folder in which the record is a pipe."""
    WorkFolder(path).close()
    os.mkfifo(path / "film.json")


def folder_with_a_folder(path: Path, outside: Path) -> None:
    """A marked folder in which a segment is a folder."""
    WorkFolder(path).close()
    (path / "00001.mp4").mkdir()


def linked_marker(path: Path, outside: Path) -> None:
    """A folder of somebody's with a link that has the marker's name."""
    shutil.copytree(outside, path)
    (path / MARKER).symlink_to("00000.mp4")


def pipe(path: Path, outside: Path) -> None:
    """A pipe in the folder's place."""
    os.mkfifo(path)


OBSTACLES: tuple[Callable[[Path, Path], None], ...] = (
    link_to_folder,
    relative_link,
    foreign_folder,
    folder_with_a_link,
    folder_with_a_linked_lock,
    folder_with_a_hard_link,
    folder_with_a_pipe,
    folder_with_a_folder,
    linked_marker,
    pipe,
)


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda function: function.__name__)
@pytest.mark.parametrize("restart", [False, True])
def test_what_render_did_not_make_is_an_error_in_a_sentence_and_not_touched(
    folder: Path, obstacle: Callable[[Path, Path], None], restart: bool
) -> None:
    outside = folder.parent / "outside"
    (outside / "thesis").mkdir(parents=True)
    for name in ("00000.mp4", "lock", "notes.txt", "thesis/chapter.tex"):
        (outside / name).write_text(f"my {name}")
    obstacle(folder, outside)
    before = snapshot(folder.parent)
    for _ in range(2):
        with pytest.raises(StorageError, match=rf"^{folder}.*; move it away, or --output names another path$"):
            opened(folder, restart=restart)
        with pytest.raises(StorageError, match="move it away"):
            require_own(folder)
        assert snapshot(folder.parent) == before


def test_a_folder_that_does_not_exist_or_is_empty_is_render_s(folder: Path) -> None:
    require_own(folder)
    assert not folder.exists()
    folder.mkdir()
    require_own(folder)
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        assert checkpoint.discard() == []
    assert not folder.exists()


@pytest.mark.parametrize("removed", [[MARKER], [MARKER, "film.json"], [MARKER, "film.json", "00000.json"]])
def test_a_folder_without_the_marker_is_known_by_its_records(folder: Path, removed: list[str]) -> None:
    """As those of 0.6.0 and before are."""
    with opened(folder) as checkpoint:
        make(checkpoint, 0, 1)
    for name in removed:
        (folder / name).unlink()
    with opened(folder) as checkpoint:
        assert 1 not in checkpoint.missing(range(2))
    assert (folder / MARKER).exists()


def test_other_files_in_the_folder_are_kept_and_reported(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_text("mine")
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    names = ["00000.mp4.bak", "0000.mp4", "@eaDir", "notes.txt", "pipe", "sound.wav", "to outside", "x.tmp.mp4"]
    (folder / "@eaDir").mkdir()
    (folder / "to outside").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    for name in names:
        if not os.path.lexists(folder / name):
            (folder / name).write_text("mine")
    with opened(folder, restart=True) as checkpoint:
        assert checkpoint.missing(range(1)) == [0]
        make(checkpoint, 0)
        assert checkpoint.discard() == sorted(names)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, MARKER, "lock"])
    assert outside.read_text() == "mine"
    opened(folder).close()


def test_a_file_with_a_name_of_render_s_that_became_a_link_is_not_removed(folder: Path) -> None:
    outside = folder.parent / "outside.npy"
    outside.write_text("mine")
    with opened(folder) as checkpoint:
        make(checkpoint, 0, 1)
        (folder / "00000.npy").unlink()
        (folder / "00000.npy").symlink_to(outside)
        checkpoint.discard()
    assert outside.read_text() == "mine"
    assert (folder / "00000.npy").is_symlink()


def test_a_record_without_a_checksum_is_damage(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    (folder / "film.json").write_text('{"scene": {"seed": 8}}')
    assert unfinished_film(folder) is None
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(1)) == []


def test_files_copied_over_those_of_another_segment_are_noticed(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    for suffix in ("json", "mp4", "npy"):
        shutil.copy(folder / f"00000.{suffix}", folder / f"00001.{suffix}")
    record = (folder / "00002.json").read_bytes()
    (folder / "00003.json").rename(folder / "00002.json")
    (folder / "00003.json").write_bytes(record)
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(4)) == [1, 2, 3]
        start, canvas = checkpoint.nearest_state(4)
        assert start == 1
        assert canvas is not None
        assert (canvas == canvas_after(0)).all()
