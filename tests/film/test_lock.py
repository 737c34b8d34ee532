"""The lock of a working folder: one process at a time, even after a crash, a deleted folder or a full disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from render.errors import StorageError
from render.film.folder import WorkFolder
from render.film.lock import LOCK

HOLD = """
import sys
from pathlib import Path
from render.film.folder import WorkFolder
folder = WorkFolder(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The path of the working folder."""
    return tmp_path / "film.mp4.parts"


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock until it is killed at the end."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_gets_an_error_with_the_id_of_the_first(folder: Path) -> None:
    with another_process(folder) as first:
        for _ in range(2):
            with pytest.raises(StorageError, match=rf"{folder} is in use by another render, process {first.pid}$"):
                WorkFolder(folder)


def test_the_lock_of_a_dead_process_is_free(folder: Path) -> None:
    with another_process(folder) as first:
        first.kill()
        first.wait()
        assert (folder / LOCK).read_text() == str(first.pid)
        lock = WorkFolder(folder)
        assert (folder / LOCK).read_text() == str(os.getpid())
        lock.close()


def test_a_lock_is_held_until_it_is_released_from_any_thread(folder: Path) -> None:
    lock = WorkFolder(folder)
    with pytest.raises(StorageError, match="is in use"):
        WorkFolder(folder)
    thread = threading.Thread(target=lock.close)
    thread.start()
    thread.join()
    WorkFolder(folder).close()


def test_a_process_that_waits_does_not_get_the_lock_of_a_deleted_folder(folder: Path) -> None:
    first = WorkFolder(folder)
    first.discard()
    second = WorkFolder(folder)
    first.close()
    with pytest.raises(StorageError, match="is in use"):
        WorkFolder(folder)
    second.close()


def test_two_threads_never_hold_the_lock_at_once_while_the_folder_is_deleted_each_time(folder: Path) -> None:
    holders, rounds = 0, 0
    counting = threading.Lock()
    errors: list[str] = []
    end = time.monotonic() + 1.5

    def work() -> None:
        nonlocal holders, rounds
        while time.monotonic() < end:
            try:
                lock = WorkFolder(folder)
            except StorageError as error:
                if "in use by another render" not in str(error):
                    errors.append(str(error))
                continue
            with counting:
                holders += 1
                rounds += 1
                if holders > 1:
                    errors.append("two at once")
            time.sleep(0.0005)
            with counting:
                holders -= 1
            lock.discard()
            lock.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rounds > 20
    assert not errors, f"{len(errors)} times in {rounds}: {sorted(set(errors))}"


def test_a_disk_without_room_for_the_process_id_is_locked_without_it(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        lock = WorkFolder(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (folder / LOCK).read_text() == ""
    with pytest.raises(StorageError, match="process unknown"):
        WorkFolder(folder)
    lock.close()


def test_a_file_in_place_of_the_folder_is_an_error_that_names_it(folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(StorageError, match=rf"{folder} is a file, not a folder for segments"):
        WorkFolder(folder)


def test_a_file_in_place_of_the_parent_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=rf"cannot write in {tmp_path / 'file' / 'film.mp4.parts'}: Not a directory"):
        WorkFolder(tmp_path / "file" / "film.mp4.parts")


def test_a_link_to_nothing_in_place_of_the_folder_is_an_error(folder: Path) -> None:
    folder.symlink_to(folder.with_name("missing"))
    with pytest.raises(StorageError, match=rf"{folder} is a link, not a folder for segments"):
        WorkFolder(folder)
