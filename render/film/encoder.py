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

from render.choices import IMAGE_CODECS
from render.film.atomic import atomic_write
from render.film.content import CONCATENATED
from render.media import ffmpeg

if TYPE_CHECKING:
    from torch import Tensor

ENCODER_THREADS = "4"
"""Fixed, because x264's and x265's bytes depend on it."""

JFIF = "scale=out_color_matrix=bt601:out_range=pc:flags=accurate_rnd+full_chroma_int+bicubic,format={pixels}"
# Converts the pixels and tags them; -colorspace alone would only tag (ITU-R BT.709).
BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bicubic,"
    "format={pixels},"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


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
    """The format of a film: codec, exact rate, (width, height), crf where the codec has one, bits of a PNG."""

    codec: str
    fps: Fraction
    size: tuple[int, int]
    crf: int | None = None
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
    def suffix(self) -> str:
        """The suffix of a segment."""
        return CODECS[self.codec].suffix

    @property
    def timescale(self) -> int:
        """Ticks per second; every frame lasts a whole number of them."""
        return self.fps.numerator * max(1, 10000 // self.fps.numerator)

    @property
    def timestamps(self) -> str:
        """The bitstream filter that makes timestamps exact after the concatenation.

        A segment of one or two frames has no reordering and so a different delay than its neighbours, and the
        concatenation counts in microseconds; both would make frames of uneven length.
        """
        ticks = self.timescale * self.fps.denominator // self.fps.numerator
        delay = CODECS[self.codec].delay
        return f"setts=pts=round(PTS/{ticks})*{ticks}:dts=STARTPTS+(N-{delay})*{ticks}:duration={ticks}"


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


def list_segments(segments: Sequence[Path]) -> Path:
    """Writes the list of segments that `concatenate` takes, into their folder. Raises StorageError."""
    list_file = segments[0].parent / "segments.txt"
    atomic_write(list_file, "".join(f"file '{segment.name}'\n" for segment in segments).encode())
    return list_file


def concatenate(
    list_file: Path, output: Path, *, output_format: OutputFormat, comment: str, sound: Path | None = None
) -> None:
    """Concatenates the listed segments to a film by stream copy, with `comment` and the stream of a sound file in it.

    `output` is a new file in the folder of the segments. Raises StorageError.
    """
    folder = list_file.parent
    atomic_write(folder / "metadata.txt", f";FFMETADATA1\ncomment={_escape(comment)}\n".encode())
    # QuickTime's user data truncates a comment after 32 kB; its metadata tags do not.
    flags = "+faststart+use_metadata_tags" if output.suffix.lower() == ".mov" else "+faststart"
    streams = ["-map", "0:v"]
    if sound is not None:
        streams = ["-copyts", *ffmpeg.input_arguments(sound), "-map", "0:v", "-map", "2:a"]
    # The box `btrt`, which players do not need, would hold the bit rate of the first segment, as long as that is.
    ffmpeg.run(
        *ffmpeg.QUIET,
        *ffmpeg.LOCAL_ONLY, *CONCATENATED, "-i", list_file.name,
        *ffmpeg.LOCAL_ONLY, "-f", "ffmetadata", "-i", "metadata.txt",
        *streams, "-map_metadata", "1", "-c", "copy", "-bsf:v", output_format.timestamps,
        "-fflags", "+bitexact", "-movflags", flags, "-write_btrt", "0",
        "-video_track_timescale", str(output_format.timescale), output.name,
        folder=folder,
    )  # fmt: skip


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
    quality = [] if output_format.crf is None else ["-crf", str(output_format.crf)]
    return [
        "-vf", BT709.format(pixels=codec.pixels), "-c:v", codec.encoder, *codec.options, *quality,
        "-threads", ENCODER_THREADS, "-fflags", "+bitexact", "-video_track_timescale", str(output_format.timescale),
        "-write_btrt", "0",  # as in the film: an ffmpeg without the option fails at once
    ]  # fmt: skip


def _escape(comment: str) -> str:
    """Escapes the special characters of ffmpeg's metadata files with backslashes."""
    return re.sub(r"([=;#\\\n])", r"\\\1", comment)
