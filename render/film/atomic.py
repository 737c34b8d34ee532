"""Atomic writes: a reader sees the old file or the complete new one, even after a crash."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from render.errors import DiskFullError, StorageError

TEMPORARY_SUFFIX = ".tmp"
TEMPORARY_NAME = r"[0-9a-f]{32}\.tmp(\.[A-Za-z0-9]{1,8})?"
"""The regular expression of a temporary file's name."""
MAX_SUFFIX = 9
"""Characters of the target's suffix that a temporary file has as well, at most; its name is never too long."""
NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL)
"""Errors of a file system without hard links."""


class ExistsError(StorageError):
    """Something exists at the target, which is not to be replaced."""


@contextlib.contextmanager
def atomic_path(target: Path, folder: Path | None = None, *, replace: bool = True) -> Iterator[Path]:
    """Yields a temporary path, whose file becomes `target` when the block succeeds and is deleted when it fails.

    The name is new each time, so that a process that outlives this one cannot write into the file. The temporary file
    is in `folder` (default: the target's), which must be on the same disk. Unless `replace`, nothing that exists at the
    target is replaced, whenever it appeared. Raises StorageError; ExistsError in that case.
    """
    suffix = target.suffix if len(target.suffix) <= MAX_SUFFIX else ""
    temporary = (folder or target.parent) / f"{uuid.uuid4().hex}{TEMPORARY_SUFFIX}{suffix}"
    try:
        yield temporary
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush(temporary)
            if replace:
                temporary.replace(target)
            else:
                _move(temporary, target)
            _flush(target.parent)
    finally:
        with contextlib.suppress(OSError):  # the next run deletes the file
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Raises a StorageError that names the target for an OSError of the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"the disk of {target} is full; make room, then run the same command to resume"
            ) from None
        raise StorageError(f"cannot write {target}: {error.strerror}") from None


def atomic_write(target: Path, data: bytes, folder: Path | None = None, *, replace: bool = True) -> None:
    """Writes a file, completely or not at all; see atomic_path. Raises StorageError."""
    with atomic_path(target, folder, replace=replace) as temporary, storage_errors(target):
        temporary.write_bytes(data)


@contextlib.contextmanager
def unflushed_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path as `atomic_path`, for a file that need not survive a crash of the machine.

    Raises OSError.
    """
    temporary = target.parent / f"{uuid.uuid4().hex}{TEMPORARY_SUFFIX}{target.suffix}"
    try:
        yield temporary
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_unflushed(target: Path, data: bytes) -> None:
    """Writes a file that readers find complete at any time; see `unflushed_path`. Raises OSError."""
    with unflushed_path(target) as temporary:
        temporary.write_bytes(data)


def _move(source: Path, target: Path) -> None:
    """Gives a file another name, at which nothing exists. Raises OSError, ExistsError."""
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # reserves the name
            source.replace(target)
    except FileExistsError:
        raise ExistsError(f"{target} exists since this run began, and is not replaced") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
