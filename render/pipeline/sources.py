"""The files that a scene names, as they were when it was loaded: what is read later must be the same."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from render.errors import StorageError
from render.media.clip import clip_checksum, sequence_files
from render.scene.field_errors import Loc

READ_LATE: tuple[Loc, ...] = (("source", "video"), ("output", "audio"))
"""The keys of files that are read until the film is finished; the others are read before the first frame."""
FileIdentities = Mapping[str, tuple[int, ...]]
"""The identity of a file, or of every picture of a pattern, by name."""


def file_identities(path: Path) -> FileIdentities:
    """Returns the identities of the files of a path; empty when it cannot be read."""
    try:
        files = (sequence_files(path) or {0: path}).values()
        return {file.name: _identity(file.stat()) for file in files}
    except (OSError, StorageError, ValueError):  # what is wrong with the file is reported where it is read
        return {}


class Sources:
    """The files of a scene, with the checksums that `checksums` computes and `verify` holds them to.

    `found` is the identity of each file when the scene was loaded, empty for a scene that was not loaded.
    """

    def __init__(self, paths: Mapping[Loc, Path], found: Mapping[Path, FileIdentities]) -> None:
        self._paths = dict(paths)
        self._found = found
        self._identities: dict[Path, FileIdentities] = {}
        self._checksums: dict[Path, str] = {}

    def of(self, paths: Mapping[Loc, Path], found: Mapping[Path, FileIdentities]) -> Sources:
        """Returns the sources of another scene; the checksum of a file that both name is computed once."""
        sources = Sources(paths, found)
        sources._identities, sources._checksums = self._identities, self._checksums
        return sources

    def checksums(self) -> dict[str, str]:
        """Returns the checksum of each file by its key in the scene, `source.image`.

        Raises StorageError when one cannot be read, or has changed since the scene was loaded.
        """
        for path in self._paths.values():
            if path not in self._checksums:
                self._identities[path] = file_identities(path)
                self._checksums[path] = clip_checksum(path)
            found = self._found.get(path)
            if found and not _is_same(found, self._identities[path]):
                raise StorageError(f"{path} has changed since the scene was loaded; run the same command again")
        self.verify()
        return {".".join(map(str, keys)): self._checksums[path] for keys, path in self._paths.items()}

    def verify(self, keys: Collection[Loc] | None = None) -> None:
        """Raises StorageError when a file, of those at `keys` if given, is not the one whose checksum was computed.

        One of which only the inode or the times are others is read again.
        """
        for path in {path for loc, path in self._paths.items() if keys is None or loc in keys}:
            current = file_identities(path)
            if current == self._identities.get(path, current):
                continue
            if not current or clip_checksum(path) != self._checksums[path]:
                raise StorageError(
                    f"{path} has been replaced or changed since the film was begun; what is finished is kept, and the "
                    "same command resumes when the file is as it was"
                )
            self._identities[path] = current


def _is_same(before: FileIdentities, after: FileIdentities) -> bool:
    """Whether files are the same but for the time of their last change, which a new name or mode sets as well."""
    return {name: each[:-1] for name, each in before.items()} == {name: each[:-1] for name, each in after.items()}


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Returns device, inode, bytes, and the times of modification and of the last change in nanoseconds."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
