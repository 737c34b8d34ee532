"""Sound beside the pictures: what a file holds, and how it goes into a film, in step and exactly as long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.errors import StorageError
from render.film import ffmpeg
from render.film.clip import said_of, seconds_of, url

COPIED = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"),
}
"""Codecs that players expect in a container; others are encoded anew, by what follows."""
ENCODED = {".mp4": ("aac", "-b:a", "256k"), ".mov": ("pcm_s24le",)}
PACKET = Fraction(1, 40)
"""Seconds that a packet of sound may be long: copied sound may end so much before the film does."""


@dataclass(frozen=True)
class Sound:
    """The first sound of a file: its path, codec and seconds; and of these, where it starts and how much is heard."""

    path: Path
    codec: str
    duration: Fraction
    start: Fraction = Fraction(0)
    heard: Fraction = Fraction(0)


def probe(path: Path) -> Sound | None:
    """The sound of a file, None when it has none. Raises StorageError when it cannot be read."""
    stream = re.search(r"^ *Stream #0:\d+.*?: Audio: (\w+)", said_of(path), re.MULTILINE)
    if stream is None:
        return None
    seconds = seconds_of(path, "a")
    return Sound(path, stream[1], seconds, heard=seconds)


def required(path: Path) -> Sound:
    """As `probe`. Raises StorageError when there is no sound as well."""
    sound = probe(path)
    if sound is None:
        raise StorageError(f"{path} holds no sound")
    return sound


def track(sound: Sound, work: Path, suffix: str) -> Path:
    """A file in the folder `work` of what is heard of a sound, exactly, to be copied into a film ending in `suffix`.

    Copied where the container takes the codec and there is enough of it, from and to the packet; else encoded, with
    silence after its end. Raises StorageError.
    """
    target = work / f"sound{suffix}"
    seconds = f"{float(sound.heard):.6f}"
    enough = sound.duration >= sound.start + sound.heard - PACKET
    exact = f"aresample=async=1:first_pts=0,atrim=end={seconds},apad=whole_dur={seconds}"
    how = (
        ["-c:a", "copy"]
        if enough and sound.codec in COPIED[suffix]
        else ["-af", exact, "-c:a", *ENCODED[suffix], "-flags:a", "+bitexact"]
    )
    seek = ["-ss", f"{float(sound.start):.6f}"] if sound.start else []
    ffmpeg.run(
        *ffmpeg.QUIET, *seek, *ffmpeg.LOCAL_ONLY, "-i", url(sound.path),
        "-map", "0:a:0", "-map_metadata", "-1", *how, "-t", seconds, "-fflags", "+bitexact",
        str(target.absolute()),
    )  # fmt: skip
    return target
