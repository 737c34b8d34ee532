"""PNG and JPEG files as bytes: several in one stream, the comment that each carries, and what is not decoded."""

from __future__ import annotations

import mmap
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from render.errors import StorageError

PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""The environment variable that says how many pixels a picture may have; `render` sets it where it is no number."""
LARGEST = 2**31
"""Bytes of a picture's file."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COMMENT = b"Comment\0"
JPEG_START = b"\xff\xd8"
JPEG_SCAN, JPEG_COMMENT, JPEG_END = 0xDA, 0xFE, 0xD9
JPEG_APPLICATION = range(0xE0, 0xF0)
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""What is looked for after a segment (T.81, B.1.1): not what stands alone, nor 0xFF among pixels, which 0 follows."""
LONGEST_SEGMENT = 65533
"""Bytes of a JPEG's comment; a longer one goes into several."""
MOST_PARTS = 2**20
"""Chunks of a PNG, or segments of a JPEG."""
PNG_PIXEL = 9
"""Bytes that a pixel of a PNG unpacks to at most, with its share of the row's filter."""
AT_ONCE = 2**18
"""Bytes that are unpacked at once."""
MOST_SCANS = 100
"""Of a JPEG; progressive ones have about ten, and each is a pass over the whole picture, however short it is."""

CUT_OFF = "is cut off, its end is missing; copy it again"
DAMAGED = "is not as it was saved; copy it again"

Bytes = bytes | mmap.mmap


def most_pixels() -> int:
    """How many pixels a picture may have, or a frame of a clip."""
    return int(os.environ[PIXELS])


def read(path: Path) -> bytes:
    """The bytes of a file, of which none is waited for. Raises StorageError."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{path} is {'a folder' if path.is_dir() else 'no file'}, not a picture")
        if found.st_size > LARGEST:
            raise StorageError(f"{path} has {found.st_size} bytes; a picture has at most {LARGEST}, save it compressed")
        with path.open("rb") as file:
            return file.read(found.st_size)
    except OSError as error:
        raise StorageError(f"cannot read the picture {path}: {error.strerror}") from None


def fault(picture: bytes) -> str | None:
    """What is wrong with a PNG or JPEG that decoders learn too late, or not at all; None for what is neither."""
    if _is_png(picture, 0):
        return _png_fault(picture)
    return _jpeg_fault(picture) if picture.startswith(JPEG_START) else None


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
        chunks = islice(_png_chunks(picture, 0), MOST_PARTS)
        texts = [data for kind, data, _ in chunks if kind == b"iTXt" and data.startswith(PNG_COMMENT)]
        return texts[0].split(b"\0", 5)[-1].decode("utf-8", "replace") if texts else None
    if not picture.startswith(JPEG_START):
        return None
    segments = islice(_jpeg_segments(picture, 0), MOST_PARTS)
    found = [picture[start + 4 : end] for kind, start, end in segments if kind == JPEG_COMMENT]
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


def _png_fault(picture: bytes) -> str | None:
    """By the length and the checksum of each chunk, and by how much its pixels unpack to.

    Decoders allocate what a wrong length asks for, and unpack to its end what the picture's rows have no room for.
    """
    kind, unpacker, room = b"", zlib.decompressobj(), 0
    for kind, data, end in islice(_png_chunks(picture, 0), MOST_PARTS):
        if end > len(picture):
            return CUT_OFF
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(picture[end - 4 : end]):
            return DAMAGED
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data.ljust(8))
            room = AT_ONCE + PNG_PIXEL * width * height
        if kind == b"IDAT":
            try:
                room = _left(room, data, unpacker)
            except zlib.error:
                return DAMAGED
            if room < 0:
                return DAMAGED
    return None if kind == b"IEND" else CUT_OFF


def _left(room: int, packed: bytes, unpacker: zlib._Decompress) -> int:
    """What is left of the room, in bytes, after more is unpacked; less than nothing as soon as it is not enough."""
    for start in range(0, len(packed), AT_ONCE):
        part = packed[start : start + AT_ONCE]
        while part and room >= 0 and not unpacker.eof:
            room -= len(unpacker.decompress(part, AT_ONCE))
            part = unpacker.unconsumed_tail
    return room


def _jpeg_segments(pictures: Bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """The marker, start and end of each segment of the JPEG that begins at `start`, its end's marker last.

    Of a scan it is the header; what follows, up to the next segment, are pixels.
    """
    position, kind = start + len(JPEG_START), 0
    while kind != JPEG_END and (found := _JPEG_MARKER.search(pictures, position)):
        kind, begin = found[1][0], found.end() - 2
        length = 0 if kind == JPEG_END else int.from_bytes(pictures[begin + 2 : begin + 4])
        position = begin + 2 + length
        yield kind, begin, position


def _jpeg_end(pictures: Bytes, start: int) -> int:
    *_, (kind, _, end) = _jpeg_segments(pictures, start)
    return end if kind == JPEG_END else len(pictures)


def _jpeg_fault(picture: bytes) -> str | None:
    kinds = [kind for kind, _, _ in islice(_jpeg_segments(picture, 0), MOST_PARTS)]
    if kinds.count(JPEG_SCAN) > MOST_SCANS:
        return f"has more than {MOST_SCANS} scans; save it again as PNG or JPEG"
    return None if kinds[-1:] == [JPEG_END] else CUT_OFF
