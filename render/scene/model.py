"""The scene and its parts: frozen, strictly typed, unknown keys forbidden. What a film is, not how it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from render.errors import did_you_mean
from render.scene.easings import EASINGS
from render.scene.faults import Fault, Faults, Loc
from render.scene.tracks import Clock, Rule, Time, Track, Values, parse_time, parse_track

if TYPE_CHECKING:
    from render.scene.document import Document

MAX_FRAMES = 1_000_000
MAX_SIDE = 16384
MIN_SIDE = 16
CONTAINERS = {".mp4": ("h264", "h265"), ".mov": ("h264", "h265", "prores"), ".png": ("png",)}
"""What a path may end in, and the codecs that fit there, the default first."""


@dataclass(frozen=True)
class Keyframeable(Rule):
    """Marks a field as a track within a rule: `Annotated[Track, Keyframeable(low=0)]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda raw: parse_track(raw, self),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda track: track.raw),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "number"}
        value = {"type": ["number", "string"]} if self.motion else number
        eased = {
            "type": "object",
            "properties": {"value": value, "ease": {"enum": list(EASINGS)}},
            "required": ["value"],
            "additionalProperties": False,
        }
        keys = {
            "type": "object",
            "patternProperties": {r"^([0-9.]+\s*(s|%)?|end)$": {"anyOf": [value, eased]}},
            "additionalProperties": False,
            "minProperties": 1,
        }
        return {"anyOf": [number, {"type": "string"}, keys]}


Number = Annotated[Track, Keyframeable()]
Turn = Annotated[Track, Keyframeable(motion=True)]
Zoom = Annotated[Track, Keyframeable(positive=True, motion=True, geometric=True)]
Share = Annotated[Track, Keyframeable(low=0, high=1)]
Amount = Annotated[Track, Keyframeable(low=0)]


def _fps(raw: Any) -> Fraction:
    """24, 29.97 (the broadcast rate 30000/1001) or "30000/1001"."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Fault("a rate is needed: 24, 29.97 or 30000/1001")
    try:
        fps = Fraction(str(raw).strip())
    except (ValueError, ZeroDivisionError):
        raise Fault(f"'{raw}' is not a rate: 24, 29.97 or 30000/1001") from None
    if not 1 <= fps <= 1000:
        raise Fault(f"{raw} frames a second; a rate is from 1 to 1000")
    broadcast = Fraction(round(fps) * 1000, 1001)
    return broadcast if fps != broadcast and fps.denominator > 1 and abs(fps - broadcast) < Fraction(1, 200) else fps


def _duration(raw: Any) -> Time:
    """`10s` or a number of frames."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Fault("a duration is needed: 10s, or a number of frames")
    time = parse_time(str(raw))
    if time.unit == "%" or time.value <= 0 or (time.unit == "" and time.value != int(time.value)):
        raise Fault(f"'{raw}' is not a duration: 10s, or a number of frames")
    return time


Fps = Annotated[
    Fraction,
    PlainValidator(_fps),
    PlainSerializer(str),
    WithJsonSchema({"type": ["number", "string"], "examples": [24, 29.97, "30000/1001"]}),
]
Duration = Annotated[
    Time,
    PlainValidator(_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["10s", 240]}),
]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]


def _raw(default: Any, **options: Any) -> Any:
    """A field whose default is written as in a scene file, and parsed like it."""
    return Field(default, validate_default=True, **options)


class Part(BaseModel):
    """A mapping of the scene file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def tracks(self, path: Loc = ()) -> Iterator[tuple[Loc, Track]]:
        """Every track below, with the way to it."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for key, item in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
                here = (*path, name) if key is None else (*path, name, key)
                if isinstance(item, Track):
                    yield here, item
                elif isinstance(item, Part):
                    yield from item.tracks(here)


class Choice(Part):
    """A mapping of exactly one key, `{image: p.jpg}`; or that key as a word, `noise`, with its defaults."""

    words: ClassVar[tuple[str, ...]] = ()
    """The keys that may stand alone."""

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, data: Any) -> Any:
        known = list(cls.model_fields)
        if isinstance(data, str):
            if data not in cls.words:
                raise Fault(f"unknown word '{data}'{did_you_mean(data, cls.words)}")
            return {data: {}}
        if isinstance(data, dict) and data.keys() <= set(known) and len(data) != 1:
            raise Fault(f"exactly one of {', '.join(known)} belongs here, not {len(data)}")
        return data

    @property
    def chosen(self) -> Any:
        """What the one key holds."""
        return next(value for name in type(self).model_fields if (value := getattr(self, name)) is not None)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        made.update(minProperties=1, maxProperties=1)
        for name, field in made["properties"].items():
            field.pop("default", None)
            made["properties"][name] = {
                **next((o for o in field.pop("anyOf", []) if o.get("type") != "null"), {}),
                **field,
            }
        if not cls.words:
            return made
        return {"anyOf": [{"enum": list(cls.words)}, dict(made)], "description": made.get("description", "")}


class Noise(Part):
    """Smooth random noise around mid grey."""

    grain: float = Field(default=64, gt=0, le=MAX_SIDE)
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

    zoom: Zoom = _raw(1.0)
    """Growth: above 1 dives in, below 1 draws back."""
    rotate: Turn = _raw(0.0)
    """Degrees, counter-clockwise."""
    pan: tuple[Turn, Turn] = _raw((0.0, 0.0), strict=False)
    """Shift right and down, in widths and heights."""
    shear: tuple[Turn, Turn] = _raw((0.0, 0.0), strict=False)
    """Lean along x and along y, as slopes."""
    pivot: tuple[Number, Number] = _raw((0.5, 0.5), strict=False)
    """The point that zoom, rotation and shear leave in place, in widths and heights from the top left."""
    border: Literal["mirror", "edge", "wrap", "black"] = "mirror"
    """What comes in from outside the picture."""


class Layer(Part):
    """More of what one layer of the network sees."""

    layer: str
    """The layer's name; `render layers NETWORK` lists them."""
    weight: Number = _raw(1.0)
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
    step_size: Amount = _raw(0.01)
    """Mean change of a value (black 0, white 1) in a step."""
    jitter: Amount = _raw(32)
    """Random shift before each step, up to so many pixels."""
    gradient: Gradient = _raw("natural")
    """`natural`, `gaussian`, `laplacian` or `raw`; or with parameters, `{natural: {power: 0.4}}`."""
    first: First = First()
    """Octaves and steps of the first frame, where they differ."""


class Grade(Part):
    """A pull of every frame toward a mean and a contrast, before it is dreamed."""

    strength: Share = _raw(0.15)
    """How much of the difference goes in each frame; 0 leaves the frame alone."""
    mean: Share = _raw(0.46)
    """Mean of the values."""
    contrast: Share = _raw(0.19)
    """Standard deviation of the values."""


class Output(Part):
    """The film's file."""

    path: str | None = None
    """Ends in .mp4, .mov, or is a numbered sequence, `frames/%05d.png`; default: the scene's name and .mp4."""
    codec: Literal["h264", "h265", "prores", "png"] | None = None
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
            raise Fault(f"a film's path ends in {', '.join(CONTAINERS)}, not in '{_suffix(path)}'")
        if _suffix(path) == ".png" and len(re.findall(r"%0?\d*d", path)) != 1:
            raise Fault("a sequence's path has one number in it: frames/%05d.png")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        fitting = [suffix for suffix, codecs in CONTAINERS.items() if self.codec in codecs]
        if self.path is not None and self.codec is not None and _suffix(self.path) not in fitting:
            raise Fault(f"{self.codec} goes into {' or '.join(fitting)}, not into {_suffix(self.path)}", ("codec",))
        codec = self.codec or CONTAINERS[_suffix(self.path or ".mp4")][0]
        if self.crf is not None and codec not in ("h264", "h265"):
            raise Fault(f"crf means nothing to {codec}", ("crf",), at_key=True)
        if self.depth is not None and codec != "png":
            raise Fault(f"depth means nothing to {codec}", ("depth",), at_key=True)
        return self

    def concrete(self, stem: str) -> Output:
        """The same with every default written out; `stem` names the film when nothing else does."""
        suffix = {"prores": ".mov", "png": "/%05d.png"}.get(self.codec or "h264", ".mp4")
        path = self.path or stem + suffix
        codec = self.codec or CONTAINERS[_suffix(path)][0]
        crf = self.crf if self.crf is not None else {"h264": 18, "h265": 20}.get(codec)
        depth = self.depth or (8 if codec == "png" else None)
        return Output(path=path, codec=codec, crf=crf, depth=depth, segment=self.segment)  # type: ignore[arg-type]


def _suffix(path: str) -> str:
    dot = path.rfind(".")
    return path[dot:].lower() if dot >= 0 else ""


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
    fps: Fps = _raw(24)
    """Frames a second: 24, 29.97 or 30000/1001."""
    duration: Duration = _raw("10s")
    """`10s`, or a number of frames."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Every random number follows from it."""
    source: Source = _raw("noise")
    """What the film begins from: `noise`, `{noise: …}` or `{image: PATH}`."""
    network: str = "efficientnet_lite0"
    """The network that dreams."""
    camera: Camera = Camera()
    """Motion from frame to frame."""
    layers: tuple[Layer, ...] = Field(strict=False)
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
            raise Fault(f"unknown network '{network}'{did_you_mean(network, known)}")
        return network

    @field_validator("layers")
    @classmethod
    def _are_known(cls, layers: tuple[Layer, ...], info: ValidationInfo) -> tuple[Layer, ...]:
        known = (info.context or {}).get(info.data.get("network"))
        faults = [
            Fault(f"{info.data['network']} has no layer '{each.layer}'{did_you_mean(each.layer, known)}", (i, "layer"))
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
        if odd and not (self.output.path or "").lower().endswith(".png"):
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
        folder = self._document.folder(path) if self._document else Path()
        return folder / Path(file).expanduser()

    def titled(self, title: str) -> Scene:
        """The same scene, `title` in its film's name before the suffix; a sequence, numbered anyway, keeps its own."""
        path = Path(self.output.path or "")
        if self.output.codec == "png":
            return self
        renamed = self.output.model_copy(update={"path": str(path.with_suffix(f".{title}{path.suffix}"))})
        return self.model_copy(update={"output": renamed})

    def concrete(self, size: tuple[int, int], stem: str, scale: float) -> Scene:
        """The scene with size and output written out, and shrunk by `scale`: size, jitter and grain together."""
        width, height = (max(MIN_SIDE, round(side * scale / 2) * 2) for side in size) if scale != 1 else size
        changes: dict[str, Any] = {"size": (width, height), "output": self.output.concrete(stem)}
        if scale != 1:
            changes["dream"] = self.dream.model_copy(update={"jitter": self.dream.jitter.scaled(scale)})
            if self.source.noise is not None:
                noise = self.source.noise.model_copy(update={"grain": self.source.noise.grain * scale})
                changes["source"] = Source(noise=noise)
        scene = self.model_copy(update=changes)
        scene.__dict__.pop("timeline", None)
        return scene
