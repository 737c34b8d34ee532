"""Measures of an audio track, all in one pass over its sound, which is never held as a whole."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.media.audio import AudioTrack
from render.media.pcm import CHUNK, read_mono
from render.sound import chroma, flux, onsets, parts
from render.sound.bands import gain, hop_energy
from render.sound.blocks import CORE, HOP, HOP_RATE, RATE, Block, Floats, blocks
from render.sound.loudness import BAND_FLOOR, SILENCE, loud_level, root_mean_square
from render.sound.measures import Events, Measure, Measured, Samples, Tempo
from render.sound.tempo import beats_of

ENERGY = "energy"
EXTREMES = "extremes"
LEVELS, BEATS = "levels", "beats"
Feature = Measure | str
"""What a block is measured for: a loudness or onsets, all pitches (chroma without one), or one of the words above."""
Arrays = tuple[NDArray[Any], ...]
_WAITING = 3
"""Blocks for each thread that are held at once."""
_FREED = 2**24
"""Bytes of an array that is freed unused: from then on glibc keeps this much for the next block, where it would return
a block's memory to the system and clear it again for the next one."""


def analyse(track: AudioTrack, measures: Sequence[Measure]) -> dict[Measure, Measured]:
    """Returns what is measured of a track, by measure; sound that was analysed before is not decoded again.

    Raises StorageError when the track cannot be decoded, or when it has no beats and they are requested.
    """
    features = prepare(track, measures)
    return {measure: _finished(measure, features, track) for measure in measures}


def prepare(track: AudioTrack, measures: Sequence[Measure]) -> dict[Feature, Arrays]:
    """Measures a track for all these measures in one pass, and keeps and returns that. Raises StorageError."""
    return _features(track, [feature for measure in measures for feature in _needs(measure)])


def tempo(track: AudioTrack) -> Tempo:
    """Returns the tempo of a track and its beats. Raises StorageError if it is silent or has no beat."""
    return _tempo(_features(track, (BEATS,)), track)


def waveform(track: AudioTrack, points: int) -> tuple[Floats, Floats]:
    """Returns the lowest and the highest sample in each of at most `points` equal parts of a track."""
    lows, highs = _features(track, ())[EXTREMES]
    edges = np.unique(np.linspace(0, len(lows), min(points, len(lows)) + 1).astype(np.int64)[:-1])
    if not len(edges):
        return lows, highs
    return np.minimum.reduceat(lows, edges), np.maximum.reduceat(highs, edges)


def _needs(measure: Measure) -> tuple[Feature, ...]:
    match measure:
        case Measure(kind="beats"):
            return (BEATS,)
        case Measure(kind="chroma"):
            return (Measure("chroma"),)
        case Measure(kind="loudness", band=None, part=None):
            return (ENERGY,)
        case _:
            return (measure,)


def _loud(features: dict[Feature, Arrays]) -> float:
    return loud_level(root_mean_square(features[ENERGY][0], HOP_RATE))


def _tempo(features: dict[Feature, Arrays], track: AudioTrack) -> Tempo:
    """The tempo and the beats on the file's clock, from the beats since the start. Raises StorageError without any."""
    (beats,) = features[BEATS]
    if not len(beats):
        raise StorageError(f"{track.path.name} has no beat that can be found; set bpm: 120")
    return Tempo(bpm=float(60 / np.median(np.diff(beats))), beats=beats + float(track.start))


def _finished(measure: Measure, features: dict[Feature, Arrays], track: AudioTrack) -> Measured:
    """Returns a measure on the file's clock from the features of all blocks."""
    loud, start = _loud(features), float(track.start)
    match measure.kind:
        case "loudness":
            rate = HOP_RATE if measure.part is None else parts.PART_RATE
            (feature,) = _needs(measure)
            values = root_mean_square(features[feature][0], rate)
            return _samples(values, start, rate=rate, floor=SILENCE if feature == ENERGY else BAND_FLOOR * loud)
        case "chroma":
            share = chroma.share(features[Measure("chroma")][0].reshape(-1, 12), measure.pitch or 0, loud)
            return _samples(share, start, rate=chroma.CHROMA_RATE, floor=0.0)
        case "onsets":
            frames = onsets.Flux(*features[measure])
            found = onsets.pick(frames, measure, energy=features[ENERGY][0], loud=loud)
            return Events(found.times + start, found.strengths)
        case "beats":
            times = _tempo(features, track).beats
            return Events(times, np.ones(len(times)))


