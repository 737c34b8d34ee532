"""Clips: videos and numbered pictures, probed and decoded at the film's size and rate."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from render.choices import Fit
from render.errors import StorageError
from render.media import ffmpeg
from render.media.image import covering_size, image_size, load_array, to_tensor
from render.media.image_decode import ImageArray
from render.media.probe import SQUARE_PIXELS, VideoStream, decode_errors, probe_media
from render.media.tracks import TrackError
from render.system.checksum import sha256

if TYPE_CHECKING:
    from torch import Tensor

MAX_CLOCK_ERROR = Fraction(1, 1000)
"""Seconds by which containers round the times of frames: the tick of Matroska and FLV."""
_FITS: dict[Fit, str] = {
    "cover": "scale={w}:{h}:force_original_aspect_ratio=increase:{scaler},crop={w}:{h}",
    "contain": "scale={w}:{h}:force_original_aspect_ratio=decrease:{scaler},pad={w}:{h}:-1:-1",
    "stretch": "scale={w}:{h}:{scaler}",
}
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".jp2", ".j2k",
    ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm", ".hdr",
)  # fmt: skip
"""Suffixes of numbered pictures."""
_NUMBERED = re.compile(r"%0?([0-9]?)d")


@dataclass(frozen=True)
class Clip:
    """A clip: its path, display size (width, height), frames per second, and duration in seconds.

    `start` is the time of its first picture, in seconds on the file's own clock. `track` is the number of the video
    track that is requested, None for the one that players choose. The path of numbered pictures is a pattern,
    `shots/%04d.png`, and `number` that of the first picture; None for a video.
    """

    path: Path
    size: tuple[int, int]
    fps: Fraction
    duration: Fraction
    start: Fraction = Fraction(0)
    track: int | None = None
    number: int | None = None


def probe_clip(path: Path, rate: Fraction = Fraction(24), *, track: int | None = None) -> Clip:
    """Probes a clip; numbered pictures have `rate` frames per second and no tracks.

    Raises StorageError when it is missing, not a video, damaged, or has no frame; TrackError when it has no such track.
    """
    pictures = sequence_files(path)
    if pictures is not None:
        if track is not None:
            raise TrackError(f"{path} is a picture sequence, which has no tracks; remove the track's number")
        first = min(pictures)
        size = image_size(pictures[first])
        return Clip(path, size, fps=rate, duration=len(pictures) / rate, number=first)
    video = _video(path, track)
    return Clip(path, video.size, fps=video.rate, duration=video.end - video.start, start=video.start, track=track)


def _video(path: Path, track: int | None) -> VideoStream:
    """Returns the video track of a clip. Raises StorageError when it has none with a frame."""
    video = probe_media(path, "clip", video_track=track).video
    if video is None or video.end <= video.start:
        raise StorageError(f"{path} holds no picture that can be read")
    return video


def sequence_files(path: Path) -> dict[int, Path] | None:
    """Returns the pictures of a pattern by number, in order; None for other paths.

    Raises StorageError when there is no picture, or one is missing in between.
    """
    if not (_NUMBERED.search(path.name) and path.suffix.lower() in IMAGE_SUFFIXES):
        return None
    pattern = _pattern(path)
    try:
        matches = [(pattern.fullmatch(file.name), file) for file in path.parent.iterdir()]
    except OSError as error:
        raise StorageError(f"cannot read the clip {path}: {error.strerror}") from None
    pictures = {int(match[1]): file for match, file in matches if match is not None}
    if not pictures:
        raise StorageError(f"there is no picture like {path}")
    first, last = min(pictures), max(pictures)
    for number in range(first, last):
        if number not in pictures:
            raise StorageError(f"picture {number} of {path} is missing; there are {first} to {last}")
    return dict(sorted(pictures.items()))


def clip_frames(
    clip: Clip, size: tuple[int, int], *, fps: Fraction, frames: range, fit: Fit = "cover", start: int = 0
) -> Iterator[Tensor]:
    """Yields frames of a film, each 1x3xHxW float32 RGB in [0, 1]; see `clip_arrays`."""
    return map(to_tensor, clip_arrays(clip, size, fps=fps, frames=frames, fit=fit, start=start))


def clip_arrays(
    clip: Clip, size: tuple[int, int], *, fps: Fraction, frames: range, fit: Fit = "cover", start: int = 0
) -> Iterator[ImageArray]:
    """Yields frames of a film at `fps` that starts `start` of its frames into the clip.

    Each is HxWx3 float32 RGB in [0, 1], the clip's last picture that begins before the middle of the film's frame;
    after the clip's end, its last one. Memory does not grow with the clip. A frame is the same whichever frames are
    requested: those since the keyframe before `start` are decoded, not skipped, because only then do all kinds of files
    give the same pictures. Raises StorageError.
    """
    numbered = sequence_files(clip.path)
    if numbered is None:
        yield from _decode(clip, size, fps=fps, frames=frames, fit=fit, start=start)
        return
    pictures = list(numbered.values())
    for index in frames:
        position = math.ceil(_decisive_time(start + index, fps) * clip.fps) - 1
        yield load_array(pictures[min(position, len(pictures) - 1)], size, fit=fit)


def _decode(
    clip: Clip, size: tuple[int, int], *, fps: Fraction, frames: range, fit: Fit, start: int
) -> Iterator[ImageArray]:
    """Yields the frames of a video, each the last one that the file displays before the middle of the film's frame.

    The frames are chosen here, by the times that ffmpeg gives them: its filters that choose frames forget what they
    have chosen whenever the size, pixel format, colours or rotation of the pictures change.
    """
    width, height = size
    if fit == "cover":
        covering_size(clip.path, clip.size, target=size)  # raises for extreme shapes
    start_time = start / fps
    if start_time >= clip.duration:
        raise StorageError(f"{clip.path} has no frame at {float(start_time):g} s")
    arguments = _decoding_arguments(clip, size, fps=fps, frames=frames, fit=fit, start=start)
    with ffmpeg.Reader(arguments) as reader, decode_errors(clip.path):
        current = following = reader.read_timed(6 * width * height)
        for index in frames:
            time = clip.start + _decisive_time(start + index, fps)
            while following is not None and following.time < time:
                current, following = following, reader.read_timed(6 * width * height)
            if current is None:
                raise StorageError("no frame can be decoded")
            pixels = np.frombuffer(current.data, np.dtype("<u2")).reshape(height, width, 3)
            values: ImageArray = pixels.astype(np.float32)
            values /= 65535
            yield values


def _decisive_time(index: int, fps: Fraction) -> Fraction:
    """Seconds from a clip's start to just before the middle of a frame, which displays the last picture before it."""
    return (index + Fraction(1, 2)) / fps - min(MAX_CLOCK_ERROR, 1 / (4 * fps))


