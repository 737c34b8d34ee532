"""The working folder of a film: made and marked by render, opened without following links, and locked.

Of what lies in it only files of render's own are written or removed: by their exact names, and as regular files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

from filelock import BaseFileLock

from render.errors import StorageError
from render.film.atomic import TEMPORARY_NAME, atomic_write
from render.film.lock import LOCK, lock_folder
from render.system.files import file_kind, open_regular

MARKER = "made-by-render"
"""The empty file in every folder that render made."""
IDENTITY = "film.json"
"""The file with the identity of the folder's film."""
SEAL = "sha256"
"""The key of a record's checksum of itself."""
MAX_RECORD_BYTES = 2**26
"""Bytes of a record that are read at most."""
MAX_ATTEMPTS = 1000
"""Attempts to open the folder, which another process may delete each time."""
MAX_REPORTED_NAMES = 3
"""Names in a message, at most."""
_RECORD = re.compile(r"[0-9]{5,9}\.json")
_OWN_NAME = re.compile(
    rf"{MARKER}|{LOCK}|film\.json|segments\.txt|metadata\.txt|sound\.(mp4|mov|mkv|webm)|once\.w64|repeats\.txt"
    rf"|first\.mkv|palette\.png|plain\.gif|preview\.json|preview-[0-7]\.jpg|[0-9]{{5,9}}\.(json|npy|mp4|mov|pngs|jpgs|webps)|{TEMPORARY_NAME}"
)


