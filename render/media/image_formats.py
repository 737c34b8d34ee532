"""Reads the header of each format of pictures; the first bytes decide which one it is."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from itertools import islice

import numpy as np

from render.media import image_boxes, image_tiff
from render.media.image_bytes import (
    JPEG_SCAN,
    JPEG_START,
    MAX_PARTS,
    PNG_SIGNATURE,
    ImageError,
    jpeg_segments,
    png_chunks,
)
from render.media.image_color import ColorSpace, coded_space, gamma_space, linear_space
from render.media.image_header import ImageHeader
from render.media.image_tiff import Directory, exif_orientation

MAX_PROFILE = 2**24
"""Bytes of an ICC profile that are decompressed at most."""
MAX_TEXT = 2**16
"""Bytes of a header of text that are read at most."""
PNG_APPLIED = frozenset((b"iCCP", b"gAMA", b"cHRM", b"cICP", b"sRGB", b"eXIf"))
"""Chunks of a PNG that are applied here."""
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_EXIF, JPEG_PROFILE = 0xE1, 0xE2
EXIF_MARK, PROFILE_MARK = b"Exif\0\0", b"ICC_PROFILE\0"
NETPBM_TEXT, PAM = (b"P1", b"P2", b"P3"), b"P7"
TIFF_PHOTOMETRICS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
"""Interpretations of a TIFF's samples that are read (TIFF 6.0, 8)."""
WHITE_IS_ZERO, CMYK = 0, 5
REDUCED, MASK = 1, 4
"""Flags of a TIFF directory that holds no page of its own."""
MAX_PAGES = 16
"""Directories of a TIFF that are read at most."""
UNSIGNED, FLOAT = 1, 3
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2


def read_header(data: bytes) -> ImageHeader | None:
    """Reads the header of a picture; None for other data, and where the header is damaged.

    Raises ImageError for a picture that cannot be read rightly.
    """
    for is_format, read in FORMATS:
        if is_format(data):
            try:
                return read(data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def _png(data: bytes) -> ImageHeader:
    chunks: dict[bytes, bytes] = {}
    for kind, content, _ in islice(png_chunks(data, 0), MAX_PARTS):
        if kind != b"IDAT":
            chunks.setdefault(kind, content)
    width, height = struct.unpack_from(">II", chunks[b"IHDR"]) if b"IHDR" in chunks else (0, 0)
    profile, space = _png_colors(chunks)
    orientation = exif_orientation(chunks.get(b"eXIf"))
    stripped = None if PNG_APPLIED.isdisjoint(chunks) else _without(data, PNG_APPLIED)
    return ImageHeader((width, height), orientation=orientation, profile=profile, space=space, data=stripped)


def _without(data: bytes, kinds: frozenset[bytes]) -> bytes:
    """Returns a PNG without some kinds of chunks, of which libpng would print warnings."""
    chunks = islice(png_chunks(data, 0), MAX_PARTS)
    kept = (data[end - 12 - len(content) : end] for kind, content, end in chunks if kind not in kinds)
    return PNG_SIGNATURE + b"".join(kept)


def _png_colors(chunks: dict[bytes, bytes]) -> tuple[bytes | None, ColorSpace | None]:
    """Returns the ICC profile or the colour space, by the precedence of the PNG specification (4.3)."""
    if b"cICP" in chunks:
        primaries, transfer, matrix, is_full = struct.unpack_from("4B", chunks[b"cICP"])
        if matrix != 0 or is_full != 1:
            raise ImageError("stores a video's range or YCbCr, which is not read; save it as RGB of full range")
        return None, coded_space(primaries, transfer)
    if b"iCCP" in chunks:
        _, _, compressed = chunks[b"iCCP"].partition(b"\0")
        try:
            return zlib.decompressobj().decompress(compressed[1:], MAX_PROFILE), None
        except zlib.error:
            raise ImageError("has a damaged colour profile; save it again as sRGB") from None
    if b"sRGB" in chunks or not {b"gAMA", b"cHRM"} & set(chunks):
        return None, None
    gamma = struct.unpack_from(">I", chunks[b"gAMA"])[0] / 100_000 if b"gAMA" in chunks else None
    points = [value / 100_000 for value in struct.unpack_from(">8I", chunks[b"cHRM"])] if b"cHRM" in chunks else None
    return None, gamma_space(gamma, points)


def _jpeg(data: bytes) -> ImageHeader:
    size, components, exif = (0, 0), 3, None
    parts: dict[int, bytes] = {}
    for kind, start, end in islice(jpeg_segments(data, 0), MAX_PARTS):
        content = data[start + 4 : end]
        if kind in JPEG_FRAMES:
            depth, height, width, components = struct.unpack_from(">BHHB", content)
            size = (width, height)
            if depth != 8:
                raise ImageError(f"is a JPEG of {depth} bits, which is not read; save it as 16-bit PNG")
        if kind == JPEG_EXIF and content.startswith(EXIF_MARK) and exif is None:
            exif = content[len(EXIF_MARK) :]
        if kind == JPEG_PROFILE and content.startswith(PROFILE_MARK):
            parts[content[len(PROFILE_MARK)]] = content[len(PROFILE_MARK) + 2 :]
        if kind == JPEG_SCAN:
            break
    profile = b"".join(parts[number] for number in sorted(parts)) or None
    is_cmyk = components == 4
    return ImageHeader(
        size,
        orientation=exif_orientation(exif),
        profile=profile,
        decoder="pillow" if is_cmyk else "color",
        is_cmyk=is_cmyk,
    )


def _webp(data: bytes) -> ImageHeader:
    chunks: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data) and len(chunks) < MAX_PAGES:
        kind, length = struct.unpack_from("<4sI", data, position)
        chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    if b"VP8X" in chunks:
        header = chunks[b"VP8X"]
        size = (int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1)
    elif b"VP8L" in chunks:
        bits = int.from_bytes(chunks[b"VP8L"][1:5], "little")
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    else:
        width, height = struct.unpack_from("<HH", chunks.get(b"VP8 ", b""), 6)
        size = (width & 0x3FFF, height & 0x3FFF)
    exif = chunks.get(b"EXIF", b"").removeprefix(EXIF_MARK)
    return ImageHeader(size, orientation=exif_orientation(exif), profile=chunks.get(b"ICCP"))


