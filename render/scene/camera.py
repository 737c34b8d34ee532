"""The scene's `camera`: how the picture moves from frame to frame, and the point that it brings to the middle."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PlainValidator, WithJsonSchema, field_validator, model_validator

from render.choices import Border
from render.scene.clock import Clock, Time, Values
from render.scene.easings import EASINGS
from render.scene.field_errors import FieldError, FieldErrors, Loc
from render.scene.fields import Coordinate, Rotation, Section, Shear, Shift, UnitFloat, Zoom, track_field
from render.scene.times import FilmTime
from render.scene.tracks import EASING_SCHEMA, parse_easing

MIDDLE = 0.5
"""Of the picture, in its widths and heights."""
Easing = Annotated[str, PlainValidator(parse_easing), WithJsonSchema(EASING_SCHEMA)]


class LookAt(Section):
    """Moves a point of the first picture to the middle and holds it there, whatever zoom, rotation and shear do. In a
    clip, it is a place in the frame, not the thing that is visible there."""

    point: tuple[UnitFloat, UnitFloat] = Field(strict=False)
    """The point's place in the first frame, in picture widths and heights from the top left."""
    by: FilmTime
    """Time at which the point arrives in the middle: `48`, `3s`, `50%` or `end`."""
    ease: Easing = "smooth"
    """Easing of the straight path to the middle."""

    @field_validator("by")
    @classmethod
    def _is_after_the_start(cls, by: Time) -> Time:
        if by.value == 0:
            raise FieldError("the first frame is the picture as it is; the point arrives later: 48, 3s, 50% or end")
        return by

    def values(self, clock: Clock) -> dict[Loc, Values]:
        """Returns the camera's pan and pivot at every frame, by their paths in the scene.

        A frame's pivot is the place of the point in the frame before it, and its pan leads to the next place. No move
        depends on the moves before it, so that no error accumulates.
        """
        arrival = max(float(self.by.frames(clock)), 1.0)
        share = EASINGS[self.ease](np.arange(-1.0, clock.length).clip(0, arrival) / arrival)
        values: dict[Loc, Values] = {}
        for axis, start in enumerate(self.point):
            place = (1 - share) * start + share * MIDDLE
            values["camera", "pivot", axis] = place[:-1]
            values["camera", "pan", axis] = np.diff(place)
        return values


class Camera(Section):
    """Motion of the picture from one frame to the next. Values are per frame; with the unit `/s`, per second."""

    zoom: Zoom = track_field(1.0)
    """Scale factor: above 1 moves in, below 1 moves out."""
    rotate: Rotation = track_field(0.0)
    """Rotation in degrees, counter-clockwise."""
    pan: tuple[Shift, Shift] = track_field((0.0, 0.0), strict=False)
    """Shift to the right and down, in picture widths and heights."""
    shear: tuple[Shear, Shear] = track_field((0.0, 0.0), strict=False)
    """Shear along x and along y, as slopes."""
    pivot: tuple[Coordinate, Coordinate] = track_field((0.5, 0.5), strict=False)
    """Fixed point of zoom, rotation and shear, in picture widths and heights from the top left."""
    border: Border = "mirror"
    """What fills the area outside the picture: its reflection, its edge pixels, its opposite side, or black."""
    look_at: LookAt | None = None
    """A point of the first picture that moves to the middle and stays there: `{point: [0.3, 0.6], by: 3s}`. It takes
    the place of `pan` and `pivot`."""

    @model_validator(mode="after")
    def _has_one_shift(self) -> Camera:
        if self.look_at is None:
            return self
        errors = [
            FieldError(f"'{key}' and 'look_at' exclude each other; look_at moves the picture", (key,), at_key=True)
            for key, tracks in (("pan", self.pan), ("pivot", self.pivot))
            if tuple(track.raw for track in tracks) != type(self).model_fields[key].default  # a film embeds defaults
        ]
        if errors:
            raise FieldErrors(errors)
        return self
