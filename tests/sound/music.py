"""Made music with known beats: drums, bass, chords and plucked notes, written as WAV."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RATE = 44100
BAR = 4
"""Beats of a bar; the patterns have 16 steps of a quarter of a beat."""


@dataclass(frozen=True)
class Style:
    """What is played in a bar: `x` is a note, `X` a loud one, of 16 steps; a name without a pattern is not played.

    `kit` chooses the sounds of the drums and the notes, `swing` moves each second eighth (1: to the triplet), `fill`
    plays sixteenths of the snare at the end of each fourth bar, `pad` holds a chord for each bar, `human` is the
    standard deviation of the notes' times in seconds.
    """

    kick: str = ""
    snare: str = ""
    hats: str = ""
    bass: str = ""
    pluck: str = ""
    click: str = ""
    pad: bool = False
    fill: bool = False
    swing: float = 0.0
    kit: int = 0
    human: float = 0.0


FOUR, TWO_FOUR, EIGHTHS, SIXTEENTHS = "X...X...X...X...", "....X.......X...", "x.x.x.x.x.x.x.x.", "x" * 16
STYLES = {
    "clicks": Style(click=FOUR),
    "rock": Style(kick="X.......X.......", snare=TWO_FOUR, hats=EIGHTHS, bass="x.x.x.x.x.x.x.x.", pad=True, fill=True),
    "sixteenths": Style(kick="X.......X.......", snare=TWO_FOUR, hats=SIXTEENTHS),
    "swing": Style(kick="X.......X.......", snare=TWO_FOUR, hats=EIGHTHS, bass=FOUR.lower(), swing=1.0),
    "syncopated": Style(kick="X.....x...x.....", snare=TWO_FOUR, hats=EIGHTHS, bass="x..x..x...x..x..", fill=True),
    "four": Style(kick=FOUR, hats="..x...x...x...x.", bass="..x...x...x...x.", pad=True),
    "half": Style(kick="X...............", snare="........X.......", hats=EIGHTHS, bass="x.....x.........", pad=True),
}


def made_music(
    path: Path,
    *,
    bpm: float | tuple[float, float],
    seconds: float,
    style: str | Style = "rock",
    intro: float = 0.0,
    offset: float = 0.0,
) -> Floats:
    """Writes music as WAV and returns the times of its beats, which are quarter notes.

    A pair of tempi is the first and the last; it changes linearly. `intro` is the seconds before the first bar with
    drums, in which only the chord plays, quietly; the first beat is at `offset` seconds.
    """
    chosen = STYLES[style] if isinstance(style, str) else style
    first, last = bpm if isinstance(bpm, tuple) else (bpm, bpm)
    times = _Times(first=first, last=last, seconds=seconds, offset=offset)
    sound = _played(chosen, times, intro)
    write_wav(path, 0.7 * sound / max(float(np.abs(sound).max()), 1e-9))
    return times.beats()


def write_wav(path: Path, sound: Floats) -> None:
    """Writes mono sound, full scale at 1, as 16-bit WAV of RATE samples per second."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


@dataclass(frozen=True)
class _Times:
    """The times of beats whose tempo changes linearly from `first` to `last` over `seconds`."""

    first: float
    last: float
    seconds: float
    offset: float

    def at(self, beat: Floats | float) -> Floats:
        """The time of a beat, which may lie between beats."""
        slope = (self.last - self.first) / self.seconds
        counts = 60 * np.asarray(beat, float)
        # the root of first * t + slope * t^2 / 2 = counts in the form that is exact for a slope of 0
        root = np.sqrt(np.maximum(self.first**2 + 2 * slope * counts, 0))
        return np.asarray(self.offset + 2 * counts / (self.first + root))

    def beats(self) -> Floats:
        """All beats before the end."""
        most = int(self.seconds * max(self.first, self.last) / 60) + 2
        times = self.at(np.arange(float(most)))
        return np.asarray(times[times < self.seconds])


