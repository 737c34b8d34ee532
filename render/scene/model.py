"""The scene as its file describes it: frozen, strictly typed, unknown keys forbidden."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from render.choices import IMAGE_CODECS, MAX_GIF_FPS, Codec
from render.scene.beats import Beats
from render.scene.camera import Camera
from render.scene.clock import Clock, Curve, Time, Values
from render.scene.dream import Dream
from render.scene.field_errors import FieldError, Loc, collect
from render.scene.fields import Fraction01, Section, Seed, Side, parse_each, track_field
from render.scene.frame_params import frame_params
from render.scene.loop import SETTLING_FRAMES, Loop, check_motion, check_tour, check_tracks
from render.scene.names import check_tempo
from render.scene.objectives import ModelInfo, NetworkSpec, ObjectiveSpec
from render.scene.output import Output, check_sound
from render.scene.params import FrameParams
from render.scene.signals import SignalSpec, Tempo, measures_film_sound
from render.scene.source import MAX_GRAIN, Follow, SourceSpec
from render.scene.times import MAX_FPS, MIN_FPS, Duration, Fps
from render.scene.tour import TURN_WORK, Turn
from render.scene.view import Exposure, Hue, Mix, Saturation, View

MAX_FRAMES = 1_000_000
WITHOUT_TRACKS = frozenset({"size", "output"})
"""Fields that no track is in, or depends on."""
MAX_WORK = 200_000_000
"""Of all tracks at all frames (`Track.work`): about a second, and 200 MB."""
CALL_FRAMES = 300
"""Frames whose evaluation takes as long as the call of one operation."""


class Grade(Section):
    """Moves the mean and contrast of every frame towards targets before it is dreamed, and limits colour casts."""

    strength: Fraction01 = track_field(0.15)
    """Fraction of the difference that each frame removes; 0 turns grading off and is the default for a clip."""
    mean: Fraction01 = track_field(0.46)
    """Target mean of the pixel values, where black is 0 and white is 1; default for a picture: its own."""
    contrast: Fraction01 = track_field(0.19)
    """Target standard deviation of the pixel values; default for a picture: its own."""
    cast: Fraction01 = track_field(0.0)
    """Largest colour cast of a frame: 0 is grey, 1 pure red, green or blue; default: a picture's own, 1 for a clip."""

    @property
    def has_default_target(self) -> bool:
        """Whether a target is not set."""
        return not {"mean", "contrast", "cast"} <= self.model_fields_set


