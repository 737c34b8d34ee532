"""Contact sheets: pictures side by side, each with its name below it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from render.errors import StorageError, UsageError
from render.film.atomic import atomic_write, storage_errors
from render.film.encoder import quantize
from render.text import quote

if TYPE_CHECKING:
    from torch import Tensor

BACKGROUND, NAME_COLOR, NOTE_COLOR = (17, 17, 17), (235, 235, 235), (150, 150, 150)
MARGIN = 12
"""Pixels between pictures, and around the sheet."""
FONT_SIZE = 13
LINE_HEIGHT = 17
"""Pixels."""
TEXT_GAP = 3
"""Pixels between a picture and its name."""
ASPECT = 1.5
"""A sheet's number of columns divided by its number of rows, approximately."""
ELLIPSIS = "…"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """A picture (HxWx3, 8 bit), its name, and a note in a fainter line below that."""

    picture: NDArray[np.uint8]
    name: str
    note: str = ""


def cell(frame: Tensor, name: str, *, note: str = "") -> Cell:
    """Returns the cell of a frame, 1x3xHxW in [0, 1]."""
    return Cell(quantize(frame, 8).astype(np.uint8), name, note)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Checks that a sheet can be written at a path.

    Raises UsageError for a suffix that is no format of sheets, StorageError when something exists there, or no folder.
    """
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"a sheet's path ends in {', '.join(FORMATS)}, not in {quote(target.suffix)}")
    with storage_errors(target):
        if target.is_dir() or (target.exists() and not overwrite):
            raise StorageError(f"{target} exists; --overwrite replaces it, --output names another path")
        if not target.parent.is_dir():
            raise StorageError(f"there is no folder {target.parent} for {target.name}")


def save_sheet(cells: Sequence[Cell], target: Path, *, columns: int | None = None) -> None:
    """Writes a sheet, row by row; every cell is as large as the largest picture. Raises StorageError."""
    if columns is None:
        columns = max(1, round(math.sqrt(len(cells) * ASPECT)))
    sheet = _draw_sheet(cells, columns)
    data = io.BytesIO()
    sheet.save(data, FORMATS[target.suffix.lower()], quality=92, subsampling=0)
    atomic_write(target, data.getvalue())


def _draw_sheet(cells: Sequence[Cell], columns: int) -> Image.Image:
    height, width = (max(item.picture.shape[axis] for item in cells) for axis in (0, 1))
    lines = 2 if any(item.note for item in cells) else 1
    cell_width, cell_height = width + MARGIN, height + MARGIN + lines * LINE_HEIGHT
    rows = math.ceil(len(cells) / columns)
    size = (MARGIN + min(columns, len(cells)) * cell_width, MARGIN + rows * cell_height)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for i, item in enumerate(cells):
        row, column = divmod(i, columns)
        x, y = MARGIN + column * cell_width, MARGIN + row * cell_height
        sheet.paste(Image.fromarray(item.picture), (x, y))
        y += item.picture.shape[0] + TEXT_GAP
        draw.text((x, y), _truncate(item.name, width, draw=draw, font=font), NAME_COLOR, font)
        draw.text((x, y + LINE_HEIGHT), _truncate(item.note, width, draw=draw, font=font), NOTE_COLOR, font)
    return sheet


def _truncate(text: str, width: int, *, draw: ImageDraw.ImageDraw, font: Font) -> str:
    """Returns as much of the end of a text as fits into `width` pixels; names of layers differ at their ends."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(ELLIPSIS + text, font) > width:
        text = text[1:]
    return ELLIPSIS + text
