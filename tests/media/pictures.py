"""Pictures made byte by byte, and colour profiles, for tests of the reader."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""HxWxC."""
D50 = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
SRGB_D50 = np.array(
    [[0.436066, 0.385147, 0.143066], [0.222488, 0.716873, 0.060608], [0.013916, 0.097076, 0.714096]], np.float64
)
"""From linear sRGB to XYZ, as in the profiles of the ICC."""
P3_D50 = np.array([[0.515102, 0.291965, 0.157153], [0.241182, 0.692236, 0.066582], [-0.001050, 0.041882, 0.784378]])
ADOBE_D50 = np.array([[0.609741, 0.205276, 0.149185], [0.311111, 0.625671, 0.063217], [0.019470, 0.060867, 0.744568]])
EXIF_TURNS: dict[int, Callable[[Samples], Samples]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: np.swapaxes(p, 0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(np.swapaxes(p, 0, 1), 2),
    8: lambda p: np.rot90(p, 1),
}
"""From EXIF's orientation to what turns the stored picture upright."""


def srgb(linear: Samples) -> Samples:
    """Linear light as sRGB, in float64."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def from_srgb(encoded: Samples) -> Samples:
    """SRGB as linear light, in float64."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Samples, columns: Samples) -> Samples:
    """Linear light of primaries (XYZ adapted to D50) as sRGB."""
    return srgb(linear @ (np.linalg.inv(SRGB_D50) @ columns).T)


def icc(colors: bytes, tags: Mapping[bytes, bytes], *, connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04, 6)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + D50, **tags}
    offset, table, content = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, offset + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">II4s8s4s12x4s28x", offset + len(content), 0, b"\2\x40\0\0", kind + colors, connection, b"acsp"
    )
    return header.ljust(68, b"\0") + D50 + bytes(48) + struct.pack(">I", len(tags)) + table + content


def matrix_icc(columns: Samples, curve: bytes) -> bytes:
    """A profile of RGB with one curve."""
    points = {f"{name}XYZ".encode(): columns[:, i] for i, name in enumerate("rgb")}
    tags = {name: b"XYZ \0\0\0\0" + np.rint(65536 * xyz).astype(">i4").tobytes() for name, xyz in points.items()}
    return icc(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def gamma_curve(gamma: float) -> bytes:
    """A power."""
    return struct.pack(">4s4xIH", b"curv", 1, round(256 * gamma))


def table_curve(values: Samples) -> bytes:
    """Values at equal steps."""
    points: bytes = np.rint(65535 * values).astype(">u2").tobytes()
    return struct.pack(">4s4xI", b"curv", len(values)) + points


SRGB_CURVE = struct.pack(
    ">4s4xHxx5i", b"para", 3, *(round(65536 * n) for n in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
P3 = matrix_icc(P3_D50, SRGB_CURVE)
ADOBE = matrix_icc(ADOBE_D50, gamma_curve(2.19921875))


def exif(orientation: int) -> bytes:
    """An EXIF block with an orientation, without its mark."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHxxI", 0x0112, 3, 1, orientation, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: Samples, chunks: Mapping[bytes, bytes]) -> bytes:
    """A PNG of 8 or 16 bits, with further chunks before its pixels."""
    height, width, channels = samples.shape
    depth, kind = 8 * samples.dtype.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = samples.astype(f">u{samples.dtype.itemsize}").tobytes()
    length = len(rows) // height
    pixels = b"".join(b"\0" + rows[i : i + length] for i in range(0, len(rows), length))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), *chunks.items()]
    parts += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def png_profile(profile: bytes) -> bytes:
    """The content of an iCCP chunk."""
    return b"name\0\0" + zlib.compress(profile)