class SceneSpec(Section):
    """One film. `render.load` completes it with the rate, duration and size of the files that it names."""

    model_config = ConfigDict(title="Scene")

    size: tuple[Side, Side] | None = Field(default=None, strict=False)
    """Width and height in pixels, even but for png and jpg; default: those of the picture or clip, else 512 by 512."""
    fps: Fps = track_field(24)
    """Frames per second, 0.01 to 1000: `29.97` is exactly 30000/1001; default: the clip's, else 24."""
    duration: Duration = track_field("10s")
    """Seconds with the unit, `10s`, or a number of frames; default: to the clip's end, else `10s`."""
    seed: Seed = 0
    """Seed of all random numbers."""
    source: SourceSpec = track_field("noise")
    """Noise, a picture or a clip: `noise`, `{noise: {grain: 8}}`, `{image: PATH}` or `{video: PATH}`."""
    network: NetworkSpec = track_field("efficientnet_lite0")
    """The network: its name, or `{name: googlenet, weights_file: my.pth}`."""
    camera: Camera = Camera()
    """Motion from frame to frame."""
    bpm: Tempo | None = None
    """The tempo, `128` or `auto`, so that times may be beats, `4b`, and bars, `bar 3`."""
    signals: dict[str, SignalSpec] = Field(default_factory=dict)
    """Numbers from 0 to 1 at every frame, by name, for expressions: `{bass: {audio: song.mp3, band: [20, 150]}}`."""
    objectives: tuple[ObjectiveSpec, ...] = Field(strict=False, json_schema_extra={"minItems": 1})
    """What the network maximises, each with a weight; at least one."""
    dream: Dream = Dream()
    """How each frame is dreamed."""
    loop: Loop | None = None
    """Makes the film repeat without a visible join: `{}`, or with its setting, `{blend: 2s}`."""
    follow: Follow | None = None
    """How the dream follows the motion in a clip; only with `source.video`."""
    grade: Grade = Grade()
    """Keeps the brightness and contrast of a long film constant."""
    view: View = View()
    """A camera that looks at the finished frame only; the state does not change with it."""
    mix: Mix = track_field(1.0)
    """How much of the dream lies over its source in the finished frame: 0 is the source, 1 the dream."""
    saturation: Saturation = track_field(1.0)
    """Of the finished frame's colours: 0 is grey, 1 leaves them."""
    hue: Hue = track_field(0.0)
    """Degrees by which the finished frame's colours turn."""
    exposure: Exposure = track_field(0.0)
    """Stops by which the finished frame is brighter: 1 doubles its light."""
    output: Output = Output()
    """The film's path and encoding."""
    _beats: Beats | None = PrivateAttr(None)
    """The beats that were found in the sound."""
    _signals: Mapping[str, Curve] | None = PrivateAttr(None)
    """The values of the signals over time, once they are measured."""

    @field_validator("network")
    @classmethod
    def _is_known(cls, network: NetworkSpec, info: ValidationInfo) -> NetworkSpec:
        error = network.error(info.context) if info.context is not None else None
        if error is not None:
            raise error
        return network

    @field_validator("objectives")
    @classmethod
    def _are_known(cls, objectives: tuple[ObjectiveSpec, ...], info: ValidationInfo) -> tuple[ObjectiveSpec, ...]:
        if not objectives:
            raise FieldError("at least one objective is needed")
        if info.context is None or "network" not in info.data:
            return objectives
        name = info.data["network"].name
        model: ModelInfo = info.context[name]
        return parse_each(objectives, lambda objective: objective.resolved(name, model))

    @model_validator(mode="after")
    def _is_consistent(self) -> SceneSpec:
        if self.loop is not None:
            check_motion(has_clip=self.source.video is not None, looks_at_point=self.camera.look_at is not None)
        if self.bpm is None:
            check_tempo(self)
        elif self.bpm.is_found and self.source.start is not None and self.source.start.needs_beats:
            raise FieldError("beats are found from the film's start on; start: 2s, or bpm: 120", ("source", "start"))
        if self.is_timed:
            self.check_times()
        odd = self.size is not None and (self.size[0] % 2 or self.size[1] % 2)
        if odd and self.codec not in IMAGE_CODECS:
            raise FieldError("a film's sides are even", ("size",))
        if self.output.bit_depth is not None and self.codec != "png":
            message = f"bit_depth applies to png, not to {self.codec}; remove it"
            raise FieldError(message, ("output", "bit_depth"), at_key=True)
        is_measured = measures_film_sound(self.bpm, self.signals.values())
        check_sound(self.output, has_clip=self.source.video is not None, is_measured=is_measured)
        return self

    def check_times(self) -> None:
        """Raises FieldError for too many frames, for a film or a single picture, and for a cut after the last frame.

        Also for more frames a second than the codec has.
        """
        if self.codec == "gif" and self.fps > MAX_GIF_FPS:
            raise FieldError(f"a .gif has at most {MAX_GIF_FPS} frames a second; fps: {MAX_GIF_FPS}", ("fps",))
        if self.length > MAX_FRAMES:
            raise FieldError(f"{self.length} frames; a film has at most {MAX_FRAMES}", ("duration",))
        clock = self.clock
        if self.loop is not None:
            self.loop.start(clock, cadence=self.dream.cadence)
        work = (self.length + CALL_FRAMES) * sum(track.work for _, track in self.tracks())
        for i, objective in self._tours:
            turn = sum(objective.tour_times(clock))
            if turn < 1:
                raise FieldError("a turn, hold + fade, is shorter than a frame", ("objectives", i, "hold"))
            if self.loop is not None:
                check_tour(i, Fraction(turn), clock)
            work += TURN_WORK * math.ceil(self.length / turn)
        if work > MAX_WORK:
            message = f"{self.length} frames are too many for this number of keyframes and expressions"
            raise FieldError(message, ("duration",))
        if self.output.is_one_picture and self.length > 1:
            sequence = Path(self.output.path or "")
            hint = f"duration: 1 makes one, {sequence.with_suffix('')}/%05d{sequence.suffix} is a sequence"
            raise FieldError(f"{self.length} frames do not fit into one picture; {hint}", ("output", "path"))
        for i, frame in enumerate(self.cuts):
            if not frame < self.length:
                raise FieldError(
                    f"a cut at frame {frame}, after the film's end at {self.length}", ("follow", "cuts", i)
                )

    @property
    def length(self) -> int:
        """Number of frames, at least one."""
        return max(1, round(self.duration.span(Clock(self.fps, 1, beats=self.beats))))

    @property
    def beats(self) -> Beats | None:
        """The film's beats; None without a tempo, and before they are found in the sound."""
        if self.bpm is None or self._beats is not None or self.bpm.is_found:
            return self._beats
        offset = Fraction(0) if self.bpm.offset is None else self.bpm.offset.span(Clock(self.fps, 1)) / self.fps
        return Beats.steady(Fraction(self.bpm.value), offset=offset, per_bar=self.bpm.per_bar)

    @property
    def clock(self) -> Clock:
        """What converts times of the film to frames, with its beats and signals.

        A loop whose duration is in beats has exactly so many, by a tempo that differs by less than a frame.
        """
        beats, length = self.beats, self.length
        if beats is not None and self.loop is not None and self.duration.needs_beats:
            beats = beats.fitted(self.duration.beats(beats), length / self.fps)
        return Clock(self.fps, length, beats=beats, signals=self._signals or {}, loops=self.loop is not None)

    @property
    def is_still(self) -> bool:
        """Whether the film is one picture that no clip begins."""
        return self.source.video is None and not self.duration.needs_beats and self.length == 1

    @property
    def codec(self) -> Codec:
        """The codec that the output decides, else that of a still or of a film."""
        return "png" if self.is_still and not self.output.decides_codec else self.output.chosen_codec

    @property
    def start(self) -> int:
        """Number of the film's frames that the clip has before the film's first frame."""
        start = self.source.start or Time(Fraction(0), "")
        return round(start.span(Clock(self.fps, 1, beats=self.beats)))

    @property
    def cuts(self) -> tuple[int, ...]:
        """The frames of the cuts that the scene lists."""
        times = () if self.follow is None or isinstance(self.follow.cuts, str) else self.follow.cuts
        return tuple(round(time.frames(self.clock)) for time in times)

    @property
    def is_timed(self) -> bool:
        """Whether rate, length, beats and signals are known: before files are read, or afterwards."""
        has_rate = self.source.video is None or {"fps", "duration"} <= self.model_fields_set
        has_beats = self.bpm is None or self.beats is not None
        return has_rate and has_beats and (not self.signals or self._signals is not None)

    @property
    def is_measured(self) -> bool:
        """Whether beats or signals were measured in files."""
        return self._beats is not None or self._signals is not None

    @property
    def blend_start(self) -> int:
        """The dreamed frame from which a loop turns into its beginning; the length of a film that does not repeat."""
        return self.length if self.loop is None else self.loop.start(self.clock, cadence=self.dream.cadence)

    @property
    def lead_in(self) -> range:
        """The frames as which a loop is dreamed up to its first one, which is the last of them; none of others."""
        if self.loop is None:
            return range(0)
        first = max(0, self.blend_start - SETTLING_FRAMES) // self.dream.cadence * self.dream.cadence
        return range(first, self.length + 1)

    @cached_property
    def timeline(self) -> dict[Loc, Values]:
        """Every track's value at every frame, with the pan and pivot that `camera.look_at` sets.

        Of a loop, there is also the value at the frame after its last one.

        Raises FieldErrors with the paths to the wrong tracks.
        """
        clock = self.clock
        frames = range(self.length + (0 if self.loop is None else 1))
        values = collect(self.tracks(), lambda track: track.values(clock, frames))
        if self.loop is not None:
            check_tracks(self.tracks(), clock)
        return values if self.camera.look_at is None else values | self.camera.look_at.values(clock)

    @property
    def _tours(self) -> list[tuple[int, ObjectiveSpec]]:
        """The objectives that are tours, each with its number."""
        return [(i, objective) for i, objective in enumerate(self.objectives) if objective.tour is not None]

    @cached_property
    def tours(self) -> dict[int, tuple[Turn, ...]]:
        """The turns of each tour in the film, by the number of its objective."""
        clock = self.clock
        is_loop = self.loop is not None
        return {i: tuple(objective.turns(clock, self.seed, repeats=is_loop)) for i, objective in self._tours}

    def params(self, index: int, *, is_shot_start: bool = False) -> FrameParams:
        """Returns every track's value at a frame; the first of a shot has the octaves and steps of the film's first."""
        is_first = is_shot_start or index == 0
        octaves, steps = self.dream.first_frame_octaves if is_first else (self.dream.octaves, self.dream.steps)
        return frame_params(
            self.timeline,
            index,
            objectives=self.objectives,
            tours=self.tours,
            steps=steps if len(steps) > 1 else steps * octaves,
        )

    def with_clip_timing(self, *, fps: Fraction, duration: Fraction) -> SceneSpec:
        """Returns the spec with a clip's rate, duration (seconds) and defaults where it sets none."""
        changes: dict[str, Any] = {"follow": self.follow or Follow()}
        if "fps" not in self.model_fields_set:
            changes["fps"] = min(max(fps, MIN_FPS), MAX_FPS)
        if "duration" not in self.model_fields_set:
            frames = max(1, round(duration * changes.get("fps", self.fps)))
            changes["duration"] = Time(Fraction(frames), "")
        grade = {"strength": 0.0, "cast": 1.0} | self.grade.model_dump(exclude_unset=True)
        changes["grade"] = Grade.model_validate(grade)
        return self.replaced(**changes)

    def with_beats(self, beats: Beats) -> SceneSpec:
        """Returns the spec with the beats that were found in its sound."""
        spec = self.replaced(bpm=self.bpm)
        spec._beats = beats
        return spec

    def with_signals(self, signals: Mapping[str, Curve]) -> SceneSpec:
        """Returns the spec with the values of its signals over time."""
        spec = self.replaced(signals=self.signals)
        spec._signals = signals
        return spec

    def with_grade_targets(self, **targets: float) -> SceneSpec:
        """Returns the spec with a picture's mean, contrast and cast as targets of the grading where it sets none."""
        grade = targets | self.grade.model_dump(exclude_unset=True)
        return self.replaced(grade=Grade.model_validate(grade))

    def scaled(self, factor: float, side: int) -> SceneSpec:
        """Returns the spec of a film `factor` times as large, whose longer side was `side` pixels before."""
        reference_side = self.dream.reference_side or side
        changes: dict[str, Any] = {"dream": self.dream.model_copy(update={"reference_side": reference_side})}
        if self.source.noise is not None:
            grain = min(max(self.source.noise.grain * factor, 1), MAX_GRAIN)
            changes["source"] = SourceSpec(noise=self.source.noise.model_copy(update={"grain": grain}))
        return self.replaced(**changes)

    def replaced(self, **changes: Any) -> SceneSpec:
        """Returns a copy with some fields replaced by valid values."""
        spec = self.model_copy(update=changes)
        if not changes.keys() <= WITHOUT_TRACKS:
            for cached in ("timeline", "tours"):  # of the original
                spec.__dict__.pop(cached, None)
        return spec
