"""Decoded sound: the samples of an audio track, mixed to mono at one rate, from the track's start on without gaps."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from render.media import ffmpeg
from render.media.audio import AudioTrack
from render.media.probe import decode_errors

CHUNK = 2**16
"""Samples that are read at once."""
_UNPLACED = re.compile(r"(\d+) channels")
"""ffmpeg's name of channels that have no places."""


def read_mono(track: AudioTrack, *, rate: int, chunk: int = CHUNK) -> Iterator[NDArray[np.float32]]:
    """Yields the samples of a track, float32 with full scale at 1, in pieces of `chunk` samples; the last is shorter.

    The first sample is at `track.start` and sample n at `track.start + n / rate` on the file's clock: pauses in the
    track are silence, and what its times overlap is dropped. As in `audio.write_audio`, filters without a state convert
    every part to one format before others place it in time; of sound that cannot change, in one graph, which takes half
    the time. Raises StorageError.
    """
    start = f"{float(track.start):.6f}"
    alike = f"{_mono_filter(track)},aformat=sample_fmts=flt:sample_rates={rate}:channel_layouts=mono"
    exact = f"atrim=start={start},asetpts=PTS-{start}/TB,aresample=async=1:first_pts=0"
    mapped, encoded = ("-map", f"0:{track.index}"), ("-c:a", "pcm_f32le", "-f")
    if track.may_change and not track.codec.startswith("pcm_"):
        looped = ("-dec", "0:0", "-filter_complex", f"[dec:0]{exact}[exact]", "-map", "[exact]")
        filters = [*mapped, "-af", alike, *encoded, "null", "-", *looped]
    else:
        filters = [*mapped, "-af", f"{alike},{exact}"]
    source = ffmpeg.input_arguments(track.path)
    arguments = [*ffmpeg.QUIET, "-copyts", *source, *filters, *encoded, "f32le", "-"]
    with decode_errors(track.path), ffmpeg.Reader(arguments) as reader:
        for data in reader.chunks(4 * chunk):
            yield np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _mono_filter(track: AudioTrack) -> str:
    """Returns the filter that mixes a track to mono: by the places of its channels, or their mean where they have none.

    Of ambisonics it is the channel without a direction.
    """
    layout = track.layout or "mono"
    if layout.startswith("ambisonic"):
        return "pan=mono|c0=c0"
    unplaced = _UNPLACED.fullmatch(layout)
    if unplaced:
        return "pan=mono|c0<" + "+".join(f"c{index}" for index in range(int(unplaced[1])))
    return "anull"
