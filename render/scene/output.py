"""The scene's `output`: the film's path, its codec, and the defaults that follow from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from render.choices import (
    CONTAINERS,
    DEFAULT_CRF,
    DEFAULT_QUALITY,
    IMAGE_CODECS,
    LOOPING_CODECS,
    MAX_CRF,
    MAX_TRACK,
    Codec,
)
from render.scene.field_errors import FieldError
from render.scene.fields import MAX_PATH_LENGTH, FileField, Section
from render.text import quote

MAX_SEGMENT = 1_000_000
"""Frames."""
AUDIO_WORDS = ("source", "none")
CODEC_KEYS = frozenset({"path", "codec", "crf", "quality", "audio", "audio_track"})
"""Keys that say the codec, or need that of a film."""
_NUMBERING = re.compile(r"%0?[0-9]?d")
_ANY_NUMBERING = re.compile(r"%[0-9]*d")


class Output(Section):
    """The file that the film is written to, and its encoding."""

    path: str | None = None
    """The film's path, relative to the current folder. It ends in .mp4, .mov, .mkv or .webm; in .gif or .webp
    for an animated picture, which repeats and has no sound; or for pictures in .png or .jpg, with a number when there
    are several, `frames/%05d.png`; default: the scene's name and .mp4, or .png for a still."""
    codec: Codec | None = None
    """Codec of the frames; default: by the path's ending, h264 for .mp4, .mov and .mkv, vp9 for .webm."""
    crf: int | None = Field(default=None, ge=1, le=max(MAX_CRF.values()))
    """Constant rate factor: lower is better and larger; up to 51, for vp9 to 63. Default: 18 for h264, 20 for h265, 24
    for vp9. Other codecs have none."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """Quality of a .webp, from 1 to 100: higher is better and larger; default: 85. Other codecs have none."""
    bit_depth: Literal[8, 16] | None = None
    """Bits per channel of a PNG; default: 8."""
    audio: Annotated[str, FileField("sound", AUDIO_WORDS)] = Field(default="source", min_length=1)
    """The film's sound: `source` is that of the clip, `none` is silence; or the path of a file, `song.m4a`. A file with
    pictures starts with its first picture, so that its sound is in step with frames extracted from it."""
    audio_track: int | None = Field(default=None, ge=0, le=MAX_TRACK)
    """Number of the sound's track in its file, as ffmpeg's `a:0`: 0 is the first; default: the track that the file
    marks as its default, else the first that is no commentary."""
    segment_frames: int = Field(default=48, ge=1, le=MAX_SEGMENT)
    """Frames between checkpoints: at most this many are rendered again after a crash."""

    @field_validator("path")
    @classmethod
    def _has_known_suffix(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if len(path) > MAX_PATH_LENGTH:
            raise FieldError(f"a path has at most {MAX_PATH_LENGTH} characters, this one has {len(path)}")
        suffix = _suffix(path)
        if suffix not in CONTAINERS:
            raise FieldError(f"a film's path ends in {', '.join(CONTAINERS)}, not in {quote(suffix)}")
        in_name, anywhere = _NUMBERING.findall(Path(path).name), _ANY_NUMBERING.findall(path)
        if CONTAINERS[suffix][0] in IMAGE_CODECS and (in_name != anywhere or len(in_name) > 1):
            raise FieldError("a picture sequence has one number, in the file name: frames/%05d.png")
        return path

    @model_validator(mode="after")
    def _is_consistent(self) -> Output:
        suffixes = [suffix for suffix, codecs in CONTAINERS.items() if self.codec in codecs]
        if self.path is not None and self.codec is not None and _suffix(self.path) not in suffixes:
            message = f"{self.codec} needs a path that ends in {' or '.join(suffixes)}, not in {_suffix(self.path)}"
            raise FieldError(message, ("codec",))
        codec = self.chosen_codec
        if self.crf is not None and codec not in DEFAULT_CRF:
            other = "; quality is its setting" if codec in DEFAULT_QUALITY else ""
            raise FieldError(f"{codec} has no crf; remove it{other}", ("crf",), at_key=True)
        if self.crf is not None and self.crf > MAX_CRF[codec]:
            raise FieldError(f"the crf of {codec} is at most {MAX_CRF[codec]}, not {self.crf}", ("crf",))
        if self.quality is not None and codec not in DEFAULT_QUALITY:
            other = "; crf is its setting" if codec in DEFAULT_CRF else ""
            raise FieldError(f"{codec} has no quality; remove it{other}", ("quality",), at_key=True)
        return self

    @property
    def decides_codec(self) -> bool:
        """Whether a key that is set says the codec, or needs that of a film."""
        return bool(CODEC_KEYS & self.model_fields_set)

    @property
    def chosen_codec(self) -> Codec:
        """The codec, by its key or by the path's ending."""
        return self.codec or CONTAINERS[_suffix(self.path or "film.mp4")][0]

    @property
    def is_one_picture(self) -> bool:
        """Whether the path holds a single frame."""
        return self.chosen_codec in IMAGE_CODECS and self.path is not None and not _NUMBERING.search(self.path)

    def complete(self, stem: str, *, frames: int) -> FilmOutput:
        """Returns the output of a film of some frames with every default written out.

        `stem` names it when no path is set.
        """
        codec = self.chosen_codec
        numbering = "" if frames == 1 else "/%05d"
        suffix = next(suffix for suffix, codecs in CONTAINERS.items() if codec in codecs)
        suffix = f"{numbering}{suffix}" if codec in IMAGE_CODECS else suffix
        return FilmOutput(
            path=self.path or stem.replace("%", "_") + suffix,
            codec=codec,
            crf=self.crf if self.crf is not None else DEFAULT_CRF.get(codec),
            quality=self.quality if self.quality is not None else DEFAULT_QUALITY.get(codec),
            bit_depth=self.bit_depth or (8 if codec == "png" else None),
            audio=self.audio,
            audio_track=self.audio_track,
            segment_frames=self.segment_frames,
        )


class FilmOutput(Output):
    """An output whose path and codec are set."""

    path: str
    codec: Codec

    def titled(self, title: str) -> FilmOutput:
        """Returns the output with `title` before the film's suffix; a sequence goes into a folder of that name."""
        path = Path(self.path)
        is_sequence = self.codec in IMAGE_CODECS and not self.is_one_picture
        named = path.parent / title / path.name if is_sequence else path.with_suffix(f".{title}{path.suffix}")
        return self.model_copy(update={"path": str(named)})


def check_sound(output: Output, *, has_clip: bool, is_measured: bool) -> None:
    """Raises FieldError for a sound that is neither in the film nor measured, and for the track of one."""
    codec = output.chosen_codec
    is_used = is_measured or codec not in (*IMAGE_CODECS, *LOOPING_CODECS)
    if output.audio not in AUDIO_WORDS and not is_used:
        silent = "pictures have" if codec in IMAGE_CODECS else f"a .{codec} has"
        message = f"{silent} no sound, and nothing in the scene follows this one; remove output.audio"
        raise FieldError(message, ("output", "audio"))
    if output.audio_track is None:
        return
    keys = ("output", "audio_track")
    if output.audio == "none" or not is_used:
        raise FieldError("there is no sound; remove audio_track", keys, at_key=True)
    if output.audio == "source" and not has_clip:
        raise FieldError("only a clip has sound; output.audio names a file", keys, at_key=True)


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