@dataclass(frozen=True, eq=False)
class _Kit:
    """The sounds of the instruments; all notes of a track are drawn from `random`."""

    seed: int
    random: np.random.Generator = field(init=False)
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        object.__setattr__(self, "random", random)
        object.__setattr__(self, "scale", 1.0 if self.seed == 0 else float(random.uniform(0.7, 1.4)))

    def kick(self) -> Floats:
        t = _clock(0.3)
        sweep = 48 * self.scale * t + 120 * self.scale * 0.03 * (1 - np.exp(-t / 0.03))
        return np.sin(2 * np.pi * sweep) * np.exp(-t / (0.09 * self.scale)) * np.minimum(t / 0.001, 1)

    def snare(self) -> Floats:
        t = _clock(0.25)
        tone = 0.5 * np.sin(2 * np.pi * 190 * self.scale * t) * np.exp(-t / 0.05)
        noise = _smoothed(self.random.standard_normal(len(t)), 2 if self.scale < 1 else 4)
        return 0.7 * (tone + noise * np.exp(-t / (0.06 * self.scale)))

    def hats(self) -> Floats:
        t = _clock(0.08)
        noise = self.random.standard_normal(len(t))
        return 0.14 * np.diff(noise, n=2, append=[0, 0]) * np.exp(-t / (0.015 * self.scale**2))

    def bass(self) -> Floats:
        t = _clock(0.22)
        pitch = 55 * self.scale * 2 ** (float(self.random.choice([0, 0, 3, 5, 7])) / 12)
        harmonics = sum(np.sin(2 * np.pi * n * pitch * t) / n**1.5 for n in range(1, 7))
        return np.asarray(0.4 * harmonics * np.minimum(t / 0.005, 1) * np.minimum((0.22 - t) / 0.04, 1))

    def pluck(self) -> Floats:
        t = _clock(0.6)
        pitch = 220 * self.scale * 2 ** (float(self.random.choice([0, 2, 3, 7, 10, 12])) / 12)
        parts = [np.sin(2 * np.pi * n * pitch * t) * np.exp(-t * n / 0.25) / n for n in range(1, 9)]
        return np.asarray(0.3 * sum(parts) * np.minimum(t / 0.002, 1))

    def click(self) -> Floats:
        t = _clock(0.02)
        return np.sin(2 * np.pi * 1500 * self.scale * t) * np.exp(-t / 0.004)

    def pad(self, seconds: float) -> Floats:
        t = _clock(seconds)
        root = 130.8 * self.scale * 2 ** (float(self.random.choice([0, 5, 7, 9])) / 12)
        chord = sum(np.sin(2 * np.pi * root * ratio * t) for ratio in (1, 1.26, 1.498, 2.003))
        return np.asarray(0.05 * chord * np.minimum(np.minimum(t / 0.15, (seconds - t) / 0.1), 1))


def _played(style: Style, times: _Times, intro: float) -> Floats:
    kit = _Kit(style.kit)
    count = round(times.seconds * RATE)
    sound = np.zeros(count + RATE)
    bars = len(times.beats()) // BAR + 1
    for bar in range(bars):
        start, end = times.at(bar * BAR), times.at((bar + 1) * BAR)
        if style.pad:
            _add(sound, kit.pad(float(end - start)), float(start))
        if start < intro:
            continue
        for name in ("kick", "snare", "hats", "bass", "pluck", "click"):
            pattern: str = getattr(style, name)
            if name == "snare" and style.fill and bar % 4 == 3:
                pattern = pattern[:12] + "Xxxx"
            for step, note in enumerate(pattern):
                if note != ".":
                    moment = float(times.at(bar * BAR + _position(step, style.swing)))
                    moment += style.human * float(kit.random.standard_normal())
                    make: Callable[[], Floats] = getattr(kit, name)
                    _add(sound, make() * (1.0 if note == "X" else 0.7), moment)
    return sound[:count]


def _position(step: int, swing: float) -> float:
    """The place of a step in beats: swing moves the middle of a beat, and what lies before and after it with it."""
    beat, part = divmod(step, 4)
    middle = 0.5 + swing / 6
    return beat + float(np.interp(part / 4, [0, 0.5, 1], [0, middle, 1]))


def _add(sound: Floats, note: Floats, moment: float) -> None:
    start = max(round(moment * RATE), 0)
    part = sound[start : start + len(note)]
    part += note[: len(part)]


def _clock(seconds: float) -> Floats:
    return np.arange(round(seconds * RATE)) / RATE


def _smoothed(noise: Floats, width: int) -> Floats:
    return np.convolve(noise, np.ones(width) / np.sqrt(width), mode="same")
