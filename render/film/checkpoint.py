"""The folder beside a film in the making: whole segments, and the float state of the loop after them.

    zoom.mp4.parts/
      film.json     what is being made; another scene is not mixed in
      00000.mp4     a segment        00000.npy   the canvas after it        00000.json   the checksums of both

A segment counts when its .json is there and agrees with both; that file is written last.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError, UsageError
from render.film.files import TEMPORARY, sha256, storing, write

LOCK = "lock"
LOCK_ATTEMPTS = 1000
STATES_KEPT = 2
"""The last states are kept, one spare in case the newest turns out damaged."""


class Checkpoint:
    """An open folder, locked against a second renderer. `identity` says what film it is, in plain JSON."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], suffix: str, fresh: bool) -> None:
        """Opens or makes the folder. Raises StorageError; UsageError when it holds another film and not `fresh`."""
        self.folder = folder
        self.suffix = suffix
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

    def done(self) -> tuple[int, NDArray[np.float32] | None]:
        """How many segments are whole and can be gone on from, and the canvas after them (None at the start)."""
        whole = 0
        while self._is_whole(whole):
            whole += 1
        for count in range(whole, 0, -1):
            state = self._state(count - 1)
            if state is not None:
                return count, state
        return 0, None

    def noted(self, number: int) -> dict[str, Any]:
        """What was noted when this segment was kept."""
        found = (_read_json(self._file(number, ".json")) or {}).get("note")
        return found if isinstance(found, dict) else {}

    def keep(self, number: int, state: NDArray[np.float32], note: Mapping[str, Any] | None = None) -> None:
        """Records that the segment is in place and that `state` is the canvas after it, with a `note` in plain JSON.

        Raises StorageError.
        """
        state_file = self._file(number, ".npy")
        array = io.BytesIO()
        np.save(array, state)
        write(state_file, array.getvalue())
        segment = self.segment(number)
        sums = {"segment": sha256(segment) if segment.exists() else None, "state": sha256(state_file)}
        _write_json(self._file(number, ".json"), {**sums, "note": dict(note or {})})
        if number >= STATES_KEPT:
            with storing(self.folder):
                self._file(number - STATES_KEPT, ".npy").unlink(missing_ok=True)

    def remove(self) -> None:
        """Takes the folder away, its lock last; the film is finished."""
        with contextlib.suppress(OSError):  # what cannot be removed does no harm
            self._empty()
            (self.folder / LOCK).unlink()
            self.folder.rmdir()

    def _file(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:05d}{suffix}"

    def _is_whole(self, number: int) -> bool:
        sums = _read_json(self._file(number, ".json"))
        segment = self.segment(number)
        return sums is not None and sums.get("segment") == (sha256(segment) if segment.exists() else None)

    def _state(self, number: int) -> NDArray[np.float32] | None:
        file = self._file(number, ".npy")
        sums = _read_json(self._file(number, ".json")) or {}
        if not file.exists() or sums.get("state") != sha256(file):
            return None
        return np.asarray(np.load(file, allow_pickle=False), np.float32)

    def _claim(self, identity: Mapping[str, Any]) -> None:
        for scrap in self.folder.glob(f"*{TEMPORARY}*"):
            if not scrap.is_dir():
                scrap.unlink(missing_ok=True)
        file = self.folder / "film.json"
        found = _read_json(file)
        if found is None:
            self._empty()
            _write_json(file, identity)
        elif found != identity:
            changes = "\n".join(f"  {change}" for change in _differences("", found, json.loads(json.dumps(identity))))
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
    return _read_json(folder / "film.json")


def forget(folder: Path, identity: Mapping[str, Any], suffix: str) -> None:
    """Takes away what is left of a film that is finished, unless it is another film's. Raises StorageError."""
    if folder.is_dir() and _read_json(folder / "film.json") in (None, identity):
        with Checkpoint(folder, identity, suffix, fresh=False) as checkpoint:
            checkpoint.remove()


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
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write(path, json.dumps(value, indent=1, sort_keys=True).encode())


def _read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None when the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _differences(name: str, before: Any, now: Any) -> Iterator[str]:
    """`camera.zoom was 1.03, is 1.02` for every leaf that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(f"{name}.{key}" if name else key, before.get(key), now.get(key))
    elif before != now:
        yield f"{name} was {json.dumps(before)}, is {json.dumps(now)}"
