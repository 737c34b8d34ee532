"""Media probing: the tracks of a file, by one pass over their packets; only the first picture is decoded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from render.errors import DiskFullError, StorageError
from render.media import ffmpeg
from render.media.image_bytes import PIXEL_LIMIT_VARIABLE, max_pixels
from render.media.packets import (
    CORRUPT,
    KEY,
    TRUNCATED,
    Packets,
    TooLargeError,
    TruncatedError,
    UnreadableError,
    list_packets,
    open_file,
)
from render.media.tracks import Track, choose_track, listed_tracks

SQUARE_PIXELS = "scale=w='if(eq(sar,1),iw,max(1,round(iw*sar)))':h=ih,setsar=1"
"""ffmpeg's filter that makes pixels square."""
MAX_TICK = 100
"""Seconds of the longest tick of a clock; a frame of a slower clock would last for hours."""
MAX_STALLED_PACKETS = 4
"""Packets that may have the decoding time of their predecessor or an earlier one; with more, the clock has jumped."""
GAP_FACTOR = 1.5
"""A frame that lasts this many times the median is before a gap, and is ignored for the rate."""
RATE_TOLERANCE = Fraction(1, 20)
"""Relative difference up to which a measured rate counts as the one that the file names."""
DEFAULT_RATE = Fraction(25)
INDEXED_CONTAINERS = frozenset({"mov", "matroska"})
"""Containers with an index of their frames, in which ffmpeg can seek."""
MP4_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid", b"udta")
"""Types of the boxes at the top level of an MP4."""
MAX_BOXES = 2**20
"""Boxes that are read at most; a fragmented film has two per second."""
MATRICES = "bt709|bt470bg|smpte170m|smpte240m|fcc|bt2020nc|bt2020c"
UNSUPPORTED_MATRICES = r"ycgco[^/,)]*|ictcp|ipt-c2|chroma-derived[^/,)]*|smpte2085"
"""ffmpeg's names of the colour matrices that its scaler supports, and of those that it does not."""
UNTAGGED_BT709_WIDTH, UNTAGGED_BT601_HEIGHT = 1280, 576
"""Untagged pictures of this width and more, or of more rows than this height, are BT.709; others BT.601 (as in mpv)."""


@dataclass(frozen=True)
class Stream:
    """A track: its stream's index in the file, its codec, start and end, in seconds on the file's own clock."""

    index: int
    codec: str
    start: Fraction
    end: Fraction


@dataclass(frozen=True)
class VideoStream(Stream):
    """A video track.

    `rate` is in frames per second, `size` (width, height) of the first picture, upright and with square pixels.
    `matrix` is the scaler's name of the colour matrix: `auto` where the pictures name it themselves.
    """

    rate: Fraction
    size: tuple[int, int]
    matrix: str
    keyframes: NDArray[np.float64] = field(repr=False, compare=False)
    """The decoding and presentation time of each keyframe, in seconds, Nx2; empty where the container has no index."""

    def seek(self, time: Fraction) -> tuple[float, float]:
        """Returns the decoding and presentation time of the last keyframe that is presented at `time` or before.

        Both in seconds; minus infinity when there is none, so that decoding starts at the file's first packet.
        """
        earlier = self.keyframes[self.keyframes[:, 1] <= float(time)]
        return (float(earlier[-1, 0]), float(earlier[-1, 1])) if len(earlier) else (-math.inf, -math.inf)


@dataclass(frozen=True)
class AudioStream(Stream):
    """An audio track: ffmpeg's name of its channels, such as `stereo`, and its samples per second, as decoded first.

    Both None when nothing can be decoded. `may_change` says whether they can change later, because the container has no
    header that holds for the whole track.
    """

    layout: str | None
    rate: int | None
    may_change: bool


@dataclass(frozen=True)
class MediaInfo:
    """A video and an audio track of a file, None where it has none.

    `start` is the time at which the file starts, in seconds on its own clock: with the first picture, or without
    pictures with the first sound of any track.
    """

    video: VideoStream | None
    audio: AudioStream | None
    start: Fraction


