"""The folder that the studio works in: nothing outside it is read or written, but the user's cache."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from render.errors import StorageError, UsageError
from render.film.atomic import ExistsError, atomic_path, storage_errors
from render.media import audio, clip, image
from render.media.table import read_table
from render.pipeline.scene import Scene
from render.text import quote

SCENE_SUFFIXES = (".yaml", ".yml")
MAX_SCENES = 1000
MAX_DEPTH = 3
"""Folders within each other in which scenes are listed."""
MAX_NAME = 120
"""Characters of an uploaded file's name."""
MAX_UPLOAD = 2**31
"""Bytes of an uploaded file."""
MAX_COPIES = 1000


CHECKS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".bmp"), image.check_image),
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"), clip.probe_clip),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"), audio.require_audio),
    ".csv": read_table,
}
"""What may be uploaded, by suffix, and how it is checked: as the same file of a scene is."""


@dataclass(frozen=True)
class Workspace:
    """A folder that exists, without links in its own path."""

    folder: Path

    @classmethod
    def of(cls, path: Path) -> Workspace:
        """Returns the workspace of a scene file, or of a folder. Raises StorageError when there is none."""
        folder = path if path.is_dir() else path.parent
        with storage_errors(folder):
            return cls(folder.resolve(strict=True))

    def path(self, name: str) -> Path:
        """Returns the path of a file by its name in the folder, such as `films/zoom.yaml`; it need not exist.

        Raises UsageError for a name that leads out of the folder, also by a link.
        """
        parts = name.split("/")
        if not name or any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts):
            raise UsageError(f"{quote(name)} is no name of a file in this folder")
        path = self.folder.joinpath(*parts)
        if not self.contains(path):
            raise UsageError(f"{quote(name)} leads out of this folder")
        return path

    def contains(self, path: Path) -> bool:
        """Whether a path is inside the folder, when all links in it are followed."""
        return Path(os.path.realpath(path)).is_relative_to(self.folder)

    def require_inside(self, scene: Scene) -> None:
        """Raises UsageError for a scene that reads or writes outside the folder."""
        files = [(".".join(map(str, keys)), path) for keys, path in scene.paths.items()]
        files.append(("output.path", self.folder / scene.output.path))
        for key, path in files:
            if not self.contains(path):
                raise UsageError(f"{key} leads out of the folder that the studio works in: {path}")

    def scenes(self) -> list[str]:
        """Returns the names of the scene files, those of the folder itself first."""
        names = sorted(self._scenes(self.folder, MAX_DEPTH), key=lambda name: (name.count("/"), name))
        return names[:MAX_SCENES]

    def _scenes(self, folder: Path, depth: int) -> Iterator[str]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # a folder that cannot be read has no scenes
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or not entry.name.isprintable():
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth > 1:
                    yield from self._scenes(path, depth - 1)
            elif path.suffix.lower() in SCENE_SUFFIXES and entry.is_file() and self.contains(path):
                yield path.relative_to(self.folder).as_posix()

    def upload(self, name: str, source: Path) -> str:
        """Copies an uploaded file into the folder after it was checked; returns its name there.

        A file that exists is not replaced: the new one gets a number. Raises StorageError for a file that no scene
        could use, and when it cannot be written; UsageError for a name that is no picture's, clip's, song's or table's.
        """
        plain = Path(re.sub(r"[^\w.-]+", "-", name.replace("\\", "/").rpartition("/")[2]))
        suffix = plain.suffix.lower()
        if suffix not in CHECKS:
            raise UsageError(f"{quote(name)} is none of {', '.join(CHECKS)}")
        stem = plain.stem.strip(".-_")[:MAX_NAME] or "file"
        for number in range(MAX_COPIES):
            target = self.folder / f"{stem}{f'-{number + 1}' if number else ''}{suffix}"
            try:
                with atomic_path(target, replace=False) as temporary:
                    _copy(source, temporary)
                    CHECKS[suffix](temporary)
            except ExistsError:
                continue
            return target.name
        raise StorageError(f"there are {MAX_COPIES} files {stem}{suffix} already")


def _copy(source: Path, target: Path) -> None:
    with storage_errors(target), source.open("rb") as reader, target.open("xb") as writer:
        size = 0
        while block := reader.read(2**20):
            size += len(block)
            if size > MAX_UPLOAD:
                raise StorageError(f"the file has more than {MAX_UPLOAD} bytes")
            writer.write(block)
