"""GIF files: their blocks, the comment that one embeds, and its content (GIF89a specification, CompuServe 1990)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from render.choices import GIF_TICKS
from render.errors import StorageError
from render.film.atomic import storage_errors
from render.film.content import film_content
from render.system.files import open_regular

HEADER, COMMENT, CONTROL, APPLICATION, IMAGE, TRAILER = b"GIF8", b"!\xfe", b"!\xf9", b"!\xff", b",", b";"
"""Kinds of blocks: how each begins."""
MAX_SUB_BLOCK = 255
"""Bytes of data in a sub-block."""
TABLE, TABLE_SIZE = 0x80, 0x07
"""Bits of a descriptor: whether a table of colours follows, and the logarithm of its size, less one."""


def read_comment(path: Path, *, limit: int) -> str | None:
    """Returns the comment before the first picture of a GIF, in its first `limit` bytes; None when there is none.

    Raises StorageError when the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            start = io.BytesIO(file.read(limit))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    for kind, data in _blocks(start):
        if kind == IMAGE:
            return None
        if kind == COMMENT:
            return b"".join(_sub_blocks(data[2:])).decode("utf-8", "replace")
    return None


def with_comment(source: Path, target: Path, comment: str) -> None:
    """Writes a GIF with a comment before its first picture. Raises StorageError."""
    text = comment.encode()
    parts = (text[i : i + MAX_SUB_BLOCK] for i in range(0, len(text), MAX_SUB_BLOCK))
    block = COMMENT + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    with storage_errors(target), source.open("rb") as file, target.open("wb") as written:
        is_embedded = False
        for kind, data in _blocks(file):
            if not is_embedded and kind not in (HEADER, APPLICATION):  # players expect the number of loops first
                written.write(block)
                is_embedded = True
            written.write(data)


def read_content(path: Path, fps: Fraction | None) -> dict[str, Any]:
    """Returns the content of a GIF of this rate, as `content.read_content`. Raises StorageError."""
    checksum, delays, frames, is_complete = hashlib.sha256(), [0], 0, False
    with storage_errors(path), path.open("rb") as file:
        for kind, data in _blocks(file):
            if kind != COMMENT:
                checksum.update(data)
            if kind == CONTROL:
                delays.append(int.from_bytes(data[4:6], "little"))
            frames += kind == IMAGE
            is_complete = kind == TRAILER
    if not is_complete:
        raise StorageError(f"{path} is truncated")
    times = [ticks * Fraction(1, GIF_TICKS) for ticks in accumulate(delays)]
    return film_content(frames, times, tick=Fraction(1, GIF_TICKS), fps=fps, video=checksum.hexdigest())


def _blocks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yields the kind and the bytes of each block; ends where the file ends, or is no GIF."""
    header = file.read(13)
    if not header.startswith(HEADER) or len(header) < 13:
        return
    yield HEADER, header + file.read(_table_bytes(header[10]))
    while start := file.read(1):
        if start == TRAILER:
            yield TRAILER, start
            return
        if start == IMAGE:
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return
            head = start + descriptor + file.read(_table_bytes(descriptor[8]) + 1)
            kind = IMAGE
        elif start == b"!":
            kind = head = start + file.read(1)
        else:
            return
        data = bytearray(head)
        while length := file.read(1):
            data += length + file.read(length[0])
            if length == b"\0":
                break
        yield kind, bytes(data)


def _table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & TABLE_SIZE) + 1) if flags & TABLE else 0


def _sub_blocks(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data) and data[position]:
        yield data[position + 1 : position + 1 + data[position]]
        position += 1 + data[position]
