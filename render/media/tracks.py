"""Tracks: the video and audio streams that a file lists, and which of them is used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from render.errors import StorageError

TrackKind = Literal["video", "audio"]

_STREAM = re.compile(r"^ *Stream #0:(\d+)([^:\n]*): (Video|Audio): (.*)$", re.MULTILINE)
_LANGUAGE = re.compile(r"\((\w+)\)$")
_COVER = "(attached pic)"
_SECONDARY = ("(comment)", "(visual impaired)", "(hearing impaired)", "(karaoke)", "(clean effects)")
"""ffmpeg's names of what makes a track an addition to another one."""
_UNREADABLE = re.compile(r"(none|unknown)\b")


class TrackError(StorageError):
    """A file has no track of the requested number."""


@dataclass(frozen=True)
class Track:
    """A track as ffmpeg lists it.

    `index` is that of the stream in the file, `number` that among the file's tracks of its kind, both from 0.
    `description` is ffmpeg's, such as `aac (LC), 48000 Hz, stereo, fltp, 128 kb/s (default)`.
    """

    kind: TrackKind
    index: int
    number: int
    language: str | None
    description: str

    @property
    def summary(self) -> str:
        """Number, codec, language, and size or channels, as error messages list a track: `1 (aac, eng, stereo)`."""
        language = None if self.language == "und" else self.language  # undetermined, ISO 639-2
        codec = self.description.split(" ", 1)[0].rstrip(",")
        shape = re.search(r", (\d+x\d+)|\d Hz, ([^,]+)", self.description)
        details = (codec, language, shape and (shape[1] or shape[2]))
        return f"{self.number} ({', '.join(detail for detail in details if detail)})"


def listed_tracks(log: str) -> list[Track]:
    """Returns the tracks in ffmpeg's description of a file, without cover pictures, in the order of their indices."""
    streams = {int(index): rest for index, *rest in _STREAM.findall(log)}  # a stream may be in several programs
    tracks: list[Track] = []
    for index, (identifier, kind, description) in sorted(streams.items()):
        if _COVER in description:
            continue
        name: TrackKind = "video" if kind == "Video" else "audio"
        number = sum(track.kind == name for track in tracks)
        language = _LANGUAGE.search(identifier)
        tracks.append(Track(name, index, number=number, language=language and language[1], description=description))
    return tracks


def choose_track(tracks: Sequence[Track], kind: TrackKind, *, number: int | None, path: Path) -> Track | None:
    """Returns the track of a kind with this number; for None the one that players choose, or None without any.

    Players choose the first track that the file marks as its default, else the first that is no commentary or other
    addition. Raises TrackError when there is none of this number.
    """
    candidates = [track for track in tracks if track.kind == kind]
    if number is not None:
        if number < len(candidates):
            return candidates[number]
        existing = ", ".join(track.summary for track in candidates)
        raise TrackError(f"{path} has no {kind} track {number}; it has {existing or 'none'}")
    return min(candidates, key=_rank, default=None)


def _rank(track: Track) -> tuple[bool, bool, bool, int]:
    is_secondary = any(word in track.description for word in _SECONDARY)
    is_unreadable = _UNREADABLE.match(track.description) is not None
    return is_unreadable, "(default)" not in track.description, is_secondary, track.number
