"""Colour spaces of pictures: code points, gamma and chromaticities, and ICC profiles, converted to sRGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from render.media.image_bytes import ImageError

FloatArray = NDArray[np.float32]
Matrix = NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]
"""From encoded values to linear light, each in [0, 1]."""

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316)),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""Chromaticities x, y of red, green, blue and white (ITU-T H.273, table 2)."""
UNSPECIFIED = 2
DISPLAY_TRANSFERS = frozenset({1, UNSPECIFIED, 6, 13, 14, 15})
"""sRGB, and the curves of cameras for displays of about the same gamma, which browsers and players take for sRGB."""
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
SRGB_GAMMA = 1 / 2.2
GAMMA_TOLERANCE = 0.005
"""A PNG's gamma that is this near to 1/2.2 stands for the sRGB curve (PNG specification, 11.3.2.2 and annex C.1)."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ROWS = 64
"""Rows that are converted at once."""
MAX_TAGS = 256
"""Tags of an ICC profile that are read at most."""
PARAMETRIC_LENGTHS = (1, 3, 4, 5, 7)
"""Parameters of the parametric curves (ICC.1:2022, table 68)."""


@dataclass(frozen=True)
class ColorSpace:
    """An additive colour space: one curve a channel to linear light, and the matrix from there to linear sRGB."""

    curves: tuple[Curve, Curve, Curve]
    matrix: Matrix

    def convert(self, values: FloatArray) -> None:
        """Converts HxWx3 encoded values in [0, 1] to sRGB in [0, 1], in place."""
        matrix = self.matrix.astype(np.float32).T
        with np.errstate(all="ignore"):  # a damaged profile's numbers; srgb_encode makes black of what is no number
            for start in range(0, len(values), ROWS):
                rows = values[start : start + ROWS]
                linear = np.stack([curve(rows[..., i]) for i, curve in enumerate(self.curves)], axis=-1)
                rows[:] = srgb_encode(linear @ matrix)

    def is_srgb(self) -> bool:
        """Whether no colour differs from the same values in sRGB by more than one of 255 levels."""
        levels = np.linspace(0, 1, 18, dtype=np.float32)
        colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        greys = np.repeat(np.linspace(0, 1, 256, dtype=np.float32), 3).reshape(1, -1, 3)
        before = np.concatenate([colors, greys], axis=1)
        after = before.copy()
        self.convert(after)
        return bool(np.abs(after - before).max() <= 1 / 255)


def srgb_encode(linear: FloatArray) -> FloatArray:
    """Encodes linear light, clipped to [0, 1], as sRGB (IEC 61966-2-1); NaN is black."""
    linear = np.fmin(np.fmax(linear, 0), 1)
    power = 1 - 1.055 * (1 - linear ** np.float32(1 / 2.4))  # 1 of 1, exactly
    return np.where(linear <= 0.0031308, 12.92 * linear, power)


def srgb_decode(encoded: FloatArray) -> FloatArray:
    """Decodes sRGB to linear light."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** np.float32(2.4))


def _power(gamma: float, encoded: FloatArray) -> FloatArray:
    return np.asarray(encoded ** np.float32(gamma))


def linear_space() -> ColorSpace:
    """Linear light with the primaries of sRGB."""
    return _additive(partial(_power, 1.0), np.identity(3))


def coded_space(primaries: int, transfer: int) -> ColorSpace:
    """Returns the colour space of two code points of ITU-T H.273. Raises ImageError."""
    if transfer in HDR_TRANSFERS:
        name = HDR_TRANSFERS[transfer]
        raise ImageError(f"has high dynamic range ({name}), which is not tone-mapped; save it as sRGB")
    if transfer not in DISPLAY_TRANSFERS and transfer not in GAMMAS:
        raise ImageError(f"has the transfer function {transfer} of H.273, which is not read; save it as sRGB")
    if primaries not in PRIMARIES and primaries != UNSPECIFIED:
        raise ImageError(f"has the colour primaries {primaries} of H.273, which are not read; save it as sRGB")
    curve = partial(_power, GAMMAS[transfer]) if transfer in GAMMAS else srgb_decode
    return _additive(curve, _to_srgb(PRIMARIES.get(primaries, PRIMARIES[1])))


def gamma_space(gamma: float | None, chromaticities: Sequence[float] | None) -> ColorSpace:
    """Returns the colour space of a PNG's gAMA and cHRM: the encoding exponent, and x, y of white, red, green, blue.

    Raises ImageError for numbers that are no colours.
    """
    if gamma is not None and not 0.01 <= gamma <= 100:
        raise ImageError("has a damaged gamma; save it again as sRGB")
    is_srgb = gamma is None or abs(gamma - SRGB_GAMMA) <= GAMMA_TOLERANCE
    curve = srgb_decode if is_srgb or gamma is None else partial(_power, 1 / gamma)
    if chromaticities is None:
        return _additive(curve, np.identity(3))
    white, red, green, blue = ((x, y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True))
    return _additive(curve, _to_srgb((red, green, blue, white)))


def _additive(curve: Curve, matrix: Matrix) -> ColorSpace:
    return ColorSpace((curve, curve, curve), matrix)


def _xyz(point: tuple[float, float]) -> Matrix:
    """Returns X, Y, Z of a chromaticity at luminance 1. Raises ImageError."""
    if not 0 < point[1] <= 1 or not -1 <= point[0] <= 2:
        raise ImageError("has damaged chromaticities; save it again as sRGB")
    return np.array([point[0] / point[1], 1.0, (1 - point[0] - point[1]) / point[1]])


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> Matrix:
    """Returns the Bradford adaptation between two whites."""
    ratio = (BRADFORD @ _xyz(target)) / (BRADFORD @ _xyz(source))
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(ratio) @ BRADFORD)


