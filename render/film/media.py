"""What a file of pictures or sound holds: one pass over its packets, of which only the first picture is decoded."""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.film import ffmpeg

SQUARE = "scale=w='if(eq(sar,1),iw,max(1,round(iw*sar)))':h=ih,setsar=1"
"""A filter that makes pixels square."""
NO_TIME = -(2**63)
KEY, CORRUPT, DISCARDED = 1, 2, 4
"""Flags of a packet."""
GAP = 1.5
"""A frame that lasts so many times as long as is usual stands in a gap, and says nothing of the rate."""
NEAR = Fraction(1, 20)
"""A rate that was measured counts as the one that the file names when it is so near to it."""
USUAL_RATE = Fraction(25)
LISTED = frozenset({"mov", "matroska"})
"""Containers that list where their frames are, so that one can be sought."""
PROMISING = frozenset({"avi", "flv"})
"""Containers that say at their beginning how long they are, and can end without a sign before that."""


_HEAD = re.compile(r"#(\w+) (\d): (.*)")
_PACKET = re.compile(r"(\d), *(-?\d+), *(-?\d+), *(\d+), *\d+, *0x[0-9a-f]+(?:, F=(0x[0-9A-F]+))?")
_CUT_OFF = re.compile(r"partial file|ended prematurely|moov atom not found")


@dataclass(frozen=True)
class Stream:
    """The first stream of a kind: its codec, and when it begins and ends, in seconds on the file's own clock."""

    codec: str
    begin: Fraction
    end: Fraction


@dataclass(frozen=True)
class Pictures(Stream):
    """The first stream of pictures: also frames a second, (width, height) upright and with square pixels, and how
    ffmpeg says that values are stored: `yuv420p(tv, bt709, progressive)`."""

    rate: Fraction
    size: tuple[int, int]
    stored: str
    keys: NDArray[np.float64] = field(repr=False, compare=False)
    """Of each frame that decoding can begin with, when it is decoded and when it is shown, in seconds, Nx2; of none
    where the container has no list of them to seek by."""

    def seek(self, time: Fraction) -> float:
        """Where to seek so that all that is shown from a time on is decoded: seconds, or minus infinity."""
        before = self.keys[self.keys[:, 1] <= float(time)]
        return float(before[-1, 0]) if len(before) else -math.inf


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
    except _UnreadableError:
        raise StorageError(f"{path} is not a {what} that can be read") from None


class _UnreadableError(Exception):
    """What is no media."""


class _CutOffError(Exception):
    """What is not whole."""


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
    found = re.search(r"^Input #0, (.*), from ", told, re.MULTILINE)
    containers = set(found[1].split(",") if found else ())
    if containers & PROMISING and max((track.end for track in tracks.values()), default=0) < _promised(told):
        raise _CutOffError
    sound = tracks.get("audio")
    return Media(
        _pictures(path, tracks["video"], told, bool(containers & LISTED)) if "video" in tracks else None,
        Stream(sound.heads["codec_id"], max(Fraction(0), sound.begin), sound.end) if sound else None,
    )


def _promised(told: str) -> float:
    """Seconds that a file says it lasts, less a tenth."""
    found = re.search(r"^ *Duration: (\d+):(\d+):([0-9.]+)", told, re.MULTILINE)
    return 0.9 * (3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])) if found else 0.0


def _pictures(path: Path, track: _Track, told: str, listed: bool) -> Pictures | None:
    first = ("-map", "0:V:0", "-vf", SQUARE, "-frames:v", "1", "-c:v", "rawvideo")
    decoded = _listed(path, *first, "-fps_mode", "passthrough", "-enc_time_base", "demux")[0].get("video")
    if decoded is None:
        return None
    rate = _rate(track, told)
    keys = track.packets[(track.packets[:, 2] & KEY > 0) & listed]
    width, height = (int(side) for side in decoded.heads["dimensions"].split("x"))
    stored = re.search(r"^ *Stream #0:\d+.*?: Video: [^,]*(?:\([^)]*\))?, ([^(,]*\([^)]*\)|[^,]*)", told, re.MULTILINE)
    last = int(track.shown[:, 0].max()) * track.tick + 1 / rate  # some containers count a tick for a frame
    return Pictures(
        codec=track.heads["codec_id"],
        begin=decoded.begin,
        end=decoded.begin + max(track.end, last) - track.begin,
        rate=rate,
        size=(width, height),
        stored=stored[1] if stored else "",
        keys=np.asarray(keys[:, [3, 0]] * float(track.tick), np.float64),
    )


def _listed(path: Path, *arguments: str) -> tuple[dict[str, _Track], str]:
    """The streams by kind, `video` and `audio`, and what ffmpeg says."""
    command = ["-hide_banner", "-nostdin", "-nostats", "-copyts", *ffmpeg.opened(path), *arguments]
    heads: dict[str, dict[str, str]] = {}
    packets: dict[str, array[int]] = {}
    try:
        with ffmpeg.Reader([*command, "-f", "framecrc", "-"]) as reader:
            for line in reader.lines():
                if head := _HEAD.match(line):
                    heads.setdefault(head[2], {})[head[1]] = head[3]
                elif packet := _PACKET.match(line):
                    index, *times, flags = packet.groups()
                    decoded, shown, duration = (int(time) for time in times)
                    time = decoded if shown == NO_TIME else shown
                    packets.setdefault(index, array("q")).extend((time, duration, int(flags or "0x1", 16), decoded))
            told = reader.said()
    except StorageError as error:
        raise (_CutOffError if _CUT_OFF.search(str(error)) else _UnreadableError) from None
    tables = {index: np.frombuffer(listed, np.int64).reshape(-1, 4) for index, listed in packets.items()}
    return {heads[index]["media_type"]: _Track(heads[index], table) for index, table in tables.items()}, told


def _rate(track: _Track, told: str) -> Fraction:
    """Frames a second where none is missing: as the file names it, when what was measured is near, else as measured."""
    steps = np.diff(np.unique(track.shown[:, 0]))
    if not len(steps):
        longest = int(track.shown[:, 1].max())
        return min(1 / (longest * track.tick), USUAL_RATE) if longest else USUAL_RATE
    near = steps[steps <= GAP * np.median(steps)]
    measured = len(near) / (int(near.sum()) * track.tick)
    stream = re.search(r"^ *Stream #0:\d+.*?: Video: (.*)$", told, re.MULTILINE)
    for unit in ("fps", "tbr"):
        found = re.search(rf"([0-9.]+)(k?) {unit}", stream[1] if stream else "")
        named = _broadcast(Fraction(found[1]) * (1000 if found[2] else 1)) if found else measured
        if abs(named - measured) <= NEAR * measured:
            return named
    return measured.limit_denominator(1001)


def _broadcast(fps: Fraction) -> Fraction:
    """ffmpeg rounds what it says: 29.97 is 30000/1001."""
    exact = Fraction(round(fps) * 1000, 1001)
    return exact if fps.denominator > 1 and abs(fps - exact) < Fraction(1, 100) else fps
