"""The numbers of one frame: every track evaluated there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class CameraParams(NamedTuple):
    """The camera's numbers at one frame, per frame."""

    zoom: float
    rotate: float
    pan: tuple[float, float]
    shear: tuple[float, float]
    pivot: tuple[float, float]


class GradeParams(NamedTuple):
    """The grading's numbers at one frame."""

    strength: float
    mean: float
    contrast: float
    cast: float


class FinishParams(NamedTuple):
    """What is done to the finished frame only: its camera, the amount of the dream over its source, and colours.

    `exposure` is in stops, `hue` in degrees, `saturation` a factor.
    """

    view: CameraParams
    mix: float
    saturation: float
    hue: float
    exposure: float


@dataclass(frozen=True)
class FrameParams:
    """Everything that may change over the film, at one frame, as plain numbers.

    `weights` has a tuple for each objective, with a weight for each of its classes or turns, or for its layer. `steps`
    has the number of steps of each octave, the coarsest first.
    """

    index: int
    camera: CameraParams
    weights: tuple[tuple[float, ...], ...]
    steps: tuple[int, ...]
    step_size: float
    jitter: int
    persistence: float
    grade: GradeParams
    finish: FinishParams
