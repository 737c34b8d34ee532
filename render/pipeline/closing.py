"""A film that repeats: its lead-in, dreamed once before the first frame, and the propagator that ends it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from render.media.noise import noise
from render.motion.closing import Blend, LoopPropagator
from render.motion.propagate import StillPropagator
from render.pipeline.scene import Scene

CELLS = 5
"""Places along a picture's longer side that change one after the other."""
ORDER_SEED = 0x6C6F6F70
"""Distinguishes the random order of places from the film's first canvas."""

Dreamed = Callable[[StillPropagator, Iterator[Any]], Iterator[tuple[int, Tensor]]]
"""Dreams intervals with a propagator, from a shot's start on: (dreamed frame, its canvas)."""


@dataclass
class LeadIn:
    """The dreamed frames of a loop's lead-in, dreamed when the first is needed, and kept: 12 bytes a pixel of each.

    They are exact, because a dream makes much of a rounding error. `still` begins with the lead-in.
    """

    still: StillPropagator
    dream: Dreamed
    device: torch.device
    _canvases: dict[int, Tensor] = field(default_factory=dict)

    def canvas(self, index: int) -> Tensor:
        """Returns the canvas at a dreamed frame, 1x3xHxW in [0, 1]."""
        if not self._canvases:
            for frame, canvas in self.dream(self.still, self.still.intervals(self.still.first)):
                self._canvases[frame] = canvas.cpu()
        return self._canvases[index].to(self.device)


def loop_propagator(still: StillPropagator, scene: Scene, dream: Dreamed, *, device: torch.device) -> LoopPropagator:
    """Returns the propagator of a scene that repeats; `still` moves its frames, `dream` dreams the lead-in."""
    spec = scene.spec
    frames = frozenset(index for index in still.dreamed if index >= spec.lead_in.start)
    lead_in = LeadIn(replace(still, first=spec.lead_in.start, dreamed=frames), dream, device)
    blend = Blend(still.path, spec.blend_start, scene.length, order=_order(scene))
    return LoopPropagator(still, blend, lead_in.canvas, first=spec.lead_in.start)


def _order(scene: Scene) -> Tensor:
    """When each place changes: smooth noise, each of whose values in [0, 1] is as frequent as others; 1x1xHxW."""
    grain, seed = max(scene.size) / CELLS, scene.spec.seed + ORDER_SEED
    values = noise(scene.size, grain=grain, contrast=0.2, color=0, seed=seed)[:, :1]
    ranks = values.flatten().argsort(stable=True).argsort()
    return (ranks.float() / (ranks.numel() - 1)).view_as(values)
