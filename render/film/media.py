"""What a file of pictures or sound holds: one pass over its packets, of which only the first picture is decoded."""

from __future__ import annotations

import math
import re
from array import array
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
from render.film import ffmpeg, pictures

SQUARE = "scale=w='if(eq(sar,1),iw,max(1,round(iw*sar)))':h=ih,setsar=1"
"""A filter that makes pixels square."""
NO_TIME = -(2**63)
KEY, CORRUPT, DISCARDED = 1, 2, 4
"""Flags of a packet."""
COARSE = 100
"""Seconds; a clock that ticks more slowly tells nothing, and a frame of it would stand for hours."""
STALLED = 4
"""Packets that may be decoded at the time of the one before; of more, the clock has jumped."""
GAP = 1.5
"""A frame that lasts so many times as long as is usual stands in a gap, and says nothing of the rate."""
NEAR = Fraction(1, 20)
"""A rate that was measured counts as the one that the file names when it is so near to it."""
USUAL_RATE = Fraction(25)
LISTED = frozenset({"mov", "matroska"})
"""Containers that list where their frames are, so that one can be sought."""
BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid", b"udta")
"""Of an MP4, at its top level."""
MOST_BOXES = 2**20
"""That are looked at: of a film in fragments, two a second."""
MATRICES = "bt709|bt470bg|smpte170m|smpte240m|bt2020nc|bt2020c"
UNKNOWN_MATRICES = r"ycgco[^/,)]*|ictcp|ipt-c2|chroma-derived[^/,)]*|smpte2085"
"""What ffmpeg calls the ways of storing colours, those that its scaler knows, and those that it does not."""


_HEAD = re.compile(r"#(\w+) (\d): (.*)")
_PACKET = re.compile(r"(\d), *(-?\d+), *(-?\d+), *(\d+), *\d+, *0x[0-9a-f]+(?:, F=(0x[0-9A-F]+))?")
_CUT_OFF = re.compile(r"partial file|ended prematurely|moov atom not found")
_TOO_LARGE = re.compile(r"exceeds specified max pixel count")


@dataclass(frozen=True)
class Stream:
    """The first stream of a kind: its codec, and when what is seen or heard of it begins and ends, in seconds on the
    file's own clock."""

    codec: str
    begin: Fraction
    end: Fraction


@dataclass(frozen=True)
class Pictures(Stream):
    """The first stream of pictures: also frames a second, (width, height) upright and with square pixels, and the
    matrix of its colours as ffmpeg calls it, `bt709`, where it says one."""

    rate: Fraction
    size: tuple[int, int]
    matrix: str | None
    keys: NDArray[np.float64] = field(repr=False, compare=False)
    """Of each frame that decoding can begin with, when it is decoded and when it is shown, in seconds, Nx2; of none
    where the container has no list of them to seek by."""

    def seek(self, time: Fraction) -> tuple[float, float]:
        """Where to seek so that all that is shown from a time on is decoded, and when the frame that is there is shown:
        seconds, or minus infinity."""
        before = self.keys[self.keys[:, 1] <= float(time)]
        return (float(before[-1, 0]), float(before[-1, 1])) if len(before) else (-math.inf, -math.inf)


@dataclass(frozen=True)
class Media:
    """What a file holds."""

    pictures: Pictures | None
    sound: Stream | None


