"""Audio: the track of a media file, and the part of it that a film embeds, synchronous and exactly as long."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from render.errors import StorageError
from render.media import ffmpeg
from render.media.probe import decode_errors, probe_media

COPIED_CODECS = ("aac", "mp3")
"""Codecs that players expect in a film, and that can start and end at any sample; others are encoded."""
COPYING = (".mp4", ".mov")
"""Suffixes of films into which packets are copied; others hold neither these codecs nor the times of their samples."""
ENCODERS = {
    ".mp4": ("aac", "-b:a", "256k"),
    ".mov": ("pcm_s24le",),
    ".mkv": ("flac", "-sample_fmt", "s32"),
    ".webm": ("libopus", "-b:a", "192k"),
}
"""From the suffix of a film to the encoder of its audio, with its options."""
ENCODED_RATES = {".webm": 48000}
"""Samples per second of sound that is encoded, where the codec has only few rates."""
FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov")
FORMATS = {
    ".mp4": (*FRAGMENTS, "-f", "mp4"),
    ".mov": (*FRAGMENTS, "-f", "mov"),
    ".mkv": ("-f", "matroska"),
    ".webm": ("-f", "webm"),
}
"""ffmpeg's arguments that write a film with that suffix to a pipe."""
ONE_REPETITION, REPETITIONS = "once.w64", "repeats.txt"
"""Names of the sound that is repeated, and of the list of its repetitions."""
MAX_PACKET = Fraction(1, 40)
"""Seconds of the longest packet: a track that ends this much before the film does is long enough."""
_LISTED_CHANNELS = re.compile(r"\d+ channels \((.*)\)")
"""ffmpeg's name of channels that have no name together: `3 channels (FL+FR+TC)`."""
DEFAULT_RATE = 48000
"""Samples per second of sound whose rate is unknown."""
TICKS = 705_600_000
"""Ticks per second; a sample of every usual rate lasts a whole number of them."""


USUAL_LAYOUTS = ("mono", "stereo", "5.1", "5.1(side)", "7.1")
"""Channels that every encoder here accepts."""
STEREO = "aformat=channel_layouts=stereo"
"""ffmpeg's filter that mixes channels down by their places around the listener."""
CARDIOIDS = "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1"
"""Ambisonics as two cardioid microphones that face left and right: the sums and differences of its channels W and Y."""


@dataclass(frozen=True)
class AudioTrack:
    """An audio track of a file: its path, its stream's index and codec, its start and end.

    `layout` is ffmpeg's name of its channels, `rate` its samples per second. `file_start` is the time at which the file
    starts: with its first picture if it has pictures. Times are in seconds on the file's own clock. `may_change` says
    whether channels and rate can change within the track.
    """

    path: Path
    index: int
    codec: str
    start: Fraction
    end: Fraction
    file_start: Fraction
    layout: str | None
    rate: int | None
    may_change: bool


@dataclass(frozen=True)
class AudioSpan:
    """`duration` seconds of a track from `start` on, by the clock of its file; silence after the track's end.

    The film has them `repeat` times.
    """

    track: AudioTrack
    start: Fraction
    duration: Fraction
    repeat: int = 1

    @property
    def end(self) -> Fraction:
        """Seconds on the file's clock."""
        return self.start + self.duration


def probe_audio(path: Path, number: int | None = None, *, video_track: int | None = None) -> AudioTrack | None:
    """Returns the audio track of this number in a file, for None the one that players choose; None without any.

    `video_track` is the number of the video track that it goes with. Raises StorageError when the file cannot be read,
    TrackError when it has no track of this number.
    """
    media = probe_media(path, "sound", video_track=video_track, audio_track=number)
    stream = media.audio
    if stream is None:
        return None
    return AudioTrack(
        path,
        stream.index,
        codec=stream.codec,
        start=stream.start,
        end=stream.end,
        file_start=media.start,
        layout=stream.layout,
        rate=stream.rate,
        may_change=stream.may_change,
    )


def require_audio(path: Path, number: int | None = None) -> AudioTrack:
    """Returns the audio track of this number in a file, for None the one that players choose.

    Raises StorageError when the file has none, or cannot be read.
    """
    track = probe_audio(path, number)
    if track is None:
        raise StorageError(f"{path} holds no sound")
    return track


def can_copy(span: AudioSpan, suffix: str) -> bool:
    """Whether packets can be copied into a film: of one of COPIED_CODECS, from a uniform track that is long enough."""
    if suffix not in COPYING or span.repeat > 1:
        return False
    is_long = span.track.end >= span.end - MAX_PACKET
    return span.track.codec in COPIED_CODECS and is_long and _is_uniform(span.track)


@lru_cache(maxsize=16)
def _is_uniform(track: AudioTrack) -> bool:
    """Whether a film's one header can describe all packets of a track; AAC of broadcasts may change its channels.

    Decodes the track where its container leaves that open. MP3 has a header in each packet.
    """
    if track.codec != "aac" or not track.may_change:
        return True
    decoding = ("-map", f"0:{track.index}", "-f", "null", "-")
    reader = ffmpeg.Reader(["-hide_banner", "-nostdin", "-nostats", *ffmpeg.input_arguments(track.path), *decoding])
    with decode_errors(track.path), reader:
        list(reader.lines())
    return "Reconfiguring filter graph" not in reader.log()


