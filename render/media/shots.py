"""Shot detection: the cuts of a clip."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector
from torch import Tensor

MIN_SHOT = 6
"""Frames of the shortest shot; a shorter change is a flash."""
MAX_SIDE = 192
"""Pixels of the longer side of the pictures that the detector gets."""
THUMBNAIL = (8, 4)
"""Pixels, width and height, of the pictures that are compared to recognise a shot after a flash."""


def find_cuts(frames: Iterable[Tensor]) -> list[int]:
    """Returns the indices of the frames that start a shot, except the first.

    Each frame is 1x3xHxW in [0, 1], of `thumbnail_size`. PySceneDetect's adaptive detector compares the change of hue,
    saturation and brightness with those around it.
    """
    detector = AdaptiveDetector(min_scene_len=MIN_SHOT)
    cuts, pixels = [], bytearray()  # a hundred bytes per frame; separate arrays would fragment the heap
    for index, frame in enumerate(frames):
        picture = np.ascontiguousarray(np.rint(255 * frame[0].flip(0).permute(1, 2, 0).numpy()).astype(np.uint8))
        pixels += cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA).tobytes()
        cuts += detector.process_frame(FrameTimecode(index, 25.0), picture)
    thumbnails = np.frombuffer(pixels, np.uint8).reshape(-1, 3 * THUMBNAIL[0] * THUMBNAIL[1])
    return [cut.frame_num for cut in cuts if not _is_flash(thumbnails, cut.frame_num)]


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the (width, height) of the pictures that the detector gets, for a clip of a size."""
    scale = min(1.0, MAX_SIDE / max(size))
    return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))


def _is_flash(thumbnails: NDArray[np.uint8], cut: int) -> bool:
    """Whether the picture before the cut returns within MIN_SHOT frames."""
    window = thumbnails[cut - 1 : cut + MIN_SHOT].astype(np.int16)
    changes = np.abs(window[1:] - window[0]).mean(1)
    return bool(changes.min() < changes[0] / 2)
