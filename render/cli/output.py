"""Standard streams: lines, tables and JSON on standard output, errors on standard error."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import NoReturn

from render.errors import StorageError
from render.text import escape_lines

TABLE_WIDTH = 1000
"""Columns; more than any table has, so that no terminal cuts one."""


class OutputClosed(StorageError):
    """The reader of standard output has ended, as `head` does when it has its lines: the program ends silently."""


def open_streams() -> None:
    """Opens standard input, output and error where the program starts without them, and escapes unencodable text.

    Otherwise the film's file could get one of their numbers, and a message could be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(text: str) -> None:
    """Prints lines on standard output, escaped, and flushes them.

    Raises OutputClosed for a closed pipe, StorageError when they cannot be written for another reason.
    """
    try:
        print(f"{escape_lines(text)}\n", end="", flush=True)  # in one write, which a signal cannot part
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
        if isinstance(error, BrokenPipeError):
            raise OutputClosed from None
        raise StorageError(f"cannot write to standard output: {error.strerror}") from None


def print_json(value: object) -> None:
    """Prints a value as indented JSON; infinity and NaN, which JSON lacks, become null. Raises StorageError."""
    print_line(json.dumps(_with_nulls(value), allow_nan=False, indent=1))


def print_json_line(value: object) -> None:
    """Prints a value as one line of JSON; infinity and NaN, which JSON lacks, become null. Raises StorageError."""
    print_line(json.dumps(_with_nulls(value), allow_nan=False))


def _with_nulls(value: object) -> object:
    """Returns a plain value with None for every infinity and NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(item) for item in value]
    return value


def print_table(headers: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Prints columns as wide as their content, whatever the terminal; numbers are aligned right."""
    from rich.console import Console
    from rich.table import Table

    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(*cells, strict=True)) or [()] * len(headers)
    table = Table(box=None, pad_edge=False)
    for header, column in zip(headers, columns, strict=True):
        is_numeric = bool(column) and all(cell[:1].isdigit() or not cell for cell in column)
        table.add_column(header, justify="right" if is_numeric else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console = Console(width=TABLE_WIDTH, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    print_line("\n".join(line.rstrip() for line in capture.get().splitlines()))


def film_summary(frames: int, size: tuple[int, int], *, fps: Fraction) -> str:
    """Returns `120 frames of 384x384 at 24 fps`; the size is (width, height)."""
    return f"{plural(frames, 'frame')} of {size[0]}x{size[1]} at {fps} fps"


def plural(count: int, noun: str) -> str:
    """Returns `1 frame` or `2 frames`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def print_message(message: str) -> None:
    """Prints `render: MESSAGE` on standard error; nothing when its reader has ended."""
    try:
        print(f"render: {escape_lines(message)}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # Python flushes once more when it exits


def exit_with_error(status: int, message: str, *, as_json: bool) -> NoReturn:
    """Exits with a status, after `render: MESSAGE` on standard error or, as JSON, an object on standard output."""
    if as_json:
        with contextlib.suppress(StorageError):  # the status still says that the command failed
            print_json_line({"event": "error", "status": status, "message": message})
    else:
        print_message(message)
    sys.exit(status)
