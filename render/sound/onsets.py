"""Onsets: peaks of the log-mel flux that stand out of their surroundings, at the time when the waveform rises.

The flux is the mean over mel filters of the increase of the level within LAG, as of S. Dixon, Onset detection revisited
(DAFx 2006), and librosa's onset strength.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage

from render.sound.bands import Band, FilterBank, fine_centres, gain, mel_bank
from render.sound.blocks import CORE, FINE_AROUND, HOP, HOP_RATE, MARGIN, RATE, Block, Floats, decibels
from render.sound.loudness import BAND_FLOOR
from render.sound.measures import Events, Measure
from render.sound.parts import AROUND, PART_RATE, band_centres, part_power

LAG = 0.02
"""Seconds from one spectrum to the one that it is compared with."""
QUIETEST = 1e-8
"""Power of a filter below which it is silent: -80 dB of full scale."""
MIN_FLUX, NOISE_FLUX = 1.0, 40.0
"""Decibels by which the flux of an onset exceeds what is usual around it; the second is divided by the number
of filters, because the flux of noise varies more in few filters."""
SPREAD = 5.0
"""How many times the usual spread of the flux below its median an onset's flux is above the median."""
SURROUNDINGS = 3.0
"""Seconds of the median and the spread of the flux."""
NEIGHBOURS = 0.03
"""Seconds before and after an onset in which no flux is larger."""
WEAKEST = 0.08
"""Strength below which a peak is no onset."""
STRONG_PERCENTILE = 90.0
QUIET = 10 ** (-50 / 20)
"""Level of an onset in a full band, relative to the loud parts, below which it does not count."""

_SEGMENT = 2048
"""Samples around a peak of the flux in which the rise is searched, 64 ms."""
_STEP = 16
"""Samples of a step of the search, 0.5 ms."""
_OVERTONES = 4.0
"""Ratio of the highest frequency of the band in which the time of an onset is found, to that of the onset's band."""
_RISEN = 0.15
"""Share of the increase of the power at which a sound has begun."""
_EDGE_FRAMES = 3
"""Frames at the end of a track whose windows reach beyond it."""
_FIRST = 0.03
"""Seconds from the start in which an onset may be a sound that has begun before."""


@dataclass(frozen=True)
class Flux:
    """The flux of a block's or a track's frames in decibels; the mean square in the band; peaks and their times.

    `rise` is in seconds from the middle of the frame to the moment when the waveform rises; NaN where there is no peak.
    """

    flux: Floats
    level: Floats
    rise: Floats

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """All three."""
        return self.flux, self.level, self.rise


def rate_of(measure: Measure) -> float:
    """Returns the frames per second of the flux of a measure."""
    return HOP_RATE if measure.part is None else PART_RATE


def filters_of(measure: Measure) -> FilterBank:
    """Returns the mel filters of a measure."""
    return mel_bank(fine_centres() if measure.part is None else band_centres(), measure.band)


def least_flux(measure: Measure) -> float:
    """Returns the decibels by which the flux of an onset at least exceeds what is usual around it."""
    return float(MIN_FLUX + NOISE_FLUX / filters_of(measure).count)


def mel_power(block: Block, measure: Measure) -> tuple[Floats, int]:
    """Returns the power in mel filters of a block and of some frames on both sides, NxM, and how many those are."""
    filters = filters_of(measure)
    if measure.part is None:
        return filters.of(block.fine), FINE_AROUND
    return filters.of(part_power(block, measure.part, AROUND)), AROUND


def block_flux(block: Block, measure: Measure) -> Flux:
    """Returns the flux of a block's frames."""
    power, around = mel_power(block, measure)
    rate = rate_of(measure)
    lag, near = round(LAG * rate), max(1, round(NEIGHBOURS * rate))
    levels = decibels(np.maximum(power, np.float32(QUIETEST)))
    flux = np.zeros(len(levels), np.float32)
    flux[lag:] = np.maximum(levels[lag:] - levels[:-lag], 0).mean(1)
    count = round(CORE * rate / HOP_RATE)
    core = slice(around, around + count)
    is_peak = (flux == ndimage.maximum_filter1d(flux, 2 * near + 1))[core] & (flux[core] > least_flux(measure))
    rise = np.full(count, np.nan, np.float32)
    peaks = np.flatnonzero(is_peak)
    rise[peaks] = _rises(block, peaks * round(HOP_RATE / rate) * HOP, hop=round(RATE / rate), band=_wider(measure.band))
    after = np.maximum(power[core], power[around + lag : around + lag + count])
    return Flux(flux[core], after.sum(1), rise)