def _to_xyz(primaries: Sequence[tuple[float, float]], white: tuple[float, float]) -> Matrix:
    """Returns the matrix from linear RGB to XYZ, adapted to a white. Raises ImageError."""
    *colors, own_white = primaries
    columns = np.stack([_xyz(point) for point in colors], axis=1)
    try:
        scale = np.linalg.solve(columns, _xyz(own_white))
    except np.linalg.LinAlgError:
        raise ImageError("has damaged chromaticities; save it again as sRGB") from None
    return np.asarray(_adaptation(own_white, white) @ columns @ np.diag(scale))


def _to_srgb(primaries: Sequence[tuple[float, float]]) -> Matrix:
    return np.asarray(np.linalg.inv(_to_xyz(PRIMARIES[1], D65)) @ _to_xyz(primaries, D65))


@dataclass(frozen=True)
class Profile:
    """An ICC profile: its bytes, its device's colours, such as `RGB` or `CMYK`, and its tags."""

    data: bytes
    colors: str
    tags: dict[bytes, bytes]

    def space(self) -> ColorSpace | None:
        """Returns the colour space of a profile of curves and a matrix; None for one of tables. Raises ImageError."""
        if self.colors not in ("RGB", "GRAY") or self.data[20:24] != b"XYZ " or self._has_tables():
            return None
        names = ("k", "k", "k") if self.colors == "GRAY" else ("r", "g", "b")
        try:
            red, green, blue = (_curve(self.tags[f"{name}TRC".encode()]) for name in names)
            if self.colors == "GRAY":
                return ColorSpace((red, green, blue), np.identity(3))
            columns = np.stack([_fixed(self.tags[f"{name}XYZ".encode()][8:20]) for name in names], axis=1)
            matrix = np.linalg.inv(_to_xyz(PRIMARIES[1], D50)) @ columns
        except (KeyError, ValueError, struct.error):
            raise ImageError("has a damaged colour profile; save it again as sRGB") from None
        return ColorSpace((red, green, blue), np.asarray(matrix, np.float64))

    def convert(self, pixels: NDArray[np.uint8], mode: str) -> NDArray[np.uint8]:
        """Converts HxW or HxWxC pixels of a Pillow mode to HxWx3 sRGB, relative colorimetric. Raises ImageError."""
        source = Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), np.ascontiguousarray(pixels).data)
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(self.data))
            result = ImageCms.profileToProfile(
                source, profile, ImageCms.createProfile("sRGB"), renderingIntent=intent, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            raise ImageError("has a colour profile that cannot be read; convert it to sRGB") from None
        return np.asarray(result)

    def _has_tables(self) -> bool:
        return any(tag[:3] in (b"A2B", b"D2B") for tag in self.tags)


def read_profile(data: bytes) -> Profile:
    """Reads an ICC profile (ICC.1:2022, 7). Raises ImageError for one that is damaged or of high dynamic range."""
    if len(data) < 132 or data[36:40] != b"acsp":
        raise ImageError("has a damaged colour profile; save it again as sRGB")
    (count,) = struct.unpack_from(">I", data, 128)
    if count > MAX_TAGS or 132 + 12 * count > len(data):
        raise ImageError("has a damaged colour profile; save it again as sRGB")
    tags: dict[bytes, bytes] = {}
    for name, offset, size in struct.iter_unpack(">4sII", data[132 : 132 + 12 * count]):
        tags[name] = data[offset : offset + size]
    transfer = tags.get(b"cicp", b"")[9:10]
    if transfer and transfer[0] in HDR_TRANSFERS:
        coded_space(1, transfer[0])  # raises
    colors = data[16:20].decode("latin-1").strip()
    if not (colors.isascii() and colors.isalnum()):
        raise ImageError("has a damaged colour profile; save it again as sRGB")
    return Profile(data, colors, tags)


def _fixed(data: bytes) -> Matrix:
    """Reads numbers of 16 bits before and 16 after the point."""
    if not data or len(data) % 4:
        raise ValueError
    return np.frombuffer(data, ">i4").astype(np.float64) / 65536


def _curve(tag: bytes) -> Curve:
    """Reads a curve (ICC.1:2022, 10.6 and 10.18). Raises ValueError or struct.error."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return partial(_power, 1.0)
        points = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            return partial(_power, int(points[0]) / 256)
        return partial(_table, np.divide(points, 65535, dtype=np.float32))
    if tag[:4] != b"para":
        raise ValueError
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind >= len(PARAMETRIC_LENGTHS):
        raise ValueError
    length = PARAMETRIC_LENGTHS[kind]
    numbers = _fixed(tag[12 : 12 + 4 * length])
    if len(numbers) != length:
        raise ValueError
    return partial(_parametric, kind, numbers.astype(np.float32))


def _table(points: FloatArray, encoded: FloatArray) -> FloatArray:
    return np.interp(encoded, np.linspace(0, 1, len(points)), points).astype(np.float32)


def _parametric(kind: int, numbers: FloatArray, encoded: FloatArray) -> FloatArray:
    """Evaluates a parametric curve; a, b, c, d, e, f are the symbols of ICC.1:2022, table 68."""
    gamma, a, b, c, d, e, f = np.pad(numbers, (0, 7 - len(numbers)))
    if kind == 0:
        return _power(gamma, encoded)
    if kind in (1, 2):
        limit, above, below = (-b / a if a else np.float32(0)), c, np.full_like(encoded, c)
    else:
        limit, above, below = d, e, c * encoded + f
    upper = np.maximum(a * encoded + b, 0) ** gamma + above
    return np.clip(np.where(encoded >= limit, upper, below), 0, 1).astype(np.float32)
