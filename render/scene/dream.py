"""How far each frame is dreamed, and what conditions its gradient."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from render.errors import shown
from render.scene.faults import Fault
from render.scene.fields import MAX_SIDE, Choice, Growth, OneOrMore, Part, Pixels, Share, parsed

MAX_STEPS = 1000
SMALLEST_TILE = 128


class Natural(Part):
    """The gradient in a decorrelated Fourier basis: soft light, natural colour."""

    power: float = Field(default=0.35, ge=0, le=1)
    """How much fine detail yields to large shapes: the spectrum is divided by f^(2·power)."""
    color: float = Field(default=0.85, ge=0, le=1)
    """How far colours keep to those of photographs."""
    lowest: float = Field(default=4, ge=0.5, le=64)
    """Waves a side from which on detail yields; what is larger is left alone."""


class Gaussian(Part):
    """The gradient blurred."""

    sigma: float = Field(default=1.0, gt=0, le=100)
    """Pixels; the mean of blurs of half, once and twice this."""


class Laplacian(Part):
    """The gradient with all its scales made equally strong."""

    levels: int = Field(default=4, ge=1, le=12)
    """Bands of the pyramid."""


class Raw(Part):
    """The gradient as it is."""


class Gradient(Choice):
    """How the gradient is conditioned."""

    words = ("natural", "gaussian", "laplacian", "raw")
    natural: Natural | None = None
    """Soft and natural (the default)."""
    gaussian: Gaussian | None = None
    """Smoothed."""
    laplacian: Laplacian | None = None
    """Normalised per scale."""
    raw: Raw | None = None
    """Untouched."""


def _step_count(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MAX_STEPS:
        raise Fault(f"a number of steps is from 0 to {MAX_STEPS}, not {shown(raw)}")
    return raw


_STEPS = OneOrMore(_step_count, {"type": "integer", "minimum": 0, "maximum": MAX_STEPS})


def _tile(raw: Any) -> str | int:
    if raw in ("auto", "off"):
        return str(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or not SMALLEST_TILE <= raw <= MAX_SIDE:
        raise Fault(f"a tile is auto, off or from {SMALLEST_TILE} to {MAX_SIDE} pixels, not {shown(raw)}")
    return raw


Tile = Annotated[
    str | int,
    PlainValidator(_tile),
    WithJsonSchema(
        {"anyOf": [{"enum": ["auto", "off"]}, {"type": "integer", "minimum": SMALLEST_TILE, "maximum": MAX_SIDE}]}
    ),
]


class First(Part):
    """The first frame's own numbers, to start the film from something worth zooming into."""

    octaves: int | None = Field(default=None, ge=1, le=12)
    """Octaves of the first frame."""
    steps: Annotated[tuple[int, ...] | None, _STEPS] = None
    """Steps in each of them."""


class Dream(Part):
    """How far each frame is dreamed."""

    octaves: int = Field(default=3, ge=1, le=12)
    """Scales, each dreamed in turn, the coarsest first."""
    octave_scale: float = Field(default=1.4, ge=1.05, le=4)
    """Ratio of one octave's size to the next coarser one's."""
    steps: Annotated[tuple[int, ...], _STEPS] = parsed(4)
    """Steps of ascent in each octave; or a list, a number for each octave, the coarsest first."""
    step_size: Share = parsed(0.01)
    """Mean change of a value (black 0, white 1) in a step."""
    last_step: float = Field(default=1.0, ge=0, le=1)
    """Size of an octave's last step, as a share of its first; between them it falls evenly."""
    jitter: Pixels = parsed(32)
    """Random shift before each step, up to so many pixels."""
    scale: tuple[Growth, Growth] = Field(default=(1.0, 1.0), strict=False)
    """Random scale of what each step sees, between these two: larger than 1 looks closer."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Random rotation of what each step sees, up to so many degrees to either side."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """How much of the direction of the steps before goes on into each step."""
    total_variation: float = Field(default=0.0, ge=0, le=100)
    """Smooths the picture while it is dreamed, keeping its edges: strength beside the gradient's."""
    gradient: Gradient = parsed("natural")
    """`natural`, `gaussian`, `laplacian` or `raw`; or with parameters, `{natural: {power: 0.4}}`."""
    first: First = First()
    """Octaves and steps of the first frame, where they differ."""
    every: int = Field(default=1, ge=1, le=24)
    """Only every so many frames are dreamed, those between are faded from one to the next: faster by nearly as much."""
    tile: Tile = parsed("auto")
    """Side, in pixels, of the tiles that larger pictures are dreamed in; `auto`, as memory asks; or `off`."""

    @model_validator(mode="after")
    def _fits(self) -> Dream:
        if self.scale[0] > self.scale[1]:
            raise Fault("the smaller scale comes first", ("scale",))
        for key, octaves, steps in (
            (("steps",), self.octaves, self.steps),
            (("first",), *self.first_frame),
        ):
            if len(steps) not in (1, octaves):
                raise Fault(f"{len(steps)} numbers of steps for {octaves} octaves", key)
        return self

    @property
    def first_frame(self) -> tuple[int, tuple[int, ...]]:
        """Octaves and steps of the first frame."""
        first = self.first
        return (
            self.octaves if first.octaves is None else first.octaves,
            self.steps if first.steps is None else first.steps,
        )
