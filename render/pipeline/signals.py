"""Measures the beats and signals of a scene: in its sounds, from tables, from noise, and from each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from render.errors import StorageError
from render.media.audio import AudioTrack
from render.media.table import read_table
from render.pipeline.sound import PlacedSound, Sounds
from render.scene.beats import Beats
from render.scene.clock import Clock, Curve, Time, Values
from render.scene.field_errors import FieldError
from render.scene.functions import smooth_noise
from render.scene.loop import TOLERANCE
from render.scene.names import in_order
from render.scene.signals import DEFAULT_PERCENTILE, PITCHES, SignalSpec
from render.sound.analysis import analyse, prepare, tempo
from render.sound.loudness import SILENCE
from render.sound.measures import Events, Measure, Samples
from render.sound.shaping import Shape, shaped

GRID_RATE = 200.0
"""Values per second of a table, of noise or of an expression that is shaped over time."""
SLACK = Fraction(1, 1000)
"""Seconds by which beat 0 may come before the time that the scene names."""
MIN_TEMPO_SECONDS = 4
"""Of sound; in less, tempi are found that are no simple ratio of the right one."""
MAX_SHAPE_SECONDS = 60
"""The longest `smooth`, `attack` and `decay`: values are computed that long before and after a sound, and longer."""
TIME_UNIT = 10**6
"""Beats are at whole numbers of this part of a second."""


def find_beats(sounds: Sounds) -> Beats:
    """Finds the beats of a scene with `bpm: auto` in its sound. Raises FieldError, at its key, when there are none."""
    spec = sounds.spec.bpm
    assert spec is not None
    name = spec.audio or "output"
    sound = _sound(sounds, name, ("bpm",) if spec.audio is None else ("bpm", "audio"))
    seconds = float(sound.track.end - sound.track.start)
    if seconds < MIN_TEMPO_SECONDS:
        raise FieldError(
            f"{sound.track.path} lasts {seconds:.3g} s; a tempo is found in {MIN_TEMPO_SECONDS} s or more: bpm: 120",
            ("bpm",),
        )
    try:
        prepare(sound.track, [Measure("beats"), *_measures(sounds).get(sound.track, ())])
        found = tempo(sound.track)
    except StorageError as error:
        raise FieldError(str(error), ("bpm",)) from None
    times = tuple(Fraction(round(time * TIME_UNIT), TIME_UNIT) - sound.start for time in found.beats.tolist())
    offset = Fraction(0) if spec.offset is None else spec.offset.span(Clock(sounds.spec.fps, 1)) / sounds.spec.fps
    zero = next((number for number, time in enumerate(times) if time >= offset - SLACK), None)
    if zero is None or len(times) < 2:
        raise FieldError(f"{sound.track.path} has no beat after {float(offset):.6g} s; set bpm: 120", ("bpm",))
    return Beats(times, spec.per_bar, zero)


def measure_signals(sounds: Sounds) -> Mapping[str, Curve]:
    """Returns the values of a scene's signals over time; its rate, duration and beats are known.

    Raises FieldError, with the path in the scene, for a sound that does not exist or is silent, and StorageError for a
    file that cannot be read.
    """
    for track, measures in _measures(sounds).items():
        prepare(track, measures)
    measuring = _Measuring(sounds)
    for name in in_order(sounds.spec.signals):
        measuring.signals[name] = measuring.curve(name, sounds.spec.signals[name])
    return measuring.signals


def _measures(sounds: Sounds) -> Mapping[AudioTrack, Sequence[Measure]]:
    """What signals measure in each track. Raises FieldError for a sound that does not exist."""
    found: dict[AudioTrack, list[Measure]] = {}
    for name, spec in sounds.spec.signals.items():
        if spec.audio is not None:
            found.setdefault(_sound_of(sounds, name, spec).track, []).append(_measure(spec))
    return found


def _sound_of(sounds: Sounds, name: str, spec: SignalSpec) -> PlacedSound:
    """The sound of a signal. Raises FieldError when it does not exist."""
    return _sound(sounds, str(spec.audio), ("signals", name, "audio"), number=spec.audio_track)


def _measure(spec: SignalSpec) -> Measure:
    """What a signal measures in its sound."""
    pitch = None if spec.chroma is None else PITCHES.index(spec.chroma)
    return Measure(spec.measure, band=spec.band, part=spec.part, pitch=pitch)


@dataclass(frozen=True)
class _Measuring:
    """The signals that were measured so far."""

    sounds: Sounds
    signals: dict[str, Curve] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """The film's clock, with these signals."""
        known = self.sounds.spec.clock
        return Clock(known.fps, known.length, beats=known.beats, signals=self.signals, loops=known.loops)

    def curve(self, name: str, spec: SignalSpec) -> Curve:
        """Returns the values of a signal by frame numbers, also between whole ones."""
        at = self._repeating(self._of_sound(name, spec) if spec.audio is not None else self._of_seconds(name, spec))
        clock = self.clock
        return lambda frames: at(clock.seconds(frames))

    def _of_sound(self, name: str, spec: SignalSpec) -> Callable[[Values], Values]:
        """The values of a signal that is measured in a sound, by seconds."""
        sound = _sound_of(self.sounds, name, spec)
        measure, loudness = _measure(spec), Measure("loudness")
        measured = analyse(sound.track, [loudness, measure])
        whole = measured[loudness]
        if not isinstance(whole, Events) and not (whole.values > SILENCE).any():
            raise FieldError(f"{sound.track.path} is silent", ("signals", name, "audio"))
        signal = shaped(measured[measure], self._shape(name, spec))
        start, frame_seconds = float(sound.start), float(1 / self.clock.fps)
        return lambda seconds: signal(seconds + start, frame_seconds)

    def _of_seconds(self, name: str, spec: SignalSpec) -> Callable[[Values], Values]:
        """The values of a signal from a table, noise or an expression, by seconds."""
        exact = self._repeating(self._unshaped(name, spec))
        shape, clock = self._shape(name, spec), self.clock
        if not (shape.smooth or shape.attack or shape.decay):
            return lambda seconds: _levels(exact(seconds - shape.delay), shape)
        margin = 1 + 4 * (shape.smooth + shape.attack + (shape.decay or 0.0))
        end = float(clock.length / clock.fps) + margin
        grid = np.arange(-margin, end, 1 / GRID_RATE)
        samples = Samples(exact(grid).astype(np.float32), start=float(grid[0]), rate=GRID_RATE, floor=0)
        signal = shaped(samples, shape)
        return lambda seconds: signal(seconds, float(1 / clock.fps))

    def _repeating(self, at: Callable[[Values], Values]) -> Callable[[Values], Values]:
        """Values by seconds, those of a film that repeats: before its start they are what they are before its end."""
        period = float(self.clock.length / self.clock.fps)
        return (lambda seconds: at(np.mod(seconds, period))) if self.clock.loops else at

    def _unshaped(self, name: str, spec: SignalSpec) -> Callable[[Values], Values]:
        clock = self.clock
        if spec.csv is not None:
            return self._of_table(name, spec)
        if spec.noise is not None:
            period = float(spec.noise.span(clock) / clock.fps)
            seed = np.asarray(float(self.sounds.spec.seed if spec.seed is None else spec.seed))
            loop = np.asarray(float(clock.length / clock.fps) if clock.loops else np.inf)
            return lambda seconds: smooth_noise(seconds / period, loop / period, seed)
        assert spec.value is not None
        track = spec.value.curve(clock)
        return lambda seconds: track(seconds * float(clock.fps))

    def _of_table(self, name: str, spec: SignalSpec) -> Callable[[Values], Values]:
        path = self.sounds.paths["signals", name, "csv"]
        table = read_table(path, spec.column)
        times = table.times / (float(self.clock.fps) if table.unit == "frame" else 1.0)
        values = table.values
        if isinstance(spec.normalize, float):
            low = min(0.0, float(values.min()))
            values = (values - low) / max(float(np.percentile(values - low, spec.normalize)), np.finfo(float).tiny)
        elif ((values < 0) | (values > 1)).any():
            worst = values[np.argmax((values < 0) | (values > 1))]
            raise FieldError(
                f"{path} has the value {worst:g}; a signal is from 0 to 1, normalize: 100 makes its largest value 1",
                ("signals", name, "csv"),
            )
        if self.clock.loops:
            return self._closed(name, times, values)
        return lambda seconds: np.interp(seconds, times, values)

    def _closed(self, name: str, times: Values, values: Values) -> Callable[[Values], Values]:
        """The values of a table in a film that repeats: from its last line before the end to its first, interpolated.

        Raises FieldError when it has lines at the end or later, and there another value than at the start.
        """
        period = float(self.clock.length / self.clock.fps)
        first, last = np.interp([0.0, period], times, values)
        if times[-1] >= period and abs(last - first) > TOLERANCE:
            raise FieldError(
                f"{first:.6g} at frame 0, {last:.6g} at frame {self.clock.length}, where the loop starts again: a "
                f"difference of {last - first:.3g}; without its lines from {period:.6g} s on, the table goes on from "
                "its last value to its first",
                ("signals", name, "csv"),
            )
        inside = (times > 0) & (times < period)
        if times[0] <= 0 or times[-1] >= period:
            times, values = np.append(0.0, times[inside]), np.append(first, values[inside])
        return lambda seconds: np.interp(seconds, times, values, period=period)

    def _shape(self, name: str, spec: SignalSpec) -> Shape:
        def seconds(key: str, longest: float = MAX_SHAPE_SECONDS) -> float:
            time: Time | None = getattr(spec, key)
            length = 0.0 if time is None else float(time.span(self.clock) / self.clock.fps)
            if length > longest:
                raise FieldError(f"{time} is longer than {longest} s, the longest {key}", ("signals", name, key))
            return length

        normalize = DEFAULT_PERCENTILE if spec.normalize is None else spec.normalize
        return Shape(
            smooth=seconds("smooth"),
            attack=seconds("attack"),
            decay=None if spec.decay is None else seconds("decay"),
            normalize="absolute" if isinstance(normalize, str) else normalize,
            gate=spec.gate,
            power=spec.power,
            delay=seconds("delay", math.inf),
        )


def _levels(values: Values, shape: Shape) -> Values:
    """Values in [0, 1] after the gate and the exponent of a shape."""
    levels = np.clip(values, 0.0, 1.0)
    return np.asarray(np.where(levels < shape.gate, 0.0, levels) ** shape.power)


def _sound(sounds: Sounds, name: str, keys: tuple[str, ...], *, number: int | None = None) -> PlacedSound:
    """The sound that a scene names at some keys. Raises FieldError when it does not exist."""
    sound = sounds.named(name, keys, number)
    if sound is not None:
        return sound
    if name == "output":
        raise FieldError("the film has no sound; output.audio or --song names one", keys)
    has_clip = sounds.clip is not None
    raise FieldError("the clip has no sound" if has_clip else "without a clip there is no 'source' of sound", keys)
