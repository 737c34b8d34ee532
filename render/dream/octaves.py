"""Octaves: the sizes at which a picture is dreamed, coarse to fine. No torch, so that a scene is checked without it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

MIN_OCTAVE_SIDE = 32
"""Pixels; coarser octaves are skipped, they are too small for the networks."""

Size = tuple[int, int]
"""(height, width) in pixels."""


def octave_sizes(
    size: Size, steps: Sequence[int], *, octave_scale: float, reference_side: int | None = None
) -> list[tuple[Size, int]]:
    """Returns ((height, width), steps) of each octave, coarsest first; the last has the picture's own `size`.

    Sizes are counted down from the reference side (None: the picture's longer side), so that a smaller picture has the
    same coarse octaves and lacks the finest, and a larger one has more of them, with the steps of the last.
    """
    ratio = (reference_side or max(size)) / max(size)
    octaves: list[tuple[Size, int]] = []
    for index in count():
        scale = ratio * octave_scale ** (index + 1 - len(steps))
        octave_steps = steps[min(index, len(steps) - 1)]
        if scale > octave_scale**-0.5:
            break
        scaled = (round(size[0] * scale), round(size[1] * scale))
        if min(scaled) >= MIN_OCTAVE_SIDE:
            octaves.append((scaled, octave_steps))
    return [*octaves, (size, octave_steps)]
