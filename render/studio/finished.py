"""Finished films of a folder: files that embed the scene they were made from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from render.choices import CONTAINERS, IMAGE_CODECS
from render.film.folder import MARKER
from render.film.naming import FOLDER_SUFFIX
from render.pipeline.plan import embedded_elsewhere

MAX_DEPTH = 3
"""Folders within each other that are looked into."""
MAX_ENTRIES = 20_000
"""Files and folders that are looked at."""
MAX_READ = 3
"""Films whose metadata is read at one look; others are found at the next."""
FILM_SUFFIXES = tuple(suffix for suffix, codecs in CONTAINERS.items() if codecs[0] not in IMAGE_CODECS)


@dataclass(frozen=True)
class Finished:
    """A finished film: its bytes, when it was written (seconds since 1970), and what its scene says of it."""

    path: Path
    size: int
    written: float
    frames: int = 0
    seconds: float = 0.0


@dataclass
class Listing:
    """What was found in a folder: films and working folders; metadata of a file is read once."""

    folder: Path
    _known: dict[tuple[Path, int, int], Finished | None] = field(default_factory=dict)

    def look(self) -> tuple[list[Finished], list[Path]]:
        """Returns the finished films and the working folders in the folder."""
        films: list[Finished] = []
        folders: list[Path] = []
        known: dict[tuple[Path, int, int], Finished | None] = {}
        unread = 0
        for path, status in _entries(self.folder):
            if status is None:
                folders.append(path)
                continue
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._known:
                unread += 1
                if unread > MAX_READ:
                    continue
                self._known[key] = read_finished(path, status)
            found = known[key] = self._known[key]
            if found is not None:
                films.append(found)
        self._known = known
        return films, folders


def read_finished(path: Path, status: os.stat_result | None = None) -> Finished | None:
    """Returns what a film's file says of it; None for a file that is none of render's."""
    try:
        status = status or path.stat()
    except OSError:
        return None
    embedded = embedded_elsewhere(path)
    if embedded is None:
        return None
    frames, seconds = _facts(embedded)
    return Finished(path, status.st_size, status.st_mtime, frames=frames, seconds=seconds)


def _facts(embedded: dict[str, Any]) -> tuple[int, float]:
    """Returns the frames of a film and its seconds, 0 where its metadata does not say."""
    try:
        first, last = embedded["frames"]
        frames = int(last - first) * int(embedded.get("repeat", 1))
        return frames, float(frames / Fraction(str(embedded["scene"]["fps"])))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0, 0.0


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Yields the files of films, and the working folders (without a status); links are not followed."""
    waiting = [(folder, MAX_DEPTH)]
    count = 0
    while waiting:
        current, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:  # a folder that cannot be read has no films
            continue
        for entry in entries:
            count += 1
            path = Path(entry.path)
            if count > MAX_ENTRIES:
                return
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if path.suffix == FOLDER_SUFFIX:
                    if (path / MARKER).is_file():
                        yield path, None
                elif depth > 1:
                    waiting.append((path, depth - 1))
            elif path.suffix.lower() in FILM_SUFFIXES and entry.is_file(follow_symlinks=False):
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except OSError:
                    continue