def probe_media(
    path: Path, kind: Literal["clip", "sound"], *, video_track: int | None = None, audio_track: int | None = None
) -> MediaInfo:
    """Probes the tracks of these numbers in a file, called a `kind` in errors; for None those that players choose.

    Raises StorageError when it is not a media file, or truncated; TrackError when it has no such track.
    """
    try:
        if path.is_dir():
            hint = f"; {path.name}/%04d.png names pictures in it" if kind == "clip" else ""
            raise StorageError(f"{path} is a folder, not a {kind}{hint}")
        stat = path.stat()
        if not path.is_file():
            raise StorageError(f"{path} is not a file")
        with path.open("rb"):
            pass  # raises PermissionError, which ffmpeg would not name
        if stat.st_size == 0:
            raise StorageError(f"{path} is empty, not a {kind}")
        tracks = (video_track, audio_track)
        return _probe(path.absolute(), stat.st_mtime_ns, stat.st_size, tracks=tracks)
    except OSError as error:
        raise StorageError(f"cannot read the {kind} {path}: {error.strerror}") from None
    except TruncatedError:
        raise StorageError(f"{path} is truncated; copy it again") from None
    except TooLargeError:
        limit = f"{max_pixels()} pixels; make it smaller, or set {PIXEL_LIMIT_VARIABLE} to allow more"
        raise StorageError(f"{path} has pictures of more than {limit}") from None
    except UnreadableError:
        raise StorageError(f"{path} is not a {kind} that can be read") from None


@contextmanager
def decode_errors(path: Path) -> Iterator[None]:
    """Names the file in the errors of a block that decodes it."""
    try:
        yield
    except (ffmpeg.KilledError, DiskFullError):
        raise
    except StorageError as error:
        raise StorageError(f"{path} cannot be decoded: {error}") from None


@lru_cache(maxsize=16)
def _probe(path: Path, modified_ns: int, size: int, *, tracks: tuple[int | None, int | None]) -> MediaInfo:
    """Probes the video and audio tracks of these numbers; cached for each time of modification and size in bytes."""
    with open_file(path, "-f", "ffmetadata") as reader:
        list(reader.lines())
    log = reader.log()
    listed = listed_tracks(log)
    video = choose_track(listed, "video", number=tracks[0], path=path)
    audio = choose_track(listed, "audio", number=tracks[1], path=path)
    maps = [argument for track in (video, audio) if track for argument in ("-map", f"0:{track.index}")]
    if not maps:
        raise UnreadableError
    packets, errors = list_packets(path, *maps, "-c", "copy")
    if TRUNCATED.search(log + errors) or any(table.rows[-1, 2] & CORRUPT for table in packets.values()):
        raise TruncatedError
    if not _ends_within(path, size):
        raise TruncatedError
    for table in packets.values():
        if (np.diff(table.rows[:, 3]) <= 0).sum() > MAX_STALLED_PACKETS:  # ffmpeg stops a clock that jumps back
            raise StorageError(f"the clock of {path} jumps back, as of clips put together; convert it to one .mkv")
    container = re.search(r"^Input #0, (.*), from ", log, re.MULTILINE)
    is_indexed = container is not None and not INDEXED_CONTAINERS.isdisjoint(container[1].split(","))
    pictures = sound = None
    start = Fraction(0)
    if audio is not None and "audio" in packets:
        sound = _audio_stream(path, audio, packets["audio"], may_change=not is_indexed)
        earliest = re.search(r"^ *Duration: .*, start: (-?[0-9.]+)", log, re.MULTILINE)
        start = sound.start - (max(packets["audio"].start - Fraction(earliest[1]), Fraction(0)) if earliest else 0)
    if video is not None and "video" in packets:
        pictures = _video_stream(path, video, packets["video"], is_indexed=is_indexed)
        start = start if pictures is None else pictures.start
    return MediaInfo(pictures, sound, start)


def _ends_within(path: Path, size: int) -> bool:
    """Whether the boxes of an MP4 (ISO 14496-12, 4.2), or the first chunk of an AVI, end before the file does."""
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(b"RIFF"):
            length = int.from_bytes(head[4:8], "little")
            return length in (0, 0xFFFFFFFF) or length + 8 <= size
        offset = 0
        for _ in range(MAX_BOXES):
            if offset >= size or head[4:8] not in MP4_BOXES:
                break
            length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
            offset += length or size - offset
            file.seek(min(offset, size))
            head = file.read(16)
    return offset <= size


