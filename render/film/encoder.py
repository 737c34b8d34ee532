"""Frames to segments, segments to a film: each segment is one short ffmpeg run, joined at the end without loss."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from render.errors import StorageError
from render.film import ffmpeg, pictures
from render.film.files import replacing, write
from render.film.sound import Heard, track

ENCODER_THREADS = "4"
"""Fixed, because x264's and x265's bytes depend on it."""

JFIF = "scale=out_color_matrix=bt601:out_range=pc:flags=accurate_rnd+full_chroma_int+bicubic,format={pixels}"
# Converts the pixels and tags them as well; -colorspace alone would only tag (ITU-R BT.709).
BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bicubic,"
    "format={pixels},"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


@dataclass(frozen=True)
class Codec:
    """An ffmpeg encoder, its options, the pixels it is given, those it stores, and a segment's suffix."""

    encoder: str
    options: tuple[str, ...]
    raw: str
    pixels: str
    suffix: str


# x265 searches for the weights of P-frames in several threads at once, and finds others each time; so weightp=0.
CODECS = {
    "h264": Codec(
        "libx264",
        ("-preset", "medium", "-profile:v", "high"),
        "rgb24",
        "yuv420p",
        ".mp4",
    ),
    "h265": Codec(
        "libx265",
        ("-preset", "medium", "-x265-params", "log-level=error:frame-threads=2:weightp=0", "-tag:v", "hvc1"),
        "rgb24",
        "yuv420p",
        ".mp4",
    ),
    "prores": Codec("prores_ks", ("-profile:v", "hq", "-vendor", "apl0"), "rgb48le", "yuv422p10le", ".mov"),
    "png": Codec("png", (), "rgb24", "rgb24", ".pngs"),
    "jpg": Codec("mjpeg", ("-q:v", "2", "-flags", "+bitexact"), "rgb24", "yuvj444p", ".jpgs"),
}
HEAD = 2**24
"""Bytes of a picture's file that its comment is looked for in; it comes first."""
PICTURES = ("png", "jpg")
"""Codecs whose film is a picture for each frame."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Format:
    """What the film's file is: codec, exact rate, (width, height), crf where the codec has one, bits of a PNG."""

    codec: str
    fps: Fraction
    size: tuple[int, int]
    crf: int | None = None
    depth: int | None = None

    @property
    def raw(self) -> str:
        """The pixel format that frames are handed to ffmpeg in."""
        return "rgb48le" if self.depth == 16 else CODECS[self.codec].raw

    @property
    def is_pictures(self) -> bool:
        """Whether each frame is a file of its own."""
        return self.codec in PICTURES

    @property
    def suffix(self) -> str:
        """A segment's suffix."""
        return CODECS[self.codec].suffix

    @property
    def timescale(self) -> int:
        """Ticks a second in which every frame lasts a whole number of them."""
        return self.fps.numerator * max(1, 10000 // self.fps.numerator)

    @property
    def timestamps(self) -> str:
        """A bitstream filter that makes time exact, whatever the joining made of it.

        A segment of one frame has no reordering and so another delay than its neighbours, and the joining counts in
        microseconds; both would leave frames of uneven length.
        """
        ticks = self.timescale * self.fps.denominator // self.fps.numerator
        return f"setts=pts=round(PTS/{ticks})*{ticks}:dts=STARTDTS+N*{ticks}:duration={ticks}"


class Segment:
    """A segment being written to `path`: frames in, `finish` when all are."""

    def __init__(self, path: Path, form: Format) -> None:
        self._raw = form.raw
        self._writer = ffmpeg.Writer([*_input(form), *_encode(form), str(path.absolute())])

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def write(self, frame: Tensor) -> None:
        """One frame, 1x3xHxW in [0, 1], on any device. Raises StorageError."""
        self._writer.write(quantise(frame, 16 if self._raw == "rgb48le" else 8).data.cast("B"))

    def finish(self) -> None:
        """Waits until the segment is written. Raises StorageError."""
        self._writer.finish()


def quantise(frame: Tensor, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """HxWx3 whole numbers of a frame (1x3xHxW in [0, 1]), rounded to nearest; on the device, then copied once."""
    levels = 2**depth - 1
    whole = (frame[0].permute(1, 2, 0) * levels + 0.5).floor().clamp(0, levels)
    return np.ascontiguousarray(whole.cpu().numpy().astype(np.uint8 if depth == 8 else np.uint16))


def join(
    segments: Sequence[Path],
    target: Path,
    form: Format,
    comment: str,
    first: int,
    work: Path,
    heard: Heard | None = None,
) -> None:
    """The film of the segments, at `target`, carrying `comment`; nothing of it is seen until it is whole; of pictures,
    each is seen when it is.

    The target of pictures is a pattern, `frames/%05d.png`, numbered from `first`, or one picture's name. `work` is a
    folder for scraps, on the same disk. What is `heard` goes into a film. Raises StorageError.
    """
    if form.is_pictures:
        found = (picture for segment in segments for picture in pictures.split(segment))
        for index, picture in enumerate(found, first):
            write(numbered(target, index), pictures.with_comment(picture, comment), work)
        return
    write(work / "segments.txt", "".join(f"file '{segment.name}'\n" for segment in segments).encode())
    write(work / "metadata.txt", f";FFMETADATA1\ncomment={_escaped(comment)}\n".encode())
    # QuickTime's own comment ends after 32 kB; its newer metadata does not.
    flags = "+faststart" + "+use_metadata_tags" * (target.suffix.lower() == ".mov")
    sound = ["-map", "0:v"]
    if heard is not None:
        sound = ["-copyts", *ffmpeg.opened(track(heard, work, target.suffix.lower())), "-map", "0:v", "-map", "2:a"]
    with replacing(target, work) as temporary:
        ffmpeg.run(
            *ffmpeg.QUIET,
            *ffmpeg.LOCAL_ONLY, "-f", "concat", "-i", "segments.txt",
            *ffmpeg.LOCAL_ONLY, "-f", "ffmetadata", "-i", "metadata.txt",
            *sound, "-map_metadata", "1", "-c", "copy", "-bsf:v", form.timestamps,
            "-fflags", "+bitexact", "-movflags", flags, "-video_track_timescale", str(form.timescale),
            temporary.name,
            folder=work,
        )  # fmt: skip


def numbered(pattern: Path, index: int) -> Path:
    """The path of one picture of a sequence."""
    return Path(re.sub(r"%0?(\d*)d", lambda match: f"{index:0{match[1] or 1}d}", str(pattern)))


def comment_of(path: Path) -> str | None:
    """The comment that a film or picture carries, or None. Raises StorageError when it cannot be read."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        try:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise StorageError(f"{path} is not a file")
            with path.open("rb") as file:
                return pictures.comment_of(file.read(HEAD))
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None
    printed = ffmpeg.run(*ffmpeg.QUIET, *ffmpeg.opened(path), "-f", "ffmetadata", "-")
    found = re.search(r"^comment=((?:[^\\\n]|\\.)*)$", printed.decode("utf-8", "replace"), re.MULTILINE | re.DOTALL)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else None


def _input(form: Format) -> list[str]:
    width, height = form.size
    return [
        *ffmpeg.QUIET,
        "-f", "rawvideo", "-pix_fmt", form.raw, "-s", f"{width}x{height}", "-r", str(form.fps), "-i", "-",
    ]  # fmt: skip


def _encode(form: Format) -> list[str]:
    codec = CODECS[form.codec]
    if form.codec == "png":
        pixels = "rgb48be" if form.depth == 16 else "rgb24"
        return ["-c:v", codec.encoder, "-pix_fmt", pixels, "-f", "image2pipe"]
    if form.codec == "jpg":
        return ["-vf", JFIF.format(pixels=codec.pixels), "-c:v", codec.encoder, *codec.options, "-f", "image2pipe"]
    quality = [] if form.crf is None else ["-crf", str(form.crf)]
    return [
        "-vf", BT709.format(pixels=codec.pixels), "-c:v", codec.encoder, *codec.options, *quality,
        "-threads", ENCODER_THREADS, "-fflags", "+bitexact", "-video_track_timescale", str(form.timescale),
    ]  # fmt: skip


def carried(path: Path) -> dict[str, Any] | None:
    """What a film says of itself (scene, renderer, network, weights), or None when it is not one of ours."""
    comment = comment_of(path)
    try:
        found = json.loads(comment) if comment else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("scene"), dict) else None


def _escaped(comment: str) -> str:
    """The text as ffmpeg's metadata files want it, a backslash before what means something there."""
    return re.sub(r"([=;#\\\n])", r"\\\1", comment)