def _bmp(data: bytes) -> ImageHeader:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_bytes == 12 else "<ii", data, 18)
    profile = None
    if header_bytes >= 124 and data[70:74] in (b"DEBM", b"MBED"):
        offset, length = struct.unpack_from("<II", data, 14 + 112)
        profile = data[14 + offset : 14 + offset + length]
    return ImageHeader((width, abs(height)), profile=profile)


def _gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader((width, height))


def _sun_raster(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 4)
    return ImageHeader((width, height))


def _radiance(data: bytes) -> ImageHeader:
    text = data[:MAX_TEXT]
    header, _, rest = text.partition(b"\n\n")
    if b"xyze" in header:
        raise ImageError("stores XYZ colours, which are not read; save it as RGBE")
    resolution = re.match(rb"([-+][XY]) +(\d+) +([-+][XY]) +(\d+)", rest)
    if resolution is None:
        raise ValueError
    if (resolution[1], resolution[3]) != (b"-Y", b"+X"):
        raise ImageError("stores its rows in another order than from top to bottom; save it again")
    primaries = re.search(rb"^PRIMARIES=(.*)$", header, re.MULTILINE)
    space = linear_space()
    if primaries is not None:
        *colors, white_x, white_y = (float(number) for number in primaries[1].split())
        space = gamma_space(1.0, [white_x, white_y, *colors])
    return ImageHeader((int(resolution[4]), int(resolution[2])), space=space)


def _float_map(data: bytes) -> ImageHeader:
    _, width, height, *_ = data[:MAX_TEXT].split(maxsplit=3)
    return ImageHeader((int(width), int(height)), space=linear_space())


def _netpbm(data: bytes) -> ImageHeader:
    """Reads the header of PBM, PGM or PPM; OpenCV returns the samples up to 255 of text scaled and truncated."""
    tokens = re.finditer(rb"#[^\n]*|(\d+)", data[2:MAX_TEXT])
    numbers = [*islice((token for token in tokens if token[1]), 3)]
    width, height = (int(token[1]) for token in numbers[:2])
    if data[:2] in (b"P1", b"P4"):
        return ImageHeader((width, height))
    white = int(numbers[2][1])
    if not 0 < white < 65536:
        raise ValueError
    if data[:2] in NETPBM_TEXT and white != 255:
        start, end = (2 + position for position in numbers[2].span(1))
        return ImageHeader((width, height), white=white, data=data[:start] + b"65535" + data[end:])
    return ImageHeader((width, height), white=white)


