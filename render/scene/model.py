"""The scene and its parts: frozen, strictly typed, unknown keys forbidden. What a film is, not how it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from render.errors import UsageError, did_you_mean, shown
from render.scene.faults import Fault, Faults, Loc
from render.scene.fields import (
    MAX_SIDE,
    MIN_SIDE,
    Choice,
    Duration,
    Fps,
    Lean,
    Part,
    Pixels,
    Place,
    Share,
    Shift,
    Side,
    Turn,
    Weight,
    Zoom,
    parsed,
)
from render.scene.tracks import Clock, Values

if TYPE_CHECKING:
    from render.scene.document import Document

MAX_FRAMES = 1_000_000
MAX_GRAIN = 1024
Codec = Literal["h264", "h265", "prores", "png"]
CONTAINERS: dict[str, tuple[Codec, ...]] = {
    ".mp4": ("h264", "h265"),
    ".mov": ("h264", "h265", "prores"),
    ".png": ("png",),
}
"""What a path may end in, and the codecs that fit there, the default first."""
_NUMBERING = re.compile(r"%0?[0-9]?d")


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
    noise: Noise | None = None
    """Noise: `noise`, or `{noise: {grain: 8}}`."""
    image: str | None = None
    """A picture's path, relative to the scene file."""

    @field_validator("image", mode="before")
    @classmethod
    def _given(cls, path: Any) -> Any:
        if path is None or path == "":
            raise Fault("no picture is given; add --set source.image=PATH")
        return path


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


class Layer(Part):
    """More of what one layer of the network sees."""

    layer: str
    """The layer's name; `render layers NETWORK` lists them."""
    weight: Weight = parsed(1.0)
    """How much it counts; zero costs nothing, below zero asks for less."""


class Natural(Part):
    """The gradient in a decorrelated Fourier basis: soft light, natural colour."""

    power: float = Field(default=0.35, ge=0, le=1)
    """How much fine detail yields to large shapes: the spectrum is divided by f^(2·power)."""
    color: float = Field(default=0.85, ge=0, le=1)
    """How far colours keep to those of photographs."""


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


class First(Part):
    """The first frame's own numbers, to start the film from something worth zooming into."""

    octaves: int | None = Field(default=None, ge=1, le=12)
    """Octaves of the first frame."""
    steps: int | None = Field(default=None, ge=0, le=1000)
    """Steps in each of them."""


class Dream(Part):
    """How far each frame is dreamed."""

    octaves: int = Field(default=3, ge=1, le=12)
    """Scales, each dreamed in turn, the coarsest first."""
    octave_scale: float = Field(default=1.4, ge=1.05, le=4)
    """Ratio of one octave's size to the next coarser one's."""
    steps: int = Field(default=4, ge=0, le=1000)
    """Steps of ascent in each octave."""
    step_size: Share = parsed(0.01)
    """Mean change of a value (black 0, white 1) in a step."""
    jitter: Pixels = parsed(32)
    """Random shift before each step, up to so many pixels."""
    gradient: Gradient = parsed("natural")
    """`natural`, `gaussian`, `laplacian` or `raw`; or with parameters, `{natural: {power: 0.4}}`."""
    first: First = First()
    """Octaves and steps of the first frame, where they differ."""


class Grade(Part):
    """A pull of every frame toward a mean and a contrast, before it is dreamed."""

    strength: Share = parsed(0.15)
    """How much of the difference goes in each frame; 0 leaves the frame alone."""
    mean: Share = parsed(0.46)
    """Mean of the values."""
    contrast: Share = parsed(0.19)
    """Standard deviation of the values."""


