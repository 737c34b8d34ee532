"""The files of a sweep: sheets, and beside them a folder with a still and a film of each cell, and the index.

    zoom.sweep.png                the sheet; further pages are zoom.sweep.2.png and so on
    zoom.sweep.cells/
      0000.png  0000.mp4          a cell: its still, and with --films the film up to it
      index.json                  what each cell is, where it is on the sheet, and the command that makes its film
      film.json  00000.npy ...    while the sweep is unfinished: what it is, and frames that cells have in common

Cells are named by their numbers: nothing that a scene says is part of a name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from render.analysis.contact_sheet import check_target
from render.choices import IMAGE_CODECS
from render.errors import StorageError, UsageError
from render.film.atomic import storage_errors
from render.film.folder import WorkFolder
from render.pipeline.plan import Options
from render.pipeline.scene import Scene
from render.scene.document import Override
from render.sweep.cells import Cell, SweepScene
from render.text import quote

FOLDER_SUFFIX = ".cells"
INDEX = "index.json"
_CELL_FILE = re.compile(r"([0-9]{4})\.(png|jpg|mp4|mov)")


@dataclass(frozen=True)
class SweepFiles:
    """The files of the sweep whose first sheet is at `target`."""

    target: Path

    def __post_init__(self) -> None:
        if re.search("%[0-9]*d", str(self.target)):
            raise UsageError(f"{quote(self.target)} is a numbered path, and a sheet numbers its pages itself")
        check_target(self.target, overwrite=True)

    @property
    def folder(self) -> Path:
        """The folder of the cells."""
        return self.target.with_suffix(FOLDER_SUFFIX)

    @property
    def index(self) -> Path:
        """The index of the cells."""
        return self.folder / INDEX

    def sheet(self, page: int) -> Path:
        """Returns the path of a page, counted from 0."""
        return self.target if page == 0 else self.target.with_suffix(f".{page + 1}{self.target.suffix}")

    def still(self, cell: Cell) -> Path:
        """Returns the path of a cell's still."""
        return self.folder / f"{cell.number:04d}.png"

    def film(self, cell: Cell) -> Path:
        """Returns the path of a cell's film up to its frame."""
        return self.folder / _film_name(f"{cell.number:04d}", cell.scene)

    def whole_film(self, cell: Cell) -> Path:
        """Returns the path that the command of a cell's film writes to: beside the sheet."""
        return self.target.parent / _film_name(f"{self.target.stem}.{cell.number:04d}", cell.scene)


def _film_name(stem: str, scene: Scene) -> str:
    suffix = Path(scene.output.path).suffix.lower()
    is_sequence = scene.output.codec in IMAGE_CODECS and scene.length > 1
    return f"{stem}/%05d{suffix}" if is_sequence else f"{stem}{suffix}"


def film_command(source: SweepScene, cell: Cell, output: Path, *, options: Options, frames: int | None = None) -> str:
    """Returns the command, for a shell, that makes a cell's film at a path; with `frames`, only the first ones."""
    scene = str(source.path)
    words = ["render", "film", f"./{scene}" if scene.startswith("-") else scene]
    words += [word for override in cell.overrides for word in ("--set", _setting(override))]
    if source.scale != 1:
        words += ["--scale", f"{source.scale:.17g}"]
    for name, value in (("--device", options.device), ("--precision", options.precision)):
        words += [] if value == "auto" else [name, value]
    if frames is not None:
        words += ["--frames", f"0:{frames}"]
    path = str(output)
    return shlex.join([*words, "--output", f"./{path}" if path.startswith("-") else path])


def _setting(override: Override) -> str:
    _, key, text = override
    return f"{key}={text}"


def with_output(scene: Scene, path: Path) -> Scene:
    """Returns a scene whose film is at a path of the suffix that it has already."""
    output = scene.output.model_copy(update={"path": str(path)})
    return Scene(**{**vars(scene), "output": output, "spec": scene.spec.replaced(output=output)})


def remove_surplus(folder: WorkFolder, cells: Sequence[Cell]) -> None:
    """Removes the files of cells of another sweep whose numbers these cells do not have. Raises StorageError."""
    with storage_errors(folder.path):
        for name in folder.foreign_names():
            match = _CELL_FILE.fullmatch(name)
            file = folder.path / name
            if match and int(match[1]) >= len(cells) and file.is_file() and not file.is_symlink():
                file.unlink()


def check_folder(folder: Path) -> None:
    """Raises StorageError when the folder of the cells is somebody's own."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(f"{folder}, where the cells would be, is no folder; --output names another path")
