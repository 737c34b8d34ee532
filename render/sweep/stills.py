"""Stills: a frame of a film as a PNG that embeds the film's scene, and which frame it is."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.errors import StorageError
from render.film.assembly import is_intact, picture_content
from render.film.atomic import atomic_write, storage_errors
from render.film.content import CONTENT_KEY
from render.film.encoder import quantize
from render.film.metadata import read_metadata
from render.media.image_bytes import with_comment
from render.system.files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]


def pixels_of(picture: Tensor) -> Pixels:
    """Returns the pixels of a frame, 1x3xHxW in [0, 1], as a film of 8 bits has them."""
    return quantize(picture, 8).astype(np.uint8)


def write_still(pixels: Pixels, target: Path, metadata: Mapping[str, Any]) -> None:
    """Writes pixels, HxWx3, as a PNG with metadata, atomically. Raises StorageError."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    content = picture_content(data.getvalue())
    atomic_write(target, with_comment(data.getvalue(), json.dumps({**metadata, CONTENT_KEY: content})))


def read_pixels(still: Path) -> Pixels:
    """Returns the pixels of a still, HxWx3. Raises StorageError."""
    with storage_errors(still), open_regular(still, follow_links=False) as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def embedded(still: Path) -> dict[str, Any] | None:
    """Returns what a still embeds, damaged or not, without its checksum; None for anything else."""
    try:
        metadata = read_metadata(still) if still.is_file() and not still.is_symlink() else None
    except (StorageError, OSError):
        return None
    return None if metadata is None else {key: value for key, value in metadata.items() if key != CONTENT_KEY}


def is_current(still: Path, metadata: Mapping[str, Any]) -> bool:
    """Returns whether there is an intact still with this metadata. Raises StorageError when it cannot be read."""
    return embedded(still) == metadata and bool(is_intact(still))
