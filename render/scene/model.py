"""The scene and its parts: frozen, strictly typed, unknown keys forbidden. What a film is, not how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import (
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from render.errors import UsageError
from render.scene.dream import Dream
from render.scene.faults import Fault, Loc, gathered
from render.scene.fields import (
    FASTEST,
    MAX_SIDE,
    MIN_SIDE,
    SLOWEST,
    Duration,
    Fps,
    Lean,
    Part,
    Place,
    Share,
    Shift,
    Side,
    Turn,
    Zoom,
    parsed,
    parsed_each,
)
from render.scene.layers import Known, Layer, Network
from render.scene.output import PICTURES, Output
from render.scene.source import MAX_GRAIN, Follow, Source
from render.scene.tracks import Clock, Time, Track, Values

if TYPE_CHECKING:
    from render.scene.document import Document

MAX_FRAMES = 1_000_000
MAX_WORK = 200_000_000
"""Of all tracks at all frames: about a second, and 200 MB (`Track.work`)."""
CALL = 300
"""Frames that are worked out while an operation begins."""


class Camera(Part):
    """What the picture does from one frame to the next; a number with a unit, `"1.8/s"`, is per second."""

    zoom: Zoom = parsed(1.0)
    """Growth: above 1 dives in, below 1 draws back."""
    rotate: Turn = parsed(0.0)
    """Degrees, counter-clockwise."""
    pan: tuple[Shift, Shift] = parsed((0.0, 0.0), strict=False)
    """Shift right and down, in widths and heights."""
    shear: tuple[Lean, Lean] = parsed((0.0, 0.0), strict=False)
    """Lean along x and along y, as slopes."""
    pivot: tuple[Place, Place] = parsed((0.5, 0.5), strict=False)
    """The point that zoom, rotation and shear leave in place, in widths and heights from the top left."""
    border: Literal["mirror", "edge", "wrap", "black"] = "mirror"
    """What comes in from outside the picture."""


class Grade(Part):
    """A pull of every frame toward a mean and a contrast, before it is dreamed."""

    strength: Share = parsed(0.15)
    """How much of the difference goes in each frame; 0, the default for a clip, leaves the frame alone."""
    mean: Share = parsed(0.46)
    """Mean of the values."""
    contrast: Share = parsed(0.19)
    """Standard deviation of the values."""


class CameraNow(NamedTuple):
    """The camera's numbers at one frame, per frame."""

    zoom: float
    rotate: float
    pan: tuple[float, float]
    shear: tuple[float, float]
    pivot: tuple[float, float]


class GradeNow(NamedTuple):
    """The grading's numbers at one frame."""

    strength: float
    mean: float
    contrast: float


@dataclass(frozen=True)
class Now:
    """Everything that may change over the film, at one frame: plain numbers."""

    index: int
    camera: CameraNow
    weights: tuple[tuple[float, ...], ...]
    steps: tuple[int, ...]
    step_size: float
    jitter: int
    keep: float
    grade: GradeNow


