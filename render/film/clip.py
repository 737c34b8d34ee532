"""Video clips, and pictures numbered like one: what they are, and their frames at the film's size and rate."""

from __future__ import annotations

import hashlib
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
from render.film.files import sha256

Fit = Literal["cover", "contain", "stretch"]

HIGH_DEFINITION = 720
"""Rows from which on a clip that does not say its colours is taken for BT.709, below for BT.601 (as players do)."""
NOMINAL = Fraction(1, 10)
"""A varying rate counts as the one that the file names when it is so near to it."""
LEAD = 5
"""Seconds before a start from which on a clip is read: what is shown at the start may have begun before it."""
SQUARE = "scale=w='max(2,trunc(iw*sar/2)*2)':h=ih,setsar=1"
MATRICES = {
    "bt709": "bt709",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
"""What ffmpeg calls a clip's colours, and what its scaler calls them."""
_FITS: dict[Fit, str] = {
    "cover": "scale={w}:{h}:force_original_aspect_ratio=increase:{how},crop={w}:{h}",
    "contain": "scale={w}:{h}:force_original_aspect_ratio=decrease:{how},pad={w}:{h}:-1:-1",
    "stretch": "scale={w}:{h}:{how}",
}
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr")
"""What the names of numbered pictures end in."""
_NUMBERED = re.compile(r"%0?([0-9]?)d")


@dataclass(frozen=True)
class Clip:
    """A clip: its path, its size as it is shown (width, height), its frames a second, its seconds, and its colours.

    The path of numbered pictures is a pattern, `shots/%04d.png`, and `number` that of the first.
    """

    path: Path
    size: tuple[int, int]
    fps: Fraction
    duration: Fraction
    matrix: str | None = None
    number: int | None = None


def probe(path: Path, rate: Fraction = Fraction(24)) -> Clip:
    """What a clip is; numbered pictures go at the `rate`.

    Raises StorageError when it is missing, no video, damaged, or without a frame.
    """
    pictures = sequence(path)
    if pictures is not None:
        first = pictures[0]
        clip = Clip(path, (0, 0), rate, len(pictures) / rate, None, int(_pattern(path).fullmatch(first.name)[1]))  # type: ignore[index]
        return Clip(path, _shown_size(clip), clip.fps, clip.duration, "bt709", clip.number)
    told = said_of(path)
    stream = re.search(r"^ *Stream #0:\d+.*?: Video: (.*)$", told, re.MULTILINE)
    if stream is None:
        raise StorageError(f"{path} holds no video that can be read")
    seconds = seconds_of(path, "v")
    if seconds <= 0:
        raise StorageError(f"{path} holds no frame that can be read")
    known = re.search(rf"\((?:[^()]*[, /])*({'|'.join(MATRICES)})\b", stream[1])
    clip = Clip(path, (0, 0), _rate(stream[1]), seconds, known[1] if known else None)
    return Clip(path, _shown_size(clip), clip.fps, clip.duration, clip.matrix)


def sequence(path: Path) -> list[Path] | None:
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
    return [found[number] for number in sorted(found)]


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
    width, height = size
    matrix = MATRICES[clip.matrix or ("bt709" if clip.size[1] >= HIGH_DEFINITION else "smpte170m")]
    how = f"in_color_matrix={matrix}:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    begin = start / fps
    filters = (
        f"fps={fps}:start_time={float(begin):.6f}:round=near,tpad=stop=-1:stop_mode=clone,"
        f"trim=start_frame={skip},{SQUARE},{_FITS[fit].format(w=width, h=height, how=how)},format=rgb48le"
    )
    seek = ["-noaccurate_seek", "-ss", f"{float(begin) - LEAD:.6f}"] if begin > LEAD else []
    command = [
        *ffmpeg.QUIET, "-copyts", "-start_at_zero", *seek, *_input(clip),
        "-map", "0:v:0", "-vf", filters, "-fps_mode", "passthrough", "-frames:v", str(count), "-f", "rawvideo", "-",
    ]  # fmt: skip
    with ffmpeg.Reader(command) as reader:
        for index in range(count):
            raw = reader.read(6 * width * height)
            if raw is None:
                raise StorageError(f"{clip.path} has no frame at {float((start + skip + index) / fps):g} s")
            pixels = np.frombuffer(raw, np.dtype("<u2")).reshape(height, width, 3)
            yield torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1).unsqueeze(0).contiguous()


