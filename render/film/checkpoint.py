"""The folder beside a film in the making: whole segments, and the float state of the loop after them.

    zoom.mp4.parts/
      film.json     what is being made; another scene is not mixed in
      00000.mp4     a segment        00000.npy   the canvas after it        00000.json   the checksums of both

A segment counts when its .json is there, is of this film, and holds its checksum; that file is written last. Every
.json holds a checksum of itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError, UsageError, shown
from render.film.files import TEMPORARY, sha256, storing, write

LOCK = "lock"
LOCK_ATTEMPTS = 1000
LATEST = 2
"""States that are always kept: the last, and a spare one in case it turns out damaged."""
SPREAD = 16
"""States that are kept beside them, at most, evenly over the film: from one of them a damaged segment is made again."""
SEAL = "sha256"
LONGEST = 200
"""Characters of a value that is told."""


class Checkpoint:
    """An open folder, locked against a second renderer. `identity` says what film it is, in plain JSON."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], suffix: str, fresh: bool) -> None:
        """Opens or makes the folder. Raises StorageError; UsageError when it holds another film and not `fresh`."""
        self.folder = folder
        self.suffix = suffix
        self._film = _digest(identity)
        self._lock = _lock(folder)
        try:
            with storing(folder):
                if fresh:
                    self._empty()
                self._claim(identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the folder."""
        os.close(self._lock)

    def segment(self, number: int) -> Path:
        """Where a segment is, or will be."""
        return self._file(number, self.suffix)

    def lost(self, numbers: Iterable[int]) -> list[int]:
        """Which of these segments are not there, or damaged."""
        return [number for number in numbers if not self._is_whole(number)]

    def recorded(self, number: int) -> bool:
        """Whether a segment was kept; that takes no time, but says nothing of what has become of it."""
        return bool(self._record(number))

    def before(self, number: int) -> tuple[int, NDArray[np.float32] | None]:
        """The last segment up to this one that can be begun, and the canvas before it (None at the film's start)."""
        for start in range(number, 0, -1):
            state = self._state(start - 1)
            if state is not None:
                return start, state
        return 0, None

    def noted(self, number: int) -> dict[str, Any]:
        """What was noted when this segment was kept."""
        found = self._record(number).get("note")
        return found if isinstance(found, dict) else {}

    def keep(self, number: int, state: NDArray[np.float32], note: Mapping[str, Any] | None = None) -> None:
        """Records that the segment is in place and that `state` is the canvas after it, with a `note` in plain JSON.

        Raises StorageError.
        """
        state_file = self._file(number, ".npy")
        array = io.BytesIO()
        np.save(array, state)
        write(state_file, array.getvalue())
        sums = {"segment": self._sum(number), "state": sha256(state_file)}
        _write_sealed(self._file(number, ".json"), {**sums, "film": self._film, "note": dict(note or {})})
        with storing(self.folder):
            self._thin()

    def remove(self) -> None:
        """Takes the folder away, its lock last; the film is finished."""
        with contextlib.suppress(OSError):  # what cannot be removed does no harm
            self._empty()
            (self.folder / LOCK).unlink()
            self.folder.rmdir()

    def _file(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:05d}{suffix}"

    def _record(self, number: int) -> dict[str, Any]:
        """What is recorded of a segment of this film, empty when nothing is."""
        found = _read_sealed(self._file(number, ".json")) or {}
        return found if found.get("film") == self._film else {}

    def _sum(self, number: int) -> str | None:
        segment = self.segment(number)
        return sha256(segment) if segment.exists() else None

    def _is_whole(self, number: int) -> bool:
        record = self._record(number)
        return "segment" in record and record["segment"] == self._sum(number)

    def _state(self, number: int) -> NDArray[np.float32] | None:
        file, record = self._file(number, ".npy"), self._record(number)
        if not file.exists() or record.get("state") != sha256(file):
            return None
        return np.asarray(np.load(file, allow_pickle=False), np.float32)

    def _thin(self) -> None:
        """Deletes states that are too many."""
        numbers = sorted(int(file.stem) for file in self.folder.glob("*.npy") if file.stem.isdecimal())
        apart = 1
        while numbers[-1] + 1 > SPREAD * apart:
            apart *= 2
        for number in numbers[:-LATEST]:
            if (number + 1) % apart:
                self._file(number, ".npy").unlink(missing_ok=True)

    def _claim(self, identity: Mapping[str, Any]) -> None:
        for scrap in self.folder.glob(f"*{TEMPORARY}*"):
            if not scrap.is_dir():
                scrap.unlink(missing_ok=True)
        file = self.folder / "film.json"
        found = _read_sealed(file)
        if found is None:  # records say by themselves which film they are of
            _write_sealed(file, identity)
        elif found != identity:
            changes = "\n".join(f"  {change}" for change in differences(found, json.loads(json.dumps(identity))))
            raise UsageError(
                f"{self.folder} holds an unfinished film that is not this one:\n{changes}\n"
                "--fresh starts over; --output with another path keeps both"
            )

    def _empty(self) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()


def left(folder: Path) -> dict[str, Any] | None:
    """The identity of the unfinished film in a folder, None when there is none."""
    return _read_sealed(folder / "film.json")


def forget(folder: Path, identity: Mapping[str, Any], suffix: str) -> None:
    """Takes away what is left of a film that is finished, unless it is another film's. Raises StorageError."""
    if folder.is_dir() and left(folder) in (None, identity):
        with Checkpoint(folder, identity, suffix, fresh=False) as checkpoint:
            checkpoint.remove()


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """`camera.zoom was 1.03, is 1.02` for every leaf in which two values of plain JSON differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"{shown(name)[1:-1]} was {json.dumps(before)[:LONGEST]}, is {json.dumps(now)[:LONGEST]}"


def _lock(folder: Path) -> int:
    """The descriptor of the folder's lock file, ours alone. The folder is made; it may vanish while we try."""
    file = folder / LOCK
    for attempt in range(LOCK_ATTEMPTS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            in_the_way = folder.is_symlink() or (folder.exists() and not folder.is_dir())
            vanished = isinstance(error, FileNotFoundError | FileExistsError) and not in_the_way
            if vanished and attempt < LOCK_ATTEMPTS - 1:
                continue
            raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, file):
                _sign(descriptor)
                return descriptor
            os.close(descriptor)  # the one before us has just removed it
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
            os.close(descriptor)
            raise StorageError(f"{folder} is in use by another render, process {owner}") from None
        except OSError as error:
            os.close(descriptor)
            raise StorageError(f"cannot lock {file}: {error.strerror}") from None
    raise StorageError(f"{folder} is in use by other renders")


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Writes our process id, for whoever is refused; on a full disk it stays unknown."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _digest(value: Mapping[str, Any]) -> str:
    """The checksum of plain JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    write(path, json.dumps({**value, SEAL: _digest(value)}, indent=1, sort_keys=True).encode())


def _read_sealed(path: Path) -> dict[str, Any] | None:
    """A JSON object that was written with its checksum (before 0.5, without), or None when the file is missing or
    damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    seal = value.pop(SEAL, None)
    return value if seal in (None, _digest(value)) else None
