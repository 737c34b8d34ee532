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

from render.errors import StorageError

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
    return _tensor(_covering(image, size) if fit == "cover" else _contained(image, size))


def mask(path: Path, size: tuple[int, int]) -> Tensor:
    """A picture's brightness (ITU-R BT.601), 1x1xHxW in [0, 1], laid over the size as `picture` does."""
    grey = cv2.cvtColor(_covering(_read(path), size), cv2.COLOR_RGB2GRAY)
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


def _covering(image: Picture, size: tuple[int, int]) -> Picture:
    """The middle of a picture, scaled to cover (width, height)."""
    width, height = size
    scale = max(width / image.shape[1], height / image.shape[0])
    spare = (image.shape[1] - width, image.shape[0] - height)
    if not all(pixels in (0, 1) for pixels in spare):  # one pixel too many, of an odd side, is cut off
        sides = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
        image = _resized(image, sides)
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
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise StorageError(f"cannot read the picture {path}: {error.strerror}") from None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a picture, we say
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise StorageError(f"{path} is not a picture that can be read, or damaged; save it again as PNG or JPEG")
    white = {"uint8": 255, "uint16": 65535}.get(str(image.dtype), 1)
    return np.clip(np.nan_to_num(image.astype(np.float32) / white), 0, 1)


def _tensor(image: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0).contiguous()
