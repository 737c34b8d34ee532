"""Where one shot of a clip ends and the next begins."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector
from torch import Tensor

SHORTEST = 6
"""Frames of a shot: a flash of light is not a shot of its own."""
LOOKED_AT = 192
"""Pixels of the longer side of the pictures that are compared."""


def find(frames: Iterable[Tensor]) -> list[int]:
    """The frames (each 1x3xHxW in [0, 1], not larger than it takes) that begin a shot, but the first.

    PySceneDetect's adaptive detector: a change of hue, saturation and brightness that stands out of those around it.
    """
    detector = AdaptiveDetector(min_scene_len=SHORTEST)
    found = []
    for index, frame in enumerate(frames):
        picture = np.rint(255 * frame[0].flip(0).permute(1, 2, 0).numpy()).astype(np.uint8)
        found += detector.process_frame(FrameTimecode(index, 25.0), np.ascontiguousarray(picture))
    return [cut.frame_num for cut in found]


def small(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of pictures to look for cuts in, of a clip of that size."""
    scale = min(1.0, LOOKED_AT / max(size))
    return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))
