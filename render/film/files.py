"""Writing files so that a reader sees the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from render.errors import DiskFullError, StorageError

TEMPORARY = ".tmp"


@contextlib.contextmanager
def replacing(target: Path, folder: Path | None = None) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well and vanishes when it does not.

    The name is new each time, so that a process that outlives us cannot write into our file. `folder` (default: the
    target's) is where it lies meanwhile; it must be on the same disk. Raises StorageError.
    """
    temporary = (folder or target.parent) / f"{uuid.uuid4().hex}{TEMPORARY}{target.suffix}"
    try:
        yield temporary
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush(temporary)
            temporary.replace(target)
            _flush(target.parent)
    finally:
        with contextlib.suppress(OSError):  # a scrap more; the next run sweeps it
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def storing(target: Path) -> Iterator[None]:
    """Makes an OSError of the block a StorageError that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"the disk of {target} is full; make room, then the same command goes on") from None
        raise StorageError(f"cannot write {target}: {error.strerror}") from None


def write(target: Path, data: bytes, folder: Path | None = None) -> None:
    """The bytes, all of them or none, as a file. Raises StorageError."""
    with replacing(target, folder) as temporary, storing(target):
        temporary.write_bytes(data)


def sha256(path: Path) -> str:
    """The checksum of a file's bytes. Raises StorageError."""
    try:
        if path.exists() and not path.is_file():  # a pipe, or a device without an end
            raise StorageError(f"{path} is not a file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
