"""Easing functions from [0, 1] to values that shape the interpolation to a keyframe, named as on easings.net."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Easing = Callable[[Values], Values]


def _back(overshoot: float) -> Easing:
    """Returns a cubic that undershoots before it rises (Penner 2001)."""
    return lambda u: (overshoot + 1) * u**3 - overshoot * u**2


def _elastic(period: float, phase: float) -> Easing:
    """Returns a damped spring; `period` and `phase` are in tenths of the interval."""
    return lambda u: -(2.0 ** (10 * u - 10)) * np.sin((10 * u - phase) * math.tau / period)


def _bounce(u: Values) -> Values:
    """Four parabolas of a bouncing ball: the `in` form, Penner's `out` reversed in time."""
    v, n, d = 1 - u, 7.5625, 2.75
    out = np.select(
        [v < 1 / d, v < 2 / d, v < 2.5 / d],
        [n * v**2, n * (v - 1.5 / d) ** 2 + 0.75, n * (v - 2.25 / d) ** 2 + 0.9375],
        n * (v - 2.625 / d) ** 2 + 0.984375,
    )
    return np.asarray(1 - out)


_IN: dict[str, Easing] = {
    "sine": lambda u: 1 - np.cos(u * math.pi / 2),
    "quad": lambda u: u**2,
    "cubic": lambda u: u**3,
    "quart": lambda u: u**4,
    "quint": lambda u: u**5,
    "expo": lambda u: 2.0 ** (10 * u - 10),
    "circ": lambda u: 1 - np.sqrt(1 - u**2),
    "back": _back(1.70158),
    "elastic": _elastic(3, 10.75),
    "bounce": _bounce,
}


# easings.net's in_out forms of these two have their own constants, not those of `in` and `out`.
_IN_OF_IN_OUT = _IN | {"back": _back(1.70158 * 1.525), "elastic": _elastic(4.5, 11.125)}


def _out(ease_in: Easing) -> Easing:
    return lambda u: 1 - ease_in(1 - u)


def _in_out(ease_in: Easing) -> Easing:
    return lambda u: np.where(u < 0.5, ease_in(np.minimum(2 * u, 1)) / 2, 1 - ease_in(np.minimum(2 - 2 * u, 1)) / 2)


def _pinned(ease: Easing) -> Easing:
    """Returns the easing with exactly 0 at 0 and 1 at 1, without rounding errors there."""
    return lambda u: np.where(u <= 0, 0.0, np.where(u >= 1, 1.0, ease(u)))


EASINGS: dict[str, Easing] = {
    "linear": lambda u: u,
    "hold": lambda u: np.where(u < 1, 0.0, 1.0),
    "smooth": lambda u: u * u * (3 - 2 * u),
    **{f"in_{name}": _pinned(ease) for name, ease in _IN.items()},
    **{f"out_{name}": _pinned(_out(ease)) for name, ease in _IN.items()},
    **{f"in_out_{name}": _pinned(_in_out(ease)) for name, ease in _IN_OF_IN_OUT.items()},
}
"""Every easing maps 0 to 0 and 1 to 1; `back` and `elastic` exceed [0, 1] in between."""
