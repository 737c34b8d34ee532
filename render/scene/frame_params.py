"""Evaluates every track of a scene at one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from render.scene.clock import Values
from render.scene.field_errors import Loc
from render.scene.objectives import ObjectiveSpec
from render.scene.params import CameraParams, FinishParams, FrameParams, GradeParams
from render.scene.tour import Turn
from render.scene.tracks import Track


def frame_params(
    timeline: Mapping[Loc, Values],
    index: int,
    *,
    objectives: Sequence[ObjectiveSpec],
    tours: Mapping[int, Sequence[Turn]],
    steps: tuple[int, ...],
) -> FrameParams:
    """Returns the values of a timeline at a frame, which takes these steps of ascent in its octaves.

    `tours` are the turns of the objectives that are tours, by number.
    """

    def number(*path: str | int) -> float:
        return float(timeline[path][index])

    def weights(objective: int, part: ObjectiveSpec) -> tuple[float, ...]:
        path = ("objectives", objective, "weight")
        if objective in tours:
            return tuple(number(*path) * turn.share_at(index) for turn in tours[objective])
        if isinstance(part.weight, Track):
            return (number(*path),) * len(part.weights)
        return tuple(number(*path, i) for i in range(len(part.weights)))

    return FrameParams(
        index=index,
        camera=camera_params(timeline, index),
        weights=tuple(weights(i, part) for i, part in enumerate(objectives)),
        steps=steps,
        step_size=number("dream", "step_size"),
        jitter=round(number("dream", "transforms", "jitter")),
        persistence=number("follow", "persistence") if ("follow", "persistence") in timeline else 0.0,
        grade=GradeParams(*(number("grade", name) for name in GradeParams._fields)),
        finish=FinishParams(
            view=camera_params(timeline, index, "view"),
            mix=number("mix", "amount"),
            saturation=number("saturation"),
            hue=number("hue"),
            exposure=number("exposure"),
        ),
    )


def camera_params(timeline: Mapping[Loc, Values], index: int, section: str = "camera") -> CameraParams:
    """Returns the values of a camera of a timeline at a frame."""

    def number(*path: str | int) -> float:
        return float(timeline[section, *path][index])

    def pair(name: str) -> tuple[float, float]:
        return number(name, 0), number(name, 1)

    return CameraParams(
        zoom=number("zoom"), rotate=number("rotate"), pan=pair("pan"), shear=pair("shear"), pivot=pair("pivot")
    )
