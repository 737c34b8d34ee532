"""Saturation and hue as a matrix of colours."""

from __future__ import annotations

import math

LUMA = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue (ITU-R BT.709)."""


def chroma_matrix(saturation: float, hue: float) -> list[list[float]]:
    """3x3: keeps the luma of a colour, turns its difference from grey about the grey axis, and multiplies it."""
    cosine, sine = math.cos(math.radians(hue)), math.sin(math.radians(hue))
    third = (1 - cosine) / 3
    skew = sine / math.sqrt(3)
    turn = [
        [cosine + third, third - skew, third + skew],
        [third + skew, cosine + third, third - skew],
        [third - skew, third + skew, cosine + third],
    ]
    # T = G + s (R - L R): the turned colour minus its own luma, times s, on the luma of the colour before.
    lumas = [sum(LUMA[k] * turn[k][j] for k in range(3)) for j in range(3)]
    return [[LUMA[j] + saturation * (turn[i][j] - lumas[j]) for j in range(3)] for i in range(3)]
