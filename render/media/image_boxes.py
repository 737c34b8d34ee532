"""The boxes of AVIF (ISO 23008-12) and JPEG 2000 (ISO 15444-1, I) files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

import numpy as np

from render.media.image_bytes import ImageError
from render.media.image_color import UNSPECIFIED, ColorSpace, coded_space
from render.media.image_header import ImageHeader, oriented

Box = tuple[bytes, bytes]
"""Type and content."""
MAX_BOXES = 2**12
JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
JP2_COLORS = {16: "sRGB", 17: "grey", 18: "sYCC"}
"""Enumerated colour spaces that are read (ISO 15444-1, table I.10)."""
JP2_PROFILES = (2, 3)
"""Methods of a colour specification that hold an ICC profile."""


def is_avif(data: bytes) -> bool:
    """Whether the data begins as an AVIF."""
    return data[4:8] == b"ftyp" and not {b"avif", b"avis"}.isdisjoint(_brands(data))


def is_heic(data: bytes) -> bool:
    """Whether the data begins as another picture of the HEIF family."""
    return data[4:8] == b"ftyp" and not {b"heic", b"heix", b"mif1", b"msf1"}.isdisjoint(_brands(data))


def read_avif(data: bytes) -> ImageHeader:
    """Reads the header of an AVIF's primary picture. Raises ImageError or struct.error."""
    meta = _child(_boxes(data), b"meta")[4:]
    properties = [*_boxes(_child(_boxes(_child(_boxes(meta), b"iprp")), b"ipco"))]
    items = _associations(_child(_boxes(_child(_boxes(meta), b"iprp")), b"ipma"), properties)
    primary_item = _child(_boxes(meta), b"pitm")
    (primary,) = struct.unpack_from(">I" if primary_item[0] else ">H", primary_item, 4)
    own = items.get(primary, [])
    width, height = struct.unpack_from(">II", _child(own, b"ispe"), 4)
    coding = next((box[1] for box in (*own, *properties) if box[0] == b"av1C"), b"")
    if len(coding) < 4:
        raise struct.error("no av1C")
    depth = (12 if coding[2] & 0x20 else 10) if coding[2] & 0x40 else 8
    has_alpha = any(kind == b"auxC" and b"alpha" in content for kind, content in properties)
    is_grey_alpha = bool(coding[2] & 0x10) and has_alpha
    if is_grey_alpha and depth > 8:
        raise ImageError(f"is a grey AVIF of {depth} bits with alpha, which is not read; save it as 16-bit PNG")
    _check_aperture(own, (width, height))
    profile, space = _avif_colors(own)
    return ImageHeader(
        size=(width, height),
        white=None if depth == 8 else 2**depth - 1,
        orientation=_orientation(own),
        profile=profile,
        space=space,
        decoder="pillow" if is_grey_alpha else "unchanged",
    )


def read_jp2(data: bytes) -> ImageHeader:
    """Reads the header of a JPEG 2000 file or codestream. Raises ImageError or struct.error."""
    profile: bytes | None = None
    palette_depth = None
    if data.startswith(JP2_SIGNATURE):
        boxes = [*_boxes(_child(_boxes(data), b"jp2h"))]
        profile = _jp2_profile(boxes)
        palette = next((content for kind, content in boxes if kind == b"pclr"), None)
        palette_depth = None if palette is None else (palette[3] & 0x7F) + 1
    start = data.find(CODESTREAM)
    if start < 0:
        raise struct.error("no codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    (count,) = struct.unpack_from(">H", data, start + 40)
    samples = {data[start + 42 + 3 * i] for i in range(count)}
    if len(samples) != 1 or min(samples) & 0x80:
        raise ImageError("has channels of different depths, or signed ones, which is not read; save it as 16-bit PNG")
    depth = palette_depth or samples.pop() + 1
    if not 8 <= depth <= 16 or (count == 2 and depth > 8):  # Pillow reads grey with alpha, at 8 bits
        channels = "grey with alpha" if count == 2 else "a channel"
        raise ImageError(f"has {depth} bits {channels}, which is not read; save it as 16-bit PNG")
    return ImageHeader(
        size=(right - left, bottom - top),
        white=2**depth - 1,
        profile=profile,
        decoder="pillow" if count == 2 else "color",
    )


def _brands(data: bytes) -> set[bytes]:
    size = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12], *(data[i : i + 4] for i in range(16, size, 4))}


