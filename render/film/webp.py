"""Animated WebP files, made of still ones (WebP container specification, developers.google.com/speed/webp)."""

from __future__ import annotations

import hashlib
import html
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, islice
from pathlib import Path
from typing import IO, Any

from render.errors import StorageError
from render.film.atomic import storage_errors
from render.film.content import film_content, frame_ticks
from render.system.files import open_regular

TICKS = 1000
"""Ticks per second of a frame's duration."""
ANIMATION, XMP = 0x02, 0x04
"""Flags of the chunk VP8X: the file is animated, and has metadata."""
NO_BLENDING = 0x02
"""Flag of a frame: it replaces the canvas."""
FRAME_HEADER = 16
"""Bytes of a frame's chunk before its picture."""
MAX_FILE = 2**32 - 10
"""Bytes of a file; its size is a number of 32 bits."""
MAX_CHUNKS = 2**20
"""Chunks that are searched for a comment."""
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/"><exif:UserComment>{}</exif:UserComment>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
"""An XMP packet (ISO 16684-1) with a comment."""
_COMMENT = re.compile(r"<exif:UserComment>(.*?)</exif:UserComment>", re.DOTALL)


def read_comment(path: Path, *, limit: int) -> str | None:
    """Returns the comment of a WebP, of at most `limit` bytes; None when there is none.

    Raises StorageError when the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            for kind, size in islice(_chunks(file), MAX_CHUNKS):
                if kind == b"XMP " and size <= limit:
                    match = _COMMENT.search(file.read(size).decode("utf-8", "replace"))
                    return html.unescape(match[1]) if match else None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    return None


def write_animation(
    segments: Sequence[Path], target: Path, *, size: tuple[int, int], fps: Fraction, comment: str
) -> None:
    """Writes the frames of segments, or of animations, as one that repeats for ever. Raises StorageError."""
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    with storage_errors(target), target.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        file.write(_chunk(b"VP8X", bytes([ANIMATION | XMP, 0, 0, 0]) + width + height))
        file.write(_chunk(b"ANIM", bytes(6)))  # a black background, and no last repetition
        for index, (_, picture) in enumerate(_frames(segments)):
            ticks = frame_ticks(index + 1, fps, TICKS) - frame_ticks(index, fps, TICKS)
            head = bytes(6) + width + height + struct.pack("<I", ticks)[:3] + bytes([NO_BLENDING])
            file.write(_chunk(b"ANMF", head + picture))
        file.write(_chunk(b"XMP ", PACKET.format(html.escape(comment, quote=False)).encode()))
        length = file.tell()
        if length > MAX_FILE:
            raise StorageError(f"{target} would have {length} bytes, a .webp has at most {MAX_FILE}; shorten the film")
        file.seek(4)
        file.write(struct.pack("<I", length - 8))


def segments_content(segments: Sequence[Path], fps: Fraction) -> dict[str, Any]:
    """Returns the content of the animation that segments will be. Raises StorageError."""
    frames = [hashlib.sha256(picture).digest() for _, picture in _frames(segments)]
    times = [Fraction(frame_ticks(index, fps, TICKS), TICKS) for index in range(len(frames) + 1)]
    return _content(frames, times, fps)


def read_content(path: Path, fps: Fraction | None) -> dict[str, Any]:
    """Returns the content of an animation of this rate, as `content.read_content`. Raises StorageError."""
    frames = [(ticks, hashlib.sha256(picture).digest()) for ticks, picture in _frames([path])]
    times = [Fraction(ticks, TICKS) for ticks in accumulate([0, *(ticks for ticks, _ in frames)])]
    return _content([checksum for _, checksum in frames], times, fps)


def _content(frames: Sequence[bytes], times: Sequence[Fraction], fps: Fraction | None) -> dict[str, Any]:
    video = hashlib.sha256(b"".join(frames)).hexdigest()
    return film_content(len(frames), times, tick=Fraction(1, TICKS), fps=fps, video=video)


def _frames(files: Iterable[Path]) -> Iterator[tuple[int, bytes]]:
    """Yields the ticks, 0 for a still, and the chunk of the picture of each frame of animations and streams of stills.

    Raises StorageError for a file that is truncated.
    """
    for path in files:
        with storage_errors(path), path.open("rb") as file:
            for kind, size in _chunks(file):
                if kind not in (b"ANMF", b"VP8 "):
                    continue
                data = file.read(size)
                if len(data) < size:
                    raise StorageError(f"{path} is truncated")
                if kind == b"ANMF":
                    yield int.from_bytes(data[12:15], "little"), data[FRAME_HEADER:]
                else:
                    yield 0, _chunk(kind, data)


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yields the kind and size of each chunk of a file, or of a stream of several; the file is then at its data."""
    position = 0
    while len(head := file.read(8)) == 8:
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"RIFF":
            if file.read(4) != b"WEBP":
                return
            position += 12
            continue
        position += 8
        yield kind, size
        position += size + size % 2
        file.seek(position)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
