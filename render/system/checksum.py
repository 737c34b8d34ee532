"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from render.errors import StorageError
from render.system.files import open_regular


def sha256(path: Path) -> str:
    """Returns the checksum of a file's bytes, in hexadecimal. Raises StorageError."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise StorageError(f"{path} is not a file")
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