class WorkFolder:
    """An open working folder, locked against other processes until it is closed."""

    def __init__(self, path: Path) -> None:
        """Opens the folder, or creates it. Raises StorageError when it is not render's own, or in use."""
        self.path = path
        self._descriptor: int | None
        self._descriptor, self._lock = _open_locked(path)
        try:
            if MARKER not in self.names():
                atomic_write(path / MARKER, b"")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the folder."""
        self._lock.release()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def names(self) -> list[str]:
        """Returns the names of render's own files. Raises OSError."""
        return sorted(name for name in _names(self._descriptor) if _OWN_NAME.fullmatch(name))

    def foreign_names(self) -> list[str]:
        """Returns the names of everything else in the folder. Raises OSError."""
        return sorted(name for name in _names(self._descriptor) if not _OWN_NAME.fullmatch(name))

    def checksum(self, name: str) -> str | None:
        """Returns the SHA-256 of a file, None when there is none. Raises StorageError when it cannot be read."""
        try:
            with self.open(name) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self.path / name}: {error.strerror}") from None

    def open(self, name: str) -> BufferedReader:
        """Opens a file for reading. Raises OSError."""
        return open_regular(name, folder=self._descriptor, follow_links=False)

    def write_record(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON object with a checksum of itself. Raises StorageError."""
        atomic_write(self.path / name, json.dumps({**value, SEAL: digest(value)}, indent=1, sort_keys=True).encode())

    def read_record(self, name: str) -> dict[str, Any] | None:
        """Returns a JSON object that has its checksum; None when the file is missing or damaged."""
        return _unsealed(_read(self._descriptor, name))

    def remove(self, name: str) -> None:
        """Removes a file of render's own, unless it is no regular file. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            is_regular = stat.S_ISREG(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode)
            if is_regular and _OWN_NAME.fullmatch(name):
                os.unlink(name, dir_fd=self._descriptor)

    def remove_temporary_files(self) -> None:
        """Removes what a killed process did not finish. Raises OSError."""
        for name in self.names():
            if re.fullmatch(TEMPORARY_NAME, name):
                self.remove(name)

    def remove_files(self) -> None:
        """Removes all of render's own files but the marker and the lock. Raises OSError."""
        for name in self.names():
            if name not in (MARKER, LOCK):
                self.remove(name)

    def discard(self) -> list[str]:
        """Removes render's own files, and the folder unless it holds anything else; returns the names of that."""
        with contextlib.suppress(OSError):  # a file that cannot be removed does no harm
            self.remove_files()
            if self.foreign_names():
                return self.foreign_names()
            self.remove(MARKER)
            self.remove(LOCK)
            self.path.rmdir()
        return []


def require_own(path: Path) -> None:
    """Raises StorageError when a path exists and is not a working folder that render made, or an empty one."""
    try:
        descriptor = _open_folder(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write in {path}: {error.strerror}") from None
    try:
        _check_own(path, descriptor)
    finally:
        os.close(descriptor)


def unfinished_film(path: Path) -> dict[str, Any] | None:
    """Returns the identity of the unfinished film in a folder, None when there is none."""
    return record_in(path, IDENTITY)


def record_in(path: Path, name: str) -> dict[str, Any] | None:
    """Returns a record of a folder that need not be locked; None when it is missing or damaged."""
    return _unsealed(file_in(path, name))


def file_in(path: Path, name: str, *, at_most: int = MAX_RECORD_BYTES) -> bytes | None:
    """Returns the first bytes of a file of a folder that need not be locked; None when it cannot be read."""
    try:
        descriptor = _open_folder(path)
    except (OSError, StorageError):
        return None
    try:
        return _read(descriptor, name, at_most)
    finally:
        os.close(descriptor)


def digest(value: Mapping[str, Any]) -> str:
    """Returns the checksum of plain JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def listed(names: list[str]) -> str:
    """Returns `a, b, c and 4 more`."""
    more = f" and {len(names) - MAX_REPORTED_NAMES} more" if len(names) > MAX_REPORTED_NAMES else ""
    return ", ".join(names[:MAX_REPORTED_NAMES]) + more


def _open_locked(path: Path) -> tuple[int, BaseFileLock]:
    """Creates, opens and locks a folder; returns its descriptor and its lock. Raises StorageError.

    The process that holds the lock may delete the folder with the lock's file: another that waits for this file never
    gets the lock, and creates both again.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir()
            descriptor = _open_folder(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"cannot write in {path}: {error.strerror}") from None
        try:
            _check_own(path, descriptor)
            lock = lock_folder(path)
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor, lock
            lock.release()
        except (FileNotFoundError, FileExistsError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StorageError(f"cannot write in {path}: other processes delete it again and again")


def _open_folder(path: Path) -> int:
    """Opens a folder and no link to one. Raises OSError, StorageError when something else is there."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise
        raise StorageError(
            f"{path} is {file_kind(mode)}, not a folder for segments; move it away, or --output names another path"
        ) from None


def _check_own(path: Path, descriptor: int) -> None:
    """Raises StorageError for a folder that render did not make, and when anything but a file has a name of render's.

    A folder without the marker is render's if it is empty but for a lock, or has a record with its checksum, as those
    of earlier versions have.
    """
    names = _names(descriptor)
    for name in filter(_OWN_NAME.fullmatch, names):
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        is_shared = name == LOCK and status.st_nlink > 1  # what is written to the lock would appear elsewhere
        if is_shared or not stat.S_ISREG(status.st_mode):
            kind = "a hard link" if is_shared else file_kind(status.st_mode)
            raise StorageError(
                f"{path / name} is {kind}, not a file that render wrote; move it away, or --output names another path"
            )
    others = [name for name in names if not re.fullmatch(TEMPORARY_NAME, name)]
    records = [name for name in others if name == IDENTITY or _RECORD.fullmatch(name)]
    is_new = not others or (others == [LOCK] and re.fullmatch(rb"[0-9]*", _read(descriptor, LOCK) or b""))
    if not (MARKER in names or is_new or any(_unsealed(_read(descriptor, name)) for name in records)):
        raise StorageError(
            f"{path} is not a folder that render made, it holds {listed(sorted(others))}; move it away, or --output "
            "names another path"
        )


def _names(descriptor: int | None) -> list[str]:
    return [] if descriptor is None else os.listdir(descriptor)  # noqa: PTH208  # pathlib takes no descriptor


def _read(descriptor: int | None, name: str, at_most: int = MAX_RECORD_BYTES) -> bytes | None:
    try:
        with open_regular(name, folder=descriptor, follow_links=False) as file:
            return file.read(at_most)
    except OSError:
        return None


def _unsealed(data: bytes | None) -> dict[str, Any] | None:
    """Returns the object of a record, None for data without the right checksum of itself."""
    try:
        value = json.loads(data or b"")
        seal = value.pop(SEAL, None) if isinstance(value, dict) else None
        return value if seal and seal == digest(value) else None
    except (ValueError, RecursionError):
        return None
