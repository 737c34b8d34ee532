"""The checkpoint of an unfinished film in its working folder: complete segments, and the loop's state after each.

    zoom.mp4.parts/
      film.json     what the film's frames depend on; another film is not mixed in
      00000.mp4     a segment        00000.npy   the state after it         00000.json   the checksums of both

A segment is complete when its .json exists, is of this film and this number, and has its checksum; that file is written
last. Every .json has a checksum of itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.errors import UsageError
from render.film.atomic import atomic_write, storage_errors
from render.film.folder import IDENTITY, WorkFolder, digest, file_in, record_in, unfinished_film
from render.text import quote

LATEST_STATES = 2
"""States after the last segments, which are always kept: one to resume from, and a spare in case it is damaged."""
SPREAD_STATES = 16
"""Further states at most, spread evenly over the film: a damaged segment is rendered again from the nearest."""
MAX_STATE_BYTES = 2**32
"""Bytes of a state that is read while another process may be making its film, at most."""
MAX_VALUE_LENGTH = 200
"""Characters of a value in a message, at most."""
MACHINE_KEYS = {"machine", "versions", "weights"}
"""The keys of an identity that depend on the machine."""


class OtherMachineError(UsageError):
    """The film was begun with other versions or weights, or on a machine that makes other bytes."""


class Checkpoint:
    """An open checkpoint folder, locked against other processes. `identity` is the film's provenance, as plain JSON."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, suffix: str, restart: bool = False) -> None:
        """Opens or creates the folder, and empties it for `restart`.

        Raises StorageError when it is not render's own or in use, UsageError when it holds another film, and
        OtherMachineError when that is this one, made otherwise.
        """
        self.folder = folder
        self.suffix = suffix
        self._film = digest(identity)
        self._files = WorkFolder(folder)
        try:
            with storage_errors(folder):
                if restart:
                    self._files.remove_files()
                self._files.remove_temporary_files()
                self._require_identity(identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the folder."""
        self._files.close()

    def segment_path(self, number: int) -> Path:
        """The path of a segment."""
        return self.folder / _name(number, self.suffix)

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Returns the segments among `numbers` that are missing or damaged."""
        return [number for number in numbers if not self._is_complete(number)]

    def nearest_state(self, number: int) -> tuple[int, NDArray[np.float32] | None]:
        """Returns the last segment up to `number` that can start, with the state before it; None for the first."""
        for start in range(number, 0, -1):
            state = self._state(start - 1)
            if state is not None:
                return start, state
        return 0, None

    def note(self, number: int) -> dict[str, Any]:
        """Returns the note with which a segment was committed, as plain JSON; empty when there is none."""
        note = self._record(number).get("note")
        return note if isinstance(note, dict) else {}

    def commit(self, number: int, state: NDArray[np.float32], *, note: Mapping[str, Any] | None = None) -> None:
        """Commits the segment at its path: saves the state after it, then its record with a `note` in plain JSON.

        Raises StorageError.
        """
        array = io.BytesIO()
        np.save(array, state)
        atomic_write(self.folder / _name(number, ".npy"), array.getvalue())
        checksums = {"segment": self._segment_checksum(number), "state": self._files.checksum(_name(number, ".npy"))}
        record = {**checksums, "film": self._film, "number": number, "note": dict(note or {})}
        self._files.write_record(_name(number, ".json"), record)
        with storage_errors(self.folder):
            self._delete_surplus_states()

    def discard(self) -> list[str]:
        """Deletes the folder; returns the names of what in it is not render's, which is kept with the folder."""
        return self._files.discard()

    def _record(self, number: int) -> dict[str, Any]:
        """Returns the record of a segment of this film, empty when there is none."""
        record = self._files.read_record(_name(number, ".json")) or {}
        return record if (record.get("film"), record.get("number")) == (self._film, number) else {}

    def _segment_checksum(self, number: int) -> str | None:
        return self._files.checksum(_name(number, self.suffix))

    def _is_complete(self, number: int) -> bool:
        record = self._record(number)
        return "segment" in record and record["segment"] == self._segment_checksum(number)

    def _state(self, number: int) -> NDArray[np.float32] | None:
        """Returns the state after a segment, None when it is missing or damaged."""
        name, record = _name(number, ".npy"), self._record(number)
        checksum = self._files.checksum(name)
        if checksum is None or record.get("state") != checksum:
            return None
        with self._files.open(name) as file:
            return np.asarray(np.load(file, allow_pickle=False), np.float32)

    def _delete_surplus_states(self) -> None:
        numbers = sorted(int(name.removesuffix(".npy")) for name in self._files.names() if name.endswith(".npy"))
        spacing = 1
        while numbers[-1] + 1 > SPREAD_STATES * spacing:
            spacing *= 2
        for number in numbers[:-LATEST_STATES]:
            if (number + 1) % spacing:
                self._files.remove(_name(number, ".npy"))

    def _require_identity(self, identity: Mapping[str, Any]) -> None:
        """Saves the identity in an empty folder. Raises UsageError when the folder's film has another."""
        existing = self._files.read_record(IDENTITY)
        if existing is None:  # each record has the checksum of its film's identity
            self._files.write_record(IDENTITY, identity)
        elif existing != identity:
            changes = "\n".join(f"  {change}" for change in diff_json(existing, json.loads(json.dumps(identity))))
            error = OtherMachineError if _is_same_scene(existing, identity) else UsageError
            raise error(
                f"{self.folder} holds an unfinished film that is not this one:\n{changes}\n"
                "--restart starts over; --output with another path keeps both"
            )


def watched_state(
    folder: Path, identity: Mapping[str, Any], numbers: Iterable[int]
) -> tuple[int, NDArray[np.float32]] | None:
    """Returns the first of some segments that has a saved state, and this state; None when none has.

    `identity` is that of the folder's film, which another process may be making.
    """
    film = digest(identity)
    for number in numbers:
        record = record_in(folder, _name(number, ".json")) or {}
        if (record.get("film"), record.get("number")) != (film, number):
            continue
        data = file_in(folder, _name(number, ".npy"), at_most=MAX_STATE_BYTES)
        if data is not None and hashlib.sha256(data).hexdigest() == record.get("state"):
            return number, np.asarray(np.load(io.BytesIO(data), allow_pickle=False), np.float32)
    return None


def _is_same_scene(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two films differ only in what a machine brings along."""
    return all(before.get(key) == after.get(key) for key in {*before, *after} - MACHINE_KEYS)


def discard_finished(folder: Path, identity: Mapping[str, Any], *, suffix: str) -> list[str]:
    """Deletes the folder of a finished film, unless it is another film's; see Checkpoint.discard.

    Raises StorageError.
    """
    if folder.is_dir() and unfinished_film(folder) in (None, identity):
        with Checkpoint(folder, identity, suffix=suffix) as checkpoint:
            return checkpoint.discard()
    return []


def diff_json(before: Any, after: Any, *, name: str = "") -> Iterator[str]:
    """Yields `camera.zoom was 1.03, is 1.02` for every leaf in which two values of plain JSON differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from diff_json(before.get(key), after.get(key), name=f"{name}.{key}" if name else key)
    elif before != after:
        old, new = (json.dumps(value)[:MAX_VALUE_LENGTH] for value in (before, after))
        yield f"{quote(name)[1:-1]} was {old}, is {new}"


def _name(number: int, suffix: str) -> str:
    """Returns the name of a segment's file."""
    return f"{number:05d}{suffix}"
