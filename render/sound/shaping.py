"""Signals: measured sound shaped to values in [0, 1] that are defined at every time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from render.sound.loudness import SILENCE
from render.sound.measures import Events, Measured

Array = NDArray[np.float64]
EVENT_DECAY = 0.3
"""Seconds in which an event falls to 1/e, when no decay is given."""
STEPS = 2**20
"""Values are multiples of one part of this, so that the rounding of different machines is not seen."""
ENVELOPE_RATE = 1000.0
"""Values per second of the grid on which events are smoothed or their rise is limited."""
TAIL = 15.0
"""Decay times after which nothing of a peak remains."""
_SIGMAS = 2 * np.sqrt(3)
"""Widths of a Gaussian in that of a box with the same variance."""


@dataclass(frozen=True)
class Shape:
    """How a measure becomes a signal, in this order; times in seconds.

    `smooth`: the width of a Gaussian that does not delay. `normalize`: the percentile of the measure that becomes 1, so
    that slow signals reach 1 too; "absolute": values as measured, cut at 1. Events have strengths already, and chroma
    is a share: both stay as they are. `gate`: values below it become 0, the others keep their value. `power`: the
    exponent. `attack`: the time in which the value rises from 0 to 1 at the fastest. `decay`: the time in which a peak
    falls to 1/e; between peaks the signal falls no faster. `delay`: how much later the signal is; negative: earlier.
    """

    smooth: float = 0.0
    attack: float = 0.0
    decay: float | None = None
    normalize: float | Literal["absolute"] = 98.0
    gate: float = 0.0
    power: float = 1.0
    delay: float = 0.0


@dataclass(frozen=True)
class Signal:
    """A number in [0, 1] at every time.

    `values` are on a grid of `rate` per second from `start` on, between which is interpolated. Events that are neither
    smoothed nor limited are exact: `times` and `levels` of their peaks, that fall with `decay`.
    """

    start: float
    rate: float
    values: Array = field(repr=False)
    times: Array = field(repr=False)
    levels: Array = field(repr=False)
    decay: float = EVENT_DECAY

    def __call__(self, times: Array, frame_seconds: float) -> Array:
        """Returns the values at times in seconds on the signal's clock, ascending or not.

        Of events, a frame shows the largest value while it is displayed, [t, t + frame_seconds).
        """
        seconds = np.asarray(times, np.float64)
        if len(self.times):
            result = self._after_events(seconds, frame_seconds)
        elif len(self.values):
            result = np.interp((seconds - self.start) * self.rate, np.arange(len(self.values)), self.values)
        else:
            result = np.zeros(seconds.shape)
        return np.asarray(np.rint(np.clip(result, 0, 1) * STEPS) / STEPS)

    def _after_events(self, seconds: Array, frame_seconds: float) -> Array:
        """The largest level within a frame: that of the events before it, which decay, or that of an event in it."""
        if self.decay <= 0:
            before = np.zeros(seconds.shape)
        else:
            # exp(-(t - T) / decay) * level is largest for the event with the largest log(level) + T / decay.
            highest = np.maximum.accumulate(np.log(self.levels) + self.times / self.decay)
            last = np.searchsorted(self.times, seconds, side="right") - 1
            exponent = highest[np.maximum(last, 0)] - seconds / self.decay
            before = np.where(last >= 0, np.exp(np.minimum(exponent, 0)), 0)
        # Events in the frame: the frame shows the last of those before its end, and all since its start.
        first = np.searchsorted(self.times, seconds - 1e-9, side="left")
        end = np.searchsorted(self.times, seconds + frame_seconds - 1e-9, side="left")
        return np.maximum(before, _range_max(self.levels, first, end))


def shaped(measured: Measured, shape: Shape) -> Signal:
    """Returns the signal of a measure."""
    nothing = np.zeros(0)
    if isinstance(measured, Events):
        levels = _gated(measured.strengths, shape)
        audible = levels > 0
        times, levels = measured.times[audible] + shape.delay, levels[audible]
        decay = EVENT_DECAY if shape.decay is None else shape.decay
        if not len(times) or (shape.smooth == 0 and shape.attack == 0):
            return Signal(0.0, 1.0, nothing, times=times, levels=levels, decay=decay)
        sharp = Signal(0.0, 1.0, nothing, times=times, levels=levels, decay=decay)
        start = float(times[0]) - 4 * shape.smooth - 1 / ENVELOPE_RATE
        count = int((float(times[-1]) - start + 12 * decay + 4 * shape.smooth) * ENVELOPE_RATE) + 2
        grid = start + np.arange(count) / ENVELOPE_RATE
        values = _limited(_smoothed(sharp(grid, 1 / ENVELOPE_RATE), shape.smooth * ENVELOPE_RATE), shape, ENVELOPE_RATE)
        return Signal(start, ENVELOPE_RATE, values, times=nothing, levels=nothing)
    rate, decay = measured.rate, shape.decay or 0.0
    # What comes before and after goes on as both ends are, so that smoothing and decay reach beyond them.
    before, after = (int(length * rate) + 1 for length in (2 * shape.smooth, 2 * shape.smooth + TAIL * decay))
    values = measured.values.astype(np.float64)
    values = np.pad(values, (before, after), mode="edge") if len(values) else values
    smooth = _smoothed(values, shape.smooth * rate)
    values = _limited(_gated(_normalized(smooth, measured.floor, shape), shape), shape, rate)
    if decay:
        values = _held(values, decay * rate)
    return Signal(measured.start - before / rate + shape.delay, rate, values, times=nothing, levels=nothing)


def _normalized(values: Array, floor: float, shape: Shape) -> Array:
    """Values whose percentile is 1, of those that reach the floor, as it is. Without a floor values are as they are."""
    if shape.normalize == "absolute" or not len(values) or floor == 0:
        return np.clip(values, 0, 1)
    audible = values[values >= floor]
    top = max(float(np.percentile(audible, shape.normalize)), floor) if len(audible) else floor
    return np.clip(values / top, 0, 1) if top > SILENCE else np.zeros(len(values))


def _gated(values: Array, shape: Shape) -> Array:
    return np.where(values < shape.gate, 0.0, values) ** shape.power if shape.gate or shape.power != 1 else values


def _smoothed(values: Array, width: float) -> Array:
    """Values smoothed by a Gaussian as wide as a box of `width` values."""
    if width <= 0 or not len(values):
        return values
    sigma = width / _SIGMAS
    reach = round(4 * sigma)
    taps = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    # By Fourier transform: the time does not grow with the width.
    return np.asarray(signal.oaconvolve(np.pad(values, reach, mode="edge"), taps / taps.sum(), mode="valid"))


def _limited(values: Array, shape: Shape, rate: float) -> Array:
    """Values that rise by at most 1 in the attack's time: the least of each value and those before plus the rise."""
    if shape.attack <= 0 or not len(values):
        return values
    slope = np.arange(len(values)) / (shape.attack * rate)
    return np.minimum.accumulate(values - slope) + slope


def _held(values: Array, decay: float) -> Array:
    """Values that fall to 1/e in `decay` values at the fastest: the largest of each value and those before, decayed."""
    if not len(values):
        return values
    exponent = np.arange(len(values)) / decay
    with np.errstate(divide="ignore"):
        highest = np.maximum.accumulate(np.log(values) + exponent)
    return np.exp(highest - exponent)


def _range_max(values: Array, first: NDArray[np.int64], end: NDArray[np.int64]) -> Array:
    """The largest of values[first:end] for each pair; 0 where there is none. A table of maxima of powers of two."""
    count = np.maximum(end - first, 0)
    tables = [values]
    while 2 ** len(tables) <= count.max(initial=0):
        half = 2 ** (len(tables) - 1)
        tables.append(np.maximum(tables[-1][:-half], tables[-1][half:]))
    result = np.zeros(count.shape)
    for power, table in enumerate(tables):
        chosen = (count >= 2**power) & (count < 2 ** (power + 1))
        result[chosen] = np.maximum(table[first[chosen]], table[end[chosen] - 2**power])
    return result