class Scene(Part):
    """One film, as its file describes it."""

    size: tuple[Side, Side] | None = Field(default=None, strict=False)
    """Width and height in pixels; default: the picture's or the clip's, or 512 by 512."""
    fps: Fps = parsed(24)
    """Frames a second: 24, 29.97 or 30000/1001; default: the clip's, or 24."""
    duration: Duration = parsed("10s")
    """`10s`, or a number of frames; default: to the clip's end, or 10s."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Every random number follows from it."""
    source: Source = parsed("noise")
    """What the film begins from: `noise`, `{noise: …}` or `{image: PATH}`; or follows: `{video: PATH}`."""
    network: Network = parsed("efficientnet_lite0")
    """The network that dreams: its name, or `{name: googlenet, weights: my.pth}`."""
    camera: Camera = Camera()
    """Motion from frame to frame."""
    layers: tuple[Layer, ...] = Field(strict=False, json_schema_extra={"minItems": 1})
    """What is asked for, each with a weight."""
    dream: Dream = Dream()
    """How far each frame is dreamed."""
    follow: Follow | None = None
    """How the dream follows what moves in a clip."""
    grade: Grade = Grade()
    """Keeps a long film from drifting."""
    output: Output = Output()
    """The film's file."""

    _document: Document | None = PrivateAttr(None)

    @field_validator("network")
    @classmethod
    def _is_known(cls, network: Network, info: ValidationInfo) -> Network:
        fault = network.fault(info.context) if info.context is not None else None
        if fault is not None:
            raise fault
        return network

    @field_validator("layers")
    @classmethod
    def _are_known(cls, layers: tuple[Layer, ...], info: ValidationInfo) -> tuple[Layer, ...]:
        if not layers:
            raise Fault("at least one layer is needed")
        if info.context is None or "network" not in info.data:
            return layers
        name = info.data["network"].name
        known: Known = info.context[name]
        return parsed_each(layers, lambda layer: layer.checked(name, known))

    @model_validator(mode="after")
    def _fits(self) -> Scene:
        if self.is_timed:
            self.check_times()
        odd = self.size is not None and (self.size[0] % 2 or self.size[1] % 2)
        if odd and self.output.chosen_codec not in PICTURES:
            raise Fault("a film's sides are even", ("size",))
        return self

    def check_times(self) -> None:
        """Raises Fault when there are too many frames, for a film or for a picture, or a cut after the last."""
        if self.length > MAX_FRAMES:
            raise Fault(f"{self.length} frames; a film has at most {MAX_FRAMES}", ("duration",))
        work = sum(track.work for _, track in self.tracks())
        if (self.length + CALL) * work > MAX_WORK:
            raise Fault(f"{self.length} frames are too many for so many keyframes and expressions", ("duration",))
        if self.output.is_one_picture and self.length > 1:
            sequence = Path(self.output.path or "")
            hint = f"duration: 1 makes one, {sequence.with_suffix('')}/%05d{sequence.suffix} is a sequence"
            raise Fault(f"{self.length} frames do not fit into one picture; {hint}", ("output", "path"))
        for i, frame in enumerate(self.cuts):
            if not frame < self.length:
                raise Fault(f"a cut at frame {frame}, after the film's end at {self.length}", ("follow", "cuts", i))

    @property
    def length(self) -> int:
        """Number of frames, at least one."""
        seconds = self.duration.unit == "s"
        return max(1, round(self.duration.value * self.fps) if seconds else int(self.duration.value))

    @property
    def start(self) -> int:
        """Frames of the film that the clip has gone on before it."""
        start = self.source.start or Time(0.0, "")
        return round(start.value * self.fps) if start.unit == "s" else int(start.value)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The frames at which the scene itself names cuts."""
        times = () if self.follow is None or isinstance(self.follow.cuts, str) else self.follow.cuts
        return tuple(round(time.seconds(Clock(self.fps, self.length)) * float(self.fps)) for time in times)

    @property
    def is_timed(self) -> bool:
        """Whether rate and length are known; a clip's are, until it is looked at, when the scene says them itself."""
        return self.source.video is None or {"fps", "duration"} <= self.model_fields_set

    @cached_property
    def timeline(self) -> dict[Loc, Values]:
        """Every track's value at every frame. Raises Faults, with the ways to the bad tracks."""
        clock = Clock(self.fps, self.length)
        return gathered(self.tracks(), lambda track: track.values(clock))

    def at(self, index: int, begins: bool = False) -> Now:
        """Every track evaluated at a frame; one that `begins` a shot is dreamed as the film's first frame is."""

        def number(*path: str | int) -> float:
            return float(self.timeline[path][index])

        def pair(*path: str) -> tuple[float, float]:
            return number(*path, 0), number(*path, 1)

        def weights(layer: int, count: int, together: bool) -> tuple[float, ...]:
            path = ("layers", layer, "weight")
            return tuple(number(*path) if together else number(*path, i) for i in range(count))

        octaves, steps = self.dream.first_frame if begins or index == 0 else (self.dream.octaves, self.dream.steps)
        return Now(
            index=index,
            camera=CameraNow(
                zoom=number("camera", "zoom"),
                rotate=number("camera", "rotate"),
                pan=pair("camera", "pan"),
                shear=pair("camera", "shear"),
                pivot=pair("camera", "pivot"),
            ),
            weights=tuple(
                weights(i, len(layer.weights), together=isinstance(layer.weight, Track))
                for i, layer in enumerate(self.layers)
            ),
            steps=steps if len(steps) > 1 else steps * octaves,
            step_size=number("dream", "step_size"),
            jitter=round(number("dream", "jitter")),
            keep=0.0 if self.follow is None else number("follow", "keep"),
            grade=GradeNow(number("grade", "strength"), number("grade", "mean"), number("grade", "contrast")),
        )

    def locate(self, file: str, path: Loc) -> Path:
        """The path of a file that the scene names at `path`: relative to the scene file, to here for an override."""
        return (self._document.folder(path) if self._document else Path()) / file

    @property
    def film(self) -> Mapping[str, Any] | None:
        """What the film says of itself that the scene was read from; None for a scene from a file of its own."""
        return None if self._document is None else self._document.film

    def titled(self, title: str) -> Scene:
        """The same scene, its film's name with `title` before the suffix, a sequence in a folder of that name."""
        path = Path(self.output.path or "")
        own = (
            path.parent / title / path.name
            if self.output.codec in PICTURES and not self.output.is_one_picture
            else path.with_suffix(f".{title}{path.suffix}")
        )
        return self.model_copy(update={"output": self.output.model_copy(update={"path": str(own)})})

    def timed(self, fps: Fraction, seconds: Fraction) -> Scene:
        """The scene of a clip of this rate that goes on for `seconds`, where it does not say otherwise itself."""
        changes: dict[str, Any] = {"follow": self.follow or Follow()}
        if "fps" not in self.model_fields_set:
            changes["fps"] = min(max(fps, SLOWEST), FASTEST)
        if "duration" not in self.model_fields_set:
            frames = max(1, round(seconds * changes.get("fps", self.fps)))
            changes["duration"] = Time(float(frames), "")
        if "strength" not in self.grade.model_fields_set:
            changes["grade"] = Grade.model_validate({**self.grade.model_dump(exclude_unset=True), "strength": 0.0})
        return self._changed(changes)

    def concrete(self, size: tuple[int, int], stem: str, scale: float) -> Scene:
        """The scene with size and output written out, and shrunk by `scale`: size, jitter and grain together.

        Raises UsageError when that makes it too small or too large.
        """
        width, height = (max(2, round(side * scale / 2) * 2) for side in size) if scale != 1 else size
        if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
            raise UsageError(f"a film of {width}x{height}; sides are from {MIN_SIDE} to {MAX_SIDE}")
        changes: dict[str, Any] = {"size": (width, height), "output": self.output.concrete(stem)}
        if scale != 1:
            changes["dream"] = self.dream.model_copy(update={"jitter": self.dream.jitter.scaled(scale)})
            if self.source.noise is not None:
                grain = min(max(self.source.noise.grain * scale, 1), MAX_GRAIN)
                changes["source"] = Source(noise=self.source.noise.model_copy(update={"grain": grain}))
        return self._changed(changes)

    def _changed(self, changes: dict[str, Any]) -> Scene:
        scene = self.model_copy(update=changes)
        scene.__dict__.pop("timeline", None)  # the cache of the scene before
        return scene
