"""Contact sheets: pictures side by side, each with its name below it, under headings of rows and columns."""

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

MAX_ROW_HEADING = 220
"""Pixels of the headings left of the rows, at most."""
MAX_JPEG_SIDE = 65_000
MAX_SHEET_PIXELS = 2**28
FAILED_COLOR = (70, 22, 22)
"""Behind a message that takes the place of a picture."""

Box = tuple[int, int, int, int]
"""A rectangle of a sheet: left, top, width and height in pixels."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """A picture (HxWx3, 8 bit), its name, and a note in a fainter line below that."""

    picture: NDArray[np.uint8]
    name: str
    note: str = ""


@dataclass(frozen=True)
class Headings:
    """What is written above a sheet, above each of its columns, and left of each of its rows; any may be empty."""

    title: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()


def message_cell(message: str, name: str, *, size: tuple[int, int]) -> Cell:
    """Returns the cell of what failed: a message in the place of a picture of (width, height)."""
    image = Image.new("RGB", size, FAILED_COLOR)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    lines, line = [], ""
    for word in message.split():
        longer = f"{line} {word}".strip()
        if line and draw.textlength(longer, font) > size[0] - MARGIN:
            lines.append(line)
            longer = word
        line = longer
    for number, text in enumerate([*lines, line]):
        draw.text((MARGIN // 2, MARGIN // 2 + number * LINE_HEIGHT), text, NAME_COLOR, font)
    return Cell(np.asarray(image), name, "failed")


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


def check_size(target: Path, sizes: Sequence[tuple[int, int]], *, columns: int, rows: int) -> None:
    """Raises UsageError when a sheet of pictures of these (width, height) would be too large for its format."""
    width = columns * (max(size[0] for size in sizes) + MARGIN)
    height = rows * (max(size[1] for size in sizes) + MARGIN + 2 * LINE_HEIGHT)
    limit = MAX_JPEG_SIDE if FORMATS[target.suffix.lower()] == "JPEG" else MAX_SHEET_PIXELS
    if max(width, height) > limit or width * height > MAX_SHEET_PIXELS:
        raise UsageError(f"a sheet of {width}x{height} pixels is too large; --side makes its pictures smaller")


def save_sheet(
    cells: Sequence[Cell], target: Path, *, columns: int | None = None, headings: Headings = Headings()
) -> list[Box]:
    """Writes a sheet, row by row; every cell is as large as the largest picture. Raises StorageError.

    Returns where each picture is on the sheet.
    """
    if columns is None:
        columns = max(1, round(math.sqrt(len(cells) * ASPECT)))
    sheet, boxes = _draw_sheet(cells, columns, headings)
    data = io.BytesIO()
    sheet.save(data, FORMATS[target.suffix.lower()], quality=92, subsampling=0)
    atomic_write(target, data.getvalue())
    return boxes


def text_width(text: str) -> float:
    """Returns the pixels that a text takes on a sheet."""
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text, ImageFont.load_default(FONT_SIZE))


def _draw_sheet(cells: Sequence[Cell], columns: int, headings: Headings) -> tuple[Image.Image, list[Box]]:
    height, width = (max(item.picture.shape[axis] for item in cells) for axis in (0, 1))
    lines = 2 if any(item.note for item in cells) else 1
    cell_width, cell_height = width + MARGIN, height + MARGIN + lines * LINE_HEIGHT
    rows = math.ceil(len(cells) / columns)
    heading_width = min(max((math.ceil(text_width(text)) for text in headings.rows), default=0), MAX_ROW_HEADING)
    left = MARGIN + (heading_width + MARGIN if headings.rows else 0)
    top = MARGIN + LINE_HEIGHT * (bool(headings.title) + bool(headings.columns))
    sheet = Image.new("RGB", (left + min(columns, len(cells)) * cell_width, top + rows * cell_height), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)

    def write(text: str, x: int, y: int, *, space: int = width, color: tuple[int, int, int] = NAME_COLOR) -> None:
        draw.text((x, y), _truncate(text, space, draw=draw, font=font), color, font)

    write(headings.title, MARGIN, MARGIN // 2, space=sheet.width - 2 * MARGIN)
    for column, text in enumerate(headings.columns):
        write(text, left + column * cell_width, top - LINE_HEIGHT - TEXT_GAP)
    for row, text in enumerate(headings.rows):
        write(text, MARGIN, top + row * cell_height, space=heading_width)
    boxes: list[Box] = []
    for i, item in enumerate(cells):
        row, column = divmod(i, columns)
        x, y = left + column * cell_width, top + row * cell_height
        sheet.paste(Image.fromarray(item.picture), (x, y))
        boxes.append((x, y, item.picture.shape[1], item.picture.shape[0]))
        y += item.picture.shape[0] + TEXT_GAP
        write(item.name, x, y)
        write(item.note, x, y + LINE_HEIGHT, color=NOTE_COLOR)
    return sheet, boxes


def _truncate(text: str, width: int, *, draw: ImageDraw.ImageDraw, font: Font) -> str:
    """Returns as much of the end of a text as fits into `width` pixels; names of layers differ at their ends."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(ELLIPSIS + text, font) > width:
        text = text[1:]
    return ELLIPSIS + text
