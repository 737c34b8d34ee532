"""Made sound whose truth is known: clicks, tones, notes, drums.

Its music is written independently of that in tests/sound/music.py, on which the tempo was tuned: tempo and beats are
tested on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from render.media import ffmpeg

Array = NDArray[np.float64]
RATE = 44100
Pattern = Literal["rock", "four", "clicks", "syncopated"]


def write_sound(path: Path, samples: Array, *options: str, rate: int = RATE) -> Path:
    """Encodes mono samples; returns the path."""
    raw = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "-"]
    with ffmpeg.Writer([*ffmpeg.QUIET, *raw, *options, str(path)]) as writer:
        writer.write(memoryview(samples.astype("<f4").tobytes()))
        writer.finish()
    return path


def place(sound: Array, part: Array, time: float, *, gain: float = 1.0) -> None:
    """Adds a part to a sound at a time in seconds."""
    start = round(time * RATE)
    end = min(start + len(part), len(sound))
    if start >= 0:
        sound[start:end] += gain * part[: max(end - start, 0)]


def seconds(length: float) -> Array:
    return np.arange(round(length * RATE)) / RATE


def click() -> Array:
    t = seconds(0.01)
    return 0.8 * np.sin(2 * np.pi * 2500 * t) * np.exp(-t / 0.002)


def kick() -> Array:
    t = seconds(0.25)
    return 0.9 * np.sin(2 * np.pi * (50 * t - 100 * 0.03 * np.exp(-t / 0.03))) * np.exp(-t / 0.08)


def snare(seed: int = 1) -> Array:
    t = seconds(0.18)
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return 0.3 * noise * np.exp(-t / 0.05) + 0.4 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.06)


def hat(seed: int = 2) -> Array:
    t = seconds(0.05)
    noise = np.diff(np.random.default_rng(seed).standard_normal(len(t) + 2), 2)
    return 0.06 * noise * np.exp(-t / 0.015)


def note(frequency: float, length: float, attack: float = 0.02) -> Array:
    t = seconds(length)
    envelope = np.minimum(t / attack, 1) * np.exp(-t / (0.6 * length)) * np.minimum((length - t) / 0.02, 1)
    tones = [np.sin(2 * np.pi * frequency * h * t) / h**1.5 for h in range(1, 6)]
    return np.asarray(0.3 * envelope * np.sum(tones, 0))


def clicks(times: Sequence[float] | Array, length: float, noise: float = 0.0) -> Array:
    sound = noise * np.random.default_rng(3).standard_normal(round(length * RATE))
    for time in times:
        place(sound, click(), float(time))
    return sound


def made_music(
    bpm: float,
    length: float,
    *,
    pattern: Pattern = "rock",
    swing: float = 0.5,
    offset: float = 0.1,
    melody: bool = True,
) -> Array:
    """Kick, snare, hats, bass and pad; `swing` is where the second eighth is within a beat."""
    beat = 60 / bpm
    sound = np.zeros(round(length * RATE))
    if pattern == "clicks":
        return clicks(np.arange(offset, length - 0.05, beat), length)
    kicks = {"rock": (0, 2), "four": (0, 1, 2, 3), "syncopated": (0, 1 + swing, 2 + swing)}[pattern]
    for bar in np.arange(offset, length, 4 * beat):
        for position in kicks:
            place(sound, kick(), bar + position * beat)
        for position in (1, 3):
            place(sound, snare(), bar + position * beat)
        for position in range(4):
            place(sound, hat(), bar + position * beat)
            place(sound, hat(), bar + (position + swing) * beat, gain=0.7)
        if melody:
            root = 55 * 2 ** (((bar / beat // 4) % 4) * 2 / 12)
            for position in (0, 1 + swing, 3):
                place(sound, note(root, beat), bar + position * beat, gain=0.5)
            for step in (0, 4, 7):
                place(sound, note(root * 4 * 2 ** (step / 12), 4 * beat, 0.3), bar, gain=0.2)
    return 0.5 * sound
