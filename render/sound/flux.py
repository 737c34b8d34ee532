"""Onset strength for finding beats: how much louder each group of frequencies becomes, every 10 ms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from render.sound.blocks import Floats, window_squares

RATE = 16000
"""Samples per second of the sound that is measured."""
HOP = 160
"""Samples from one value to the next; value k is centred at sample k * HOP."""
HOP_RATE = RATE // HOP
WINDOW = 512
"""Samples of a spectrum's window, 32 ms."""
EDGES = (30, 75, 125, 200, 300, 450, 650, 950, 1400, 2000, 3000, 4200, 5700, 7900)
"""Hz, between the bands whose levels are compared."""
GROUPS = ((0, 3), (3, 9), (9, 13))
"""The bands of the drums' fundamentals and the bass, of snares and voices, of hats."""
_COMPRESSION = 1000.0
_QUIET = 1e-5
"""Level of the quietest reference of a band, relative to the loudest band's."""
_SILENCE = 1e-9
_RIPPLE = 0.1
"""Changes of a level (natural logarithm) that are no onsets: a steady tone has them too."""
_BLOCK = 2**14


def onset_flux(levels: Floats) -> Floats:
    """Returns onset strengths of the three GROUPS, 3xN, of band levels as `band_levels` returns them, NxB.

    A strength is the mean over the group's bands of the rise of the compressed level within 20 ms.
    """
    sounding = levels[levels.sum(1) > _SILENCE]
    if not len(sounding):
        return np.zeros((len(GROUPS), len(levels)), np.float32)
    reference = np.percentile(sounding[:: max(1, len(sounding) // 20000)], 98, axis=0)
    reference = np.maximum(reference, max(_QUIET * reference.max(), _SILENCE))
    flux = np.empty((len(GROUPS), len(levels)), np.float32)
    padded = np.pad(levels, ((1, 1), (0, 0)))
    padded[-1] = levels[-1]
    scale = (_COMPRESSION / reference).astype(np.float32)
    for start in range(0, len(levels), _BLOCK):
        compressed = np.log1p(padded[start : start + _BLOCK + 2] * scale)
        rises = np.maximum(compressed[2:] - compressed[:-2] - _RIPPLE, 0)
        for group, (first, last) in enumerate(GROUPS):
            flux[group, start : start + _BLOCK] = rises[:, first:last].mean(1)
    return flux


def band_levels(chunks: Iterable[Floats]) -> Floats:
    """Returns the power in each band between EDGES, NxB, of sound of RATE samples per second."""
    weights = _band_weights()
    parts = [window_squares(piece, WINDOW, HOP) @ weights for piece in _pieces(chunks)]
    return np.concatenate(parts) if parts else np.zeros((0, len(EDGES) - 1), np.float32)


def _pieces(chunks: Iterable[Floats]) -> Iterator[Floats]:
    """Yields stretches of sound whose windows follow each other; half a window of silence lies at both ends."""
    pending = np.zeros(WINDOW // 2, np.float32)
    for chunk in chunks:
        pending = np.concatenate((pending, chunk))
        frames = (len(pending) - WINDOW) // HOP + 1
        if frames > 0:
            yield pending[: (frames - 1) * HOP + WINDOW]
            pending = pending[frames * HOP :]
    padded = np.pad(pending, (0, WINDOW // 2))
    if len(padded) >= WINDOW:
        yield padded


def _band_weights() -> Floats:
    """The weights of squared parts in each band: a bin that an edge divides belongs to both bands by its shares."""
    width = RATE / WINDOW
    bins = np.arange(WINDOW // 2 + 1) * width
    lower, upper = np.asarray(EDGES[:-1]), np.asarray(EDGES[1:])
    shared = np.minimum(bins[:, None] + width / 2, upper) - np.maximum(bins[:, None] - width / 2, lower)
    return np.repeat(np.clip(shared / width, 0, 1), 2, axis=0).astype(np.float32)