def is_mixed_down(span: AudioSpan, suffix: str) -> bool:
    """Whether a film with that suffix has fewer channels than the track, because it cannot hold them.

    Raises StorageError when there is no way to mix them down.
    """
    return not can_copy(span, suffix) and channel_filter(span.track, suffix) != _same_channels(span.track)


@lru_cache(maxsize=16)
def channel_filter(track: AudioTrack, suffix: str) -> str:
    """Returns the filter that gives a track the channels that a film with that suffix can hold.

    Channels other than USUAL_LAYOUTS are tried out on the first sound of the track. Raises StorageError when ffmpeg
    knows no way to mix them down.
    """
    same = _same_channels(track)
    if track.layout is None or track.layout in USUAL_LAYOUTS:
        return same
    for channels in (same, CARDIOIDS if track.layout.startswith("ambisonic") else STEREO):
        with contextlib.suppress(StorageError):
            ffmpeg.run(
                *ffmpeg.QUIET, *ffmpeg.input_arguments(track.path), "-map", f"0:{track.index}",
                "-af", channels, "-frames:a", "4", "-c:a", *ENCODERS[suffix], *FORMATS[suffix], "-",
            )  # fmt: skip
            return channels
    message = f"the sound of {track.path} has channels ({track.layout}) that cannot be mixed down for {suffix}"
    raise StorageError(f"{message}; convert it to stereo, or output.path: film.mov keeps them")


def _same_channels(track: AudioTrack) -> str:
    """Returns the filter that keeps the track's channels, wherever they change in mid-stream."""
    if track.layout is None:
        return "anull"
    listed = _LISTED_CHANNELS.fullmatch(track.layout)
    return f"aformat=channel_layouts={listed[1] if listed else track.layout}"


def write_audio(span: AudioSpan, folder: Path, *, suffix: str) -> Path:
    """Writes exactly this span to a file in `folder`, to be copied into a film with that suffix; returns its path.

    Where possible the span's packets are copied, with times from which players skip parts of the first and the last.
    Otherwise the span is encoded; one that is repeated is written to `folder` as samples first, so that the sound has
    no join. Raises StorageError.
    """
    target = folder / f"sound{suffix}"
    encoder = ("-c:a", *ENCODERS[suffix], "-flags:a", "+bitexact")
    if can_copy(span, suffix):
        _convert(span, target, _copying(span))
    elif span.repeat == 1:
        _convert(span, target, [*_placing(span, suffix), *encoder])
    else:
        _convert(span, folder / ONE_REPETITION, [*_placing(span, suffix), "-c:a", "pcm_f32le"])
        (folder / REPETITIONS).write_text(f"file '{ONE_REPETITION}'\n" * span.repeat)
        duration = f"{float(span.duration * span.repeat):.6f}"
        gapless = f"asetpts=N/SR/TB,apad=whole_dur={duration},atrim=end={duration}"
        ffmpeg.run(
            *ffmpeg.QUIET, *ffmpeg.LOCAL_ONLY, "-f", "concat", "-i", REPETITIONS, "-af", gapless, *encoder,
            "-map_metadata", "-1", "-fflags", "+bitexact", target.name, folder=folder,
        )  # fmt: skip
    return target


def _convert(span: AudioSpan, target: Path, arguments: Sequence[str]) -> None:
    """Runs ffmpeg from a span's file to a sound file. Raises StorageError."""
    with decode_errors(span.track.path):
        ffmpeg.run(
            *ffmpeg.QUIET, "-copyts", *ffmpeg.input_arguments(span.track.path),
            *arguments, "-map_metadata", "-1", "-fflags", "+bitexact", str(target.absolute()),
        )  # fmt: skip


def _copying(span: AudioSpan) -> list[str]:
    """Returns ffmpeg's arguments that copy the packets of a span."""
    start, end = (f"{float(time):.6f}" for time in (span.start, span.end))
    # The packet before the first is kept, because the decoder needs it; a microsecond allows for rounding.
    drop = f"noise=drop='lt((pts+2*duration)*tb,{start}+1e-6)+gt(pts*tb,{end}-1e-6)'"
    # The ticks are fine enough for every rate; some containers count whole packets.
    ticks = f"time_base=1/{TICKS}:prescale=1"
    shift = f"setts={ticks}:ts=TS-{start}/TB:duration='min(DURATION,{end}/TB-PTS)'"
    return ["-map", f"0:{span.track.index}", "-c:a", "copy", "-bsf:a", f"{drop},{shift}"]


def _placing(span: AudioSpan, suffix: str) -> list[str]:
    """Returns ffmpeg's arguments that decode a span to exactly its samples.

    Filters without a state convert every part of the sound to the same channels and rate first; the filters that place
    it in time would start again wherever these change.
    """
    start, end, duration = (f"{float(time):.6f}" for time in (span.start, span.end, span.duration))
    rate = ENCODED_RATES.get(suffix) or span.track.rate or DEFAULT_RATE
    alike = f"{channel_filter(span.track, suffix)},aformat=sample_fmts=flt:sample_rates={rate}"
    exact = (
        f"[dec:0]atrim=start={start}:end={end},asetpts=PTS-{start}/TB,"
        f"aresample=async=1:first_pts=0,apad=whole_dur={duration},atrim=end={duration}[exact]"
    )
    decoding = ["-map", f"0:{span.track.index}", "-af", alike, "-c:a", "pcm_f32le", "-f", "null", "-"]
    return [*decoding, "-dec", "0:0", "-filter_complex", exact, "-map", "[exact]"]