def probe(path: Path, what: Literal["clip", "sound"]) -> Media:
    """What a file holds; errors say `what` it should be. Raises StorageError when it is neither, or not whole."""
    try:
        if path.is_dir():
            hint = f"; {path.name}/%04d.png names pictures in it" if what == "clip" else ""
            raise StorageError(f"{path} is a folder, not a {what}{hint}")
        stat = path.stat()
        if not path.is_file():
            raise StorageError(f"{path} is not a file")
        with path.open("rb"):
            pass  # it may be there, and not ours to read
        if stat.st_size == 0:
            raise StorageError(f"{path} is empty, not a {what}")
        return _probe(path.absolute(), stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise StorageError(f"cannot read the {what} {path}: {error.strerror}") from None
    except _CutOffError:
        raise StorageError(f"{path} is cut off, its end is missing; copy it again") from None
    except _TooLargeError:
        limit = f"{pictures.most_pixels()} pixels; make it smaller, or set {pictures.PIXELS} to allow more"
        raise StorageError(f"{path} has pictures of more than {limit}") from None
    except _UnreadableError:
        raise StorageError(f"{path} is not a {what} that can be read") from None


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Errors of the block, which decodes a file, name it."""
    try:
        yield
    except (ffmpeg.KilledError, DiskFullError):
        raise
    except StorageError as error:
        raise StorageError(f"{path} cannot be decoded: {error}") from None


class _UnreadableError(Exception):
    """What is no media."""


class _CutOffError(Exception):
    """What is not whole."""


class _TooLargeError(Exception):
    """What has more pixels than are decoded."""


@dataclass(frozen=True)
class _Track:
    """A stream as ffmpeg's framecrc lists it: its heads, and of each packet, in ticks, when it is shown, for how long,
    its flags, and when it is decoded, Nx4."""

    heads: dict[str, str]
    packets: NDArray[np.int64]

    @property
    def tick(self) -> Fraction:
        """Seconds."""
        return Fraction(self.heads["tb"])

    @property
    def shown(self) -> NDArray[np.int64]:
        """The packets that are not only there to begin decoding from."""
        seen = self.packets[self.packets[:, 2] & DISCARDED == 0]
        return seen if len(seen) else self.packets

    @property
    def begin(self) -> Fraction:
        """Seconds."""
        return int(self.shown[:, 0].min()) * self.tick

    @property
    def end(self) -> Fraction:
        """Seconds. Durations are told in the order of decoding, so only one that is last in both orders is right."""
        last = int(self.shown[:, 0].max())
        time, duration, *_ = (int(value) for value in self.packets[-1])
        return (last + duration if time == last else last) * self.tick


@lru_cache(maxsize=16)
def _probe(path: Path, changed: int, size: int) -> Media:
    tracks, told = _listed(path, "-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy")
    if _CUT_OFF.search(told) or any(track.packets[-1, 2] & CORRUPT for track in tracks.values()):
        raise _CutOffError
    if not _ends_within(path, size):
        raise _CutOffError
    for track in tracks.values():
        if (np.diff(track.packets[:, 3]) <= 0).sum() > STALLED:  # ffmpeg holds a clock that jumps back
            raise StorageError(f"the clock of {path} jumps back, as of clips put together; convert it to one .mkv")
    return Media(_pictures(path, tracks["video"], told) if "video" in tracks else None, _sound(path, tracks))


def _ends_within(path: Path, size: int) -> bool:
    """Whether the boxes of an MP4 (ISO 14496-12, 4.2), or the first chunk of an AVI, end before the file does."""
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(b"RIFF"):
            length = int.from_bytes(head[4:8], "little")
            return length in (0, 0xFFFFFFFF) or length + 8 <= size
        place = 0
        for _ in range(MOST_BOXES):
            if place >= size or head[4:8] not in BOXES:
                break
            length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
            place += length or size - place
            file.seek(min(place, size))
            head = file.read(16)
    return place <= size


def _pictures(path: Path, track: _Track, told: str) -> Pictures | None:
    found = re.search(r"^ *Stream #0:\d+.*?: Video: (.*)$", told, re.MULTILINE)
    said = found[1] if found else ""
    matrix = re.search(rf"[(, ]({MATRICES})[/,)]", said)
    if unknown := re.search(rf"[(, ]({UNKNOWN_MATRICES})[/,)]", said):
        raise StorageError(f"{path} stores its colours as {unknown[1]}, which is not read; convert it to BT.709")
    if track.tick > COARSE:
        raise StorageError(f"the clock of {path} ticks every {float(track.tick):g} s; convert it to .mkv")
    decoded = _first(path, "video", "-map", "0:V:0", "-vf", SQUARE, "-frames:v", "1", "-c:v", "rawvideo")
    if decoded is None:
        return None
    rate = _rate(track, said)
    container = re.search(r"^Input #0, (.*), from ", told, re.MULTILINE)
    listed = container is not None and not LISTED.isdisjoint(container[1].split(","))
    keys = track.packets[(track.packets[:, 2] & KEY > 0) & listed]
    width, height = (int(side) for side in decoded.heads["dimensions"].split("x"))
    last = int(track.shown[:, 0].max()) * track.tick + 1 / rate  # some containers count a tick for a frame
    return Pictures(
        codec=track.heads["codec_id"],
        begin=decoded.begin,
        end=decoded.begin + max(track.end, last) - track.begin,
        rate=rate,
        size=(width, height),
        matrix=matrix[1] if matrix else None,
        keys=np.asarray(keys[:, [3, 0]] * float(track.tick), np.float64),
    )


def _sound(path: Path, tracks: dict[str, _Track]) -> Stream | None:
    track = tracks.get("audio")
    if track is None:
        return None
    decoded = _first(path, "audio", "-map", "0:a:0", "-frames:a", "1", "-c:a", "pcm_s16le")
    return Stream(track.heads["codec_id"], (decoded or track).begin, track.end)


def _first(path: Path, kind: str, *arguments: str) -> _Track | None:
    """What the first frame decodes to: with what codecs leave out at the beginning left out."""
    timed = ("-fps_mode", "passthrough", "-enc_time_base", "demux") if kind == "video" else ()
    return _listed(path, *arguments, *timed)[0].get(kind)


def _listed(path: Path, *arguments: str) -> tuple[dict[str, _Track], str]:
    """The streams by kind, `video` and `audio`, and what ffmpeg says."""
    command = ["-hide_banner", "-nostdin", "-nostats", "-copyts", *ffmpeg.opened(path), *arguments]
    heads: dict[str, dict[str, str]] = {}
    packets: dict[str, array[int]] = {}
    reader = ffmpeg.Reader([*command, "-f", "framecrc", "-"])
    try:
        with reader:
            for line in reader.lines():
                if head := _HEAD.match(line):
                    heads.setdefault(head[2], {})[head[1]] = head[3]
                elif packet := _PACKET.match(line):
                    index, *times, flags = packet.groups()
                    decoded, shown, duration = (int(time) for time in times)
                    time = decoded if shown == NO_TIME else shown
                    packets.setdefault(index, array("q")).extend((time, duration, int(flags or "0x1", 16), decoded))
    except ffmpeg.KilledError:
        raise
    except StorageError as error:
        if _TOO_LARGE.search(reader.said()):
            raise _TooLargeError from None
        raise (_CutOffError if _CUT_OFF.search(str(error)) else _UnreadableError) from None
    tables = {index: np.frombuffer(listed, np.int64).reshape(-1, 4) for index, listed in packets.items()}
    return {heads[index]["media_type"]: _Track(heads[index], table) for index, table in tables.items()}, reader.said()


def _rate(track: _Track, said: str) -> Fraction:
    """Frames a second where none is missing: as measured, when they are all equally long; else as the file names it,
    when that is near."""
    steps = np.diff(np.unique(track.shown[:, 0]))
    if not len(steps):
        longest = int(track.shown[:, 1].max())
        return min(1 / (longest * track.tick), USUAL_RATE) if longest else USUAL_RATE
    near = steps[steps <= GAP * np.median(steps)]
    measured = len(near) / (int(near.sum()) * track.tick)
    if len(near) > 1 and near.min() == near.max():
        return measured
    for unit in ("tbr", "fps"):
        found = re.search(rf"([0-9.]+)(k?) {unit}", said)
        named = _broadcast(Fraction(found[1]) * (1000 if found[2] else 1)) if found else measured
        if abs(named - measured) <= NEAR * measured:
            return named
    return measured.limit_denominator(1001)


def _broadcast(fps: Fraction) -> Fraction:
    """ffmpeg rounds what it says: 29.97 is 30000/1001."""
    exact = Fraction(round(fps) * 1000, 1001)
    return exact if fps.denominator > 1 and abs(fps - exact) < Fraction(1, 100) else fps
