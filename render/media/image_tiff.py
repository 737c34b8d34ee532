"""The tags of TIFF files and of EXIF blocks."""

from __future__ import annotations

import struct
from dataclasses import dataclass

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
"""From the types of whole numbers and bytes to their sizes (TIFF 6.0, 2; BigTIFF)."""
CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MAX_VALUES = 2**16
"""Values of a tag of numbers that are read at most."""
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION = 254, 256, 257, 258, 262, 274
SAMPLES, PLANAR, EXTRA_SAMPLES, SAMPLE_FORMAT, PROFILE = 277, 284, 338, 339, 34675
READ_TAGS = frozenset(
    (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR, EXTRA_SAMPLES, SAMPLE_FORMAT)
)


@dataclass(frozen=True)
class Directory:
    """An image file directory: its tags of whole numbers, its ICC profile, and the next directory's offset or 0."""

    tags: dict[int, tuple[int, ...]]
    profile: bytes | None
    next_offset: int

    def number(self, tag: int, default: int) -> int:
        """Returns the first number of a tag, or the default."""
        return self.tags.get(tag, (default,))[0]


def is_tiff(data: bytes) -> bool:
    """Whether the data begins as a TIFF or BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_directories(data: bytes, limit: int) -> list[Directory]:
    """Reads the first directories of a TIFF, at most `limit`. Raises struct.error when they are damaged."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    directories: list[Directory] = []
    while offset and len(directories) < limit:
        directories.append(_read_directory(data, offset, order=order, is_big=is_big))
        offset = directories[-1].next_offset
    return directories


def exif_orientation(exif: bytes | None) -> int:
    """Returns the orientation of an EXIF block, 1 to 8; 1 where it has none, or is damaged."""
    if exif is None or not is_tiff(exif):
        return 1
    try:
        directories = read_directories(exif, 1)
    except struct.error:  # an EXIF block is damaged more often than the picture, and viewers ignore it then
        return 1
    orientation = directories[0].number(ORIENTATION, 1) if directories else 1
    return orientation if orientation in range(1, 9) else 1


def _read_directory(data: bytes, offset: int, *, order: str, is_big: bool) -> Directory:
    count_code, entry_code = ("Q", "HHQ8s") if is_big else ("H", "HHI4s")
    count_bytes, entry_bytes = struct.calcsize(order + count_code), struct.calcsize(order + entry_code)
    (count,) = struct.unpack_from(order + count_code, data, offset)
    position = offset + count_bytes
    if position + count * entry_bytes > len(data):
        raise struct.error("directory beyond the end")
    tags: dict[int, tuple[int, ...]] = {}
    profile = None
    for _ in range(count):
        tag, kind, length, value = struct.unpack_from(order + entry_code, data, position)
        position += entry_bytes
        if kind not in TYPE_BYTES or (tag not in READ_TAGS and tag != PROFILE):
            continue
        size = length * TYPE_BYTES[kind]
        if size > len(value):
            (start,) = struct.unpack(order + ("Q" if is_big else "I"), value)
            value = data[start : start + size]
        if tag == PROFILE:
            profile = value[:size]
        elif kind in CODES and 0 < length <= MAX_VALUES:
            tags[tag] = struct.unpack_from(f"{order}{length}{CODES[kind]}", value)
    next_code = order + ("Q" if is_big else "I")
    end = position + struct.calcsize(next_code)
    (following,) = struct.unpack_from(next_code, data, position) if end <= len(data) else (0,)
    return Directory(tags, profile, following)
