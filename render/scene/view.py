"""What is done to the finished frame only, so that nothing of it feeds back: `view`, `mix`, and colours."""

from __future__ import annotations

from typing import Annotated, ClassVar

from render.choices import Border, MixMode
from render.scene.fields import Coordinate, Fraction01, Section, ShortForm, TrackField, track_field
from render.scene.tracks import Track

ViewZoom = Annotated[Track, TrackField(0.01, 100, geometric=True)]
ViewRotation = Annotated[Track, TrackField(-1e5, 1e5, period=360)]
ViewShift = Annotated[Track, TrackField(-100, 100)]
ViewShear = Annotated[Track, TrackField(-0.9, 0.9)]
Saturation = Annotated[Track, TrackField(0, 10)]
Hue = Annotated[Track, TrackField(-1e5, 1e5, period=360)]
Exposure = Annotated[Track, TrackField(-20, 20)]


class View(Section):
    """A camera that looks at the finished frame. Its values do not add up from frame to frame: 1.1 is a frame enlarged
    by a tenth, whatever the frames before it were. The next frame is dreamed as if it did not exist."""

    zoom: ViewZoom = track_field(1.0)
    """Scale factor: above 1 is closer."""
    rotate: ViewRotation = track_field(0.0)
    """Rotation in degrees, counter-clockwise."""
    pan: tuple[ViewShift, ViewShift] = track_field((0.0, 0.0), strict=False)
    """Shift to the right and down, in picture widths and heights."""
    shear: tuple[ViewShear, ViewShear] = track_field((0.0, 0.0), strict=False)
    """Shear along x and along y, as slopes."""
    pivot: tuple[Coordinate, Coordinate] = track_field((0.5, 0.5), strict=False)
    """Fixed point of zoom, rotation and shear, in picture widths and heights from the top left."""
    border: Border = "mirror"
    """What fills the area outside the picture: its reflection, its edge pixels, its opposite side, or black."""


class Mix(ShortForm):
    """How much of the dream lies over its source in the finished frame; a track alone is the amount."""

    alone: ClassVar[str] = "amount"

    amount: Fraction01 = track_field(1.0)
    """0 is the source, 1 the dream (or what the mode makes of both)."""
    mode: MixMode = "normal"
    """How the dream lies over the source: `normal` hides it, `screen` and `lighten` keep what is bright in either,
    `soft_light` keeps the source and takes the dream's light and shadow."""
