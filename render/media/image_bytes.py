"""The bytes of PNG and JPEG files: streams of several, embedded comments, and defects that decoders miss."""

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

PIXEL_LIMIT_VARIABLE = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""The environment variable with the largest number of pixels of a picture; `render` sets it if it is no integer."""
MAX_IMAGE_SIDE = 2**20
"""Pixels in a row or column of a picture, at most; OpenCV has the same limit."""
MAX_BYTES = 2**31
"""Bytes of a picture's file, at most."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COMMENT = b"Comment\0"
JPEG_START = b"\xff\xd8"
JPEG_SCAN, JPEG_COMMENT, JPEG_END = 0xDA, 0xFE, 0xD9
JPEG_APPLICATION = range(0xE0, 0xF0)
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""The marker of a segment (T.81, B.1.1): not one without length, nor 0xFF among pixels, which 0 follows."""
MAX_COMMENT_SEGMENT = 65533
"""Bytes of a JPEG comment segment; a longer comment is split."""
MAX_PARTS = 2**20
"""Chunks of a PNG, or segments of a JPEG, that are read at most."""
PNG_PIXEL = 9
"""Bytes of a pixel of a PNG at most, including its part of the row's filter byte."""
CHUNK_BYTES = 2**18
"""Bytes that are decompressed at once."""
MAX_SCANS = 100
"""Scans of a JPEG; progressive ones have about ten, and each is a pass over the whole picture, however short."""

TRUNCATED = "is truncated; copy it again"
DAMAGED = "is damaged; copy it again"

Bytes = bytes | mmap.mmap


class ImageError(Exception):
    """A picture cannot be read rightly; the message continues the name of the file, and has a remedy."""


def max_pixels() -> int:
    """Returns the largest number of pixels of a picture, or of a frame of a clip."""
    return int(os.environ[PIXEL_LIMIT_VARIABLE])


def read_bytes(path: Path) -> bytes:
    """Reads the bytes of a picture's file. Raises StorageError when it is not a regular file, or too large."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise StorageError(f"{path} is a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):
            raise StorageError(f"{path} is not a file")
        if status.st_size > MAX_BYTES:
            raise StorageError(
                f"{path} has {status.st_size} bytes; a picture has at most {MAX_BYTES}, save it compressed"
            )
        with path.open("rb") as file:
            return file.read(status.st_size)
    except OSError as error:
        raise StorageError(f"cannot read the picture {path}: {error.strerror}") from None


def find_defect(picture: bytes) -> str | None:
    """Describes a defect of a PNG or JPEG that decoders find too late, or not at all; None for other data."""
    if _is_png(picture, 0):
        return _png_defect(picture)
    return _jpeg_defect(picture) if picture.startswith(JPEG_START) else None


def split_stream(stream: Path) -> Iterator[bytes]:
    """Yields the pictures that are concatenated in a file."""
    with stream.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pictures:
        start = 0
        while start < len(pictures):
            end = _png_end(pictures, start) if _is_png(pictures, start) else _jpeg_end(pictures, start)
            yield pictures[start:end]
            start = end


def with_comment(picture: bytes, comment: str) -> bytes:
    """Embeds a comment in a picture: iTXt after a PNG's header (RFC 2083, 4.2.3.3), COM segments in a JPEG (T.81)."""
    text = comment.encode("utf-8")
    if _is_png(picture, 0):
        header = len(PNG_SIGNATURE) + 25
        data = b"iTXt" + PNG_COMMENT + b"\0\0\0\0" + text
        chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
        return picture[:header] + chunk + picture[header:]
    header = next(start for kind, start, _ in jpeg_segments(picture, 0) if kind not in JPEG_APPLICATION)
    parts = [text[i : i + MAX_COMMENT_SEGMENT] for i in range(0, len(text), MAX_COMMENT_SEGMENT)]
    segments = (struct.pack(">BBH", 0xFF, JPEG_COMMENT, len(part) + 2) + part for part in parts)
    return picture[:header] + b"".join(segments) + picture[header:]


def without_comment(picture: bytes) -> bytes:
    """Returns a picture as it was before `with_comment`."""
    if _is_png(picture, 0):
        chunks = islice(png_chunks(picture, 0), MAX_PARTS)
        spans = [(end - 12 - len(data), end) for kind, data, end in chunks if _is_png_comment(kind, data)]
    else:
        segments = islice(jpeg_segments(picture, 0), MAX_PARTS)
        spans = [(start, end) for kind, start, end in segments if kind == JPEG_COMMENT]
    for start, end in reversed(spans):
        picture = picture[:start] + picture[end:]
    return picture


