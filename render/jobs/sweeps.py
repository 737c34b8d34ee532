"""From a sweep to a job of one task, its sheet, whose parts are the cells."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from render.film.atomic import storage_errors
from render.jobs.control import obey
from render.jobs.folder import JobFolder, Request
from render.jobs.model import Job, Resources, Task, TaskState
from render.jobs.submit import name_of, open_job, require_no_other_job
from render.pipeline.embedded import is_film
from render.pipeline.plan import Options
from render.pipeline.preflight import FRAME_BYTES_PER_PIXEL
from render.scene.yaml_tree import read_text
from render.sweep.cells import Grid, SweepScene, find_cells
from render.sweep.files import SweepFiles, shortened
from render.sweep.model import SweepOptions
from render.sweep.sweep import begin
from render.system.files import open_regular


def submit_sweep(source: SweepScene, target: Path, choice: SweepOptions, *, options: Options) -> JobFolder:
    """Makes the job of a sweep at a path, or opens it; its cells are looked at again, and those that are there kept.

    Of the options, `device`, `precision` and `overwrite` apply. Raises SceneError and UsageError for what is wrong in
    `--vary` and in the scenes, and for another sweep at the path; StorageError for files that cannot be read or
    written, and when the job is running.
    """
    files = SweepFiles(target)
    if not is_film(source.path):
        source = replace(source, text=read_text(source.path))
    grid = find_cells(source, choice)
    task = _task(source, target, grid, choice=choice, options=options)
    folder = open_job(name_of(target.stem, str(Path.cwd() / target)))
    with folder.locked():
        if folder.has_job:
            obey(folder, Request(action="pause"))  # waits for the workers of a driver that died
        require_no_other_job(folder.name, [task])
        begin(files, grid, choice, overwrite=options.overwrite)
        _write(folder, task)
    return folder


def _task(source: SweepScene, target: Path, grid: Grid, *, choice: SweepOptions, options: Options) -> Task:
    width, height = (max(cell.scene.size[axis] for cell in grid.cells) for axis in (0, 1))
    return Task(
        id="1",
        label=str(source.path),
        kind="sweep",
        scene=str(Path.cwd() / source.path),
        text=source.text,
        folder=str(Path.cwd()),
        overrides=source.overrides,
        scale=source.scale,
        output=str(Path.cwd() / target),
        device=options.device,
        precision=options.precision,
        overwrite=options.overwrite,
        is_split=True,
        sweep=choice,
        files=_common_files(grid),
        resources=Resources(memory=FRAME_BYTES_PER_PIXEL * width * height),
    )


def _common_files(grid: Grid) -> dict[str, str]:
    """The files that every cell names with the same key, if it names any; those that are varied have several paths."""
    found: dict[str, set[str]] = {}
    for cell in grid.cells:
        for keys, path in cell.scene.paths.items():
            found.setdefault(".".join(map(str, keys)), set()).add(str(Path.cwd() / path))
    return {key: paths.pop() for key, paths in found.items() if len(paths) == 1}


def _write(folder: JobFolder, task: Task) -> None:
    """Writes the job; no state of an earlier run counts, what exists of the cells is found by their files."""
    created = time.time()
    if folder.has_job:
        before = folder.job()
        created = before.created
        for old in before.tasks:
            if old.id != task.id:
                folder.forget(old.id)
    folder.write_state(task.id, TaskState())
    folder.write_job(Job(name=folder.name, created=created, tasks=(task,)))


@dataclass(frozen=True)
class Sheet:
    """A sheet that was made: its pages, its index, and the cells as the index has them.

    `frames` is the number of frames that were dreamed, `frames_alone` what all cells would take each by itself.
    """

    sheets: tuple[Path, ...]
    index: Path
    cells: tuple[dict[str, Any], ...]
    frames: int
    frames_alone: int


def sheet_of(folder: JobFolder) -> Sheet | None:
    """Returns the sheet of a sweep's job that has ended; None when none was made. Raises StorageError."""
    job = folder.job()
    states = folder.states(job)
    sheet, cells = job.tasks[0], job.tasks[1:]
    has_gaps = any(states[task.id].state not in ("SUCCEEDED", "EATEN") for task in cells)
    if states[sheet.id].state != ("DEAD" if has_gaps else "SUCCEEDED"):
        return None
    files = SweepFiles(shortened(sheet.output))
    with storage_errors(files.index), open_regular(files.index) as file:
        index = json.load(file)
    return Sheet(
        sheets=tuple(files.folder.parent / name for name in index["sheets"]),
        index=files.index,
        cells=tuple(index["cells"]),
        frames=sum(states[task.id].frames for task in cells),
        frames_alone=sum(task.cell.frames_alone for task in cells if task.cell),
    )
