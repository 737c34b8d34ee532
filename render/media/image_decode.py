"""Decodes a picture of any format to upright sRGB."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, TiffImagePlugin

from render.errors import StorageError
from render.media.image_bytes import (
    MAX_IMAGE_SIDE,
    PIXEL_LIMIT_VARIABLE,
    ImageError,
    find_defect,
    max_pixels,
    read_bytes,
)
from render.media.image_color import Profile, read_profile
from render.media.image_formats import read_header
from render.media.image_header import ImageHeader, oriented
from render.system.memory import is_out_of_memory
from render.system.quiet import ignored_warnings

ImageArray = NDArray[np.float32]
"""HxWx3 sRGB in [0, 1]."""
PILLOW_DECODERS = (
    JpegImagePlugin.JpegImageFile,
    TiffImagePlugin.TiffImageFile,
    AvifImagePlugin.AvifImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
)
"""Called without Image.open, whose limit on pixels is a second one."""


def read_image(path: Path) -> ImageArray:
    """Reads a picture, upright, HxWx3 sRGB in [0, 1]; alpha is dropped, NaN is black. Raises StorageError."""
    data, header = open_image(path)
    try:
        profile = None if header.profile is None else read_profile(header.profile)
        if header.is_cmyk and profile is None:
            raise ImageError("is CMYK without a colour profile; save it as RGB")
        pixels = _decode(path, header.data or data, header)
        if pixels is None or pixels.shape[1::-1] != header.size:
            raise _damaged(path)
        if header.is_cmyk and profile is not None:
            if profile.colors != "CMYK" or pixels.shape[2:] != (4,):
                raise ImageError("is CMYK with a profile for other colours; save it as RGB")
            return _upright(_to_float(profile.convert(pixels, "CMYK"), ImageHeader(header.size)), header)
        values = _to_float(pixels, header)
        _convert(values, header, profile)
    except ImageError as error:
        raise StorageError(f"{path} {error}") from None
    return _upright(values, header)


def open_image(path: Path) -> tuple[bytes, ImageHeader]:
    """Reads the bytes and the header of a picture; its pixels are not decoded. Raises StorageError."""
    data = read_bytes(path)
    defect = find_defect(data)
    if defect is not None:
        raise StorageError(f"{path} {defect}")
    try:
        header = read_header(data)
    except ImageError as error:
        raise StorageError(f"{path} {error}") from None
    if header is None or min(header.size) < 1:
        raise _damaged(path)
    if header.size[0] * header.size[1] > max_pixels() or max(header.size) > MAX_IMAGE_SIDE:
        raise _too_large(path)
    return data, header


def _decode(path: Path, data: bytes, header: ImageHeader) -> NDArray[Any] | None:
    """Decodes the stored pixels, HxWxC in the order RGB or CMYK; None for damaged data. Raises StorageError."""
    if header.decoder == "pillow":
        return _decode_by_pillow(data)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # render reports what is wrong with a picture
    try:
        # IMREAD_COLOR_RGB swaps red and blue of an AVIF with alpha, and mixes up the rows of a TIFF of 16 bits.
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if header.decoder == "unchanged" else flags
        )
    except cv2.error as error:
        if is_out_of_memory(error):
            raise
        if "CV_IO_MAX_IMAGE" in str(error):  # another module may have loaded OpenCV with its default limit
            raise _too_large(path) from None
        return None
    if pixels is None:
        return None
    pixels = np.atleast_3d(pixels)  # a grey picture has no third dimension
    if header.decoder == "color" or pixels.shape[2] < 3:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _decode_by_pillow(data: bytes) -> NDArray[Any] | None:
    with ignored_warnings():
        for decoder in PILLOW_DECODERS:
            try:
                picture = decoder(io.BytesIO(data))
                picture.load()
            except (OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, EOFError, struct.error):
                continue
            return np.atleast_3d(np.asarray(picture))
    return None


def _to_float(pixels: NDArray[Any], header: ImageHeader) -> ImageArray:
    """Returns RGB in [0, 1], without alpha."""
    white = header.white or {"u": np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1}.get(
        pixels.dtype.kind, 1
    )
    channels = pixels.shape[2]
    colors = pixels[..., :1] if channels < 3 else pixels[..., :3]
    colors = np.broadcast_to(colors, (*pixels.shape[:2], 3))
    with np.errstate(over="ignore"):  # float64 values beyond float32 are white
        values: ImageArray = np.divide(colors, white, dtype=np.float32, casting="unsafe", order="C")
    if header.is_inverted:
        np.subtract(1, values, out=values)
    if header.is_premultiplied and channels in (2, 4):
        alpha = np.divide(pixels[..., -1:], white, dtype=np.float32, casting="unsafe")
        np.divide(values, alpha, out=values, where=alpha > 0)
    np.fmax(values, 0, out=values)  # NaN is black
    np.fmin(values, 1, out=values)
    return values


def _convert(values: ImageArray, header: ImageHeader, profile: Profile | None) -> None:
    """Converts values to sRGB in place, unless they are. Raises ImageError."""
    space = header.space
    if profile is not None:
        is_grey = bool((values[..., :1] == values[..., 1:]).all())
        if profile.colors != "RGB" and not (profile.colors == "GRAY" and is_grey):
            raise ImageError(f"has a colour profile for {profile.colors} colours, not its own; save it as sRGB")
        space = profile.space()
        if space is None:
            _convert_by_tables(values, profile)
    if space is not None and not space.is_srgb():
        space.convert(values)


def _convert_by_tables(values: ImageArray, profile: Profile) -> None:
    """Converts in place with a profile of tables, which littlecms reads at 8 bits a channel."""
    mode, colors = ("L", values[..., 0]) if profile.colors == "GRAY" else ("RGB", values)
    values[:] = profile.convert(np.rint(255 * colors).astype(np.uint8), mode)
    values /= 255


def _upright(values: ImageArray, header: ImageHeader) -> ImageArray:
    return np.ascontiguousarray(oriented(values, header.orientation))


def _damaged(path: Path) -> StorageError:
    return StorageError(f"{path} is not a picture that can be read, or damaged; save it again as PNG or JPEG")


def _too_large(path: Path) -> StorageError:
    limit = f"{max_pixels()} pixels, or 2**20 in a row or column"
    return StorageError(f"{path} has more than {limit}; make it smaller, or set {PIXEL_LIMIT_VARIABLE} to allow more")
