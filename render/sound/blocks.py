"""Blocks of a sound with what lies around them, and the spectra of a block that measures share.

A block is measured without knowledge of other blocks, so that the result is the same in any order and in any process,
and a border between blocks leaves no trace. All grids start with the track: value k is centred in its k-th hop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, signal

Floats = NDArray[np.float32]
Value = TypeVar("Value")
RATE = 32000
"""Samples per second; half of it is the highest frequency that is measured."""
HOP = 320
"""Samples of a hop: a value of the fine grid every 10 ms."""
HOP_RATE = RATE / HOP
CORE = 1000
"""Hops of a block."""
MARGIN = 100
"""Hops before and after a block that are visible to it; filters and windows reach less far."""
FINE = 1024
"""Samples of the window of the fine spectrum, 32 ms: one each hop."""
DECIMATION = 4
LOW_RATE = RATE // DECIMATION
"""Samples per second of the low stream, which holds frequencies up to 3.3 kHz."""
LOW_HOP = HOP // DECIMATION
"""Samples of a hop in the low stream."""
_TAPS = 129
_OUTPUTS = 16
"""Samples of the low stream that are made of so many DECIMATION of samples, and as many before and after them."""
_AT_ONCE = 2**17
"""Samples of the windows that are transformed at once: more do not remain in a processor's cache."""


class Block:
    """A block of CORE hops with MARGIN hops before and after it, `samples`; what is outside the track is silence."""

    def __init__(self, samples: Floats) -> None:
        self.samples = samples
        self._made: dict[Callable[[Block], Any], Any] = {}

    def once(self, make: Callable[[Block], Value]) -> Value:
        """Returns what `make` returns for this block, which several measures have in common."""
        if make not in self._made:
            self._made[make] = make(self)
        value: Value = self._made[make]
        return value

    @property
    def core(self) -> Floats:
        """The samples of the block without its margins."""
        return self.samples[MARGIN * HOP : (MARGIN + CORE) * HOP]

    @cached_property
    def low(self) -> Floats:
        """The low stream of block and margins: one sample of DECIMATION."""
        step = _OUTPUTS * DECIMATION
        rows = np.pad(self.samples, step).reshape(-1, step)
        before, here, after = np.split(rows @ _decimator(), 3, axis=1)
        low: Floats = before[:-2] + here[1:-1] + after[2:]
        return low.reshape(-1)

    @cached_property
    def low_spectrum(self) -> NDArray[np.complex64]:
        """The transform of the low stream of block and margins."""
        spectrum: NDArray[np.complex64] = fft.rfft(self.low)
        return spectrum

    @cached_property
    def fine(self) -> Floats:
        """The power of the fine spectra of the block's hops and of FINE_AROUND more on both sides, NxF."""
        first = (MARGIN - FINE_AROUND) * HOP + HOP // 2 - FINE // 2
        count = CORE + 2 * FINE_AROUND
        return window_power(self.samples[first : first + (count - 1) * HOP + FINE], FINE, HOP)


FINE_AROUND = 24
"""Hops around a block of which it has fine spectra."""


def blocks(chunks: Iterable[Floats]) -> Iterator[tuple[Block, int]]:
    """Yields the blocks of a sound, and how many samples of each block are within the sound."""
    core, margin = CORE * HOP, MARGIN * HOP
    pending = [np.zeros(margin, np.float32)]
    held = margin
    for chunk in chunks:
        pending.append(chunk)
        held += len(chunk)
        while held >= core + 2 * margin:
            joined = np.concatenate(pending)
            yield Block(joined[: core + 2 * margin]), core
            pending = [joined[core:]]
            held -= core
    rest = np.concatenate(pending)
    for start in range(0, max(held - margin, 0), core):
        part = rest[start : start + core + 2 * margin]
        yield Block(np.pad(part, (0, core + 2 * margin - len(part)))), min(core, held - margin - start)


def window_power(samples: Floats, size: int, hop: int) -> Floats:
    """Returns the power of the transforms of all Hann windows in samples, Nx(size / 2 + 1).

    The first window begins with the samples, each other one a hop after the one before it. Scaled so that the sum over
    the frequencies is the mean square in the window.
    """
    windows = sliding_window_view(samples, size)[::hop]
    result = np.empty((len(windows), size // 2 + 1), np.float32)
    count = _AT_ONCE // size
    for start in range(0, len(windows), count):
        parts: Floats = fft.rfft(windows[start : start + count] * _window(size), axis=1).view(np.float32)
        np.square(parts, out=parts)
        np.add(parts[:, 0::2], parts[:, 1::2], out=result[start : start + count])
    return result


def decibels(power: Floats) -> Floats:
    """Returns the levels of powers."""
    return np.log(power) * np.float32(10 / np.log(10))  # faster than log10


@lru_cache
def _window(size: int) -> Floats:
    """A periodic Hann window, scaled as `window_power` says."""
    window = signal.windows.hann(size, sym=False)
    return np.asarray(window * np.sqrt(2 / (size * np.square(window).sum())), np.float32)


@lru_cache
def _decimator() -> Floats:
    """The matrix that makes what samples add to the low stream after, around and before them, _OUTPUTS columns each.

    The filter passes 3.3 kHz and stops what would fold.
    """
    taps = signal.firwin(_TAPS, LOW_RATE / 2, window=("kaiser", 8.0), fs=RATE)
    step = _OUTPUTS * DECIMATION
    matrix = np.zeros((3 * step, _OUTPUTS), np.float32)
    for output in range(_OUTPUTS):
        first = step + output * DECIMATION - _TAPS // 2
        matrix[first : first + _TAPS, output] = taps
    return np.concatenate(np.split(matrix, 3), axis=1)
