"""The preview of an unfinished film: its last frames as small pictures and its progress, in its working folder.

    zoom.mp4.parts/
      preview.json                     which frame is the last one, how fast frames come, which pictures there are
      preview-0.jpg … preview-7.jpg    the last frames, in turn

Whoever can read the folder can watch the film, whichever process makes it. Nothing depends on these files: they are
written without waiting for the disk, and what cannot be written is left out.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from render.film.atomic import write_unflushed
from render.system.files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PREVIEW = "preview.json"
PICTURES = 8
"""Frames that the preview has, at most."""
SIDE = 384
"""Pixels of a picture's longer side, at most."""
QUALITY = 85
"""Of JPEG."""
INTERVAL = 0.25
"""Seconds between previews, at least."""
MAX_SHARE = 0.01
"""Of the time, that previews take at most."""
MAX_BYTES = 2**16
"""Bytes of preview.json that are read, at most."""


class Picture(BaseModel):
    """A frame, and the name of its small picture in the folder."""

    model_config = ConfigDict(frozen=True, strict=True)

    frame: int
    name: str = Field(pattern=r"^preview-[0-7]\.jpg$")


class Preview(BaseModel):
    """How far a film is.

    `frame` is the last finished one, `first` the run's first and `last` the one after its last. `objective` is that of
    FrameProgress, `rate` frames a second and `eta_s` the seconds that remain, None until they are measured. `rss` is
    the memory of the process in bytes, `time` when this was written, in seconds since 1970. `pictures` are in the order
    in which the frames were finished.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    frame: int
    first: int
    last: int
    objective: float | None = None
    rate: float | None = None
    eta_s: float | None = None
    rss: int = 0
    time: float = 0.0
    pictures: tuple[Picture, ...] = Field(default=(), max_length=PICTURES, strict=False)


class PreviewWriter:
    """Writes the preview of a film into its working folder, about four times a second at most."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._folder, self._clock = folder, clock
        self._pictures: deque[Picture] = deque(maxlen=PICTURES)
        self._process = psutil.Process()
        self._next = 0.0
        self._count = 0

    def put(self, picture: Tensor, preview: Preview) -> None:
        """Writes a finished frame (1x3xHxW in [0, 1]) and the progress, unless the one before is too recent."""
        begin = self._clock()
        if begin < self._next:
            return
        with contextlib.suppress(OSError, MemoryError, cv2.error):
            self._write(picture, preview)
        now = self._clock()
        self._next = max(begin + INTERVAL, now + (now - begin) / MAX_SHARE)

    def _write(self, picture: Tensor, preview: Preview) -> None:
        name = f"preview-{self._count % PICTURES}.jpg"
        write_unflushed(self._folder / name, small_jpeg(picture[0].detach().cpu().numpy()))
        self._count += 1
        self._pictures.append(Picture(frame=preview.frame, name=name))
        facts = {"rss": self._process.memory_info().rss, "time": time.time(), "pictures": tuple(self._pictures)}
        data = preview.model_copy(update=facts).model_dump(mode="json")
        write_unflushed(self._folder / PREVIEW, json.dumps(data).encode())


def read_preview(folder: Path) -> Preview | None:
    """Returns the preview in a working folder, None when there is none, or none that can be read."""
    try:
        with open_regular(folder / PREVIEW, follow_links=False) as file:
            return Preview.model_validate_json(file.read(MAX_BYTES))
    except (OSError, ValidationError):
        return None


def small_jpeg(planes: NDArray[np.float32], side: int = SIDE) -> bytes:
    """Returns a picture (3xHxW in [0, 1]) as a JPEG with at most `side` pixels a side."""
    height, width = planes.shape[1:]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size != (width, height):
        planes = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes])
    levels = np.clip(planes[::-1].transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
