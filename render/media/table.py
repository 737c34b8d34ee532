"""Tables of values over time: CSV files with a column of seconds or frames, and columns of numbers."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.text import did_you_mean, quote

MAX_ROWS = 10_000_000
TIME_COLUMNS = ("time", "frame")
SEPARATORS = (";", "\t", ",")


@dataclass(frozen=True)
class Table:
    """A column of a table: float64 `values` at `times`, ascending, in seconds (`time`) or frames (`frame`)."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    unit: Literal["time", "frame"]


def read_table(path: Path, column: str | None = None) -> Table:
    """Reads a column of a CSV file, by default the first one that is not the time.

    The first line names the columns, of which one is `time` or `frame`; of both, `time` is used. Without names the
    first column is the time in seconds. Lines that are empty or begin with # are skipped. Cells are separated by
    semicolons, tabs or commas, whichever of them, in this order, is in the first line; a decimal comma is a point where
    it separates no cells. Raises StorageError, with the line, for a value that is missing or no number, and for times
    that do not ascend.
    """
    try:
        status = path.stat()
        return _read(path, column, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    except UnicodeDecodeError:
        raise StorageError(f"{path} is no table of text in UTF-8") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None


@lru_cache(maxsize=8)  # a scene is checked, and then its signals are measured
def _read(path: Path, column: str | None, identity: tuple[int, ...]) -> Table:
    del identity
    with path.open(encoding="utf-8-sig", newline="") as file:
        return _table(path, _rows(path, file), column)


def _rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each line that has any, with its number."""
    start: list[str] = []
    for line in lines:
        start.append(line)
        if line.strip() and not line.startswith("#"):
            break
    separator = next((each for each in SEPARATORS if start and each in start[-1]), ",")
    text: Iterator[str] = chain(start, lines)
    if separator != ",":
        text = (line.replace(",", ".") for line in text)
    reader = csv.reader(text, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    try:
        for cells in reader:
            if any(cells) and not cells[0].startswith("#"):
                yield reader.line_num, cells
            if reader.line_num > MAX_ROWS:
                raise StorageError(f"{path} has more than {MAX_ROWS} lines")
    except csv.Error as error:
        raise StorageError(f"{path}:{reader.line_num}: {error}") from None


def _table(path: Path, rows: Iterator[tuple[int, list[str]]], column: str | None) -> Table:
    first = next(rows, None)
    if first is None:
        raise StorageError(f"{path} is empty")
    line, cells = first
    names = [cell.strip().lower() for cell in cells]
    has_names = not all(_is_number(cell) for cell in names if cell)
    if has_names:
        time, value = _columns(path, names, column)
        unit: Literal["time", "frame"] = "frame" if names[time] == "frame" else "time"
    else:
        if column is not None:
            raise StorageError(f"{path} has no names of columns in its first line, and so no column {quote(column)}")
        if len(cells) < 2:
            raise StorageError(f"{path}:{line}: one column; a table has a time and a value in each line")
        time, value, unit = 0, 1, "time"
        names = [str(number) for number in range(1, len(cells) + 1)]
        rows = chain([first], rows)
    times, values = array("d"), array("d")
    previous = -math.inf
    for line, cells in rows:
        try:
            at, level = float(cells[time]), float(cells[value])
        except (ValueError, IndexError):
            at = level = math.nan
        if not (math.isfinite(at) and math.isfinite(level)):
            raise _wrong_cell(path, line, cells, columns={names[index]: index for index in (time, value)})
        if at <= previous:
            raise StorageError(
                f"{path}:{line}: the {unit} {at:g} does not come after {previous:g}; sort the lines by it"
            )
        times.append(at)
        values.append(level)
        previous = at
    if not times:
        raise StorageError(f"{path} has no values")
    return Table(np.array(times), np.array(values), unit)


def _columns(path: Path, names: list[str], column: str | None) -> tuple[int, int]:
    """Returns the indices of the columns of times and of values."""
    time = next((names.index(name) for name in TIME_COLUMNS if name in names), None)
    if time is None:
        listed = ", ".join(map(quote, names))
        raise StorageError(f"{path} has no column 'time' or 'frame', but {listed}; name the column of seconds time")
    others = [name for name in names if name not in TIME_COLUMNS]
    if column is None and others:
        return time, names.index(others[0])
    if column is None or column.lower() not in others:
        hint = did_you_mean(column or "", others)
        raise StorageError(f"{path} has no column {'of values' if column is None else quote(column)}{hint}")
    return time, names.index(column.lower())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _wrong_cell(path: Path, line: int, cells: list[str], *, columns: Mapping[str, int]) -> StorageError:
    """The error for the first of some columns, by their names, that has no number in a line."""
    for name, index in columns.items():
        cell = cells[index].strip() if index < len(cells) else ""
        if not cell:
            return StorageError(f"{path}:{line}: the column {quote(name)} has no value here; leave out the line")
        if not _is_number(cell) or not math.isfinite(float(cell)):
            break
    return StorageError(f"{path}:{line}: {quote(cell)} is not a number")
