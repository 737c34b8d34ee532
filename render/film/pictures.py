"""PNG and JPEG files as bytes: several in one stream, and the comment that each carries."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COMMENT = b"Comment\0"
JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_SCAN, JPEG_COMMENT = 0xDA, 0xFE
JPEG_APPLICATION = range(0xE0, 0xF0)
LONGEST_SEGMENT = 65533
"""Bytes of a JPEG's comment; a longer one goes into several."""

Bytes = bytes | mmap.mmap


def split(stream: Path) -> Iterator[bytes]:
    """The pictures that stand one after the other in a file."""
    with stream.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pictures:
        start = 0
        while start < len(pictures):
            end = _png_end(pictures, start) if _is_png(pictures, start) else _jpeg_end(pictures, start)
            yield pictures[start:end]
            start = end


def with_comment(picture: bytes, comment: str) -> bytes:
    """The picture carrying a comment: iTXt after a PNG's header (RFC 2083, 4.2.3.3), COM segments in a JPEG (T.81)."""
    text = comment.encode("utf-8")
    if _is_png(picture, 0):
        header = len(PNG_SIGNATURE) + 25
        data = b"iTXt" + PNG_COMMENT + b"\0\0\0\0" + text
        chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
        return picture[:header] + chunk + picture[header:]
    header = next(start for kind, start, _ in _jpeg_segments(picture, 0) if kind not in JPEG_APPLICATION)
    parts = [text[i : i + LONGEST_SEGMENT] for i in range(0, len(text), LONGEST_SEGMENT)]
    segments = (struct.pack(">BBH", 0xFF, JPEG_COMMENT, len(part) + 2) + part for part in parts)
    return picture[:header] + b"".join(segments) + picture[header:]


def comment_of(picture: bytes) -> str | None:
    """The comment that a picture carries, None when there is none, or no picture."""
    if _is_png(picture, 0):
        texts = [data for kind, data, _ in _png_chunks(picture, 0) if kind == b"iTXt" and data.startswith(PNG_COMMENT)]
        return texts[0].split(b"\0", 5)[-1].decode("utf-8", "replace") if texts else None
    if not picture.startswith(JPEG_START):
        return None
    found = [picture[start + 4 : end] for kind, start, end in _jpeg_segments(picture, 0) if kind == JPEG_COMMENT]
    return b"".join(found).decode("utf-8", "replace") if found else None


def _is_png(pictures: Bytes, start: int) -> bool:
    return pictures[start : start + len(PNG_SIGNATURE)] == PNG_SIGNATURE


def _png_chunks(pictures: Bytes, start: int) -> Iterator[tuple[bytes, bytes, int]]:
    """The type, the data and the end of each chunk of the PNG that begins at `start` (RFC 2083)."""
    position, kind = start + len(PNG_SIGNATURE), b""
    while kind != b"IEND" and position + 12 <= len(pictures):
        (length,) = struct.unpack_from(">I", pictures, position)
        kind, data = pictures[position + 4 : position + 8], pictures[position + 8 : position + 8 + length]
        position += 12 + length
        yield kind, data, position


def _png_end(pictures: Bytes, start: int) -> int:
    *_, (_, _, end) = _png_chunks(pictures, start)
    return end


def _jpeg_segments(pictures: Bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """The marker, start and end of each segment of the JPEG that begins at `start`, the scan's last (T.81, B.1)."""
    position, kind = start + len(JPEG_START), 0
    while kind != JPEG_SCAN and position + 4 <= len(pictures):
        _, kind, length = struct.unpack_from(">BBH", pictures, position)
        yield kind, position, position + 2 + length
        position += 2 + length


def _jpeg_end(pictures: Bytes, start: int) -> int:
    """After the scan, in which 0xFF is always followed by 0, until the end is marked."""
    *_, (_, _, scan) = _jpeg_segments(pictures, start)
    found = pictures.find(JPEG_END, scan)
    return len(pictures) if found < 0 else found + len(JPEG_END)
