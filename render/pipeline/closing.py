"""A film that repeats: its lead-in, dreamed once before the first frame, and the propagator that ends it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.film.encoder import quantize
from render.media.noise import noise
from render.motion.closing import Blend, LoopPropagator
from render.motion.propagate import StillPropagator
from render.pipeline.scene import Scene

CELLS = 5
"""Places along a picture's longer side that change one after the other."""
ORDER_SEED = 0x6C6F6F70
"""Distinguishes the random order of places from the film's first canvas."""
LEVELS = 2**16 - 1
"""Of a value of the lead-in in memory."""

Dreamed = Callable[[StillPropagator, Iterator[Any]], Iterator[tuple[int, Tensor]]]
"""Dreams intervals with a propagator, from a shot's start on: (dreamed frame, its canvas)."""


@dataclass
class LeadIn:
    """The dreamed frames of a loop's lead-in, dreamed when the first is needed; 6 bytes a pixel of each are kept.

    `still` begins where the blend starts.
    """

    still: StillPropagator
    dream: Dreamed
    _levels: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    _device: torch.device = torch.device("cpu")

    def canvas(self, index: int) -> Tensor:
        """Returns the canvas at a dreamed frame, rounded to 16 bits; 1x3xHxW in [0, 1]."""
        if not self._levels:
            for frame, canvas in self.dream(self.still, self.still.intervals(self.still.first)):
                self._levels[frame] = np.asarray(quantize(canvas, 16), np.uint16)
                self._device = canvas.device
        picture = torch.from_numpy(self._levels[index].astype(np.float32) / LEVELS)
        return picture.permute(2, 0, 1)[None].contiguous().to(self._device)


def loop_propagator(still: StillPropagator, scene: Scene, dream: Dreamed, *, start: int) -> LoopPropagator:
    """Returns the propagator of a scene that repeats, whose blend starts at frame `start`.

    `still` moves its frames; `dream` dreams the lead-in.
    """
    frames = frozenset(index for index in still.dreamed if index >= start)
    lead_in = LeadIn(replace(still, first=start, dreamed=frames), dream)
    blend = Blend(still.path, start, scene.length, order=_order(scene))
    return LoopPropagator(still, blend, lead_in.canvas)


def _order(scene: Scene) -> Tensor:
    """When each place changes: smooth noise, each of whose values in [0, 1] is as frequent as others; 1x1xHxW."""
    grain, seed = max(scene.size) / CELLS, scene.spec.seed + ORDER_SEED
    values = noise(scene.size, grain=grain, contrast=0.2, color=0, seed=seed)[:, :1]
    ranks = values.flatten().argsort(stable=True).argsort()
    return (ranks.float() / (ranks.numel() - 1)).view_as(values)
