"""Pictures side by side with their names below them: a sheet to choose from."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from render.errors import StorageError, UsageError, shown
from render.film.encoder import quantise
from render.film.files import storing, write

BACKGROUND, INK, FAINT = (17, 17, 17), (235, 235, 235), (150, 150, 150)
MARGIN = 12
"""Pixels between pictures."""
TEXT = 13
LINE = 17
"""Pixels: the height of letters, and of a line."""
SHAPE = 1.5
"""Width of a sheet beside its height, about."""
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True)
class Cell:
    """A picture (HxWx3, 8 bit), its name, and a fainter line below it."""

    picture: NDArray[np.uint8]
    name: str
    note: str = ""


def cell(frame: Tensor, name: str, note: str = "") -> Cell:
    """A cell of a frame, 1x3xHxW in [0, 1]."""
    return Cell(quantise(frame, 8).astype(np.uint8), name, note)


def check_target(target: Path, overwrite: bool) -> None:
    """Raises UsageError when a sheet cannot be written in that format, StorageError when something is in the way."""
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"a sheet's path ends in {', '.join(FORMATS)}, not in {shown(target.suffix)}")
    with storing(target):
        if target.is_dir() or (target.exists() and not overwrite):
            raise StorageError(f"{target} exists; --overwrite replaces it, --output names another path")


def save(cells: Sequence[Cell], target: Path, columns: int | None = None) -> None:
    """Writes a sheet of cells as large as the largest, row by row. Raises StorageError."""
    image = _drawn(cells, columns or max(1, round(math.sqrt(len(cells) * SHAPE))))
    data = io.BytesIO()
    image.save(data, FORMATS[target.suffix.lower()], quality=92, subsampling=0)
    write(target, data.getvalue())


def _drawn(cells: Sequence[Cell], columns: int) -> Image.Image:
    width, height = (max(each.picture.shape[axis] for each in cells) for axis in (1, 0))
    lines = 2 if any(each.note for each in cells) else 1
    across, down = width + MARGIN, height + MARGIN + lines * LINE
    rows = math.ceil(len(cells) / columns)
    sheet = Image.new("RGB", (MARGIN + min(columns, len(cells)) * across, MARGIN + rows * down), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for i, each in enumerate(cells):
        left, top = MARGIN + i % columns * across, MARGIN + i // columns * down
        sheet.paste(Image.fromarray(each.picture), (left, top))
        below = top + each.picture.shape[0] + 3
        draw.text((left, below), _fitting(draw, font, each.name, width), INK, font)
        draw.text((left, below + LINE), _fitting(draw, font, each.note, width), FAINT, font)
    return sheet


def _fitting(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, width: int
) -> str:
    """As much of the end of the text as fits: the end is what tells layers apart."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"…{text}", font) > width:
        text = text[1:]
    return f"…{text}"
