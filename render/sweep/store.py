"""States and pictures that cells have in common, in the folder of a sweep until no cell needs them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from render.film.atomic import atomic_write, storage_errors
from render.film.folder import WorkFolder

Array = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]
_KEY, _CHECKSUM = "key", "array"


class Store:
    """Arrays by key. One that is damaged counts as missing."""

    def __init__(self, folder: WorkFolder) -> None:
        """Finds what an earlier process stored. Raises StorageError."""
        self._folder = folder
        self._numbers: dict[str, int] = {}
        with storage_errors(folder.path):
            folder.remove_temporary_files()
            names = folder.names()
        for name in names:
            stem, _, suffix = name.partition(".")
            record = folder.read_record(name) if suffix == "json" and stem.isdigit() else None
            if record is not None and isinstance(record.get(_KEY), str):
                self._numbers[record[_KEY]] = int(stem)
        self._next = max(self._numbers.values(), default=-1) + 1

    def __contains__(self, key: str) -> bool:
        return key in self._numbers

    def put(self, key: str, array: Array) -> None:
        """Stores an array, unless there is one. Raises StorageError."""
        if key in self._numbers:
            return
        number, data = self._next, io.BytesIO()
        np.save(data, array)
        atomic_write(self._folder.path / f"{number:05d}.npy", data.getvalue())
        record = {_KEY: key, _CHECKSUM: self._folder.checksum(f"{number:05d}.npy")}
        self._folder.write_record(f"{number:05d}.json", record)
        self._numbers[key] = number
        self._next += 1

    def get(self, key: str) -> Array | None:
        """Returns an array, None when it is missing or damaged. Raises StorageError when it cannot be read."""
        number = self._numbers.get(key)
        if number is None:
            return None
        record = self._folder.read_record(f"{number:05d}.json") or {}
        name = f"{number:05d}.npy"
        if record.get(_KEY) != key or record.get(_CHECKSUM) != self._folder.checksum(name) or not record[_CHECKSUM]:
            self.remove(key)
            return None
        with storage_errors(self._folder.path), self._folder.open(name) as file:
            array: Array = np.load(file, allow_pickle=False)
        return array

    def keep(self, is_needed: Callable[[str], bool]) -> None:
        """Removes the arrays whose keys are not needed. Raises StorageError."""
        for key in [key for key in self._numbers if not is_needed(key)]:
            self.remove(key)

    def remove(self, key: str) -> None:
        """Removes an array. Raises StorageError."""
        number = self._numbers.pop(key)
        with storage_errors(self._folder.path):
            self._folder.remove(f"{number:05d}.json")  # without its record an array counts as missing
            self._folder.remove(f"{number:05d}.npy")
