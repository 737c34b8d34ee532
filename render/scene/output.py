"""The film's file: what a path may end in, the codecs that fit, and what is chosen when nothing is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from render.errors import shown
from render.scene.faults import Fault
from render.scene.fields import LONGEST_PATH, NamesFile, Part

MAX_SEGMENT = 1_000_000
SOUND_WORDS = ("source", "none")
Codec = Literal["h264", "h265", "prores", "png", "jpg"]
PICTURES: tuple[Codec, ...] = ("png", "jpg")
"""Codecs of single pictures, and of numbered sequences of them."""
CONTAINERS: dict[str, tuple[Codec, ...]] = {
    ".mp4": ("h264", "h265"),
    ".mov": ("h264", "h265", "prores"),
    ".png": ("png",),
    ".jpg": ("jpg",),
    ".jpeg": ("jpg",),
}
"""What a path may end in, and the codecs that fit there, the default first."""
_NUMBERING = re.compile(r"%0?[0-9]?d")
_ANY_NUMBERING = re.compile(r"%[0-9]*d")


class Output(Part):
    """The film's file."""

    path: str | None = None
    """Ends in .mp4 or .mov; a picture, .png or .jpg, numbered when there are several, `frames/%05d.png`; default: the
    scene's name and .mp4."""
    codec: Codec | None = None
    """Default: h264, or what the picture's name says."""
    crf: int | None = Field(default=None, ge=1, le=51)
    """Quality of h264 (default 18) and h265 (default 20): lower is better and larger."""
    depth: Literal[8, 16] | None = None
    """Bits per channel of a PNG; default 8."""
    audio: Annotated[str, NamesFile("sound", SOUND_WORDS)] = Field(default="source", min_length=1)
    """The film's sound: the `source` clip's, `none`, or a file's path, `song.m4a`."""
    segment: int = Field(default=48, ge=1, le=MAX_SEGMENT)
    """Frames between checkpoints: at most so many are rendered again after a crash."""

    @field_validator("path")
    @classmethod
    def _known(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if len(path) > LONGEST_PATH:
            raise Fault(f"a path has at most {LONGEST_PATH} characters, this one has {len(path)}")
        if _suffix(path) not in CONTAINERS:
            raise Fault(f"a film's path ends in {', '.join(CONTAINERS)}, not in {shown(_suffix(path))}")
        found, anywhere = _NUMBERING.findall(Path(path).name), _ANY_NUMBERING.findall(path)
        if CONTAINERS[_suffix(path)][0] in PICTURES and (found != anywhere or len(found) > 1):
            raise Fault("a sequence's file name has one number in it: frames/%05d.png")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        fitting = [suffix for suffix, codecs in CONTAINERS.items() if self.codec in codecs]
        if self.path is not None and self.codec is not None and _suffix(self.path) not in fitting:
            raise Fault(f"{self.codec} goes into {' or '.join(fitting)}, not into {_suffix(self.path)}", ("codec",))
        codec = self.chosen_codec
        if self.crf is not None and codec not in ("h264", "h265"):
            raise Fault(f"crf means nothing to {codec}", ("crf",), at_key=True)
        if self.depth is not None and codec != "png":
            raise Fault(f"depth means nothing to {codec}", ("depth",), at_key=True)
        if self.audio not in SOUND_WORDS and codec in PICTURES:
            raise Fault("pictures have no sound", ("audio",))
        return self

    @property
    def chosen_codec(self) -> Codec:
        """The codec, by name or by what the path ends in."""
        return self.codec or CONTAINERS[_suffix(self.path or "film.mp4")][0]

    @property
    def is_one_picture(self) -> bool:
        """Whether the path has place for just one frame."""
        return self.chosen_codec in PICTURES and self.path is not None and not _NUMBERING.search(self.path)

    def concrete(self, stem: str) -> Output:
        """The same with every default written out; `stem` names the film when nothing else does."""
        codec = self.chosen_codec
        suffix = {"prores": ".mov", "png": "/%05d.png", "jpg": "/%05d.jpg"}.get(codec, ".mp4")
        path = self.path or stem.replace("%", "_") + suffix
        crf = self.crf if self.crf is not None else {"h264": 18, "h265": 20}.get(codec)
        depth = self.depth or (8 if codec == "png" else None)
        return Output(path=path, codec=codec, crf=crf, depth=depth, audio=self.audio, segment=self.segment)


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
