"""Decoded sound: the samples of an audio track, mixed to mono at one rate, from the track's start on without gaps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from render.errors import StorageError
from render.media import ffmpeg
from render.media.audio import AudioTrack
from render.media.probe import decode_errors

CHUNK = 2**16
"""Samples that are read at once."""
_UNPLACED = re.compile(r"(\d+) channels")
"""ffmpeg's name of channels that have no places."""
_OUTPUT = ("-c:a", "pcm_f32le", "-f", "f32le", "-")


def read_mono(track: AudioTrack, *, rate: int, chunk: int = CHUNK) -> Iterator[NDArray[np.float32]]:
    """Yields the samples of a track, float32 with full scale at 1, in pieces of `chunk` samples; the last is shorter.

    The first sample is at `track.start` and sample n at `track.start + n / rate` on the file's clock: pauses in the
    track are silence, and what its times overlap is dropped. Raises StorageError.
    """
    done = 0
    with decode_errors(track.path):
        try:
            with ffmpeg.Reader(_in_one_graph(track, rate, chunk)) as reader:
                for data in reader.chunks(4 * chunk):
                    done += 1
                    yield _samples(data)
        except ffmpeg.KilledError:
            raise
        except StorageError:
            # A damaged packet, or sound that changes within the track. The pieces so far are whole, and the same.
            with ffmpeg.Reader(_tolerant(track, rate)) as reader:
                for data in islice(reader.chunks(4 * chunk), done, None):
                    yield _samples(data)


def _samples(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _in_one_graph(track: AudioTrack, rate: int, chunk: int) -> list[str]:
    """Returns ffmpeg's arguments that decode a track within one filter graph, which fails where anything is unusual.

    ffmpeg passes every packet through the queues of five threads otherwise, which takes longer than to decode it. The
    decoder has one thread: with more, this filter waits for itself for ever.
    """
    formats = f"protocol_whitelist=file:format_whitelist={ffmpeg.containers()}"
    file = _quoted(f"file:{track.path.absolute()}")
    source = f"amovie={file}:s={track.index}:dec_threads=1:format_opts={_quoted(formats)}"
    graph = f"{source},{_alike(track, rate)},{_exact(track)},asetnsamples={chunk}:p=0[mono]"
    return [*ffmpeg.QUIET, *ffmpeg.allocation(), "-filter_complex", graph, "-map", "[mono]", *_OUTPUT]


def _tolerant(track: AudioTrack, rate: int) -> list[str]:
    """Returns ffmpeg's arguments that decode a track, also one that is damaged or changes.

    As in `audio.write_audio`, filters without a state convert every part to one format before others place it in time;
    of sound that cannot change, in one graph, which takes half the time.
    """
    alike, exact = _alike(track, rate), _exact(track)
    source = ("-copyts", *ffmpeg.input_arguments(track.path), "-map", f"0:{track.index}")
    if not track.may_change or track.codec.startswith("pcm_"):
        return [*ffmpeg.QUIET, *source, "-af", f"{alike},{exact}", *_OUTPUT]
    looped = ("-dec", "0:0", "-filter_complex", f"[dec:0]{exact}[exact]", "-map", "[exact]")
    return [*ffmpeg.QUIET, *source, "-af", alike, "-c:a", "pcm_f32le", "-f", "null", "-", *looped, *_OUTPUT]


def _alike(track: AudioTrack, rate: int) -> str:
    """Returns the filters that give all parts of a track one format."""
    return f"{_mono_filter(track)},aformat=sample_fmts=flt:sample_rates={rate}:channel_layouts=mono"


def _exact(track: AudioTrack) -> str:
    """Returns the filters that place sound in time, from the track's start on."""
    start = f"{float(track.start):.6f}"
    return f"atrim=start={start},asetpts=PTS-{start}/TB,aresample=async=1:first_pts=0"


def _quoted(value: str) -> str:
    """Returns the value of a filter's option as it is written in a graph."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", re.sub(r"([\\':])", r"\\\1", value))


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
