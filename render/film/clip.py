"""Video clips, and pictures numbered like one: what they are, and their frames at the film's size and rate."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from render.errors import StorageError
from render.film import ffmpeg, media, source
from render.film.files import sha256
from render.film.source import Fit

HIGH_DEFINITION = 720
"""Rows from which on a clip that does not say its colours is taken for BT.709, below for BT.601 (as players do)."""
MATRICES = {"bt470bg": "bt470", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
"""What ffmpeg calls ways of storing colours, and its scaler by another name."""
_FITS: dict[Fit, str] = {
    "cover": "scale={w}:{h}:force_original_aspect_ratio=increase:{how},crop={w}:{h}",
    "contain": "scale={w}:{h}:force_original_aspect_ratio=decrease:{how},pad={w}:{h}:-1:-1",
    "stretch": "scale={w}:{h}:{how}",
}
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""What the names of numbered pictures end in."""
_NUMBERED = re.compile(r"%0?([0-9]?)d")


@dataclass(frozen=True)
class Clip:
    """A clip: its path, its size as it is shown (width, height), its frames a second, and its seconds.

    It `begin`s, in seconds on the file's own clock, with its first picture; `matrix` says how its colours are stored.
    The path of numbered pictures is a pattern, `shots/%04d.png`, and `number` that of the first.
    """

    path: Path
    size: tuple[int, int]
    fps: Fraction
    duration: Fraction
    begin: Fraction = Fraction(0)
    matrix: str = "bt709"
    number: int | None = None


def probe(path: Path, rate: Fraction = Fraction(24)) -> Clip:
    """What a clip is; numbered pictures go at the `rate`.

    Raises StorageError when it is missing, no video, damaged, or without a frame.
    """
    numbered = sequence(path)
    if numbered is not None:
        number, *_ = numbered
        size = source.picture_size(numbered[number])
        return Clip(path, size, rate, len(numbered) / rate, number=number)
    pictures = media.probe(path, "clip").pictures
    if pictures is None or pictures.end <= pictures.begin:
        raise StorageError(f"{path} holds no picture that can be read")
    matrix = pictures.matrix or ("bt709" if pictures.size[1] >= HIGH_DEFINITION else "smpte170m")
    matrix = MATRICES.get(matrix, matrix)
    duration = pictures.end - pictures.begin
    return Clip(path, pictures.size, pictures.rate, duration, pictures.begin, matrix)


def sequence(path: Path) -> dict[int, Path] | None:
    """The pictures of a pattern, in order; None when the path is not one. Raises StorageError for none, or a gap."""
    if not (_NUMBERED.search(path.name) and path.suffix.lower() in PICTURES):
        return None
    pattern = _pattern(path)
    try:
        found = {int(match[1]): file for file in path.parent.iterdir() if (match := pattern.fullmatch(file.name))}
    except OSError as error:
        raise StorageError(f"cannot read the clip {path}: {error.strerror}") from None
    if not found:
        raise StorageError(f"there is no picture like {path}")
    first, last = min(found), max(found)
    for number in range(first, last):
        if number not in found:
            raise StorageError(f"picture {number} of {path} is missing; there are {first} to {last}")
    return dict(sorted(found.items()))


def frames(
    clip: Clip,
    size: tuple[int, int],
    fps: Fraction,
    count: int,
    fit: Fit = "cover",
    start: int = 0,
    skip: int = 0,
) -> Iterator[Tensor]:
    """`count` frames of a film that starts `start` frames into the clip, without its first `skip`.

    Each is 1x3xHxW float32 RGB in [0, 1], what the clip shows in the middle of the film's frame; after the clip's end
    its last one stands. Memory does not grow with the clip. A film's frame is the same whatever is skipped: what comes
    before it is decoded, not sought, as only so does every kind of file give the same pictures. Raises StorageError.
    """
    numbered = sequence(clip.path)
    if numbered is None:
        yield from _decoded(clip, size, fps, count, fit, start, skip)
        return
    pictures = list(numbered.values())
    for index in range(start + skip, start + skip + count):
        shown = int((index + Fraction(1, 2)) * clip.fps / fps)
        yield source.picture(pictures[min(shown, len(pictures) - 1)], size, fit)


def _decoded(
    clip: Clip, size: tuple[int, int], fps: Fraction, count: int, fit: Fit, start: int, skip: int
) -> Iterator[Tensor]:
    width, height = size
    if fit == "cover":
        source.covering(clip.path, clip.size, size)  # for its errors
    how = f"in_color_matrix={clip.matrix}:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    begin = clip.begin + start / fps
    end = begin + (skip + count + 1) / fps
    pictures = media.probe(clip.path, "clip").pictures
    assert pictures is not None, "a clip has pictures"
    first, _ = pictures.seek(begin)
    seek = ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{first:.6f}"] if first > 0 else []
    _, near = pictures.seek(begin + (skip - 1) / fps)
    filters = (
        *([f"trim=start={near - 1 / fps:.6f}"] if near > 0 else []),
        media.SQUARE,
        _FITS[fit].format(w=width, h=height, how=how),
        "format=rgb48le",
        # Frames are repeated after they were scaled, as ffmpeg makes all repetitions of one before it hands on the
        # first; and not until a next that comes after the film's end, be it years.
        f"setpts='min(PTS,ceil({float(end):.6f}/TB))'",
        f"fps={fps}:start_time={float(begin):.6f}:round=near",
        "tpad=stop=-1:stop_mode=clone",
        f"trim=start_frame={skip}",
    )
    command = [
        *ffmpeg.QUIET, "-copyts", *seek, *ffmpeg.opened(clip.path),
        "-map", "0:V:0", "-vf", ",".join(filters), "-fps_mode", "passthrough", "-frames:v", str(count),
        "-f", "rawvideo", "-",
    ]  # fmt: skip
    with ffmpeg.Reader(command) as reader:
        for index in range(count):
            with media.decoding(clip.path):
                raw = reader.read(6 * width * height)
            if raw is None:
                raise StorageError(f"{clip.path} has no frame at {float((start + skip + index) / fps):g} s")
            pixels = np.frombuffer(raw, np.dtype("<u2")).reshape(height, width, 3)
            yield torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1).unsqueeze(0).contiguous()


def checksum(path: Path) -> str:
    """The checksum of a file's bytes, or of all the pictures of a pattern. Raises StorageError."""
    numbered = sequence(path)
    if numbered is None:
        return sha256(path)
    listed = "".join(f"{picture.name} {sha256(picture)}\n" for picture in numbered.values())
    return hashlib.sha256(listed.encode()).hexdigest()


def _pattern(path: Path) -> re.Pattern[str]:
    """What the pictures' names look like."""
    before, digits, after = _NUMBERED.split(path.name, maxsplit=1)
    return re.compile(rf"{re.escape(before)}([0-9]{{{digits or 1},9}}){re.escape(after)}")
