"""A sweep as cells: each is a task of its own, and what became of it goes onto the sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from render.jobs.messages import DoneEvent
from render.jobs.model import Task, TaskState
from render.sweep.model import CellOutcome


def cells_of(sheet: Task, split: DoneEvent, folder: Path) -> list[Task]:
    """Returns a task for each cell of a sweep, in the order in which they are made; `folder` is for common frames."""
    return [
        sheet.model_copy(
            update={
                "id": _cell_id(sheet, part.number),
                "label": part.label,
                "kind": "cell",
                "film": sheet.id,
                "overrides": part.overrides,
                "output": part.still,
                "is_split": False,
                "sweep": None,
                "cell": replace(part.work, store=str(folder)),
                "after": () if part.after is None else (_cell_id(sheet, part.after),),
            }
        )
        for part in split.cells
    ]


def outcomes(cells: Sequence[Task], states: Mapping[str, TaskState]) -> tuple[CellOutcome, ...]:
    """Returns what became of the cells of a sweep that have ended, in the order of their numbers."""
    numbered = sorted(cells, key=lambda task: int(task.id.partition(".")[2]))
    return tuple(_outcome(task, states[task.id]) for task in numbered)


def _outcome(task: Task, state: TaskState) -> CellOutcome:
    made_from = (task.cell and task.cell.made_from) or {}
    precision = made_from.get("machine", {}).get("precision", "")
    return CellOutcome(precision, "" if state.state == "SUCCEEDED" else state.message or state.state.lower())


def _cell_id(sheet: Task, number: int) -> str:
    return f"{sheet.id}.{number + 1}"
