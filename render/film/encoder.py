"""Encoding: frames to segments, each by one ffmpeg process, and segments to a film by stream copy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from render.choices import GIF_TICKS, IMAGE_CODECS, LOOPING_CODECS
from render.film.atomic import atomic_write
from render.film.content import CONCATENATED, frame_ticks
from render.media import ffmpeg

if TYPE_CHECKING:
    from torch import Tensor

ENCODER_THREADS = "4"
"""Fixed, because the bytes of x264, x265 and libvpx depend on it."""

MATROSKA = (".mkv", ".webm")
"""Suffixes of containers that count in milliseconds."""
PALETTE = "palette.png"

JFIF = "scale=out_color_matrix=bt601:out_range=pc:flags=accurate_rnd+full_chroma_int+bicubic,format={pixels}"
# Converts the pixels and tags them; -colorspace alone would only tag (ITU-R BT.709).
BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bicubic,"
    "format={pixels},"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


VP9 = (
    "-b:v", "0", "-deadline", "good", "-cpu-used", "2", "-row-mt", "1", "-tile-columns", "1", "-lag-in-frames", "25",
)  # fmt: skip
"""Options of libvpx; the tiles and rows that its threads share are fixed, as its bytes depend on them."""


@dataclass(frozen=True)
class CodecSettings:
    """An ffmpeg encoder, its options, the pixel formats of its input and of the film, and the suffix of a segment.

    `delay` is the number of frames by which a frame is decoded before it is presented, at most.
    """

    encoder: str
    options: tuple[str, ...]
    raw: str
    pixels: str
    suffix: str
    delay: int = 0


# x265 estimates the weights of P-frames in several threads, with different results each time; so weightp=0.
CODECS = {
    "h264": CodecSettings(
        encoder="libx264",
        options=("-preset", "medium", "-profile:v", "high"),
        raw="rgb24",
        pixels="yuv420p",
        suffix=".mp4",
        delay=2,
    ),
    "h265": CodecSettings(
        encoder="libx265",
        options=("-preset", "medium", "-x265-params", "log-level=error:frame-threads=2:weightp=0", "-tag:v", "hvc1"),
        raw="rgb24",
        pixels="yuv420p",
        suffix=".mp4",
        delay=2,
    ),
    "vp9": CodecSettings(
        encoder="libvpx-vp9",
        options=VP9,
        raw="rgb24",
        pixels="yuv420p",
        suffix=".mp4",
    ),
    "gif": CodecSettings(
        encoder="ffv1",
        options=("-level", "3", "-slices", "4", "-slicecrc", "1"),
        raw="rgb24",
        pixels="bgr0",
        suffix=".mov",
    ),
    "webp": CodecSettings(
        encoder="libwebp", options=("-compression_level", "4"), raw="rgb24", pixels="bgra", suffix=".webps"
    ),
    "prores": CodecSettings(
        encoder="prores_ks",
        options=("-profile:v", "hq", "-vendor", "apl0"),
        raw="rgb48le",
        pixels="yuv422p10le",
        suffix=".mov",
    ),
    "png": CodecSettings(encoder="png", options=(), raw="rgb24", pixels="rgb24", suffix=".pngs"),
    "jpg": CodecSettings(
        encoder="mjpeg", options=("-q:v", "2", "-flags", "+bitexact"), raw="rgb24", pixels="yuvj444p", suffix=".jpgs"
    ),
}


@dataclass(frozen=True)
class OutputFormat:
    """The format of a film: codec, exact rate, (width, height), bits of a PNG.

    `crf` and `quality` are those of a codec that has one.
    """

    codec: str
    fps: Fraction
    size: tuple[int, int]
    crf: int | None = None
    quality: int | None = None
    bit_depth: int | None = None

    @property
    def raw(self) -> str:
        """The pixel format of the encoder's input."""
        return "rgb48le" if self.bit_depth == 16 else CODECS[self.codec].raw

    @property
    def is_pictures(self) -> bool:
        """Whether each frame is a file."""
        return self.codec in IMAGE_CODECS

    @property
    def is_looping(self) -> bool:
        """Whether the film is one animated picture, which repeats by itself and has no sound."""
        return self.codec in LOOPING_CODECS

    @property
    def is_silent(self) -> bool:
        """Whether the film cannot have sound."""
        return self.is_pictures or self.is_looping

    @property
    def repeats(self) -> bool:
        """Whether the film can be several times in its file."""
        return not (self.is_pictures or self.is_looping)

    @property
    def joins(self) -> bool:
        """Whether finished films of this format can be joined as they are; each GIF has a palette of its own."""
        return not self.is_pictures and self.codec != "gif"

    @property
    def suffix(self) -> str:
        """The suffix of a segment."""
        return CODECS[self.codec].suffix

    @property
    def timescale(self) -> int:
        """Ticks per second; every frame lasts a whole number of them."""
        return self.fps.numerator * max(1, 10000 // self.fps.numerator)

    @property
    def timestamps(self) -> str:
        """The bitstream filter that makes timestamps exact after the concatenation, on the clock of `timescale`.

        A segment of one or two frames has no reordering and so a different delay than its neighbours, and the
        concatenation counts in microseconds; both would make frames of uneven length.
        """
        ticks = self.timescale * self.fps.denominator // self.fps.numerator
        delay = CODECS[self.codec].delay
        times = f"pts=round(PTS/{ticks})*{ticks}:dts=STARTPTS+(N-{delay})*{ticks}:duration={ticks}"
        return f"setts=time_base=1/{self.timescale}:prescale=1:{times}"


class SegmentEncoder:
    """Encodes a segment to `path`: `write` each frame, then `finish`."""

    def __init__(self, path: Path, output_format: OutputFormat) -> None:
        self._bit_depth = 16 if output_format.raw == "rgb48le" else 8
        arguments = [*_input_arguments(output_format), *_encoding_arguments(output_format)]
        self._writer = ffmpeg.Writer([*arguments, str(path.absolute())])

    def __enter__(self) -> SegmentEncoder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def write(self, frame: Tensor) -> None:
        """Encodes a frame, 1x3xHxW in [0, 1], on any device. Raises StorageError."""
        self._writer.write(quantize(frame, self._bit_depth).data.cast("B"))

    def finish(self) -> None:
        """Waits until the segment is complete. Raises StorageError."""
        self._writer.finish()


def quantize(frame: Tensor, bit_depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Rounds a frame (1x3xHxW in [0, 1]) to HxWx3 integers of 8 or 16 bits; on the device, then copied once."""
    maximum = 2**bit_depth - 1
    levels = (frame[0].permute(1, 2, 0) * maximum + 0.5).floor().clamp(0, maximum)
    return np.ascontiguousarray(levels.cpu().numpy().astype(np.uint8 if bit_depth == 8 else np.uint16))


def list_segments(segments: Sequence[Path], *, repeat: int = 1) -> Path:
    """Writes the list of segments that `concatenate` takes, `repeat` times, into their folder. Raises StorageError."""
    list_file = segments[0].parent / "segments.txt"
    atomic_write(list_file, "".join(f"file '{segment.name}'\n" for segment in list(segments) * repeat).encode())
    return list_file


def concatenate(
    list_file: Path, output: Path, *, output_format: OutputFormat, frames: int, comment: str, sound: Path | None = None
) -> None:
    """Concatenates the listed segments to a film by stream copy, with `comment` and the stream of a sound file in it.

    `output` is a new file in the folder of the segments, of the first `frames` of them. Raises StorageError.
    """
    folder = list_file.parent
    atomic_write(folder / "metadata.txt", f";FFMETADATA1\ncomment={_escape(comment)}\n".encode())
    first = f"noise=drop='gte(n,{frames})'"  # -frames:v would end the sound before its last packet
    streams = ["-map", "0:v"]
    if sound is not None:
        streams = ["-copyts", *ffmpeg.input_arguments(sound), "-map", "0:v", "-map", "2:a"]
    ffmpeg.run(
        *ffmpeg.QUIET,
        *ffmpeg.LOCAL_ONLY, *CONCATENATED, "-i", list_file.name,
        *ffmpeg.LOCAL_ONLY, "-f", "ffmetadata", "-i", "metadata.txt",
        *streams, "-map_metadata", "1", "-c", "copy", "-bsf:v", f"{first},{output_format.timestamps}",
        "-fflags", "+bitexact", *_muxer_arguments(output.suffix.lower(), output_format), output.name,
        folder=folder,
    )  # fmt: skip


def remux(film: Path, segment: Path, output_format: OutputFormat) -> None:
    """Copies the pictures of a finished film to a segment, whose clock has exact times. Raises StorageError."""
    ffmpeg.run(
        *ffmpeg.QUIET, *ffmpeg.input_arguments(film), "-map", "0:v", "-c", "copy", "-bsf:v", output_format.timestamps,
        "-fflags", "+bitexact", *_muxer_arguments(segment.suffix, output_format), str(segment.absolute()),
    )  # fmt: skip


def encode_gif(list_file: Path, output: Path, *, output_format: OutputFormat, frames: int) -> None:
    """Encodes the listed lossless segments of so many `frames` as a GIF, with a palette of all their colours.

    `output` is a new file in the folder of the segments. Raises StorageError.
    """
    folder = list_file.parent
    segments = (*ffmpeg.LOCAL_ONLY, *CONCATENATED, "-i", list_file.name)
    ffmpeg.run(
        *ffmpeg.QUIET, *segments, "-vf", "palettegen=stats_mode=full:reserve_transparent=0",
        "-frames:v", "1", "-update", "1", "-f", "image2", PALETTE, folder=folder,
    )  # fmt: skip
    last = frame_ticks(frames, output_format.fps, GIF_TICKS) - frame_ticks(frames - 1, output_format.fps, GIF_TICKS)
    # Error diffusion has no pattern that the eye follows, and smooth colours no bands.
    palette_use = "[0:v][1:v]paletteuse=dither=sierra2_4a:diff_mode=rectangle"
    ffmpeg.run(
        *ffmpeg.QUIET, *segments, *ffmpeg.LOCAL_ONLY, "-i", PALETTE, "-filter_complex", palette_use,
        "-fps_mode", "passthrough", "-c:v", "gif", "-final_delay", str(last), "-loop", "0",
        "-fflags", "+bitexact", "-flags", "+bitexact", output.name,
        folder=folder,
    )  # fmt: skip


def _muxer_arguments(suffix: str, output_format: OutputFormat) -> list[str]:
    """Returns the options of a film's or a segment's container."""
    if suffix in MATROSKA:
        return ["-cues_to_front", "1"]
    # QuickTime's user data truncates a comment after 32 kB; its metadata tags do not.
    flags = "+faststart+use_metadata_tags" if suffix == ".mov" else "+faststart"
    # The box `btrt`, which players do not need, would hold the bit rate of the first segment, as long as that is.
    return ["-movflags", flags, "-write_btrt", "0", "-video_track_timescale", str(output_format.timescale)]


def _input_arguments(output_format: OutputFormat) -> list[str]:
    width, height = output_format.size
    return [
        *ffmpeg.QUIET,
        "-f", "rawvideo", "-pix_fmt", output_format.raw, "-s", f"{width}x{height}", "-r", str(output_format.fps),
        "-i", "-",
    ]  # fmt: skip


def _encoding_arguments(output_format: OutputFormat) -> list[str]:
    codec = CODECS[output_format.codec]
    if output_format.codec == "png":
        pixels = "rgb48be" if output_format.bit_depth == 16 else "rgb24"
        return ["-c:v", codec.encoder, "-pix_fmt", pixels, "-f", "image2pipe"]
    if output_format.codec == "jpg":
        return ["-vf", JFIF.format(pixels=codec.pixels), "-c:v", codec.encoder, *codec.options, "-f", "image2pipe"]
    if output_format.codec == "webp":
        quality = ["-quality", str(output_format.quality)]
        return ["-pix_fmt", codec.pixels, "-c:v", codec.encoder, *codec.options, *quality, "-f", "image2pipe"]
    colors = "format={pixels}" if output_format.codec == "gif" else BT709
    quality = [] if output_format.crf is None else ["-crf", str(output_format.crf)]
    return [
        "-vf", colors.format(pixels=codec.pixels), "-c:v", codec.encoder, *codec.options, *quality,
        "-threads", ENCODER_THREADS, "-fflags", "+bitexact", "-video_track_timescale", str(output_format.timescale),
        "-write_btrt", "0",  # as in the film: an ffmpeg without the option fails at once
    ]  # fmt: skip


def _escape(comment: str) -> str:
    """Escapes the special characters of ffmpeg's metadata files with backslashes."""
    return re.sub(r"([=;#\\\n])", r"\\\1", comment)