def _video_stream(path: Path, track: Track, packets: Packets, *, is_indexed: bool) -> VideoStream | None:
    """Returns the stream of a track; None when no frame can be decoded."""
    unsupported = re.search(rf"[(, ]({UNSUPPORTED_MATRICES})[/,)]", track.description)
    if unsupported:
        raise StorageError(f"{path} stores its colours as {unsupported[1]}, which is not read; convert it to BT.709")
    if packets.tick > MAX_TICK:
        raise StorageError(f"the clock of {path} ticks every {float(packets.tick):g} s; convert it to .mkv")
    first = ("-vf", SQUARE_PIXELS, "-frames:v", "1", "-c:v", "rawvideo")
    decoded = _first_frame(path, track, *first, "-fps_mode", "passthrough", "-enc_time_base", "demux")
    if decoded is None:
        return None
    rate = _frame_rate(packets, track.description)
    keyframes = packets.rows[(packets.rows[:, 2] & KEY > 0) & is_indexed]
    width, height = (int(side) for side in decoded.headers["dimensions"].split("x"))
    # in some containers a frame lasts one tick
    last_end = int(packets.presented[:, 0].max()) * packets.tick + 1 / rate
    return VideoStream(
        index=track.index,
        codec=packets.headers["codec_id"],
        start=decoded.start,
        end=decoded.start + max(packets.end, last_end) - packets.start,
        rate=rate,
        size=(width, height),
        matrix=_matrix(track.description),
        keyframes=np.asarray(keyframes[:, [3, 0]] * float(packets.tick), np.float64),
    )


def _matrix(description: str) -> str:
    """Returns the scaler's name of the colour matrix in ffmpeg's description of a stream, or of the usual one."""
    tagged = re.search(rf"[(, ]({MATRICES})[/,)]", description)
    if tagged:
        return "bt2020" if tagged[1] == "bt2020c" else "auto"
    stored = re.search(r", (\d+)x(\d+)", description)
    width, height = (int(stored[1]), int(stored[2])) if stored else (0, 0)
    return "bt709" if width >= UNTAGGED_BT709_WIDTH or height > UNTAGGED_BT601_HEIGHT else "bt601"


def _audio_stream(path: Path, track: Track, packets: Packets, *, may_change: bool) -> AudioStream:
    decoded = _first_frame(path, track, "-frames:a", "1", "-c:a", "pcm_s16le")
    headers = {} if decoded is None else decoded.headers
    return AudioStream(
        track.index,
        packets.headers["codec_id"],
        start=(decoded or packets).start,
        end=packets.end,
        layout=headers.get("channel_layout_name"),
        rate=int(headers["sample_rate"]) if "sample_rate" in headers else None,
        may_change=may_change,
    )


def _first_frame(path: Path, track: Track, *arguments: str) -> Packets | None:
    """Returns the first decoded frame, after those that the codec discards; None when none can be decoded."""
    return list_packets(path, "-map", f"0:{track.index}", *arguments)[0].get(track.kind)


def _frame_rate(packets: Packets, description: str) -> Fraction:
    """Returns the frames per second outside gaps.

    As measured when all frames are equally long; else as ffmpeg's description of the stream, when that is near.
    """
    steps = np.diff(np.unique(packets.presented[:, 0]))
    if not len(steps):
        duration = int(packets.presented[:, 1].max())
        return min(1 / (duration * packets.tick), DEFAULT_RATE) if duration else DEFAULT_RATE
    regular = steps[steps <= GAP_FACTOR * np.median(steps)]
    measured = len(regular) / (int(regular.sum()) * packets.tick)
    if len(regular) > 1 and regular.min() == regular.max():
        return measured
    for unit in ("tbr", "fps"):
        number = re.search(rf"([0-9.]+)(k?) {unit}", description)
        stated = _exact_rate(Fraction(number[1]) * (1000 if number[2] else 1)) if number else measured
        if abs(stated - measured) <= RATE_TOLERANCE * measured:
            return stated
    return measured.limit_denominator(1001)


def _exact_rate(fps: Fraction) -> Fraction:
    """Returns the exact rate of one that ffmpeg prints rounded: 30000/1001 for 29.97."""
    exact = Fraction(round(fps) * 1000, 1001)
    return exact if fps.denominator > 1 and abs(fps - exact) < Fraction(1, 100) else fps