def _samples(values: Floats, start: float, *, rate: float, floor: float) -> Samples:
    """Returns values that are centred in equal steps from `start` on, with a zero on both sides: silence goes on."""
    return Samples(np.pad(values, 1), start=start - 0.5 / rate, rate=rate, floor=floor)


def _measured(block: Block, feature: Feature) -> Arrays:
    """Returns the values of a feature in a block."""
    match feature:
        case "energy":
            return (hop_energy(block, None),)
        case "extremes":
            hops = block.core.reshape(CORE, HOP)
            return hops.min(1), hops.max(1)
        case "levels":
            return (flux.band_levels(block),)
        case Measure(kind="chroma"):
            return (chroma.pitch_power(block),)
        case Measure(kind="onsets"):
            return onsets.block_flux(block, feature).arrays
        case Measure(part=None):
            return (hop_energy(block, feature.band),)
        case Measure(part=part) if part is not None:
            power = parts.part_power(block, part)
            if feature.band is None:
                return (power.sum(1),)
            weights = np.square(gain(np.asarray(parts.band_centres()), feature.band)).astype(np.float32)
            return (power @ weights,)
    raise AssertionError(feature)


def measure_blocks(chunks: Iterable[Floats], features: Sequence[Feature]) -> dict[Feature, Arrays]:
    """Returns features of samples at RATE, in pieces of any size; blocks are measured in threads."""
    np.empty(_FREED, np.uint8)
    found: dict[Feature, list[_Column]] = {feature: [] for feature in features}
    for values, inside in _in_threads(
        lambda block: [_measured(block, feature) for feature in features], blocks(chunks)
    ):
        hops = -(-inside // HOP)
        for feature, arrays in zip(features, values, strict=True):
            columns = found[feature] = found[feature] or [_Column(array) for array in arrays]
            for column, array in zip(columns, arrays, strict=True):
                column.append(array[: -(-len(array) * hops // CORE)])
    nothing = (np.zeros(0, np.float32),) * 3
    return {feature: tuple(column.values for column in columns) or nothing for feature, columns in found.items()}


class _Column:
    """The values of all blocks, one after the other. They grow in place: if they were joined, they would be held twice.

    They are values as those in `like`.
    """

    def __init__(self, like: NDArray[Any]) -> None:
        self._bytes = bytearray()
        self._dtype, self._shape = like.dtype, (-1, *like.shape[1:])

    def append(self, values: NDArray[Any]) -> None:
        """Adds the values of a block."""
        self._bytes.extend(np.ascontiguousarray(values).data)

    @property
    def values(self) -> NDArray[Any]:
        """The values of all blocks."""
        return np.frombuffer(self._bytes, self._dtype).reshape(self._shape)


def _in_threads(
    measure: Callable[[Block], list[Arrays]], found: Iterator[tuple[Block, int]]
) -> Iterator[tuple[list[Arrays], int]]:
    """Yields what `measure` returns of each block, in order; a few blocks are held at a time."""
    count = min(os.cpu_count() or 1, 4)
    waiting: deque[tuple[Future[list[Arrays]], int]] = deque()
    with ThreadPoolExecutor(count) as pool:
        for block, inside in found:
            waiting.append((pool.submit(measure, block), inside))
            if len(waiting) > _WAITING * count:
                future, length = waiting.popleft()
                yield future.result(), length
        for future, length in waiting:
            yield future.result(), length


_Identity = tuple[int, int]


def _features(track: AudioTrack, needed: Sequence[Feature]) -> dict[Feature, Arrays]:
    """Returns features of a track, at least these and those of all tracks; what was measured of the file is kept."""
    try:
        stat = track.path.stat()
    except OSError as error:
        raise StorageError(f"cannot read the sound {track.path}: {error.strerror}") from None
    known = _known(track, (stat.st_size, stat.st_mtime_ns))
    missing = [feature for feature in dict.fromkeys((ENERGY, EXTREMES, *needed)) if feature not in known]
    if missing:
        measured = [LEVELS if feature == BEATS else feature for feature in missing]
        found = measure_blocks(read_mono(track, rate=RATE, chunk=CHUNK), measured)
        if LEVELS in found:
            found[BEATS] = (beats_of(flux.onset_flux(found.pop(LEVELS)[0]), float(track.end - track.start)),)
        known.update(found)
    return known


@lru_cache(maxsize=16)
def _known(track: AudioTrack, identity: _Identity) -> dict[Feature, Arrays]:
    """The features of a track that this process has measured; `identity` is the size and time of its file."""
    del track, identity
    return {}
