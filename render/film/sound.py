"""Sound beside the pictures: what a file holds, and how it goes into a film, in step and exactly as long."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.errors import StorageError
from render.film import ffmpeg, media

COPIED = ("aac", "mp3")
"""Codecs that players expect in a film, and can begin and end at any sample; others are encoded anew, as follows."""
ENCODED = {".mp4": ("aac", "-b:a", "256k"), ".mov": ("pcm_s24le",)}
PACKET = Fraction(1, 40)
"""Seconds that a packet of sound may be long: sound that ends so much before the film does is long enough."""


TICKS = 705_600_000
"""A second, in which a sample of every usual rate lasts a whole number of them."""


@dataclass(frozen=True)
class Sound:
    """The first sound of a file: its path and codec; when it begins and ends, in seconds on the file's own clock."""

    path: Path
    codec: str
    begin: Fraction
    end: Fraction


def probe(path: Path) -> Sound | None:
    """The sound of a file, None when it has none. Raises StorageError when it cannot be read."""
    found = media.probe(path, "sound").sound
    return None if found is None else Sound(path, found.codec, found.begin, found.end)


def required(path: Path) -> Sound:
    """As `probe`. Raises StorageError when there is no sound as well."""
    sound = probe(path)
    if sound is None:
        raise StorageError(f"{path} holds no sound")
    return sound


@dataclass(frozen=True)
class Heard:
    """What is heard of a sound: `seconds` of it from `start` on, by the clock of its file; silence after its end."""

    sound: Sound
    start: Fraction
    seconds: Fraction


def is_copied(heard: Heard) -> bool:
    """Whether its packets go into a film as they are: of a codec that a film takes, when there is enough of it."""
    return heard.sound.codec in COPIED and heard.sound.end >= heard.start + heard.seconds - PACKET


def track(heard: Heard, work: Path, suffix: str) -> Path:
    """A file in the folder `work` of what is heard, exactly, to be copied into a film ending in `suffix`.

    Copied where it can be: the packets that are heard, with their times, which tell the player what to leave out of
    the first and the last. Else encoded. Raises StorageError.
    """
    target = work / f"sound{suffix}"
    last = heard.start + heard.seconds
    start, end, seconds = (f"{float(time):.6f}" for time in (heard.start, last, heard.seconds))
    if is_copied(heard):
        # One packet more before the first, which its decoding begins from; a microsecond for what is rounded.
        apart = f"noise=drop='lt((pts+2*duration)*tb,{start}+1e-6)+gt(pts*tb,{end}-1e-6)'"
        # In ticks that are fine enough for every rate; some containers count whole packets.
        ticks = f"time_base=1/{TICKS}:prescale=1"
        shift = f"setts={ticks}:ts=TS-{start}/TB:duration='min(DURATION,{end}/TB-PTS)'"
        how = ["-c:a", "copy", "-bsf:a", f"{apart},{shift}"]
    else:
        exact = (
            f"atrim=start={start}:end={end},asetpts=PTS-{start}/TB,"
            f"aresample=async=1:first_pts=0,apad=whole_dur={seconds},atrim=end={seconds}"
        )
        how = ["-af", exact, "-c:a", *ENCODED[suffix], "-flags:a", "+bitexact"]
    with media.decoding(heard.sound.path):
        ffmpeg.run(
            *ffmpeg.QUIET, "-copyts", *ffmpeg.opened(heard.sound.path),
            "-map", "0:a:0", "-map_metadata", "-1", *how, "-fflags", "+bitexact", str(target.absolute()),
        )  # fmt: skip
    return target
