"""The steps of a sweep, in a process with torch: how its cells are made, a cell, and the sheet of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from render.errors import UsageError
from render.jobs.messages import CellPart, DoneEvent, Event, FrameEvent, Step, WarningEvent
from render.jobs.model import Task
from render.pipeline.pace import Pace
from render.pipeline.plan import Options
from render.sweep.cells import Grid, SweepScene, find_cells
from render.sweep.files import SweepFiles, shortened
from render.sweep.making import CellMaker, Reports
from render.sweep.model import CellWork, SweepOptions
from render.sweep.preparing import prepare
from render.sweep.sweep import finish

Report = Callable[[Event], None]


def perform(step: Step, report: Report) -> DoneEvent:
    """Performs a step of a sweep, in the folder of its task. Raises RenderError of every kind."""
    task = step.task
    if task.cell is not None:
        return _make(step, task.cell, report)
    assert task.sweep is not None
    if step.kind == "split":
        return _split(step, task.sweep, report)
    return _sheet(step, task.sweep)


def _split(step: Step, choice: SweepOptions, report: Report) -> DoneEvent:
    task = step.task
    _, files, grid = _sweep(step, choice)
    for problem in dict.fromkeys(str(problem) for cell in grid.cells for problem in cell.scene.warnings):
        report(WarningEvent(message=problem))
    prepared = prepare(grid, files, _options(task), films=choice.films)
    cells = [
        CellPart(
            number=each.cell.number,
            label=grid.label(each.cell),
            overrides=each.cell.overrides,
            still=str(Path.cwd() / files.still(each.cell)),
            work=each.work,
            after=each.after,
        )
        for each in prepared
    ]
    return DoneEvent(cells=tuple(cells))


def _make(step: Step, work: CellWork, report: Report) -> DoneEvent:
    task = step.task
    source = SweepScene(Path(task.scene), task.overrides, scale=task.scale, text=task.text, files=step.files)
    scene = source.load(task.overrides)
    dreamed: list[int] = []
    pace = Pace()

    def on_frame(index: int) -> None:
        dreamed.append(index)
        frame, last = min(index, work.frame), work.frame + 1
        rate, eta_s = pace.measure(frame, last)
        report(FrameEvent(frame=frame, first=0, last=last, rate=rate, eta_s=eta_s))

    reports = Reports(on_frame=on_frame, on_warning=lambda message: report(WarningEvent(message=message)))
    is_new = _maker(work.store).make(scene, shortened(task.output), work, options=_options(task), reports=reports)
    return DoneEvent(path=task.output, frames=len(dreamed), is_new=is_new)


def _sheet(step: Step, choice: SweepOptions) -> DoneEvent:
    task = step.task
    source, files, grid = _sweep(step, choice)
    if len(step.cells) != len(grid.cells):
        raise UsageError("the files that --vary names are others by now; the same command begins again")
    outcomes = dict(enumerate(step.cells))
    finish(source, files, grid, choice=choice, options=_options(task), outcomes=outcomes)
    return DoneEvent(path=task.output, frames=len(grid.cells))


@lru_cache(maxsize=1)
def _maker(store: str) -> CellMaker:
    """What the cells of a sweep that are made one after the other have in common."""
    return CellMaker(Path(store))


def _sweep(step: Step, choice: SweepOptions) -> tuple[SweepScene, SweepFiles, Grid]:
    task = step.task
    source = SweepScene(shortened(task.scene), task.overrides, scale=task.scale, text=task.text, files=step.files)
    return source, SweepFiles(shortened(task.output)), find_cells(source, choice)


def _options(task: Task) -> Options:
    return Options(device=task.device, precision=task.precision, overwrite=task.overwrite, quiet=True)