def embedded_comment(picture: bytes) -> str | None:
    """Returns the comment embedded in a picture; None when there is none, and for other data."""
    if _is_png(picture, 0):
        chunks = islice(png_chunks(picture, 0), MAX_PARTS)
        texts = [data for kind, data, _ in chunks if _is_png_comment(kind, data)]
        return texts[0].split(b"\0", 5)[-1].decode("utf-8", "replace") if texts else None
    if not picture.startswith(JPEG_START):
        return None
    segments = islice(jpeg_segments(picture, 0), MAX_PARTS)
    parts = [picture[start + 4 : end] for kind, start, end in segments if kind == JPEG_COMMENT]
    return b"".join(parts).decode("utf-8", "replace") if parts else None


def _is_png(pictures: Bytes, start: int) -> bool:
    return pictures[start : start + len(PNG_SIGNATURE)] == PNG_SIGNATURE


def png_chunks(pictures: Bytes, start: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Yields the type, data and end of each chunk of the PNG at `start` (RFC 2083)."""
    position, kind = start + len(PNG_SIGNATURE), b""
    while kind != b"IEND" and position + 12 <= len(pictures):
        (length,) = struct.unpack_from(">I", pictures, position)
        kind, data = pictures[position + 4 : position + 8], pictures[position + 8 : position + 8 + length]
        position += 12 + length
        yield kind, data, position


def _is_png_comment(kind: bytes, data: bytes) -> bool:
    return kind == b"iTXt" and data.startswith(PNG_COMMENT)


def _png_end(pictures: Bytes, start: int) -> int:
    *_, (_, _, end) = png_chunks(pictures, start)
    return end


def _png_defect(picture: bytes) -> str | None:
    """Checks the length and checksum of each chunk, and the size of the decompressed pixels.

    Decoders allocate as many bytes as a wrong length says, and decompress far more than the picture's rows hold.
    """
    kind, decompressor, capacity = b"", zlib.decompressobj(), 0
    for kind, data, end in islice(png_chunks(picture, 0), MAX_PARTS):
        if end > len(picture):
            return TRUNCATED
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(picture[end - 4 : end]):
            return DAMAGED
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data.ljust(8))
            capacity = CHUNK_BYTES + PNG_PIXEL * width * height
        if kind == b"IDAT":
            try:
                capacity -= _decompressed_size(data, decompressor, limit=capacity)
            except zlib.error:
                return DAMAGED
            if capacity < 0:
                return DAMAGED
    return None if kind == b"IEND" else TRUNCATED


def _decompressed_size(data: bytes, decompressor: zlib._Decompress, *, limit: int) -> int:
    """Returns the size of the decompressed data, or a number above `limit` as soon as the size exceeds it."""
    size = 0
    for start in range(0, len(data), CHUNK_BYTES):
        part = data[start : start + CHUNK_BYTES]
        while part and size <= limit and not decompressor.eof:
            size += len(decompressor.decompress(part, CHUNK_BYTES))
            part = decompressor.unconsumed_tail
    return size


def jpeg_segments(pictures: Bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Yields the marker, start and end of each segment of the JPEG at `start`; the last one is its end marker.

    The segment of a scan is its header; the bytes between it and the next segment are pixels.
    """
    position, kind = start + len(JPEG_START), 0
    while kind != JPEG_END and (marker := _JPEG_MARKER.search(pictures, position)):
        kind, segment_start = marker[1][0], marker.start()
        length = 0 if kind == JPEG_END else int.from_bytes(pictures[segment_start + 2 : segment_start + 4])
        position = segment_start + 2 + length
        yield kind, segment_start, position


def _jpeg_end(pictures: Bytes, start: int) -> int:
    *_, (kind, _, end) = jpeg_segments(pictures, start)
    return end if kind == JPEG_END else len(pictures)


def _jpeg_defect(picture: bytes) -> str | None:
    kinds = [kind for kind, _, _ in islice(jpeg_segments(picture, 0), MAX_PARTS)]
    if kinds.count(JPEG_SCAN) > MAX_SCANS:
        return f"has more than {MAX_SCANS} scans; save it again as PNG or JPEG"
    return None if kinds[-1:] == [JPEG_END] else TRUNCATED
