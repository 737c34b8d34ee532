"""The index of a sweep: what its cells are, where they are, and how their films are made; as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.analysis.contact_sheet import Box
from render.film.atomic import atomic_write
from render.pipeline.identity import portable_scene
from render.sweep.cells import Cell, Grid, plain_value


@dataclass(frozen=True)
class CellResult:
    """A cell that is done: its still, its film up to that frame (None when it has none), and the command of its film.

    `message` says why it has none; empty when its files are there.
    """

    cell: Cell
    still: Path
    film: Path | None
    command: str
    message: str = ""

    def as_json(self, grid: Grid) -> dict[str, Any]:
        """Returns what the index says of the cell, without its place in pixels."""
        values = zip(grid.keys, self.cell.values, strict=True)
        has_files = not self.message
        return {
            "number": self.cell.number,
            "values": {key: plain_value(value) for key, value in values},
            "label": grid.label(self.cell),
            "state": "SUCCEEDED" if has_files else "FAILED",
            "message": self.message or None,
            "frame": self.cell.frame,
            "still": self.still.name if has_files else None,
            "film": None if self.film is None or not has_files else str(self.film.relative_to(self.still.parent)),
            **self.cell.place._asdict(),
            "command": self.command,
        }


def sweep_identity(grid: Grid, *, films: bool) -> dict[str, Any]:
    """Returns what makes two sweeps the same: the scenes, frames and places of their cells, as plain JSON."""
    cells = [{"scene": portable_scene(cell.scene), "frame": cell.frame, "place": cell.place} for cell in grid.cells]
    identity: dict[str, Any] = json.loads(json.dumps({"sweep": cells, "films": films}))
    return identity


def write_index(
    target: Path, grid: Grid, results: Sequence[CellResult], *, boxes: Mapping[int, Box], about: Mapping[str, Any]
) -> None:
    """Writes the index; `about` is what it says of the sweep, `boxes` are the places of cells on their pages."""
    keys = [{"key": each.key, "values": each.text.partition("=")[2]} for each in grid.variations]
    cells = [{**result.as_json(grid), "box": boxes.get(result.cell.number)} for result in results]
    data = {**about, "keys": keys, "columns": grid.columns, "rows": grid.rows, "pages": grid.pages, "cells": cells}
    atomic_write(target, json.dumps(data, indent=1, ensure_ascii=False).encode())
