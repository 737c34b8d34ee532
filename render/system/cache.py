"""The user's cache folder: values that take long to find out, as JSON, for the versions that are installed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from render import __version__

PACKAGES = ("torch", "torchvision")
"""What the values depend on besides this package's own code."""
CODE = ("models", "system/cache.py")
"""The files of this package that make and read the values."""


def cache_folder() -> Path:
    """Returns render's folder among the user's caches. Raises OSError when the user has no home to hold one."""
    folder = user_cache_path("render", appauthor=False)
    if not folder.is_absolute():  # platformdirs leaves ~ as it is where there is no home
        raise FileNotFoundError(f"{folder} has no home folder")
    return folder


def cached(name: str, make: Callable[[], Any]) -> Any:
    """Returns a value of plain JSON: the cached one of that name, or what `make` returns, which is cached.

    A cached value of other versions, or that is damaged, is made again. A cache that cannot be written is no error.
    """
    try:
        file = cache_folder() / "networks" / _versions() / f"{name}.json"
        return _read(file)
    except (OSError, ValueError):
        value = make()
    with contextlib.suppress(OSError):
        file = cache_folder() / "networks" / _versions() / f"{name}.json"
        _write(file, json.dumps(value).encode())
    return value


def _read(file: Path) -> Any:
    """Reads the checksum of a value and the value. Raises OSError, or ValueError when they do not match."""
    checksum, _, data = file.read_bytes().partition(b"\n")
    if hashlib.sha256(data).hexdigest().encode() != checksum:
        raise ValueError(f"{file} is damaged")
    return json.loads(data)


def _write(file: Path, data: bytes) -> None:
    """Writes a value after its checksum, atomically: another process reads the whole file or none. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


@cache
def _versions() -> str:
    """Returns the name of the folder of the installed versions, and of this package's code as it is."""
    package = Path(__file__).parents[1]
    files = [file for path in CODE for file in sorted((package / path).glob("*.py")) or [package / path]]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()[:8]
    return "-".join([__version__, *map(_version, PACKAGES), code])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a build of the user's own
        return "unknown"