class Output(Part):
    """The film's file."""

    path: str | None = None
    """Ends in .mp4, .mov, or is a numbered sequence, `frames/%05d.png`; default: the scene's name and .mp4."""
    codec: Codec | None = None
    """Default: h264, or png for a sequence."""
    crf: int | None = Field(default=None, ge=0, le=51)
    """Quality of h264 (default 18) and h265 (default 20): lower is better and larger."""
    depth: Literal[8, 16] | None = None
    """Bits per channel of a PNG sequence; default 8."""
    segment: int = Field(default=48, ge=1, le=MAX_FRAMES)
    """Frames between checkpoints: at most so many are rendered again after a crash."""

    @field_validator("path")
    @classmethod
    def _known(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if _suffix(path) not in CONTAINERS:
            raise Fault(f"a film's path ends in {', '.join(CONTAINERS)}, not in {shown(_suffix(path))}")
        numbers = [len(_NUMBERING.findall(part)) for part in (path, Path(path).name)]
        if _suffix(path) == ".png" and numbers != [1, 1]:
            raise Fault("a sequence's file name has one number in it: frames/%05d.png")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        fitting = [suffix for suffix, codecs in CONTAINERS.items() if self.codec in codecs]
        if self.path is not None and self.codec is not None and _suffix(self.path) not in fitting:
            raise Fault(f"{self.codec} goes into {' or '.join(fitting)}, not into {_suffix(self.path)}", ("codec",))
        codec = self.chosen_codec
        if self.crf is not None and codec not in ("h264", "h265"):
            raise Fault(f"crf means nothing to {codec}", ("crf",), at_key=True)
        if self.depth is not None and codec != "png":
            raise Fault(f"depth means nothing to {codec}", ("depth",), at_key=True)
        return self

    @property
    def chosen_codec(self) -> Codec:
        """The codec, by name or by what the path ends in."""
        return self.codec or CONTAINERS[_suffix(self.path or "film.mp4")][0]

    def concrete(self, stem: str) -> Output:
        """The same with every default written out; `stem` names the film when nothing else does."""
        codec = self.chosen_codec
        suffix = {"prores": ".mov", "png": "/%05d.png"}.get(codec, ".mp4")
        path = self.path or stem.replace("%", "_") + suffix
        crf = self.crf if self.crf is not None else {"h264": 18, "h265": 20}.get(codec)
        depth = self.depth or (8 if codec == "png" else None)
        return Output(path=path, codec=codec, crf=crf, depth=depth, segment=self.segment)


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


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
    weights: tuple[float, ...]
    octaves: int
    steps: int
    step_size: float
    jitter: int
    grade: GradeNow


class Scene(Part):
    """One film, as its file describes it."""

    size: tuple[Side, Side] | None = Field(default=None, strict=False)
    """Width and height in pixels; default: the picture's, or 512 by 512."""
    fps: Fps = parsed(24)
    """Frames a second: 24, 29.97 or 30000/1001."""
    duration: Duration = parsed("10s")
    """`10s`, or a number of frames."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Every random number follows from it."""
    source: Source = parsed("noise")
    """What the film begins from: `noise`, `{noise: …}` or `{image: PATH}`."""
    network: str = "efficientnet_lite0"
    """The network that dreams."""
    camera: Camera = Camera()
    """Motion from frame to frame."""
    layers: tuple[Layer, ...] = Field(strict=False, json_schema_extra={"minItems": 1})
    """What is asked for, each with a weight."""
    dream: Dream = Dream()
    """How far each frame is dreamed."""
    grade: Grade = Grade()
    """Keeps a long film from drifting."""
    output: Output = Output()
    """The film's file."""

    _document: Document | None = PrivateAttr(None)

    @field_validator("network")
    @classmethod
    def _is_known(cls, network: str, info: ValidationInfo) -> str:
        known = info.context
        if known is not None and network not in known:
            raise Fault(f"unknown network {shown(network)}{did_you_mean(network, known)}")
        return network

    @field_validator("layers")
    @classmethod
    def _are_known(cls, layers: tuple[Layer, ...], info: ValidationInfo) -> tuple[Layer, ...]:
        known = (info.context or {}).get(info.data.get("network"))
        faults = [
            Fault(
                f"{info.data['network']} has no layer {shown(each.layer)}{did_you_mean(each.layer, known)}",
                (i, "layer"),
            )
            for i, each in enumerate(layers)
            if known is not None and each.layer not in known
        ]
        if not layers:
            faults = [Fault("at least one layer is needed")]
        if faults:
            raise Faults(faults)
        return layers

    @model_validator(mode="after")
    def _fits(self) -> Scene:
        if self.length > MAX_FRAMES:
            raise Fault(f"{self.length} frames; a film has at most {MAX_FRAMES}", ("duration",))
        odd = self.size is not None and (self.size[0] % 2 or self.size[1] % 2)
        if odd and self.output.chosen_codec != "png":
            raise Fault("a film's sides are even", ("size",))
        return self

    @property
    def length(self) -> int:
        """Number of frames, at least one."""
        seconds = self.duration.unit == "s"
        return max(1, round(self.duration.value * self.fps) if seconds else int(self.duration.value))

    @cached_property
    def timeline(self) -> dict[Loc, Values]:
        """Every track's value at every frame. Raises Faults, with the ways to the bad tracks."""
        clock = Clock(self.fps, self.length)
        values: dict[Loc, Values] = {}
        faults: list[Fault] = []
        for path, track in self.tracks():
            try:
                values[path] = track.values(clock)
            except Fault as fault:
                faults.append(fault.within(path))
        if faults:
            raise Faults(faults)
        return values

    def at(self, index: int) -> Now:
        """Every track evaluated at a frame."""

        def number(*path: str | int) -> float:
            return float(self.timeline[path][index])

        def pair(*path: str) -> tuple[float, float]:
            return number(*path, 0), number(*path, 1)

        first = self.dream.first if index == 0 else First()
        return Now(
            index=index,
            camera=CameraNow(
                zoom=number("camera", "zoom"),
                rotate=number("camera", "rotate"),
                pan=pair("camera", "pan"),
                shear=pair("camera", "shear"),
                pivot=pair("camera", "pivot"),
            ),
            weights=tuple(number("layers", i, "weight") for i in range(len(self.layers))),
            octaves=first.octaves if first.octaves is not None else self.dream.octaves,
            steps=first.steps if first.steps is not None else self.dream.steps,
            step_size=number("dream", "step_size"),
            jitter=round(number("dream", "jitter")),
            grade=GradeNow(number("grade", "strength"), number("grade", "mean"), number("grade", "contrast")),
        )

    def locate(self, file: str, path: Loc) -> Path:
        """The path of a file that the scene names at `path`: relative to the scene file, to here for an override."""
        return (self._document.folder(path) if self._document else Path()) / file

    def titled(self, title: str) -> Scene:
        """The same scene, its film's name with `title` before the suffix, a sequence in a folder of that name."""
        path = Path(self.output.path or "")
        own = (
            path.parent / title / path.name
            if self.output.codec == "png"
            else path.with_suffix(f".{title}{path.suffix}")
        )
        return self.model_copy(update={"output": self.output.model_copy(update={"path": str(own)})})

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
        scene = self.model_copy(update=changes)
        scene.__dict__.pop("timeline", None)  # the cache of the scene before
        return scene
