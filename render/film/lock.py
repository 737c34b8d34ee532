"""The lock of a working folder: one process at a time has it open."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from render.errors import StorageError

LOCK = "lock"
"""The file in the folder that is locked; it holds the id of the last process that locked it."""
LOCK_TIMEOUT, LOCK_INTERVAL = 0.2, 0.01
"""Seconds until a locked folder is an error, and between attempts; who deletes the folder releases it soon."""


class InUseError(StorageError):
    """Another process has the folder open."""


def lock_folder(folder: Path) -> BaseFileLock:
    """Locks a folder against other processes, until the returned lock is released or the process ends.

    Raises FileNotFoundError or FileExistsError when another process deletes the folder meanwhile: the latter when
    filelock, which creates a missing folder, finds that it exists and then that it does not. Raises InUseError when it
    is in use, with the id of the process that has it open, StorageError when it cannot be written.
    """
    lock = FileLock(folder / LOCK, thread_local=False, on_acquired=_write_process_id)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT, poll_interval=LOCK_INTERVAL)
    except Timeout:
        raise InUseError(f"{folder} is in use by another render, process {locked_by(folder)}") from None
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
    return lock


def is_locked(folder: Path) -> bool:
    """Whether a process has a folder locked; nothing is written or created."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who takes the lock meanwhile waits for it
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def locked_by(folder: Path) -> str:
    """Returns the id of the process that has a folder locked, or was the last to; `unknown` where it was not noted."""
    try:
        return (folder / LOCK).read_text(encoding="ascii", errors="replace") or "unknown"
    except OSError:
        return "unknown"


def _write_process_id(descriptor: int) -> None:
    """Writes this process's id to the locked file, which stays empty where the disk or the process's limit is full."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
