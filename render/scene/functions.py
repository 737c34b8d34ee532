"""The functions of expressions: arithmetic, oscillators, and smooth noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.scene.beats import DECIMALS

Values = NDArray[np.float64]


class Function(NamedTuple):
    """A function of an expression: the names of its parameters, for documentation, and its implementation.

    `optional` are the values of the last parameters where they are missing. The first parameter of one that
    `is_periodic` is a period, in seconds or beats; the implementation takes two values for it: the number of periods
    since the beginning, and that of the loop, infinite without one. One that `is_choice` returns one of its arguments.
    """

    parameters: tuple[str, ...]
    evaluate: Callable[..., Values]
    optional: tuple[float, ...] = ()
    is_periodic: bool = False
    is_choice: bool = False


def uniform(index: Values, seed: Values) -> Values:
    """Returns a random number in [0, 1) for each whole number and seed, by splitmix64 (Steele et al. 2014)."""
    with np.errstate(all="ignore"):
        key = np.asarray(seed).astype(np.int64).astype(np.uint64) + np.uint64(1)
        x = np.asarray(index).astype(np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * key
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return np.asarray(((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53)


def smooth_noise(place: Values, loop: Values, seed: Values) -> Values:
    """Returns smooth random values in [0, 1], independent of each other at whole numbers.

    They repeat after `loop`, which may be infinite; the distance of independent values is adjusted so that it fits.
    """
    count = np.maximum(np.rint(loop), 1.0)
    place = place if np.isinf(count).all() else place * count / loop
    start = np.floor(place)
    u = place - start
    first, second = (
        uniform(np.where(np.isinf(count), index, np.mod(index, count)), seed) for index in (start, start + 1)
    )
    return np.asarray(first + (second - first) * (u * u * u * (10 + u * (6 * u - 15))))


def _smoothstep(low: Values, high: Values, x: Values) -> Values:
    u = np.clip((x - low) / (high - low), 0.0, 1.0)
    return u * u * (3 - 2 * u)


def _oscillator(wave: Callable[..., Values], *parameters: str, optional: tuple[float, ...] = ()) -> Function:
    """An oscillator: `wave` takes the phase in [0, 1), and further parameters."""

    def evaluate(place: Values, loop: Values, *further: Values) -> Values:
        place = np.round(place, DECIMALS)
        return wave(place - np.floor(place), *further)

    return Function(("period", *parameters), evaluate, optional=optional, is_periodic=True)


FUNCTIONS: dict[str, Function] = {
    "sin": Function(("x",), np.sin),
    "cos": Function(("x",), np.cos),
    "tan": Function(("x",), np.tan),
    "exp": Function(("x",), np.exp),
    "log": Function(("x",), np.log),
    "sqrt": Function(("x",), np.sqrt),
    "abs": Function(("x",), np.abs),
    "floor": Function(("x",), np.floor),
    "ceil": Function(("x",), np.ceil),
    "min": Function(("a", "b"), np.minimum, is_choice=True),
    "max": Function(("a", "b"), np.maximum, is_choice=True),
    "clamp": Function(("x", "low", "high"), lambda x, low, high: np.minimum(np.maximum(x, low), high), is_choice=True),
    "lerp": Function(("a", "b", "u"), lambda a, b, u: a + (b - a) * u),
    "smoothstep": Function(("low", "high", "x"), _smoothstep),
    "sine": _oscillator(lambda phase: 0.5 + 0.5 * np.sin(math.tau * phase)),
    "triangle": _oscillator(lambda phase: 1 - np.abs(2 * phase - 1)),
    "saw": _oscillator(lambda phase: phase),
    "square": _oscillator(lambda phase: np.where(phase < 0.5, 1.0, 0.0)),
    "pulse": _oscillator(lambda phase, width: np.where(phase < width, 1.0, 0.0), "width", optional=(0.1,)),
    "noise": Function(("period", "seed"), smooth_noise, optional=(0.0,), is_periodic=True),
}
