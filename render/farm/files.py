"""The files that a scene names, on the machines of a cluster: at the same path, or sent once and kept by checksum."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from render.errors import StorageError
from render.jobs.model import Record
from render.media.clip import sequence_files
from render.system.cache import cache_folder
from render.system.checksum import sha256
from render.text import format_bytes

NAME = r"^[^/\\\x00]{1,255}$"
CHUNK = 2**22
"""Bytes that are sent at a time."""
MAX_SENT = 2**32
"""Bytes of a file, or of the pictures of a pattern, that are sent at most."""


class FileRecord(Record):
    """A file by its name, size in bytes, and checksum."""

    name: str = Field(pattern=NAME)
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class SceneFile(Record):
    """A file that a scene names, or the pictures of a pattern: the absolute path, and what is there."""

    path: str
    files: tuple[FileRecord, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """The checksum of names and bytes."""
        listed = "".join(f"{file.name}\0{file.sha256}\n" for file in self.files)
        return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()


def scene_file(path: str) -> SceneFile:
    """Returns what is at a path. Raises StorageError when it cannot be read."""
    files = _files(path)
    return SceneFile(path=path, files=tuple(_record(str(file), *_identity(file)) for file in files))


def require_sendable(file: SceneFile, machine: str) -> None:
    """Raises StorageError for a file that is missing on a machine and too large to be sent."""
    if file.size > MAX_SENT:
        raise StorageError(
            f"{file.path} is missing on {machine}, and with {format_bytes(file.size)} too large to be sent; a folder "
            "that all machines share holds it"
        )


def chunks(file: SceneFile) -> Iterator[tuple[str, bytes]]:
    """Yields the name of each file with its bytes, some at a time, at least once. Raises StorageError."""
    for path in _files(file.path):
        try:
            with path.open("rb") as stream:
                data = stream.read(CHUNK)
                yield path.name, data
                while data := stream.read(CHUNK):
                    yield path.name, data
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None


class Cache:
    """The files that were sent to this machine, in a folder for each key; what is there is never changed."""

    def __init__(self, folder: Path | None = None) -> None:
        """The folder is in the user's cache unless it is given."""
        self._given = folder
        self._own = uuid.uuid4().hex

    def find(self, file: SceneFile) -> Path | None:
        """Returns the path of a file with these very bytes: its own one, or a copy."""
        with contextlib.suppress(StorageError):
            if scene_file(file.path) == file:
                return Path(file.path)
        return self._copy(file)

    def append(self, file: SceneFile, name: str, data: bytes) -> None:
        """Appends bytes to a copy that is not complete. Raises OSError, ValueError for another name than the file's."""
        if name in (".", "..") or name not in {each.name for each in file.files}:
            raise ValueError(f"{name!r} is no file that is expected")
        folder = self._unfinished(file)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("ab") as stream:
            stream.write(data)

    def finish(self, file: SceneFile) -> Path:
        """Puts a complete copy in its place; returns its path. Raises OSError, StorageError when it is damaged."""
        folder, target = self._unfinished(file), self._folder() / file.key
        try:
            if scene_file(str(folder / Path(file.path).name)).files != file.files:
                raise StorageError(f"{file.path} has changed while it was sent")
            if self._copy(file) is None:  # else another worker of this machine was first
                shutil.rmtree(target, ignore_errors=True)
                with contextlib.suppress(FileExistsError):
                    folder.rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return target / Path(file.path).name

    def _copy(self, file: SceneFile) -> Path | None:
        copy = self._folder() / file.key / Path(file.path).name
        with contextlib.suppress(StorageError):
            if scene_file(str(copy)).files == file.files:
                return copy
        return None

    def _folder(self) -> Path:
        return self._given or cache_folder() / "files"

    def _unfinished(self, file: SceneFile) -> Path:
        return self._folder() / f"{file.key}.{self._own}"


def _files(path: str) -> list[Path]:
    pictures = sequence_files(Path(path))
    return [Path(path)] if pictures is None else list(pictures.values())


def _identity(file: Path) -> tuple[int, int, int]:
    """Returns inode, bytes and time of modification. Raises StorageError."""
    try:
        status = file.stat()
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from None
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=100_000)
def _record(path: str, inode: int, size: int, modified: int) -> FileRecord:
    return FileRecord(name=Path(path).name, size=size, sha256=sha256(Path(path)))
