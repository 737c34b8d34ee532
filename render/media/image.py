"""Pictures of any format, loaded as float tensors and fitted to a size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from render.choices import Fit
from render.errors import StorageError
from render.media.image_bytes import max_pixels
from render.media.image_decode import ImageArray, open_image, read_image

if TYPE_CHECKING:
    from torch import Tensor


def load_image(path: Path, size: tuple[int, int], *, fit: Fit = "cover") -> Tensor:
    """Loads a picture at a size, 1x3xHxW in [0, 1]; see `load_array`."""
    return to_tensor(load_array(path, size, fit=fit))


def load_array(path: Path, size: tuple[int, int], *, fit: Fit = "cover") -> ImageArray:
    """Loads a picture at a size, HxWx3 in [0, 1]: cropped (`cover`), with black bars (`contain`), or distorted.

    Raises StorageError.
    """
    image = read_image(path)
    if fit == "stretch":
        return _resize(image, size)
    return _cover(path, image, size=size) if fit == "cover" else _contain(image, size)


def color_statistics(path: Path, size: tuple[int, int]) -> tuple[float, float, float]:
    """Returns the mean, contrast and colour cast of a picture as `load_image` loads it, as grading measures them.

    Raises StorageError.
    """
    picture = _cover(path, read_image(path), size=size).astype(np.float64)
    means = picture.mean((0, 1))
    mean, contrast = float(means.mean()), float(picture.std((0, 1), ddof=1).mean())
    return mean, contrast, float(np.sqrt(np.square((means - mean) / max(mean, 1e-6)).mean() / 2))


def load_mask(path: Path, size: tuple[int, int]) -> Tensor:
    """Loads a picture's brightness (ITU-R BT.601), 1x1xHxW in [0, 1], cropped to the size. Raises StorageError."""
    grey = cv2.cvtColor(_cover(path, read_image(path), size=size), cv2.COLOR_RGB2GRAY)
    return to_tensor(grey[..., None].astype(np.float32))


def load_fitted(path: Path, max_side: int) -> Tensor:
    """Loads a whole picture, 1x3xHxW in [0, 1], with at most `max_side` pixels a side. Raises StorageError."""
    return to_tensor(_resize(read_image(path), fitted_size(path, max_side)))


def fitted_size(path: Path, max_side: int) -> tuple[int, int]:
    """Returns the (width, height) of a picture as `load_fitted` loads it. Raises StorageError."""
    width, height = image_size(path)
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def image_size(path: Path) -> tuple[int, int]:
    """Returns the (width, height) of a picture, upright; its pixels are not decoded. Raises StorageError."""
    _, header = open_image(path)
    return header.upright_size


def check_image(path: Path) -> None:
    """Raises StorageError when a picture cannot be read; it is decoded."""
    read_image(path)


def covering_size(path: Path, size: tuple[int, int], *, target: tuple[int, int]) -> tuple[int, int]:
    """Returns the (width, height) to which a picture of a size is scaled before it is cropped to the target size.

    Raises StorageError, with `path`, when more pixels would be cropped than a picture may have.
    """
    scale = max(target[0] / size[0], target[1] / size[1])
    width, height = max(target[0], round(size[0] * scale)), max(target[1], round(size[1] * scale))
    if width * height - target[0] * target[1] > max_pixels():
        shape, film = ("x".join(map(str, sides)) for sides in (size, target))
        raise StorageError(f"{path} is {shape}, too long a shape to cover {film}; cut it to one that is nearer")
    return width, height


def _cover(path: Path, image: ImageArray, *, size: tuple[int, int]) -> ImageArray:
    """Returns the middle of a picture, scaled to cover (width, height). Raises StorageError."""
    width, height = size
    excess = (image.shape[1] - width, image.shape[0] - height)
    if not all(pixels in (0, 1) for pixels in excess):  # an odd side is cropped by a pixel
        image = _resize(image, covering_size(path, (image.shape[1], image.shape[0]), target=size))
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[y : y + height, x : x + width]


def _contain(image: ImageArray, size: tuple[int, int]) -> ImageArray:
    """Returns a whole picture in the middle of black."""
    scale = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    x, y = (size[0] - width) // 2, (size[1] - height) // 2
    padded = np.zeros((size[1], size[0], 3), np.float32)
    padded[y : y + height, x : x + width] = _resize(image, (width, height))
    return padded


def _resize(image: ImageArray, size: tuple[int, int]) -> ImageArray:
    if size == (image.shape[1], image.shape[0]):
        return image
    interpolation = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    resized: ImageArray = np.clip(cv2.resize(image, size, interpolation=interpolation), 0, 1)
    return resized


def to_tensor(image: ImageArray) -> Tensor:
    """Returns HxWxC values as 1xCxHxW."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0).contiguous()
