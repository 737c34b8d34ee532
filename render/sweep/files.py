"""The files of a sweep: sheets, and beside them a folder with a still and a film of each cell, and the index.

    zoom.sweep.png                the sheet; further pages are zoom.sweep.2.png and so on
    zoom.sweep.cells/
      0000.png  0000.mp4          a cell: its still, and with --films the film up to it
      index.json                  what each cell is, where it is on the sheet, and the command that makes its film
      film.json                   what the sweep is, so that another one does not replace it

Cells are named by their numbers: nothing that a scene says is part of a name.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
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
from render.sweep.cells import Cell, Grid, SweepScene
from render.sweep.model import MAX_CELLS
from render.system.files import open_regular
from render.text import quote

FOLDER_SUFFIX = ".cells"
INDEX = "index.json"
_CELL_FILE = re.compile(r"[0-9]{4}\.(png|jpg|mp4|mov)")
_UNFINISHED = re.compile(r"[0-9]{4}\.(mp4|mov)\.parts")
_CELL_FOLDER = re.compile(r"[0-9]{4}")
_PICTURE = re.compile(r"[0-9]{5}\.(png|jpg)")


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


def shortened(path: str) -> Path:
    """Returns an absolute path as one in the current folder, if it is in it."""
    folder = Path.cwd()
    return Path(path).relative_to(folder) if Path(path).is_relative_to(folder) else Path(path)


def _film_name(stem: str, scene: Scene) -> str:
    suffix = Path(scene.output.path).suffix.lower()
    is_sequence = scene.output.codec in IMAGE_CODECS and scene.length > 1
    return f"{stem}/%05d{suffix}" if is_sequence else f"{stem}{suffix}"


def film_command(source: SweepScene, cell: Cell, output: Path, *, options: Options) -> str:
    """Returns the command, for a shell, that makes a cell's film at a path."""
    scene = str(source.path)
    words = ["render", "film", f"./{scene}" if scene.startswith("-") else scene]
    words += [word for override in cell.overrides for word in ("--set", _setting(override))]
    if source.scale != 1:
        words += ["--scale", f"{source.scale:.17g}"]
    for name, value in (("--device", options.device), ("--precision", options.precision)):
        words += [] if value == "auto" else [name, value]
    path = str(output)
    return shlex.join([*words, "--output", f"./{path}" if path.startswith("-") else path])


def _setting(override: Override) -> str:
    _, key, text = override
    return f"{key}={text}"


def with_output(scene: Scene, path: Path) -> Scene:
    """Returns a scene whose film is at a path of the suffix that it has already."""
    output = scene.output.model_copy(update={"path": str(path)})
    return Scene(**{**vars(scene), "output": output, "spec": scene.spec.replaced(output=output)})


def remove_surplus(files: SweepFiles, folder: WorkFolder, grid: Grid, *, films: bool) -> None:
    """Removes what remains of another sweep at the same paths and is not of this one: cells, and pages of its sheet.

    Raises StorageError.
    """
    stills = {files.still(cell).name for cell in grid.cells}
    own = {files.film(cell).relative_to(files.folder).parts[0] for cell in grid.cells if films} | stills
    with storage_errors(files.folder):
        for name in folder.foreign_names():
            path = files.folder / name
            if name in own or path.is_symlink():
                continue
            if _CELL_FILE.fullmatch(name) and path.is_file():
                path.unlink()
            elif _CELL_FOLDER.fullmatch(name) and path.is_dir():
                _remove_pictures(path)
            elif _UNFINISHED.fullmatch(name) and path.stem not in own:
                with WorkFolder(path) as unfinished:
                    unfinished.discard()
        for page in _pages_before(files):
            sheet = files.sheet(page)
            if page >= grid.pages and sheet.is_file() and not sheet.is_symlink():
                sheet.unlink()


def _remove_pictures(folder: Path) -> None:
    """Removes the pictures of a film, and their folder unless it holds anything else."""
    for path in folder.iterdir():
        if _PICTURE.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _pages_before(files: SweepFiles) -> Iterator[int]:
    """Yields the numbers, from 1, of the further pages that the index of an earlier sweep names."""
    try:
        with open_regular(files.index, follow_links=False) as file:
            sheets = json.load(file)["sheets"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for page in range(1, MAX_CELLS):
        if isinstance(sheets, list) and files.sheet(page).name in sheets:
            yield page


def check_folder(folder: Path) -> None:
    """Raises StorageError when the folder of the cells is somebody's own."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(f"{folder}, where the cells would be, is no folder; --output names another path")
