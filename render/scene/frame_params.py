"""Evaluates every track of a scene at one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from render.scene.objectives import ObjectiveSpec
from render.scene.params import CameraParams, FinishParams, FrameParams, GradeParams
from render.scene.tracks import Track

if TYPE_CHECKING:
    from render.scene.model import SceneSpec


def frame_params(spec: SceneSpec, index: int, *, is_shot_start: bool) -> FrameParams:
    """Returns every track's value at a frame; the first of a shot has the octaves and steps of the film's first."""

    def number(*path: str | int) -> float:
        return float(spec.timeline[path][index])

    def pair(*path: str) -> tuple[float, float]:
        return number(*path, 0), number(*path, 1)

    def camera(section: str) -> CameraParams:
        return CameraParams(
            zoom=number(section, "zoom"),
            rotate=number(section, "rotate"),
            pan=pair(section, "pan"),
            shear=pair(section, "shear"),
            pivot=pair(section, "pivot"),
        )

    def weights(objective: int, part: ObjectiveSpec) -> tuple[float, ...]:
        path = ("objectives", objective, "weight")
        if objective in spec.tours:
            return tuple(number(*path) * turn.share_at(index) for turn in spec.tours[objective])
        if isinstance(part.weight, Track):
            return (number(*path),) * len(part.weights)
        return tuple(number(*path, i) for i in range(len(part.weights)))

    is_first = is_shot_start or index == 0
    octaves, steps = spec.dream.first_frame_octaves if is_first else (spec.dream.octaves, spec.dream.steps)
    return FrameParams(
        index=index,
        camera=camera("camera"),
        weights=tuple(weights(i, part) for i, part in enumerate(spec.objectives)),
        steps=steps if len(steps) > 1 else steps * octaves,
        step_size=number("dream", "step_size"),
        jitter=round(number("dream", "transforms", "jitter")),
        persistence=0.0 if spec.follow is None else number("follow", "persistence"),
        grade=GradeParams(*(number("grade", name) for name in GradeParams._fields)),
        finish=FinishParams(
            view=camera("view"),
            mix=number("mix", "amount"),
            saturation=number("saturation"),
            hue=number("hue"),
            exposure=number("exposure"),
        ),
    )