def _wider(band: Band | None) -> Band | None:
    """The band in which the time of an onset is found: a narrow one would spread it."""
    return None if band is None else (band[0], band[1] * _OVERTONES)


def _rises(block: Block, starts: NDArray[np.int64], *, hop: int, band: Band | None) -> Floats:
    """Returns the seconds from the middle of hops, that start at these samples, to the rise of the waveform near it.

    NaN where the sound only stops there: a tone that is cut off has all frequencies for a moment.
    """
    if not len(starts):
        return np.zeros(0, np.float32)
    first = MARGIN * HOP + starts + hop // 2 - _SEGMENT // 2
    segments = sliding_window_view(block.samples, _SEGMENT)[first]
    frequencies = np.asarray(np.fft.rfftfreq(_SEGMENT, 1 / RATE), np.float64)
    emphasis = np.minimum(frequencies / 2000, 1) + 0.05 if band is None else gain(frequencies, band)
    spectra = fft.rfft(segments, axis=1) * emphasis.astype(np.float32)
    energy = np.square(fft.irfft(spectra, _SEGMENT, axis=1)).reshape(len(starts), -1, _STEP).sum(2)
    energy = ndimage.uniform_filter1d(energy, 3, axis=1)
    steps = energy.shape[1]
    near = slice(steps // 8, 7 * steps // 8)
    peak = near.start + energy[:, near].argmax(1)
    highest = np.take_along_axis(energy, peak[:, None], 1)[:, 0]
    before = energy[:, steps // 32 : steps // 8].mean(1) + np.float32(1e-12)
    after = energy[:, -steps // 8 : -steps // 32].mean(1)
    is_low = energy < (before + _RISEN * (highest - before))[:, None]
    is_low &= np.arange(steps) <= peak[:, None]
    begins = np.where(is_low.any(1), steps - is_low[:, ::-1].argmax(1), peak)
    # The filter spreads energy to the step before. The end of the step: no onset is before its sound, so that the frame
    # that displays it is never the one before.
    seconds = ((begins + 2) * _STEP - _SEGMENT // 2) / RATE
    has_risen = highest > 2 * before
    seconds = np.where(has_risen, seconds, 0)
    return np.where(~has_risen & (after < 0.3 * before), np.nan, seconds).astype(np.float32)


def pick(found: Flux, measure: Measure, *, energy: Floats, loud: float) -> Events:
    """Returns the onsets of a track, at times in seconds from its start.

    `energy` is the mean square of all frequencies in each hop, `loud` the loudness of the track's loud parts. The
    strength is relative to the strong onsets of the track.
    """
    rate = rate_of(measure)
    flux = found.flux
    length = 2 * round(SURROUNDINGS * rate / 2) + 1
    usual = ndimage.median_filter(flux, length, mode="reflect")
    spread = usual - ndimage.percentile_filter(flux, 10, length, mode="reflect")
    excess = flux - usual
    quiet = (QUIET if measure.band is None else BAND_FLOOR) * loud
    is_onset = (
        ~np.isnan(found.rise) & (excess > np.maximum(least_flux(measure), SPREAD * spread)) & (found.level > quiet**2)
    )
    is_onset[-_EDGE_FRAMES:] = False
    frames = np.flatnonzero(is_onset)
    times = (frames + 0.5) / rate + found.rise[frames].astype(np.float64)
    is_new = (times > _FIRST) | _decays(energy)
    frames, times = frames[is_new], np.maximum(times[is_new], 0)
    if not len(frames):
        return Events(np.zeros(0), np.zeros(0))
    strengths = excess[frames] / np.percentile(excess[frames], STRONG_PERCENTILE)
    strengths = np.clip(strengths, 0, 1).astype(np.float64)
    kept = strengths >= WEAKEST
    times, strengths = times[kept], strengths[kept]
    order = np.argsort(times, kind="stable")
    times, strengths = times[order], strengths[order]
    is_first = np.diff(times, prepend=-1.0) > NEIGHBOURS / 2
    return Events(times[is_first], strengths[is_first])


def _decays(energy: Floats) -> bool:
    """Whether a track starts with a sound that decays, and not with one that goes on."""
    return bool(energy[:4].mean() > 2 * energy[10:25].mean()) if len(energy) > 10 else True
