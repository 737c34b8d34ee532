"""Progress: how far the dream of each place of a clip has come, and where it has to catch up.

Progress is HxW float32: the frames' worth of steps that a place has had and kept, since its shot began or it was
uncovered.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from render.motion.flow import Motion

Progress = NDArray[np.float32]

COMPLETE = 14.0
"""Frames' worth of steps after which the dream grows slowly: it has about 0.9 of its final objective."""
MAX_SCALE = 2.0
"""Scale of the steps by which a place catches up, at most."""
MIN_LACK = 0.05
"""Mean of the scale over the picture below which catching up is not worth its time."""


@dataclass(frozen=True)
class CatchUp:
    """What the steps of a frame start from: its `progress`, and the `scale` of steps before them (None: no steps).

    The scale is HxW, from 0, where a place is as far on as any other, to MAX_SCALE.
    """

    progress: Progress
    scale: NDArray[np.float32] | None

    def dreamed(self) -> Progress:
        """Returns the progress after the frame's steps."""
        progress = self.progress if self.scale is None else self.progress + self.scale
        return np.minimum(progress + 1, COMPLETE).astype(np.float32)


def initial_progress(size: tuple[int, int], steps: float) -> Progress:
    """Returns the progress of a shot's first frame, HxW, that had `steps` frames' worth of steps."""
    return np.full(size, min(steps, COMPLETE), np.float32)


def propagate_progress(progress: Progress, motion: Motion, *, persistence: float) -> CatchUp:
    """Moves progress to the next frame, as far as the motion is trusted, and says what places lack there."""
    moved = cv2.remap(progress, motion.x, motion.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kept = np.asarray(persistence * motion.confidence * moved, np.float32)
    scale = np.clip(persistence * progress.max() - kept, 0, MAX_SCALE).astype(np.float32)
    return CatchUp(kept, scale if scale.mean() >= MIN_LACK else None)
