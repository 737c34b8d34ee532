"""A sweep: a labelled sheet of what a scene dreams with other values of its keys, and an index of its cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from render.analysis.contact_sheet import check_size, check_target
from render.errors import Interrupted, UsageError
from render.film.folder import IDENTITY, WorkFolder, require_own, unfinished_film
from render.pipeline.plan import Options, plan
from render.sweep.cells import Cell, Grid, SweepOptions, SweepScene, find_cells
from render.sweep.files import SweepFiles, check_folder, film_command, remove_surplus, with_output
from render.sweep.index import CellResult, sweep_identity, write_index
from render.sweep.sheet import displayed_size, write_sheets

if TYPE_CHECKING:
    from render.sweep.making import Made, Task


@dataclass(frozen=True)
class Reports:
    """What a sweep reports to: frames dreamed so far and of all, cells that are done, and warnings."""

    on_frame: Callable[[int, int], None] = lambda dreamed, total: None
    on_cell: Callable[[CellResult, Grid], None] = lambda result, grid: None
    on_warning: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: its sheets, its index, and its cells in their order.

    `dreamed` is the number of frames that were dreamed now, `alone` what all cells would take each by itself.
    """

    grid: Grid
    sheets: tuple[Path, ...]
    index: Path
    results: tuple[CellResult, ...]
    dreamed: int
    alone: int

    @property
    def failed(self) -> tuple[CellResult, ...]:
        """The cells that failed."""
        return tuple(result for result in self.results if result.error is not None)


def sweep(
    source: SweepScene,
    target: Path,
    *,
    choice: SweepOptions,
    options: Options = Options(),
    reports: Reports = Reports(),
) -> Sweep:
    """Makes the cells of a sweep, or those that an earlier run did not finish, and writes its sheets at `target`.

    Of the options, `device`, `precision`, `overwrite` and `quiet` apply. A cell that fails is on the sheet with its
    message and does not stop the others. Raises SceneError and UsageError for what is wrong in `--vary` and in the
    scenes, before anything is made; StorageError for files that cannot be read or written; Interrupted on Ctrl-C.
    """
    # 1. What can be checked without the network: paths, every cell's scene, the size of the sheet
    files = SweepFiles(target)
    check_folder(files.folder)
    require_own(files.folder)
    grid = find_cells(source, choice)
    check_size(target, [displayed_size(cell, choice.side) for cell in grid.cells], columns=grid.columns, rows=grid.rows)
    identity = sweep_identity(grid, films=choice.films)
    existing = unfinished_film(files.folder)
    if existing not in (None, identity) and not options.overwrite:
        raise UsageError(
            f"{files.folder} holds the cells of another sweep; --overwrite replaces it, --output names another path"
        )
    for page in range(grid.pages):
        check_target(files.sheet(page), overwrite=options.overwrite or existing == identity)
    # 2. The cells
    run = _Run(source, grid, files, choice=choice, options=options, reports=reports)
    with WorkFolder(files.folder) as folder:
        if existing != identity:
            remove_surplus(folder, grid.cells)
            folder.write_record(IDENTITY, identity)
        results, (dreamed, alone) = run.make(folder)
        # 3. The sheets, and the index
        boxes = write_sheets(files, grid, results, side=choice.side)
        sheets = tuple(files.sheet(page) for page in range(grid.pages))
        about = {
            "scene": str(source.path),
            "sheets": [sheet.name for sheet in sheets],
            "frame": choice.frame,
            "random": None if choice.random is None else {"cells": choice.random, "seed": choice.random_seed},
        }
        write_index(files.index, grid, results, boxes=boxes, about=about)
    return Sweep(grid, sheets, files.index, results=results, dreamed=dreamed, alone=alone)


@dataclass(frozen=True)
class _Run:
    """A sweep that is being made."""

    source: SweepScene
    grid: Grid
    files: SweepFiles
    choice: SweepOptions
    options: Options
    reports: Reports

    def make(self, folder: WorkFolder) -> tuple[tuple[CellResult, ...], tuple[int, int]]:
        """Makes all cells; returns them in their order, and the frames dreamed together and of each by itself.

        Raises Interrupted.
        """
        from render.sweep.making import Maker  # imports torch, which a wrong scene need not wait for
        from render.sweep.store import Store

        reports = self.reports
        maker = Maker(self._tasks(), Store(folder), on_frame=reports.on_frame, on_warning=reports.on_warning)
        results: dict[int, CellResult] = {}
        try:
            for made in maker.make():
                result = self._result(made)
                results[made.cell.number] = result
                reports.on_cell(result, self.grid)
        except (KeyboardInterrupt, Interrupted):
            done = sum(result.error is None for result in results.values())
            raise Interrupted(
                f"stopped; {done} of {len(self.grid.cells)} cells are finished in {folder.path}; the same command "
                "makes the others"
            ) from None
        return tuple(results[number] for number in sorted(results)), (maker.dreamed, maker.alone)

    def _tasks(self) -> list[Task]:
        from render.sweep.making import Task

        tasks: list[Task] = []
        for cell in self.grid.cells:
            scene = with_output(cell.scene, self.files.film(cell))
            still_options = replace(self.options, frames=(cell.frame, cell.frame + 1), restart=False)
            still_plan, film_plan = plan(scene, still_options), None
            if tasks:
                still_plan = still_plan.sharing(tasks[0].plan)
            if self._has_film(cell):
                film_options = replace(still_options, frames=(0, cell.frame + 1))
                film_plan = plan(scene, film_options).sharing(still_plan)
            tasks.append(Task(cell, self.files.still(cell), still_plan, film_plan=film_plan))
        return tasks

    def _has_film(self, cell: Cell) -> bool:
        return self.choice.films and cell.scene.length > 1

    def _result(self, made: Made) -> CellResult:
        """The result of a cell, with the command that makes its film in the precision that it was made in."""
        cell = made.cell
        options = self.options if made.precision is None else replace(self.options, precision=made.precision)
        return CellResult(
            cell,
            self.files.still(cell),
            self.files.film(cell) if self._has_film(cell) else None,
            command=film_command(self.source, cell, self.files.whole_film(cell), options=options),
            error=made.error,
        )