def _pam(data: bytes) -> ImageHeader:
    """Reads the header of a PAM, which OpenCV does not read in all its kinds, but without alpha as PGM or PPM."""
    header, mark, _ = data[:MAX_TEXT].partition(b"\nENDHDR\n")
    fields = {line.split()[0]: line.split()[1] for line in header.splitlines() if len(line.split()) == 2}
    width, height, depth, white = (int(fields.get(name, b"")) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    if not (0 < white < 65536 and depth in range(1, 5)):
        raise ValueError
    kind, colors = (b"P5", 1) if depth < 3 else (b"P6", 3)
    sample_bytes = 1 if white < 256 else 2
    start, count = len(header) + len(mark), width * height
    if start + count * depth * sample_bytes > len(data):
        return ImageHeader((width, height), white=white, data=kind)  # has too many pixels, or is truncated
    samples = np.frombuffer(data, f"u{sample_bytes}", count * depth, start).reshape(count, depth)[:, :colors]
    return ImageHeader(
        (width, height), white=white, data=b"%b %d %d %d\n" % (kind, width, height, white) + samples.tobytes()
    )


def _tiff(data: bytes) -> ImageHeader:
    directories = image_tiff.read_directories(data, MAX_PAGES)
    page = directories[0]
    if page.number(image_tiff.SUBFILE, 0) & REDUCED:
        raise ImageError("begins with its preview, as files of cameras do; develop it to a 16-bit TIFF or PNG")
    count = sum(not directory.number(image_tiff.SUBFILE, 0) & (REDUCED | MASK) for directory in directories)
    if count > 1:
        raise ImageError("has several pages; save the one that you mean as a file of its own")
    width, height = page.number(image_tiff.WIDTH, 0), page.number(image_tiff.HEIGHT, 0)
    if page.number(image_tiff.ORIENTATION, 1) >= 5:  # libtiff and Pillow turn the picture
        width, height = height, width
    return _tiff_samples(page, (width, height))


def _tiff_samples(page: Directory, size: tuple[int, int]) -> ImageHeader:
    """Returns the header of a page, by its samples. Raises ImageError for those that are not read."""
    photometric, bits = page.number(image_tiff.PHOTOMETRIC, 1), set(page.tags.get(image_tiff.BITS, (1,)))
    samples, kind = page.number(image_tiff.SAMPLES, 1), page.number(image_tiff.SAMPLE_FORMAT, UNSIGNED)
    extra = page.tags.get(image_tiff.EXTRA_SAMPLES, ())
    if photometric not in TIFF_PHOTOMETRICS:
        raise ImageError(f"stores its colours as TIFF's kind {photometric}, which is not read; save it as RGB")
    depth = max(bits)
    is_deep, is_cmyk = depth > 8, photometric == CMYK
    name = f"{depth}-bit {'float' if kind == FLOAT else 'integer'}"
    readable = {UNSIGNED: (1, 2, 4, 8, 16, 32), FLOAT: (32, 64)}.get(kind, ())
    if len(bits) > 1 or depth not in readable:
        raise ImageError(f"has TIFF samples of {name}, which are not read; save them as 16-bit or 32-bit float")
    if is_deep and TIFF_PHOTOMETRICS[photometric] in ("palette", "YCbCr"):
        name = TIFF_PHOTOMETRICS[photometric]
        raise ImageError(f"has {depth}-bit {name} samples, which are not read; save it as RGB")
    if is_cmyk and samples != 4:
        raise ImageError("has CMYK with further channels, which is not read; save it as RGB")
    has_grey_alpha = samples == 2
    is_planar = page.number(image_tiff.PLANAR, 1) == 2 and samples > 1
    if is_deep and not is_cmyk and (is_planar or has_grey_alpha):
        what = "separate planes" if is_planar else "grey with alpha"
        raise ImageError(f"has {name} samples in {what}, which is not read; save it as RGB, interleaved")
    has_alpha = any(code in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA) for code in extra[:1])
    return ImageHeader(
        size,
        profile=page.profile,
        space=linear_space() if kind == FLOAT and page.profile is None else None,
        decoder="pillow" if is_cmyk or (has_alpha and not is_deep) else "unchanged" if is_deep else "color",
        is_cmyk=is_cmyk,
        is_premultiplied=is_deep and extra[:1] == (ASSOCIATED_ALPHA,),  # Pillow divides by it
        is_inverted=is_deep and photometric == WHITE_IS_ZERO,
    )


def _refused(name: str, remedy: str = "PNG or JPEG") -> Callable[[bytes], ImageHeader]:
    def refuse(data: bytes) -> ImageHeader:
        raise ImageError(f"is {name}, which is not read; save it as {remedy}")

    return refuse


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(marks)


FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], ImageHeader]], ...] = (
    (_begins(PNG_SIGNATURE), _png),
    (_begins(JPEG_START), _jpeg),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (image_tiff.is_tiff, _tiff),
    (image_boxes.is_avif, image_boxes.read_avif),
    (_begins(image_boxes.JP2_SIGNATURE, image_boxes.CODESTREAM), image_boxes.read_jp2),
    (_begins(b"BM"), _bmp),
    (_begins(b"GIF8"), _gif),
    (_begins(b"\x59\xa6\x6a\x95"), _sun_raster),
    (_begins(b"#?RADIANCE", b"#?RGBE"), _radiance),
    (_begins(b"PF", b"Pf"), _float_map),
    (_begins(PAM), _pam),
    (_begins(*(b"P%d" % number for number in range(1, 7))), _netpbm),
    (image_boxes.is_heic, _refused("a HEIC picture")),
    (_begins(b"\xff\x0a", b"\0\0\0\x0cJXL "), _refused("a JPEG XL picture")),
    (_begins(b"\x76\x2f\x31\x01"), _refused("an OpenEXR picture", "TIFF of 32-bit float")),
    (_begins(b"8BPS"), _refused("a Photoshop document")),
)
"""Of each format, whether data is of it, and what reads its header."""
