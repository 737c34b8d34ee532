"""The scene's `loop`: a film that repeats. Its tracks and tours have to be at its end what they are at its start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from pydantic import Field

from render.scene.clock import Clock, Time
from render.scene.expressions import Expression
from render.scene.field_errors import MAX_PROBLEMS, FieldError, FieldErrors, Loc
from render.scene.fields import Section
from render.scene.times import FilmTime
from render.scene.tracks import Track

DEFAULT_BLEND = Time(Fraction(2), "s")
MAX_DEFAULT_SHARE = Fraction(1, 2)
"""Of the film, for the default blend."""
MIN_DREAMED = 4
"""Dreamed frames of a blend; fewer are a cut."""
SETTLING_FRAMES = 24
"""Frames of the lead-in before the blend: the first ones from noise have less detail than all others."""
MAX_TURN_ERROR = Fraction(1, 2)
"""Frames by which the turns of a tour may be longer or shorter than the film, whose length is rounded to frames."""
TOLERANCE = 1e-4
"""Difference between a track's ends, relative to values above one, that nobody sees: 0.02 pixels of a zoom at 384."""


class Loop(Section):
    """Makes the film repeat without a visible join: the frame after the last one is the first one again."""

    blend: FilmTime | None = Field(default=None)
    """How long before its end the film starts to turn into its beginning: `2s`, `48` or `25%`; as long, and
    a little more, is dreamed before the first frame. Default: `2s`, or half of a film of less than four seconds."""

    def start(self, clock: Clock, *, cadence: int) -> int:
        """Returns the dreamed frame at which the blend starts. Raises FieldError for a blend that does not fit."""
        length, path = clock.length, ("loop", "blend")
        if self.blend is None:
            frames = min(DEFAULT_BLEND.span(clock), MAX_DEFAULT_SHARE * length)
            frames = max(frames, Fraction(MIN_DREAMED * cadence))
        else:
            frames = self.blend.span(clock)
        if frames > length:
            seconds = float(length / clock.fps)
            raise FieldError(f"the blend is longer than the film, which has {length} frames, {seconds:.6g}s", path)
        start = (length - math.ceil(frames)) // cadence * cadence
        if frames < MIN_DREAMED or math.ceil((length - start) / cadence) < MIN_DREAMED:
            raise FieldError(
                f"a blend of {math.ceil(frames)} frames is a cut; it has {MIN_DREAMED} dreamed frames at least, "
                f"{MIN_DREAMED * cadence} frames",
                path,
            )
        return start


def check_motion(*, has_clip: bool, looks_at_point: bool) -> None:
    """Raises FieldError for a source or a camera that cannot repeat."""
    if has_clip:
        message = "a clip does not repeat; 'loop' is for films from noise or a picture; loop: null removes it"
        raise FieldError(message, ("loop",), at_key=True)
    if looks_at_point:
        message = (
            "'look_at' moves to its point once and a loop repeats; pivot: [0.3, 0.6] zooms on a point all the time"
        )
        raise FieldError(message, ("camera", "look_at"), at_key=True)


def check_tour(objective: int, turn: Fraction, clock: Clock) -> None:
    """Raises FieldError when a tour is in the middle of a turn, of `turn` frames, at the film's end."""
    count = clock.length / turn
    whole = max(1, round(count))
    if abs(whole * turn - clock.length) > MAX_TURN_ERROR:
        raise FieldError(
            f"a turn, hold + fade, is {_frames(turn, clock)}, and the film {float(count):.4g} turns; a loop has whole "
            f"ones: hold + fade of {_frames(clock.length / Fraction(whole), clock)}, or the duration "
            f"{_frames(whole * turn, clock)}",
            ("objectives", objective, "hold"),
        )


def check_tracks(tracks: Iterable[tuple[Loc, Track]], clock: Clock) -> None:
    """Raises FieldErrors for each track whose value where the film repeats is not the one at its start."""
    errors = [error.within(path) for path, track in tracks for error in _differences(track, clock)]
    if errors:
        raise FieldErrors(errors[:MAX_PROBLEMS])


def _differences(track: Track, clock: Clock) -> Iterator[FieldError]:
    """Yields what is wrong with a track; one per second is compared before it is integrated, at the very instants."""
    instant, length = replace(track, per_second=False), clock.length
    first, last = (float(instant.values(clock, range(at, at + 1))[0]) for at in (0, length))
    if abs(track.bounds.difference(first, last)) <= TOLERANCE * max(1.0, abs(first)):
        return
    unit = "/s" if track.per_second else ""
    yield FieldError(
        f"{first:.6g}{unit} at frame 0, {last:.6g}{unit} at frame {length}, where the loop starts again: "
        f"a difference of {last - first:.3g}{unit}; {_remedy(track, first, unit=unit)}"
    )


def _remedy(track: Track, first: float, *, unit: str) -> str:
    """Says what closes a track that starts with the value `first`."""
    if isinstance(track.shape, Expression):
        return "write what repeats in the film's duration, as sin(tau * t / duration) does"
    value = f'"{first:.6g}/s"' if unit else f"{first:.6g}"
    return f"end the keyframes with the first value, end: {value}"


def _frames(count: Fraction, clock: Clock) -> str:
    """A number of frames as a duration in seconds."""
    return f"{float(count / clock.fps):.6g}s"