def _boxes(data: bytes) -> Iterator[Box]:
    """Yields the boxes of a file or box. Raises struct.error when one is cut."""
    position = 0
    for _ in range(MAX_BOXES):
        if position + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        end = position + size if size else len(data)
        if end < position + header:
            raise struct.error("box smaller than its header")
        yield kind, data[position + header : end]
        position = end


def _child(boxes: Iterator[Box] | list[Box], kind: bytes) -> bytes:
    content = next((content for name, content in boxes if name == kind), None)
    if content is None:
        raise struct.error(f"no box {kind!r}")
    return content


def _associations(ipma: bytes, properties: list[Box]) -> dict[int, list[Box]]:
    """Returns the properties of each item, in the order in which they are applied (ISO 23008-12, 9.3.1)."""
    version, flags = ipma[0], int.from_bytes(ipma[1:4], "big")
    (count,) = struct.unpack_from(">I", ipma, 4)
    position, items = 8, {}
    for _ in range(min(count, MAX_BOXES)):
        item, length = struct.unpack_from(">IB" if version else ">HB", ipma, position)
        position += 5 if version else 3
        code, mask = (">H", 0x7FFF) if flags & 1 else (">B", 0x7F)
        indices = [
            struct.unpack_from(code, ipma, position + i * struct.calcsize(code))[0] & mask for i in range(length)
        ]
        position += length * struct.calcsize(code)
        items[item] = [properties[i - 1] for i in indices if 0 < i <= len(properties)]
    return items


def _orientation(properties: list[Box]) -> int:
    """Returns EXIF's orientation for the turns and reflections (ISO 23008-12, 6.5.10 and 6.5.12)."""
    picture = original = np.arange(4).reshape(2, 2)
    for kind, content in properties:
        if kind == b"irot":
            picture = np.rot90(picture, content[0] & 3)
        if kind == b"imir":
            picture = picture[:, ::-1] if content[0] & 1 else picture[::-1]
    return next(i for i in range(1, 9) if np.array_equal(oriented(original, i), picture))


def _check_aperture(properties: list[Box], size: tuple[int, int]) -> None:
    """Raises ImageError for a clean aperture that crops the picture."""
    for content in (content for kind, content in properties if kind == b"clap"):
        width, width_divisor, height, height_divisor = struct.unpack_from(">4I", content)
        if (width, height) != (size[0] * width_divisor, size[1] * height_divisor):
            raise ImageError("is cropped by its clean aperture, which is not read; save it as PNG")


def _avif_colors(properties: list[Box]) -> tuple[bytes | None, ColorSpace | None]:
    """Returns the ICC profile, or the colour space of the code points where there is none. Raises ImageError."""
    colors = [content for kind, content in properties if kind == b"colr"]
    profile = next((content[4:] for content in colors if content[:4] in (b"prof", b"rICC")), None)
    codes = next((content for content in colors if content[:4] == b"nclx"), None)
    if profile is not None or codes is None:
        return profile, None
    primaries, transfer = struct.unpack_from(">HH", codes, 4)
    return None, coded_space(primaries or UNSPECIFIED, transfer or UNSPECIFIED)


def _jp2_profile(boxes: list[Box]) -> bytes | None:
    """Returns the ICC profile. Raises ImageError for colours that are neither sRGB, grey, sYCC nor of a profile."""
    for content in islice((content for kind, content in boxes if kind == b"colr"), 1):
        if content[0] in JP2_PROFILES:
            return content[3:]
        (color,) = struct.unpack_from(">I", content, 3)
        if content[0] == 1 and color not in JP2_COLORS:
            raise ImageError(f"has the JPEG 2000 colour space {color}, which is not read; save it as sRGB")
    return None
