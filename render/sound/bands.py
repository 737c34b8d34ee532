"""Frequency bands: the mean square of each hop within a band, and banks of filters on the fine spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from render.choices import MAX_FREQUENCY
from render.sound.blocks import CORE, FINE, FINE_AROUND, HOP, HOP_RATE, LOW_HOP, LOW_RATE, MARGIN, RATE, Block, Floats

Band = tuple[float, float]
EDGE = 2**0.3
"""Ratio of the frequency where a band has ended to the one where it begins to end: less than a third of an octave."""
CROSSOVER = (2400.0, 3200.0)
"""Hz: below, a band is filtered in the low stream; above, its bins of the fine spectrum are added."""


def hop_energy(block: Block, band: Band | None) -> Floats:
    """Returns the mean square of each hop of a block in a band, CORE values."""
    if band is None:
        hops = block.core.reshape(CORE, HOP)
        return np.asarray(np.einsum("ij,ij->i", hops, hops) / np.float32(HOP), np.float32)
    energy = np.zeros(CORE, np.float32)
    if band[0] / EDGE < CROSSOVER[1]:
        filtered = fft.irfft(block.low_spectrum * _response(band, len(block.low)), len(block.low))
        hops = filtered.reshape(-1, LOW_HOP)[MARGIN : MARGIN + CORE]
        energy += np.einsum("ij,ij->i", hops, hops) / np.float32(LOW_HOP)
    if band[1] * EDGE > CROSSOVER[0]:
        energy += _bin_weights(band).of(block.fine[FINE_AROUND : FINE_AROUND + CORE])[:, 0]
    return energy


def gain(frequencies: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    """The gain of a band: 1 within it, 0 beyond EDGE, between them half a cosine over the logarithm of frequency."""
    logs = np.log(np.maximum(frequencies, 1e-3))
    width = np.log(EDGE)
    up = np.clip((logs - np.log(max(band[0], 1e-3))) / width + 1, 0, 1)
    down = np.clip((np.log(band[1]) - logs) / width + 1, 0, 1) if band[1] < MAX_FREQUENCY else 1.0
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * up)) * (0.5 - 0.5 * np.cos(np.pi * down)))


def _crossing(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to a quarter of a circle over CROSSOVER; the squares of its cosine and sine add to 1."""
    return np.pi / 2 * np.clip((frequencies - CROSSOVER[0]) / (CROSSOVER[1] - CROSSOVER[0]), 0, 1)


@lru_cache(maxsize=64)
def _response(band: Band, size: int) -> Floats:
    """The response of a band in the low stream: real, so that it does not delay, and no longer than the margin."""
    frequencies = np.asarray(np.fft.rfftfreq(size, 1 / LOW_RATE), np.float64)
    taps = np.fft.irfft(gain(frequencies, band) * np.cos(_crossing(frequencies)), size)
    reach = round(0.95 * MARGIN / HOP_RATE * LOW_RATE)
    window = np.zeros(size)
    window[: reach + 1] = signal.windows.kaiser(2 * reach + 1, 6.0)[reach:]
    window[-reach:] = window[reach:0:-1]
    return np.asarray(np.fft.rfft(taps * window).real, np.float32)


@dataclass(frozen=True, eq=False)
class FilterBank:
    """`count` filters of spectra, by groups of neighbours.

    A group is the number of its first frequency, and its weights of the power at B frequencies from there on, BxM.
    """

    groups: tuple[tuple[int, Floats], ...]
    count: int

    def of(self, power: Floats) -> Floats:
        """Returns the power in each filter, Nx`count`, of spectra, NxF."""
        parts = [power[:, first : first + len(weights)] @ weights for first, weights in self.groups]
        return np.concatenate(parts, axis=1)


_GROUP = 10
"""Filters of a group: in more of them, most weights are 0."""


def filter_bank(weights: NDArray[np.float64]) -> FilterBank:
    """Returns filters with these weights of the power at all frequencies, FxM; frequencies without one are dropped."""
    _, count = weights.shape
    groups = []
    for start in range(0, count, _GROUP):
        group = weights[:, start : start + _GROUP]
        used = np.flatnonzero(group.any(1))
        groups.append((int(used[0]), np.asarray(group[used[0] : used[-1] + 1], np.float32)))
    return FilterBank(tuple(groups), count)


@lru_cache(maxsize=64)
def _bin_weights(band: Band) -> FilterBank:
    """The filter whose power in the fine spectrum is the mean square of the part of a band above CROSSOVER."""
    frequencies = np.asarray(fine_centres())
    return filter_bank(np.square(gain(frequencies, band) * np.sin(_crossing(frequencies)))[:, None])


MEL_FILTERS = 40
"""Filters from MEL_RANGE[0] to MEL_RANGE[1]; a band has as many as lie in it, at least MIN_FILTERS."""
MEL_RANGE = (30.0, 15500.0)
MIN_FILTERS = 3


@lru_cache(maxsize=64)
def mel_bank(centres: tuple[float, ...], band: Band | None) -> FilterBank:
    """Returns triangular filters over bins with these centres in Hz, restricted to a band.

    The mel scale is Slaney's, linear to 1 kHz. A filter is at least as wide as the distance of its bins.
    """
    frequencies = np.asarray(centres)
    low, high = MEL_RANGE if band is None else (max(band[0], MEL_RANGE[0]), min(band[1], MEL_RANGE[1]))
    high = max(high, low * EDGE)
    share = (_mel(high) - _mel(low)) / (_mel(MEL_RANGE[1]) - _mel(MEL_RANGE[0]))
    count = max(MIN_FILTERS, round(MEL_FILTERS * share))
    points = _hertz(np.linspace(_mel(low), _mel(high), count + 2))
    spacing = np.interp(points[1:-1], frequencies, np.gradient(frequencies))
    left = np.minimum(points[:-2], points[1:-1] - spacing)
    right = np.maximum(points[2:], points[1:-1] + spacing)
    rising = (frequencies[:, None] - left) / (points[1:-1] - left)
    falling = (right - frequencies[:, None]) / (right - points[1:-1])
    weights = np.maximum(np.minimum(rising, falling), 0)
    if band is not None:
        weights *= np.square(gain(frequencies, band))[:, None]
    return filter_bank(weights[:, weights.sum(0) > 0])


@lru_cache
def fine_centres() -> tuple[float, ...]:
    """The frequencies of the fine spectrum's bins, in Hz."""
    return tuple(np.fft.rfftfreq(FINE, 1 / RATE).tolist())


def _mel(frequency: float) -> float:
    """Slaney's mel scale (Auditory Toolbox): 200/3 Hz a mel up to 1 kHz, then 27 mels for a factor of 6.4."""
    return 3 * frequency / 200 if frequency < 1000 else 15 + 27 * float(np.log(frequency / 1000) / np.log(6.4))


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, 200 * mels / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