def checksum(path: Path) -> str:
    """The checksum of a file's bytes, or of all the pictures of a pattern. Raises StorageError."""
    pictures = sequence(path)
    if pictures is None:
        return sha256(path)
    return hashlib.sha256("".join(f"{picture.name} {sha256(picture)}\n" for picture in pictures).encode()).hexdigest()


def said_of(path: Path) -> str:
    """What ffmpeg says of a file of pictures or sound. Raises StorageError when it is missing or neither."""
    if not path.exists():
        raise StorageError(f"cannot read the clip {path}: No such file or directory")
    arguments = (*ffmpeg.LOCAL_ONLY, "-i", url(path), "-c", "copy", "-t", "0", "-f", "null", "-")
    try:
        return ffmpeg.ended("-hide_banner", "-nostdin", *arguments).stderr.decode("utf-8", "replace")
    except StorageError as error:
        raise StorageError(f"{path} is not a clip that can be read: {error}") from None


def seconds_of(path: Path, kind: Literal["v", "a"]) -> Fraction:
    """To the end of the last frame, or sound, of its first stream, by their timestamps; nothing is decoded.

    Raises StorageError when the file ends before it should.
    """
    arguments = (*ffmpeg.LOCAL_ONLY, "-i", url(path), "-map", f"0:{kind}:0", "-c", "copy")
    done = ffmpeg.ended(*ffmpeg.QUIET, *arguments, "-f", "null", "-progress", "-", "-")
    if re.search(r"partial file|ended prematurely", done.stderr.decode("utf-8", "replace")):
        raise StorageError(f"{path} is cut off: the file ends before what it should hold; copy it again")
    ends = re.findall(r"^out_time_us=(-?\d+)$", done.stdout.decode("utf-8", "replace"), re.MULTILINE)
    return Fraction(int(ends[-1]), 1_000_000) if ends else Fraction(0)


def url(path: Path) -> str:
    """A path that ffmpeg does not take for an option or a protocol."""
    return f"file:{path.absolute()}"


def _input(clip: Clip) -> list[str]:
    if clip.number is None:
        return [*ffmpeg.LOCAL_ONLY, "-i", url(clip.path)]
    pattern = f"{str(clip.path.parent.absolute()).replace('%', '%%')}/{clip.path.name}"
    numbered = ["-f", "image2", "-framerate", str(clip.fps), "-start_number", str(clip.number)]
    return [*ffmpeg.LOCAL_ONLY, *numbered, "-i", f"file:{pattern}"]


def _shown_size(clip: Clip) -> tuple[int, int]:
    """Width and height of the first frame, turned as its metadata say, its pixels made square."""
    first = ffmpeg.run(
        *ffmpeg.QUIET, *_input(clip), "-map", "0:v:0", "-vf", SQUARE, "-frames:v", "1",
        "-c:v", "ppm", "-f", "image2pipe", "-",
    )  # fmt: skip
    header = re.match(rb"P6\s(\d+)\s(\d+)\s", first)
    if header is None:
        raise StorageError(f"{clip.path} holds no frame that can be read")
    return int(header[1]), int(header[2])


def _rate(stream: str) -> Fraction:
    """Frames a second: the mean, or the one that a file of varying rate is meant to have, when it is near."""
    found = [re.search(rf"([0-9.]+)(k?) {unit}", stream) for unit in ("fps", "tbr")]
    rates = [_broadcast(Fraction(each[1]) * (1000 if each[2] else 1)) for each in found if each]
    mean, *nominal = rates or [Fraction(25)]
    return nominal[0] if nominal and abs(nominal[0] - mean) <= NOMINAL * mean else mean


def _broadcast(fps: Fraction) -> Fraction:
    """ffmpeg rounds what it says: 29.97 is 30000/1001."""
    exact = Fraction(round(fps) * 1000, 1001)
    return exact if fps.denominator > 1 and abs(fps - exact) < Fraction(1, 100) else fps


def _pattern(path: Path) -> re.Pattern[str]:
    """What the pictures' names look like."""
    before, digits, after = _NUMBERED.split(path.name, maxsplit=1)
    return re.compile(rf"{re.escape(before)}([0-9]{{{digits or 1},9}}){re.escape(after)}")
