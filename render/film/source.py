"""Where frames come from: noise or a picture, at the film's size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.errors import StorageError, is_out_of_memory
from render.film import pictures

Picture = NDArray[np.float32]
"""HxWx3 RGB in [0, 1]."""
Fit = Literal["cover", "contain", "stretch"]


def noise(size: tuple[int, int], grain: float, contrast: float, color: float, seed: int) -> Tensor:
    """Smooth noise around 0.5, 1x3xHxW in [0, 1].

    Blobs of `grain` pixels; values of standard deviation `contrast`; `color` from 0 (grey) to 1 (independent channels).
    """
    random = np.random.default_rng((seed, 0x6E6F697365))
    along_y, along_x = (_cubic(side, grain) for side in (size[1], size[0]))
    cells = (along_y.shape[1], along_x.shape[1])
    grey, colored = random.standard_normal((1, *cells)), random.standard_normal((3, *cells))
    smooth = along_y @ (math.sqrt(1 - color) * grey + math.sqrt(color) * colored) @ along_x.T
    values = 0.5 + contrast * (smooth - smooth.mean()) / (smooth.std() + 1e-12)
    return _tensor(np.clip(values, 0, 1).astype(np.float32).transpose(1, 2, 0))


def _cubic(side: int, grain: float) -> NDArray[np.float64]:
    """The matrix, side x cells, that interpolates values `grain` pixels apart (Catmull & Rom 1974)."""
    position = np.arange(side) / max(grain, 1) + 1
    distance = np.abs(position[:, None] - np.arange(math.floor(position[-1]) + 3))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def picture(path: Path, size: tuple[int, int], fit: Fit = "cover") -> Tensor:
    """A still, 1x3xHxW in [0, 1], brought to a size: cut at its sides to `cover` it, with black bars to `contain` the
    whole, or out of shape (`stretch`). Raises StorageError."""
    image = _read(path)
    if fit == "stretch":
        return _tensor(_resized(image, size))
    return _tensor(_covered(path, image, size) if fit == "cover" else _contained(image, size))


def mask(path: Path, size: tuple[int, int]) -> Tensor:
    """A picture's brightness (ITU-R BT.601), 1x1xHxW in [0, 1], laid over the size as `picture` does."""
    grey = cv2.cvtColor(_covered(path, _read(path), size), cv2.COLOR_RGB2GRAY)
    return _tensor(grey[..., None].astype(np.float32))


def fitted(path: Path, longest: int) -> Tensor:
    """A whole still, 1x3xHxW in [0, 1], its longer side `longest` pixels or, when it has fewer, its own."""
    return _tensor(_resized(_read(path), fitted_size(path, longest)))


def fitted_size(path: Path, longest: int) -> tuple[int, int]:
    """(width, height) that `fitted` gives a still. Raises StorageError."""
    width, height = picture_size(path)
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a still, upright. Raises StorageError."""
    height, width = _read(path).shape[:2]
    return width, height


def covering(path: Path, own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that a picture of its own size is scaled to, to cover a size.

    Raises StorageError when more pixels would be cut off from it than a picture may have.
    """
    scale = max(size[0] / own[0], size[1] / own[1])
    width, height = max(size[0], round(own[0] * scale)), max(size[1], round(own[1] * scale))
    if width * height - size[0] * size[1] > pictures.most_pixels():
        shape, film = ("x".join(map(str, sides)) for sides in (own, size))
        raise StorageError(f"{path} is {shape}, too long a shape to cover {film}; cut it to one that is nearer")
    return width, height


def _covered(path: Path, image: Picture, size: tuple[int, int]) -> Picture:
    """The middle of a picture, scaled to cover (width, height). Raises StorageError."""
    width, height = size
    spare = (image.shape[1] - width, image.shape[0] - height)
    if not all(pixels in (0, 1) for pixels in spare):  # one pixel too many, of an odd side, is cut off
        image = _resized(image, covering(path, (image.shape[1], image.shape[0]), size))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _contained(image: Picture, size: tuple[int, int]) -> Picture:
    """A whole picture in the middle of black."""
    scale = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    framed = np.zeros((size[1], size[0], 3), np.float32)
    framed[top : top + height, left : left + width] = _resized(image, (width, height))
    return framed


def _resized(image: Picture, sides: tuple[int, int]) -> Picture:
    if sides == (image.shape[1], image.shape[0]):
        return image
    kernel = cv2.INTER_AREA if sides[0] < image.shape[1] else cv2.INTER_CUBIC
    resized: Picture = np.clip(cv2.resize(image, sides, interpolation=kernel), 0, 1)
    return resized


def _read(path: Path) -> Picture:
    """Any picture that OpenCV reads, 8 or 16 bit or float; alpha is left out, a rotation in its EXIF obeyed."""
    data = pictures.read(path)
    if fault := pictures.fault(data):
        raise StorageError(f"{path} {fault}")
    image = _decoded(path, data)
    if image is None:
        raise StorageError(f"{path} is not a picture that can be read, or damaged; save it again as PNG or JPEG")
    if image.shape[0] * image.shape[1] > pictures.most_pixels():  # OpenCV was loaded before us, with its own limit
        raise _too_large(path)
    image = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3))  # a grey PFM has no third dimension
    white = {"uint8": 255, "uint16": 65535}.get(str(image.dtype), 1)
    with np.errstate(over="ignore"):  # of float64, what is beyond float32 is white
        values: Picture = np.divide(image, white, dtype=np.float32, casting="unsafe", order="C")
    np.fmax(values, 0, out=values)  # what is no number is black
    np.fmin(values, 1, out=values)
    return values


def _decoded(path: Path, data: bytes) -> NDArray[np.generic] | None:
    """The pixels, None of what is no picture. Raises StorageError when there are too many, before they are decoded."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a picture, we say
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH) if data else None
    except cv2.error as error:
        if is_out_of_memory(error):
            raise
        if "CV_IO_MAX_IMAGE" in str(error):
            raise _too_large(path) from None
        return None


def _too_large(path: Path) -> StorageError:
    limit = f"{pictures.most_pixels()} pixels, or 2**20 in a row or column"
    return StorageError(f"{path} has more than {limit}; make it smaller, or set {pictures.PIXELS} to allow more")


def _tensor(image: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0).contiguous()
