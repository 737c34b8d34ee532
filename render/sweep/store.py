"""States and pictures that cells have in common, in a folder that the processes of a sweep share."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from render.film.atomic import atomic_write, storage_errors
from render.system.files import open_regular

Array = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]
DIGEST_BYTES = 32


class Store:
    """Arrays by key, each a file that begins with its checksum. One that is damaged counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, array: Array) -> None:
        """Stores an array, unless there is one. Raises StorageError."""
        file = self._file(key)
        if not file.exists():
            data = io.BytesIO()
            np.save(data, array)
            with storage_errors(file):
                self._folder.mkdir(parents=True, exist_ok=True)
            atomic_write(file, _digest(data.getvalue()) + data.getvalue())

    def get(self, key: str) -> Array | None:
        """Returns an array, None when it is missing or damaged. Raises StorageError when it cannot be read."""
        file = self._file(key)
        with storage_errors(file):
            try:
                with open_regular(file, follow_links=False) as stream:
                    digest, data = stream.read(DIGEST_BYTES), stream.read()
            except FileNotFoundError:
                return None
        if digest != _digest(data):
            self.remove(key)
            return None
        array: Array = np.load(io.BytesIO(data), allow_pickle=False)
        return array

    def remove(self, key: str) -> None:
        """Removes an array. Raises StorageError."""
        with storage_errors(self._folder):
            self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
