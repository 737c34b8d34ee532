"""Where one shot of a clip ends and the next begins."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector
from torch import Tensor

SHORTEST = 6
"""Frames of a shot: what is gone again sooner is a flash of light."""
LOOKED_AT = 192
"""Pixels of the longer side of the pictures that are compared."""
THUMBNAIL = (8, 4)
"""Pixels, in which a shot is known again after a flash."""


def find(frames: Iterable[Tensor]) -> list[int]:
    """The frames (each 1x3xHxW in [0, 1], not larger than it takes) that begin a shot, but the first.

    PySceneDetect's adaptive detector: a change of hue, saturation and brightness that stands out of those around it.
    """
    detector = AdaptiveDetector(min_scene_len=SHORTEST)
    found, seen = [], bytearray()  # a hundred bytes a frame; arrays of their own would scatter the heap
    for index, frame in enumerate(frames):
        picture = np.ascontiguousarray(np.rint(255 * frame[0].flip(0).permute(1, 2, 0).numpy()).astype(np.uint8))
        seen += cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA).tobytes()
        found += detector.process_frame(FrameTimecode(index, 25.0), picture)
    thumbnails = np.frombuffer(seen, np.uint8).reshape(-1, 3 * THUMBNAIL[0] * THUMBNAIL[1])
    return [cut.frame_num for cut in found if not _is_flash(thumbnails, cut.frame_num)]


def small(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of pictures to look for cuts in, of a clip of that size."""
    scale = min(1.0, LOOKED_AT / max(size))
    return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))


def _is_flash(thumbnails: NDArray[np.uint8], cut: int) -> bool:
    """Whether what was before the cut is soon there again."""
    near = thumbnails[cut - 1 : cut + SHORTEST].astype(np.int16)
    changes = np.abs(near[1:] - near[0]).mean(1)
    return bool(changes.min() < changes[0] / 2)
