"""Measures of an audio track, all in one pass over its sound, which is never held as a whole."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from render.errors import StorageError
from render.media.audio import AudioTrack
from render.media.pcm import CHUNK, read_mono
from render.sound import chroma, onsets, parts
from render.sound.bands import gain, hop_energy
from render.sound.blocks import CORE, HOP, HOP_RATE, RATE, Block, Floats, blocks
from render.sound.loudness import BAND_FLOOR, SILENCE, loud_level, root_mean_square
from render.sound.measures import Events, Measure, Measured, Samples
from render.sound.tempo import tempo

ENERGY = "energy"
EXTREMES = "extremes"
Feature = Measure | str
"""What a block is measured for: a loudness or onsets, all pitches (chroma without one), or one of the words above."""
Arrays = tuple[Floats, ...]
_WAITING = 3
"""Blocks for each thread that are held at once."""


def analyse(track: AudioTrack, measures: Sequence[Measure]) -> dict[Measure, Measured]:
    """Returns what is measured of a track, by measure; sound that was analysed before is not decoded again.

    Raises StorageError when the track cannot be decoded, or when it has no beats and they are requested.
    """
    features = _features(track, tuple(dict.fromkeys([ENERGY, *(need for m in measures for need in _needs(m))])))
    start = float(track.start)
    return {measure: _finished(measure, features, track=track, start=start) for measure in measures}


def waveform(track: AudioTrack, points: int) -> tuple[Floats, Floats]:
    """Returns the lowest and the highest sample in each of at most `points` equal parts of a track."""
    lows, highs = _features(track, (ENERGY, EXTREMES))[EXTREMES]
    edges = np.unique(np.linspace(0, len(lows), min(points, len(lows)) + 1).astype(np.int64)[:-1])
    if not len(edges):
        return lows, highs
    return np.minimum.reduceat(lows, edges), np.maximum.reduceat(highs, edges)


def _needs(measure: Measure) -> tuple[Feature, ...]:
    match measure.kind:
        case "beats":
            return ()
        case "chroma":
            return (Measure("chroma"),)
        case _:
            return (measure,)


def _loud(features: dict[Feature, Arrays]) -> float:
    return loud_level(root_mean_square(features[ENERGY][0], HOP_RATE))


def _finished(measure: Measure, features: dict[Feature, Arrays], *, track: AudioTrack, start: float) -> Measured:
    """Returns a measure on the file's clock from the features of all blocks."""
    loud = _loud(features)
    match measure.kind:
        case "loudness":
            rate = HOP_RATE if measure.part is None else parts.PART_RATE
            values = root_mean_square(features[measure][0], rate)
            is_all = measure.band is None and measure.part is None
            return Samples(values, start + 0.5 / rate, rate, floor=SILENCE if is_all else BAND_FLOOR * loud)
        case "chroma":
            share = chroma.shares(features[Measure("chroma")][0].reshape(-1, 12), loud)[:, measure.pitch or 0]
            return Samples(share, start + 0.5 / chroma.CHROMA_RATE, chroma.CHROMA_RATE, floor=0.0)
        case "onsets":
            flux = onsets.Flux(*features[measure])
            found = onsets.pick(flux, measure, energy=features[ENERGY][0], loud=loud)
            return Events(found.times + start, found.strengths)
        case "beats":
            times = tempo(track).beats
            return Events(times, np.ones(len(times)))


def _measured(block: Block, feature: Feature) -> Arrays:
    """Returns the values of a feature in a block."""
    match feature:
        case "energy":
            return (hop_energy(block, None),)
        case "extremes":
            hops = block.core.reshape(CORE, HOP)
            return hops.min(1), hops.max(1)
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
    found: dict[Feature, list[Arrays]] = {feature: [] for feature in features}
    length = 0
    for values, inside in _in_threads(
        lambda block: [_measured(block, feature) for feature in features], blocks(chunks)
    ):
        hops = -(-inside // HOP)
        length += hops
        for feature, arrays in zip(features, values, strict=True):
            found[feature].append(tuple(array[: -(-len(array) * hops // CORE)] for array in arrays))
    empty = np.zeros(0, np.float32)
    return {
        feature: tuple(np.concatenate(column) for column in zip(*rows, strict=True)) if rows else (empty,) * 3
        for feature, rows in found.items()
    }


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
    """Returns features of a track; those that were measured before of the same file are kept."""
    try:
        stat = track.path.stat()
    except OSError as error:
        raise StorageError(f"cannot read the sound {track.path}: {error.strerror}") from None
    known = _known(track, (stat.st_size, stat.st_mtime_ns))
    missing = [feature for feature in needed if feature not in known]
    if missing:
        known.update(measure_blocks(read_mono(track, rate=RATE, chunk=CHUNK), missing))
    return known


@lru_cache(maxsize=4)
def _known(track: AudioTrack, identity: _Identity) -> dict[Feature, Arrays]:
    """The features of a track that this process has measured; `identity` is the size and time of its file."""
    del track, identity
    return {}
