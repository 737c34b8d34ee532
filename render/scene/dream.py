"""The scene's `dream`: how much gradient ascent each frame gets, and how the gradient is conditioned."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from render.choices import MAX_SIDE, MIN_SIDE, MIN_TILE_SIZE, TransformBorder
from render.scene.field_errors import FieldError
from render.scene.fields import Fraction01, OneOf, OneOrMany, Pixels, ScaleFactor, Section, WordOr, track_field

MAX_STEPS = 1000
MAX_OCTAVES = 12
StepCount = Annotated[int, Field(ge=0, le=MAX_STEPS)]
StepCounts = Annotated[tuple[StepCount, ...], OneOrMany()]
TileSize = Annotated[str | int, WordOr(Annotated[int, Field(ge=MIN_TILE_SIZE, le=MAX_SIDE)], ("auto", "off"))]


class Natural(Section):
    """The gradient in a decorrelated colour and Fourier basis: soft light, natural colours."""

    decay_power: float = Field(default=0.35, ge=0, le=1)
    """Attenuation of fine detail: the spectrum is divided by f^(2·decay_power). 0 leaves it unchanged."""
    color_correlation: float = Field(default=0.85, ge=0, le=1)
    """Mixing of the colour channels: 0 keeps them apart, 1 mixes them with the covariance of ImageNet's colours."""
    min_frequency: float = Field(default=4, ge=0.5, le=64)
    """Frequency, in cycles per picture side, up to which all frequencies count alike; attenuation begins above it."""


class Gaussian(Section):
    """The gradient smoothed by Gaussian blurs."""

    sigma: float = Field(default=1.0, gt=0, le=100)
    """Standard deviation in pixels; the result is the mean of the blurs with half, once and twice this."""


class Laplacian(Section):
    """The gradient as a Laplacian pyramid whose levels are normalised to equal strength."""

    levels: int = Field(default=4, ge=1, le=12)
    """Number of levels of the pyramid."""


class Raw(Section):
    """The gradient without conditioning."""


class Gradient(OneOf):
    """How the gradient is conditioned."""

    words = ("natural", "gaussian", "laplacian", "raw")
    natural: Natural | None = None
    """Decorrelated colour and Fourier basis (the default)."""
    gaussian: Gaussian | None = None
    """Smoothed by Gaussian blurs."""
    laplacian: Laplacian | None = None
    """Normalised per level of a Laplacian pyramid."""
    raw: Raw | None = None
    """Not conditioned."""


class FirstFrame(Section):
    """Settings of the first frame of the film and of each shot, where they differ from those of `dream`."""

    octaves: int | None = Field(default=None, ge=1, le=MAX_OCTAVES)
    """Number of octaves of the first frame; default: `dream.octaves`."""
    steps: StepCounts | None = None
    """Steps in each octave of the first frame, or a list with one number per octave; default: `dream.steps`."""


class Transforms(Section):
    """Random transforms of the picture before each step, so that the result does not depend on its exact position."""

    jitter: Pixels = track_field(32)
    """Maximal random shift in pixels."""
    scale: tuple[ScaleFactor, ScaleFactor] = Field(default=(1.0, 1.0), strict=False)
    """Range of the random scale factor, the smaller first; above 1 enlarges."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Maximal random rotation in degrees, in both directions."""
    flip: bool = False
    """Exchanges left and right in half of the steps, for pictures without a preferred side."""
    border: TransformBorder = "mirror"
    """What the random shift brings into the picture: its mirror image, with shifts of at most a quarter of its side; or
    its opposite side (`wrap`), as in Google's code of 2015: opposite borders then meet in a seam."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Transforms:
        if self.scale[0] > self.scale[1]:
            raise FieldError("the smaller scale comes first", ("scale",))
        return self


class Dream(Section):
    """How each frame is dreamed: gradient ascent on octaves, from the coarsest to the full size."""

    octaves: int = Field(default=3, ge=1, le=MAX_OCTAVES)
    """Number of octaves, that is, of sizes at which the picture is dreamed, the coarsest first."""
    reference_side: int | None = Field(default=None, ge=MIN_SIDE, le=MAX_SIDE)
    """Longer side, in pixels, of the picture that has this number of octaves: a smaller film lacks the finest, a larger
    one has more; default: the film's own side before `--scale`."""
    octave_scale: float = Field(default=1.4, ge=1.05, le=4)
    """Ratio of an octave's size to that of the next coarser one."""
    steps: StepCounts = track_field(4)
    """Steps of gradient ascent in each octave, or a list with one number per octave, the coarsest first."""
    step_size: Fraction01 = track_field(0.01)
    """Mean absolute change of a pixel value in one step, where black is 0 and white is 1."""
    final_step_scale: float = Field(default=1.0, ge=0, le=1)
    """Size of an octave's last step as a fraction of its first; the steps between are interpolated linearly."""
    transforms: Transforms = Transforms()
    """Random transforms of the picture before each step."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the earlier steps in the running average of gradients that each step follows; 0 has no memory."""
    total_variation: float = Field(default=0.0, ge=0, le=100)
    """Strength of total variation smoothing relative to the step size; it keeps edges. 0 turns it off."""
    gradient: Gradient = track_field("natural")
    """`natural`, `gaussian`, `laplacian` or `raw`; or with parameters, `{natural: {decay_power: 0.4}}`."""
    first_frame: FirstFrame = FirstFrame()
    """Octaves and steps of the first frame, where they differ."""
    cadence: int = Field(default=1, ge=1, le=24)
    """Dreams one frame in this many and interpolates the frames between; the time falls almost by this factor."""
    tile_size: TileSize = track_field("auto")
    """Side in pixels of the tiles in which larger pictures are dreamed; `auto` chooses it by the free memory, `off`
    dreams the whole picture at once."""

    @model_validator(mode="after")
    def _steps_match_octaves(self) -> Dream:
        for key, octaves, steps in (
            ("steps", self.octaves, self.steps),
            ("first_frame", *self.first_frame_octaves),
        ):
            if len(steps) not in (1, octaves):
                raise FieldError(f"{len(steps)} numbers of steps for {octaves} octaves", (key,))
        return self

    @property
    def first_frame_octaves(self) -> tuple[int, tuple[int, ...]]:
        """Octaves and steps of the first frame."""
        first = self.first_frame
        return (
            self.octaves if first.octaves is None else first.octaves,
            self.steps if first.steps is None else first.steps,
        )

    @property
    def first_frame_ratio(self) -> float:
        """Steps of the first frame, in all its octaves, relative to those of others."""
        first, other = (
            sum(steps) * (octaves if len(steps) == 1 else 1)
            for octaves, steps in (self.first_frame_octaves, (self.octaves, self.steps))
        )
        return first / max(other, 1)