def _decoding_arguments(
    clip: Clip, size: tuple[int, int], *, fps: Fraction, frames: range, fit: Fit, start: int
) -> list[str]:
    """Returns ffmpeg's arguments that decode the frames to raw 16-bit RGB with their times.

    No filter has a state, so that each picture is scaled by itself, whatever the pictures before it were.
    """
    video = _video(clip.path, clip.track)
    start_time = clip.start + start / fps
    keyframe, _ = video.seek(start_time)
    seek = ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{keyframe:.6f}"] if keyframe > 0 else []
    _, first_needed = video.seek(start_time + (frames.start - 1) / fps)
    scaler = f"in_color_matrix={video.matrix}:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    filters = (
        *([f"trim=start={first_needed - 1 / fps:.6f}"] if first_needed > 0 else []),
        SQUARE_PIXELS,
        _FITS[fit].format(w=size[0], h=size[1], scaler=scaler),
        "format=rgb48le",
    )
    return [
        *ffmpeg.QUIET, "-copyts", *seek, *ffmpeg.input_arguments(clip.path),
        "-map", f"0:{video.index}", "-vf", ",".join(filters), *ffmpeg.TIMED_FRAMES,
    ]  # fmt: skip


def clip_checksum(path: Path) -> str:
    """Returns the checksum of a file's bytes, or of all the pictures of a pattern. Raises StorageError."""
    pictures = sequence_files(path)
    if pictures is None:
        return sha256(path)
    checksums = "".join(f"{picture.name} {sha256(picture)}\n" for picture in pictures.values())
    return hashlib.sha256(checksums.encode()).hexdigest()


def _pattern(path: Path) -> re.Pattern[str]:
    """Returns the regular expression of the pictures' names."""
    prefix, digits, suffix = _NUMBERED.split(path.name, maxsplit=1)
    return re.compile(rf"{re.escape(prefix)}([0-9]{{{digits or 1},9}}){re.escape(suffix)}")
