"""What a film begins from: noise, a picture or footage; and how the dream follows footage."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from render.errors import did_you_mean, shown
from render.scene.faults import Fault
from render.scene.fields import Choice, Clip, Part, Picture, Share, Start, parsed, parsed_each
from render.scene.tracks import Time, parse_time

MAX_GRAIN = 1024


class Noise(Part):
    """Smooth random noise around mid grey."""

    grain: float = Field(default=64, ge=1, le=MAX_GRAIN)
    """Size of the blobs, in pixels."""
    contrast: float = Field(default=0.2, ge=0, le=1)
    """Standard deviation of the values."""
    color: float = Field(default=0.0, ge=0, le=1)
    """0 is grey, 1 makes the three channels independent."""


class Source(Choice):
    """What the film begins from."""

    words = ("noise",)
    beside: ClassVar[dict[str, str]] = {"start": "video", "fit": "video"}

    noise: Noise | None = None
    """Noise: `noise`, or `{noise: {grain: 8}}`."""
    image: Picture = None
    """A picture's path, relative to the scene file."""
    video: Clip = None
    """A clip's path, or a sequence's, `shots/%04d.png`: the film is this footage, dreamed."""
    start: Start | None = None
    """Where in the clip the film starts: `2s`, or a number of the film's frames."""
    fit: Literal["cover", "contain", "stretch"] | None = None
    """How the clip fills the film's size: cut at its sides (`cover`, the default), with black bars, or out of shape."""

    @field_validator("image", "video", mode="before")
    @classmethod
    def _given(cls, path: Any, info: ValidationInfo) -> Any:
        if path is None or path == "":
            what = "picture" if info.field_name == "image" else "clip"
            raise Fault(f"no {what} is given; add --set source.{info.field_name}=PATH")
        return path


CUT_WORDS = ("auto", "none")


def _cuts(raw: Any) -> str | tuple[Time, ...]:
    if isinstance(raw, list | tuple):
        return parsed_each(raw, _cut)
    if not isinstance(raw, str) or raw not in CUT_WORDS:
        raise Fault(f"cuts are auto, none or a list of times, not {shown(raw)}{did_you_mean(str(raw), CUT_WORDS)}")
    return raw


def _cut(raw: Any) -> Time:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Fault("a time is needed: 48, 2s or 50%")
    return parse_time(str(raw))


Cuts = Annotated[
    str | tuple[Time, ...],
    PlainValidator(_cuts),
    PlainSerializer(lambda cuts: cuts if isinstance(cuts, str) else [str(time) for time in cuts]),
    WithJsonSchema({"anyOf": [{"enum": list(CUT_WORDS)}, {"type": "array", "items": {"type": ["number", "string"]}}]}),
]


class Follow(Part):
    """How the dream follows what moves in a clip."""

    flow: Literal["dis", "farneback", "raft_small", "raft_large", "none"] = "dis"
    """How motion is found; `none` leaves the dream where it is."""
    keep: Share = parsed(0.95)
    """How much of the dream goes on into the next frame."""
    mode: Literal["residual", "linear"] = "residual"
    """`residual` carries what the dream has changed, `linear` the whole dreamed picture."""
    cuts: Cuts = parsed("auto")
    """Where the dream starts afresh: `auto` finds the clip's cuts; `none`, or a list of the film's times."""
