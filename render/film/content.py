"""The content of a film: packet counts and checksums of its streams, which it embeds and by which it is verified."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from render.errors import StorageError
from render.media import ffmpeg

CONTENT_KEY = "content"
"""The key of a film's content in its metadata."""
CONCATENATED = ("-auto_convert", "0", "-f", "concat")
"""ffmpeg's arguments before a list of segments: their packets are copied as they are."""
FIRST_FRAME = "first.mkv"
"""The name of the file from which is read how a container sets up a decoder."""
_HEADER = re.compile(rb"^#(tb|media_type|extradata) (\d)[:,] *(.*)$", re.MULTILINE)
_PACKET = re.compile(rb"^(\d), *-?\d+, *(-?\d+), *-?\d+, *(\d+, *[0-9a-f]{64})", re.MULTILINE)


def read_content(film: Path, fps: Fraction | None = None) -> dict[str, Any]:
    """Returns the content of a film: `{"frames": 48, "fps": "24", "video": SHA-256, "sound": SHA-256 or None}`.

    The checksums are of the sizes and bytes of a stream's packets, and of what its decoder is set up with. `fps` is the
    given rate when each frame begins at the tick of the container that is nearest to its time, else the rate of frames
    that are equally long; None for one frame and for others. Raises StorageError when it is no film that can be read.
    """
    return _content(_listed(ffmpeg.input_arguments(film)), fps)


def concatenated_content(
    list_file: Path, *, fps: Fraction, sound: Path | None, frames: int | None = None, container: str | None = None
) -> dict[str, Any]:
    """Returns the content of the film at `fps` that segments and a sound will be, of at most so many frames.

    `list_file` lists the segments, in the format of ffmpeg's concat demuxer, and is in their folder. `container` is
    ffmpeg's name of a format that sets up decoders in a way of its own. Raises StorageError.
    """
    folder = list_file.parent
    segments = (*ffmpeg.LOCAL_ONLY, *CONCATENATED, "-i", list_file.name)
    limit = () if frames is None else ("-frames:v", str(frames))
    listed = _listed(segments, *limit, folder=folder)
    setup = listed.setups.get(b"video", b"")
    if container is not None:
        first = (*segments, "-map", "0:v:0", "-c", "copy", "-frames:v", "1", "-f", container, FIRST_FRAME)
        ffmpeg.run(*ffmpeg.QUIET, *first, folder=folder)
        setup = _listed(ffmpeg.input_arguments(folder / FIRST_FRAME)).setups.get(b"video", b"")
    content = _content(replace(listed, setups={**listed.setups, b"video": setup}), fps)
    return {
        **content,
        "fps": str(fps) if content["frames"] > 1 else None,
        "sound": None if sound is None else read_content(sound)["sound"],
    }


def film_content(
    frames: int, times: Sequence[Fraction], *, tick: Fraction, fps: Fraction | None, video: str | None,
    sound: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Returns the content of a film whose frames begin, or begin and end, at these times in seconds."""
    rate = _rate(times) if frames > 1 else None
    if frames > 1 and fps is not None:
        expected = [frame_ticks(index, fps, 1 / tick) * tick for index in range(len(times))]
        rate = str(fps) if sorted(times) == expected else rate
    return {"frames": frames, "fps": rate, "video": video, "sound": sound}


def parse_rate(text: object) -> Fraction | None:
    """Returns the rate that a content says; None for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})(?:/([1-9][0-9]{0,8}))?", text) if isinstance(text, str) else None
    return Fraction(int(match[1]), int(match[2] or 1)) or None if match else None


def frame_ticks(index: int, fps: Fraction, ticks: Fraction | int) -> int:
    """Returns the tick at which a frame begins, on a clock of so many `ticks` per second: the nearest to its time."""
    return math.floor(index * ticks / fps + Fraction(1, 2))


def count_decoded_frames(film: Path) -> int:
    """Returns the number of frames of a film, 0 when one of them cannot be decoded without an error."""
    inputs = ("-err_detect", "explode", "-xerror", *ffmpeg.input_arguments(film))
    try:
        listing = ffmpeg.run(*ffmpeg.QUIET, *inputs, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc", "-")
    except ffmpeg.KilledError:
        raise
    except StorageError:
        return 0
    return len(re.findall(rb"^0,", listing, re.MULTILINE))


@dataclass(frozen=True)
class _Listing:
    """What ffmpeg's framehash lists of the first video and audio stream: by kind, the header and the packets.

    `setups` are what decoders are set up with; a packet is its time in ticks, and its size with a checksum.
    """

    tick: Fraction
    setups: Mapping[bytes, bytes]
    packets: Mapping[bytes, Sequence[tuple[bytes, bytes]]]


def _listed(inputs: Sequence[str], *limit: str, folder: Path | None = None) -> _Listing:
    """Lists a film. Raises StorageError."""
    mapping = ("-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", *limit)
    listing = ffmpeg.run(*ffmpeg.QUIET, *inputs, *mapping, "-f", "framehash", "-hash", "sha256", "-", folder=folder)
    headers = {(name, stream): value for name, stream, value in _HEADER.findall(listing)}
    streams = {value: stream for (name, stream), value in headers.items() if name == b"media_type"}
    packets = {kind: [(time, data) for each, time, data in _PACKET.findall(listing) if each == stream]
               for kind, stream in streams.items()}  # fmt: skip
    tick = Fraction(headers.get((b"tb", streams.get(b"video", b"")), b"1").decode())
    setups = {kind: headers.get((b"extradata", stream), b"") for kind, stream in streams.items()}
    return _Listing(tick, setups, packets)


def _content(listed: _Listing, fps: Fraction | None) -> dict[str, Any]:
    video, sound = ([data for _, data in listed.packets.get(kind, ())] for kind in (b"video", b"audio"))
    return film_content(
        len(video),
        [int(time) * listed.tick for time, _ in listed.packets.get(b"video", ())],
        tick=listed.tick,
        fps=fps,
        video=_checksum(listed.setups.get(b"video", b""), video),
        sound=_checksum(listed.setups.get(b"audio", b""), sound),
    )


def _rate(times: Sequence[Fraction]) -> str | None:
    """Returns the frames per second of equally long frames, None for others."""
    ordered = sorted(times)
    steps = {after - before for before, after in pairwise(ordered)}
    return str(1 / steps.pop()) if len(steps) == 1 and 0 not in steps else None


def _checksum(setup: bytes, packets: Sequence[bytes]) -> str | None:
    lines = b"\n".join(re.sub(rb" +", b" ", line) for line in (setup, *packets))
    return hashlib.sha256(lines).hexdigest() if packets else None
