"""How much a film that follows music pulses: the difference of neighbouring frames on the beat, and off it."""

from __future__ import annotations

import json
import tempfile
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np

from render import Options, load, render
from render.media.clip import clip_frames, probe_clip
from render.scene.document import Override
from render.system.memory import retain_freed_memory

TEMPI = (96.0, 118.0, 134.0)
"""Beats a minute."""
BEATS, SECONDS, OFFSET = 12, 12, 0.1
RATE = 44100
"""Samples per second."""
SCALE = 0.5


def write_song(path: Path, bpm: float) -> None:
    """Writes a song: a kick and a hat on every beat, a hat between beats, and a chord."""
    t = np.arange(SECONDS * RATE) / RATE
    beat = (t - OFFSET) * bpm / 60
    since, half = (np.mod(beat, length) * 60 / bpm for length in (1.0, 0.5))
    kick = np.sin(2 * np.pi * 50 * since) * np.exp(-since / 0.08)
    hat = np.random.default_rng(0).standard_normal(len(t)) * np.exp(-half / 0.015)
    chord = sum(np.sin(2 * np.pi * note * t) for note in (220, 277.18, 329.63))
    sound = np.where(beat < 0, 0, 0.6 * kick + 0.08 * hat) + 0.03 * chord
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def pulse(folder: Path, bpm: float) -> tuple[float, float]:
    """Returns the median difference of neighbouring frames, in [0, 1], on the beats of a song and off them."""
    song = folder / f"{bpm:g}.wav"
    write_song(song, bpm)
    settings: list[Override] = [
        ("--song", "output.audio", json.dumps(str(song))),
        ("--set", "duration", f"{BEATS}b"),
        ("--output", "output.path", json.dumps(str(song.with_suffix(".mp4")))),
    ]
    made = render(load("configs/music.yaml", settings, scale=SCALE), Options())
    film = probe_clip(made.path)
    frames = list(clip_frames(film, film.size, fps=film.fps, frames=range(made.frames), fit="stretch", start=0))
    changes = np.array([float((later - earlier).abs().mean()) for earlier, later in pairwise(frames)])
    beats = [int((OFFSET + beat * 60 / bpm) * film.fps) for beat in range(BEATS + 1)]
    is_beat = np.isin(np.arange(1, len(frames)), beats)
    return float(np.median(changes[is_beat])), float(np.median(changes[~is_beat]))


def main() -> None:
    """Prints a table."""
    retain_freed_memory()
    print("| beats a minute | on the beat | off it | ratio |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for bpm in TEMPI:
            on, off = pulse(Path(folder), bpm)
            print(f"| {bpm:g} | {on:.4f} | {off:.4f} | {on / off:.2f} |", flush=True)


if __name__ == "__main__":
    main()
