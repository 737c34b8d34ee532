"""Packets of a media file: what ffmpeg lists of its streams, and the errors of files that it cannot list."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.media import ffmpeg

NO_TIME = -(2**63)
"""ffmpeg's time of a packet that has none."""
KEY, CORRUPT, DISCARDED = 1, 2, 4
"""Flags of a packet."""

_HEADER = re.compile(r"#(\w+) (\d): (.*)")
_PACKET = re.compile(r"(\d), *(-?\d+), *(-?\d+), *(\d+), *\d+, *0x[0-9a-f]+(?:, F=(0x[0-9A-F]+))?")
TRUNCATED = re.compile(r"partial file|ended prematurely|moov atom not found")
_TOO_LARGE = re.compile(r"exceeds specified max pixel count")


class UnreadableError(Exception):
    """The file is not a media file."""


class TruncatedError(Exception):
    """The file is truncated."""


class TooLargeError(Exception):
    """The pictures have more pixels than are decoded."""


@dataclass(frozen=True)
class Packets:
    """A stream as ffmpeg's framecrc lists it: its headers, and its packets in decoding order.

    `rows` is Nx4: presentation time and duration in ticks, flags, decoding time in ticks.
    """

    headers: dict[str, str]
    rows: NDArray[np.int64]

    @property
    def tick(self) -> Fraction:
        """Seconds."""
        return Fraction(self.headers["tb"])

    @property
    def presented(self) -> NDArray[np.int64]:
        """The packets that are presented; others only start the decoder."""
        presented = self.rows[self.rows[:, 2] & DISCARDED == 0]
        return presented if len(presented) else self.rows

    @property
    def start(self) -> Fraction:
        """Seconds."""
        return int(self.presented[:, 0].min()) * self.tick

    @property
    def end(self) -> Fraction:
        """Seconds. Durations are in decoding order, so that of the last packet counts only if it is presented last."""
        last = int(self.presented[:, 0].max())
        time, duration, *_ = (int(value) for value in self.rows[-1])
        return (last + duration if time == last else last) * self.tick


@contextmanager
def open_file(path: Path, *arguments: str) -> Iterator[ffmpeg.Reader]:
    """Opens an ffmpeg that reads a file with these output arguments, with the errors of probing."""
    start = ("-hide_banner", "-nostdin", "-nostats", "-copyts")
    reader = ffmpeg.Reader([*start, *ffmpeg.input_arguments(path), *arguments, "-"])
    try:
        with reader:
            yield reader
    except ffmpeg.KilledError:
        raise
    except StorageError as error:
        if _TOO_LARGE.search(reader.log()):
            raise TooLargeError from None
        raise (TruncatedError if TRUNCATED.search(str(error)) else UnreadableError) from None


def list_packets(path: Path, *arguments: str) -> tuple[dict[str, Packets], str]:
    """Returns the packets of the streams by kind, `video` and `audio`, and ffmpeg's log."""
    headers: dict[str, dict[str, str]] = {}
    packets: dict[str, array[int]] = {}
    with open_file(path, *arguments, "-flush_packets", "0", "-f", "framecrc") as reader:
        for line in reader.lines():
            if packet := _PACKET.match(line):
                index, decoded, presented, duration, flags = packet.groups()
                row = (int(presented), int(duration), int(flags, 16) if flags else KEY, int(decoded))
                packets.setdefault(index, array("q")).extend(row)
            elif header := _HEADER.match(line):
                headers.setdefault(header[2], {})[header[1]] = header[3]
    tables = {index: _timed(np.array(values, np.int64).reshape(-1, 4)) for index, values in packets.items()}
    by_kind = {headers[index]["media_type"]: Packets(headers[index], table) for index, table in tables.items()}
    return by_kind, reader.log()


def _timed(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gives the packets without a presentation time those times at which no other packet is presented.

    MPEG program streams give one time for several packets. Pictures are presented at the times at which they are
    decoded, in another order and later by what the first packet with both times says.
    """
    is_timed = rows[:, 0] != NO_TIME
    delay = (rows[is_timed, 0] - rows[is_timed, 3])[:1].sum()
    missing = np.setdiff1d(rows[:, 3] + delay, rows[is_timed, 0])
    is_complete = len(missing) == len(rows) - is_timed.sum()
    rows[~is_timed, 0] = missing if is_complete else rows[~is_timed, 3] + delay
    return rows
