"""The scene's `source` and `follow`: noise, a picture or a clip, and how the dream follows the clip's motion."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from render.choices import MAX_TRACK, Fit, FlowMethod, FollowMode
from render.scene.clock import Time
from render.scene.field_errors import FieldError
from render.scene.fields import ClipPath, Fraction01, ImagePath, OneOf, Section, WordOr, track_field
from render.scene.times import FilmTime, Span

MAX_GRAIN = 1024
CUT_WORDS = ("auto", "none")


class NoiseSpec(Section):
    """Smooth random noise around mid grey."""

    grain: float = Field(default=64, ge=1, le=MAX_GRAIN)
    """Size of the blobs in pixels."""
    contrast: float = Field(default=0.2, ge=0, le=1)
    """Standard deviation of the pixel values, where black is 0 and white is 1."""
    color: float = Field(default=0.0, ge=0, le=1)
    """Saturation: 0 is grey, 1 has three independent colour channels."""


class SourceSpec(OneOf):
    """The first canvas of the film, or the footage that is dreamed: noise, a picture or a clip."""

    words = ("noise",)
    modifiers: ClassVar[dict[str, str]] = {"start": "video", "fit": "video", "track": "video"}

    noise: NoiseSpec | None = None
    """Noise: `noise`, or with parameters, `{noise: {grain: 8}}`."""
    image: ImagePath = None
    """Path of a picture, relative to the scene file."""
    video: ClipPath = None
    """Path of a clip or of a picture sequence, `shots/%04d.png`; every frame of it is dreamed."""
    start: Span | None = None
    """Position in the clip of the film's first frame: `2s`, or a number of the film's frames; default: 0."""
    fit: Fit | None = None
    """How a clip of another aspect ratio fills the film: `cover` crops it (the default), `contain` adds black bars,
    `stretch` distorts it."""
    track: int | None = Field(default=None, ge=0, le=MAX_TRACK)
    """Number of the clip's video track, as ffmpeg's `V:0`: 0 is the first, cover pictures do not count; default: the
    track that the file marks as its default, else the first."""

    @field_validator("image", "video", mode="before")
    @classmethod
    def _is_set(cls, path: Any, info: ValidationInfo) -> Any:
        if path is None or path == "":
            kind = "picture" if info.field_name == "image" else "clip"
            raise FieldError(f"a path of a {kind} is needed; add --set source.{info.field_name}=PATH")
        return path


Cuts = Annotated[str | tuple[Time, ...], WordOr(Annotated[tuple[FilmTime, ...], Field(strict=False)], CUT_WORDS)]


class Follow(Section):
    """How the dream follows the motion in a clip."""

    flow: FlowMethod = "dis"
    """Method that estimates the optical flow: `dis` and `farneback` run on the CPU, `raft_small` and `raft_large` are
    networks; `none` does not move the dream."""
    persistence: Fraction01 = track_field(0.95)
    """Fraction of the dream that is kept from one frame to the next."""
    mode: FollowMode = "residual"
    """What is moved to the next frame: `residual`, the difference between dream and clip, or `blend`, the whole
    dreamed picture."""
    cuts: Cuts = track_field("auto")
    """Frames at which the dream restarts: `auto` detects the clip's cuts, `none` has no cuts; or a list of times."""
