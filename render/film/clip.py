"""Video clips: what they are, and their frames at the film's size and rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from render.errors import StorageError
from render.film import ffmpeg

Fit = Literal["cover", "contain", "stretch"]

HIGH_DEFINITION = 720
"""Rows from which on a clip that does not say its colours is taken for BT.709, below for BT.601 (as players do)."""
SQUARE = "scale=w='trunc(iw*sar/2)*2':h=ih,setsar=1"
_FITS: dict[Fit, str] = {
    "cover": "scale={w}:{h}:force_original_aspect_ratio=increase:{how},crop={w}:{h}",
    "contain": "scale={w}:{h}:force_original_aspect_ratio=decrease:{how},pad={w}:{h}:-1:-1",
    "stretch": "scale={w}:{h}:{how}",
}


@dataclass(frozen=True)
class Clip:
    """A clip: its path, its size as it is shown (width, height), its frames a second, and its seconds."""

    path: Path
    size: tuple[int, int]
    fps: Fraction
    duration: Fraction
    has_sound: bool
    matrix: str | None


def probe(path: Path) -> Clip:
    """What a clip is. Raises StorageError when it is missing, no video, damaged, or without a frame."""
    if not path.exists():
        raise StorageError(f"cannot read the clip {path}: No such file or directory")
    told = _told(path)
    stream = re.search(r"^ *Stream #0:\d+.*?: Video: (.*)$", told, re.MULTILINE)
    if stream is None:
        raise StorageError(f"{path} holds no video that can be read")
    rate = re.search(r"([0-9.]+)(k?) fps", stream[1]) or re.search(r"([0-9.]+)(k?) tbr", stream[1])
    width, height = _shown_size(path)
    seconds = _seconds(path)
    if seconds <= 0:
        raise StorageError(f"{path} holds no frame that can be read")
    fps = Fraction(rate[1]) * (1000 if rate[2] else 1) if rate else Fraction(25)
    known = re.search(r"\((?:[^()]*, ?)*(bt709|bt470bg|smpte170m|bt2020nc)\b", stream[1])
    return Clip(
        path=path,
        size=(width, height),
        fps=_broadcast(fps),
        duration=seconds,
        has_sound="Audio: " in told,
        matrix=known[1] if known else None,
    )


def frames(
    clip: Clip, size: tuple[int, int], fps: Fraction, count: int, fit: Fit = "cover", start: Fraction = Fraction(0)
) -> Iterator[Tensor]:
    """`count` frames from `start` seconds on, 1x3xHxW float32 RGB in [0, 1]; the frame shown at each time of the film.

    When the clip ends earlier, its last frame stands. Memory does not grow with the clip. Raises StorageError.
    """
    width, height = size
    matrix = clip.matrix or ("bt709" if clip.size[1] >= HIGH_DEFINITION else "smpte170m")
    how = f"in_color_matrix={matrix}:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    filters = (
        f"fps={fps}:start_time=0:round=near,tpad=stop=-1:stop_mode=clone,{SQUARE},"
        f"{_FITS[fit].format(w=width, h=height, how=how)},format=rgb48le"
    )
    command = [
        *ffmpeg.QUIET, "-ss", f"{float(start):.6f}", *ffmpeg.LOCAL_ONLY, "-i", _url(clip.path),
        "-map", "0:v:0", "-vf", filters, "-frames:v", str(count), "-f", "rawvideo", "-",
    ]  # fmt: skip
    with ffmpeg.Reader(command) as reader:
        for _ in range(count):
            raw = reader.read(6 * width * height)
            if raw is None:
                raise StorageError(f"{clip.path} has no frame at {float(start):g} s")
            pixels = np.frombuffer(raw, np.dtype("<u2")).reshape(height, width, 3)
            yield torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1).unsqueeze(0).contiguous()


def _told(path: Path) -> str:
    """What ffmpeg says of a file."""
    try:
        return ffmpeg.told(
            "-hide_banner", *ffmpeg.LOCAL_ONLY, "-i", _url(path), "-c", "copy", "-t", "0", "-f", "null", "-"
        )
    except StorageError as error:
        raise StorageError(f"{path} is not a clip that can be read: {error}") from None


def _shown_size(path: Path) -> tuple[int, int]:
    """Width and height of the first frame, turned as its metadata say, its pixels made square."""
    first = ffmpeg.run(
        *ffmpeg.QUIET, *ffmpeg.LOCAL_ONLY, "-i", _url(path), "-map", "0:v:0", "-vf", SQUARE, "-frames:v", "1",
        "-c:v", "ppm", "-f", "image2pipe", "-",
    )  # fmt: skip
    header = re.match(rb"P6\s(\d+)\s(\d+)\s", first)
    if header is None:
        raise StorageError(f"{path} holds no frame that can be read")
    return int(header[1]), int(header[2])


def _seconds(path: Path) -> Fraction:
    """From the first frame to the end of the last, by their timestamps; nothing is decoded."""
    told = ffmpeg.run(
        *ffmpeg.QUIET, *ffmpeg.LOCAL_ONLY, "-i", _url(path), "-map", "0:v:0", "-c", "copy",
        "-f", "null", "-progress", "-", "-",
    ).decode("utf-8", "replace")  # fmt: skip
    ends = re.findall(r"^out_time_us=(-?\d+)$", told, re.MULTILINE)
    return Fraction(int(ends[-1]), 1_000_000) if ends else Fraction(0)


def _broadcast(fps: Fraction) -> Fraction:
    """ffmpeg rounds what it says: 29.97 is 30000/1001."""
    exact = Fraction(round(fps) * 1000, 1001)
    return exact if fps.denominator > 1 and abs(fps - exact) < Fraction(1, 100) else fps


def _url(path: Path) -> str:
    """A path that ffmpeg does not take for an option or a protocol."""
    return f"file:{path.absolute()}"
