"""A scene's signals and tracks over its film, with its sound, beats and cuts, and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from render.pipeline.plan import Plan
from render.pipeline.scene import Scene
from render.pipeline.sound import Sounds
from render.sound.analysis import waveform

Values = NDArray[np.float64]
MAX_POINTS = 4000
"""Points of a curve in a plot; a longer film is drawn by the range of values at each."""


@dataclass(frozen=True)
class Curves:
    """What changes over a film of `length` frames, `fps` a second: the values of each signal and track at every frame.

    `beats` and `bars` are times in seconds, `cuts` frames at which a shot begins. `sound` are the seconds at which
    equal parts of the film's sound begin, and the lowest and the highest sample of each; None without any.
    """

    fps: float
    length: int
    signals: Mapping[str, Values]
    tracks: Mapping[str, Values]
    beats: Values
    bars: Values
    cuts: tuple[int, ...]
    sound: tuple[Values, Values, Values] | None = field(repr=False)


def changing_tracks(scene: Scene) -> dict[str, Values]:
    """Returns the values of every track that changes, by its key, at every frame; signals are none of them."""
    return {
        ".".join(map(str, path)): scene.spec.timeline[path][: scene.length]  # a loop has one value more
        for path, track in scene.spec.tracks()
        if not isinstance(track.shape, float) and path[0] != "signals"
    }


def signal_values(scene: Scene) -> dict[str, Values]:
    """Returns the values of every signal at every frame."""
    numbers = np.arange(scene.length, dtype=np.float64)
    return {name: scene.spec.clock.signals[name](numbers) for name in scene.spec.signals}


def curves_of(plan: Plan) -> Curves:
    """Returns the curves of a plan's film. Raises StorageError when its clip or sound cannot be read."""
    scene = plan.scene
    beats, bars = beats_of(scene)
    return Curves(
        float(scene.fps),
        scene.length,
        signals=signal_values(scene),
        tracks=changing_tracks(scene),
        beats=beats,
        bars=bars,
        cuts=tuple(sorted(plan.shots - {0})),
        sound=waveform_of(scene),
    )


def beats_of(scene: Scene) -> tuple[Values, Values]:
    """Returns the times of beats and bars within a film, in seconds; none without a tempo."""
    beats, end = scene.spec.clock.beats, scene.length / scene.fps
    if beats is None:
        return np.zeros(0), np.zeros(0)
    first, last = beats.beat(np.array([0.0, float(end)]))
    numbers = range(int(np.ceil(first)), int(np.floor(last)) + 1)
    times = [(number, float(beats.time(Fraction(number)))) for number in numbers]
    return (
        np.array([time for _, time in times]),
        np.array([time for number, time in times if number % beats.per_bar == 0]),
    )


def waveform_of(scene: Scene) -> tuple[Values, Values, Values] | None:
    """Returns the sound that goes with a film, or else the first one that a signal is measured in.

    As `Curves.sound`. Raises StorageError when it cannot be read.
    """
    sounds = Sounds(scene.spec, scene.paths, scene.clip, clip_start=scene.spec.start / scene.fps)
    sound = sounds.of_film()
    for name, signal in scene.spec.signals.items():
        if sound is None and signal.audio is not None:
            sound = sounds.named(signal.audio, ("signals", name, "audio"), signal.audio_track)
    if sound is None:
        return None
    track, duration = sound.track, float(scene.length / scene.fps)
    whole = float(track.end - track.start)
    lows, highs = waveform(track, int(min(MAX_POINTS * max(whole / duration, 1.0), 50 * MAX_POINTS)))
    seconds = float(track.start - sound.start) + np.linspace(0, whole, len(lows), endpoint=False)
    inside = (seconds >= 0) & (seconds <= duration)
    return seconds[inside], lows[inside].astype(np.float64), highs[inside].astype(np.float64)


def table_of(curves: Curves) -> str:
    """Returns the curves as CSV: a line for each frame, with its number, its time in seconds, signals and tracks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*curves.signals.values(), *curves.tracks.values()]  # a signal may have the name of a track
    writer.writerow(["frame", "time", *curves.signals, *curves.tracks])
    for frame in range(curves.length):
        values = (f"{column[frame]:.9g}" for column in columns)
        writer.writerow([frame, f"{frame / curves.fps:.6f}", *values])
    return text.getvalue()
