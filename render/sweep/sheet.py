"""The sheets of a sweep: a page for each value of the further keys, with headings of columns and rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from render.analysis import contact_sheet
from render.analysis.contact_sheet import Box, Headings, message_cell, save_sheet, text_width
from render.errors import StorageError
from render.sweep.cells import Cell, Grid
from render.sweep.files import SweepFiles
from render.sweep.index import CellResult
from render.sweep.stills import Pixels, read_pixels
from render.text import escape


def displayed_size(cell: Cell, side: int) -> tuple[int, int]:
    """Returns the (width, height) that a cell has on a sheet where no side is longer than `side` pixels."""
    width, height = cell.scene.size
    factor = min(1.0, side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def write_sheets(files: SweepFiles, grid: Grid, results: Sequence[CellResult], *, side: int) -> dict[int, Box]:
    """Writes every page; returns where the cells are on theirs, by their numbers. Raises StorageError."""
    boxes: dict[int, Box] = {}
    for page in range(grid.pages):
        shown = [result for result in results if result.cell.place.page == page]
        cells = [_cell(result, grid, side) for result in shown]
        sheet = files.sheet(page)
        placed = save_sheet(cells, sheet, columns=grid.columns, headings=_headings(grid, [each.cell for each in shown]))
        boxes |= {result.cell.number: box for result, box in zip(shown, placed, strict=True)}
    return boxes


def _cell(result: CellResult, grid: Grid, side: int) -> contact_sheet.Cell:
    size = displayed_size(result.cell, side)
    name = escape(_short_label(grid, result.cell))
    if not result.message:
        try:
            pixels = _shrunk(read_pixels(result.still), size)
            note = result.command if text_width(result.command) <= size[0] else result.still.name
            return contact_sheet.Cell(pixels, name, escape(note))
        except StorageError as error:
            return message_cell(escape(error), name, size=size)
    return message_cell(escape(result.message), name, size=size)


def _shrunk(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Returns the pixels at (width, height)."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _headings(grid: Grid, cells: Sequence[Cell]) -> Headings:
    """The first key's values above the columns, the second's left of the rows, those of the others above the page."""
    if not grid.has_headings or not cells:
        return Headings()
    names = _short_keys(grid.keys)

    def text(cell: Cell, position: int) -> str:
        return escape(f"{names[position]}={cell.values[position].label}")

    title = ", ".join(text(cells[0], position) for position in range(2, len(grid.keys)))
    columns = [text(cell, 0) for cell in cells[: grid.columns]]
    return Headings(title, columns, [text(cell, 1) for cell in cells[:: grid.columns]])


def _short_label(grid: Grid, cell: Cell) -> str:
    values = zip(_short_keys(grid.keys), cell.values, strict=True)
    return ", ".join(f"{key}={value.label}" for key, value in values)


def _short_keys(keys: Sequence[str]) -> list[str]:
    """Returns the last steps of keys, `step_size` or `step_size.24`, as long as these differ."""
    short = []
    for key in keys:
        *_, last = steps = key.split(".")
        short.append(".".join(steps[-2:]) if not last.isidentifier() else last)
    return short if len(set(short)) == len(keys) else list(keys)
