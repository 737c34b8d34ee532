"""The process that makes the stills of variations: `python -m render.studio.variations_process`.

Its first answer to a request is `{"cells": [{"label": ..., "values": {KEY: VALUE}}, ...], "columns": N}`; then it
answers `{"cell": NUMBER, "file": PATH}` for each that is there, or with `message` for one that cannot be made. Cells
are those of a sweep, in a folder of the cache, where the same request finds them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from render.errors import RenderError, SceneError
from render.film.atomic import storage_errors
from render.pipeline.load import load_text
from render.pipeline.plan import Options
from render.studio.child import MESSAGE, Answer, answer_requests, pictures_folder
from render.studio.variations import Request
from render.studio.workspace import Workspace
from render.sweep.cells import Grid, SweepScene, find_cells, plain_value
from render.sweep.files import SweepFiles
from render.sweep.making import CellMaker, Reports
from render.sweep.model import SweepOptions
from render.sweep.preparing import STOPPING, Prepared, prepare
from render.sweep.sweep import begin

KEPT = 20
"""Grids whose stills stay in the cache."""
OPTIONS = Options(precision="float32", overwrite=True, quiet=True)
LARGER = 1.5
"""Each further size that is tried when the network cannot see the picture."""


def main() -> None:
    """Makes stills until standard input ends."""
    answer_requests(lambda data: perform(Request.from_json(data)))


def perform(request: Request) -> Iterator[Answer]:
    """Makes the stills of a request, unless they are cached. Raises RenderError of every kind."""
    os.chdir(request.path.parent)
    chosen = request.choice
    choice = SweepOptions(
        chosen.vary, frame=chosen.frame, random=chosen.random, random_seed=chosen.random_seed, side=request.side
    )
    source, grid = _grid(request, choice)
    for cell in grid.cells:
        Workspace(request.folder).require_inside(cell.scene)
    values = [dict(zip(grid.keys, map(plain_value, cell.values), strict=True)) for cell in grid.cells]
    labels = [grid.label(cell) for cell in grid.cells]
    cells = [{"label": label, "values": each} for label, each in zip(labels, values, strict=True)]
    yield {"cells": cells, "columns": grid.columns}
    folder = _folder(request)
    files = SweepFiles(folder / "sheet.png")
    begin(files, grid, choice, overwrite=True)
    maker = CellMaker(folder / "common")
    for each in prepare(grid, files, OPTIONS, films=False):
        yield _made(each, maker, source, still=files.still(each.cell))


def _made(each: Prepared, maker: CellMaker, source: SweepScene, *, still: Path) -> Answer:
    """Makes a cell, and returns the answer about it. Raises STOPPING."""
    number = each.cell.number
    try:
        maker.make(source.load(each.cell.overrides), still, each.work, options=OPTIONS, reports=Reports())
    except STOPPING:
        raise
    except RenderError as error:
        return {"cell": number, MESSAGE: str(error)}
    return {"cell": number, "file": str(still)}


def _grid(request: Request, choice: SweepOptions) -> tuple[SweepScene, Grid]:
    """The cells at the smallest size, from that of the request on, that the network can see. Raises as `find_cells`."""
    whole = load_text(request.text, request.path)
    scale = request.side / max(whole.size)
    while scale < 1:
        source = SweepScene(request.path, scale=scale, text=request.text)
        with contextlib.suppress(SceneError):
            return source, find_cells(source, choice)
        scale *= LARGER
    source = SweepScene(request.path, text=request.text)
    return source, find_cells(source, choice)


def _folder(request: Request) -> Path:
    """The folder of a request in the cache; of older ones only some are kept. Raises StorageError."""
    parent = pictures_folder() / "variations"
    folder = parent / request.key
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        others = sorted((path for path in parent.iterdir() if path != folder), key=lambda path: path.stat().st_mtime)
    for path in others[: -KEPT + 1]:
        shutil.rmtree(path, ignore_errors=True)
    return folder


if __name__ == "__main__":
    main()
