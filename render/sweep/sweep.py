"""A sweep: a labelled sheet of what a scene dreams with other values of its keys, and an index of its cells.

`begin` checks it before anything is made, `preparing` says how its cells are made, `making` makes one, and `finish`
writes the sheet of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from render.analysis.contact_sheet import check_size, check_target
from render.errors import UsageError
from render.film.folder import IDENTITY, WorkFolder, require_own, unfinished_film
from render.pipeline.plan import Options
from render.sweep.cells import Grid, SweepScene
from render.sweep.files import SweepFiles, check_folder, film_command, remove_surplus
from render.sweep.index import CellResult, sweep_identity, write_index
from render.sweep.model import CellOutcome, SweepOptions
from render.sweep.sheet import displayed_size, write_sheets


def begin(files: SweepFiles, grid: Grid, choice: SweepOptions, *, overwrite: bool) -> None:
    """Checks what can be checked without the network, and makes the folder of the cells that of this sweep.

    Raises UsageError when it is that of another one, and for a sheet that is too large; StorageError for what is in
    the way.
    """
    sizes = [displayed_size(cell, choice.side) for cell in grid.cells]
    check_folder(files.folder)
    require_own(files.folder)
    check_size(files.target, sizes, columns=grid.columns, rows=grid.rows)
    identity = sweep_identity(grid, films=choice.films)
    existing = unfinished_film(files.folder)
    if existing not in (None, identity) and not overwrite:
        raise UsageError(
            f"{files.folder} holds the cells of another sweep; --overwrite replaces it, --output names another path"
        )
    for page in range(grid.pages):
        check_target(files.sheet(page), overwrite=overwrite or existing == identity)
    with WorkFolder(files.folder) as folder:
        if existing != identity:
            remove_surplus(files, folder, grid, films=choice.films)
            folder.write_record(IDENTITY, identity)


def finish(
    source: SweepScene,
    files: SweepFiles,
    grid: Grid,
    *,
    choice: SweepOptions,
    options: Options,
    outcomes: Mapping[int, CellOutcome],
) -> None:
    """Writes the sheets and the index of cells that are made or have failed. Raises StorageError."""
    results = []
    for cell in grid.cells:
        outcome = outcomes[cell.number]
        made_with = replace(options, precision=outcome.precision or options.precision)
        command = film_command(source, cell, files.whole_film(cell), options=made_with)
        film = files.film(cell) if choice.films and cell.scene.length > 1 else None
        results.append(CellResult(cell, files.still(cell), film, command=command, message=outcome.message))
    boxes = write_sheets(files, grid, results, side=choice.side)
    about = {
        "scene": str(source.path),
        "sheets": [files.sheet(page).name for page in range(grid.pages)],
        "frame": choice.frame,
        "random": None if choice.random is None else {"cells": choice.random, "seed": choice.random_seed},
    }
    write_index(files.index, grid, results, boxes=boxes, about=about)
