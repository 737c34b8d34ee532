"""Everything about a run, decided once: a Plan is made from a scene and options, and everything else starts from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from render.choices import MAX_REPEATS, PRECISIONS
from render.errors import SceneError, StorageError, UsageError
from render.film.encoder import OutputFormat
from render.film.folder import unfinished_film
from render.film.metadata import is_valid_machine, read_metadata
from render.film.naming import numbered_path, same_frames_paths, work_folder
from render.media import clip, ffmpeg
from render.media.audio import AudioSpan
from render.media.clip import Clip
from render.models.sources import WeightsSource, torch_source
from render.pipeline.identity import portable_scene, without_sound
from render.pipeline.scene import Scene
from render.pipeline.sound import Sounds
from render.pipeline.sources import Sources, file_identities
from render.system.device import Device, check_names, select_device
from render.text import Problem, quote


@dataclass(frozen=True)
class Options:
    """How a scene is rendered: what the command line's options say.

    `device` is auto, cpu, cuda or mps; `precision` auto, float32 or bfloat16. `frames` (first, one after the last)
    renders only these. `repeat` writes the film so many times into its file. `overwrite` replaces another film at the
    output path, `restart` discards what an earlier run completed, `quiet` downloads weights without a progress bar.
    `camera_only` plays the motion and dreams nothing, in a film of another name (Scene.without_dream). `machine` is how
    another part of the film is made (Engine.describe): precision, threads and tile size are those. Raises UsageError
    for values of another kind.
    """

    device: str = "auto"
    precision: str = "auto"
    frames: tuple[int, int] | None = None
    repeat: int | None = None
    overwrite: bool = False
    restart: bool = False
    quiet: bool = False
    camera_only: bool = False
    machine: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_names(self.device, self.precision)
        frames: object = self.frames
        if frames is not None and not (
            isinstance(frames, tuple | list) and [type(each) for each in frames] == [int, int]
        ):
            raise UsageError(f"frames are (first, one after the last), two whole numbers, not {quote(frames)}")
        repeat: object = self.repeat
        if repeat is not None and not (type(repeat) is int and 1 <= repeat <= MAX_REPEATS):
            raise UsageError(f"repeat is a whole number from 1 to {MAX_REPEATS}, not {quote(repeat)}")


@dataclass(frozen=True)
class Plan:
    """A run of a scene.

    `frames` are the film's frames that it makes, and `repeat` how often they are in its file. `target` is where the
    film will be, links resolved, and `folder` where its segments are until then. `audio` is the sound that goes with
    the frames, None for a silent film. `recorded` is how an earlier run made the same film (Device.describe, and the
    tile size), empty for a new film.
    """

    scene: Scene
    options: Options
    frames: range
    repeat: int
    format: OutputFormat
    target: Path
    folder: Path
    audio: AudioSpan | None
    recorded: Mapping[str, Any]

    @cached_property
    def device(self) -> Device:
        """The device; choosing it imports torch, and configures it and OpenCV (see select_device).

        Raises MissingError for a device that does not exist.
        """
        threads, flow_threads = self.recorded.get("threads"), self.recorded.get("flow_threads")
        return select_device(
            self.options.device, self.options.precision, dream_threads=threads, flow_threads=flow_threads
        )

    @cached_property
    def shots(self) -> frozenset[int]:
        """The frames at which a shot begins, 0 among them; detecting them reads the clip once. Raises StorageError."""
        scene, follow = self.scene, self.scene.spec.follow
        if scene.clip is None or follow is None or follow.cuts == "none":
            return frozenset([0])
        if follow.cuts == "auto":
            identities = tuple(file_identities(scene.clip.path).items())
            return _detected_shots(
                scene.clip, scene.fps, length=scene.length, start=scene.spec.start, identities=identities
            )
        return frozenset([0, *scene.spec.cuts])

    @property
    def first_dreamed(self) -> int:
        """The frame from which the run dreams: the last start of a shot up to its first frame. Raises StorageError."""
        return max(shot for shot in self.shots if shot <= self.frames.start)

    @cached_property
    def sources(self) -> Sources:
        """The files that the scene names, to be verified whenever they are read."""
        return Sources(self.scene.paths, self.scene.found)

    def sharing(self, other: Plan) -> Plan:
        """Returns the plan with what another one knows: the checksums of files, and the shots of the same clip."""
        known = replace(self)
        known.__dict__["sources"] = other.sources.of(self.scene.paths, self.scene.found)
        if self.scene.clip is not None and self._shots_key == other._shots_key:
            known.__dict__["shots"] = other.shots
        return known

    @property
    def _shots_key(self) -> tuple[Any, ...]:
        """What the shots depend on."""
        scene, spec = self.scene, self.scene.spec
        return scene.clip, scene.fps, scene.length, spec.start, None if spec.follow is None else spec.follow.cuts

    @property
    def precision(self) -> str | None:
        """The precision that is requested or recorded, or that the device decides; None when it has to be tried."""
        if self.options.precision != "auto" or self.device.torch_device.type != "cpu":
            return self.device.precision
        recorded = self.recorded.get("precision")
        return recorded if recorded in PRECISIONS else None

    @property
    def flow_weights(self) -> WeightsSource | None:
        """Where the weights of the flow network come from; None for the methods that need none."""
        match self.scene.spec.follow and self.scene.spec.follow.flow:
            case "raft_small" | "raft_large" as name:
                from render.motion import flow  # imports torch

                weights, alternative = flow.raft_weights(name), "follow.flow: dis needs no download"
                megabytes = weights.meta["_file_size"]
                return torch_source(name, weights.url, megabytes=megabytes, alternative=alternative)
        return None

    @property
    def files(self) -> list[Path]:
        """Every file that the film is made from, each picture of a sequence too. Raises StorageError."""
        named = self.scene.paths.values()
        return [file for path in named for file in (clip.sequence_files(path) or {0: path}).values()]


def plan(scene: Scene, options: Options = Options()) -> Plan:
    """Plans the run of a scene.

    Raises UsageError for options that do not fit the scene or its format, StorageError for a sound that cannot be read.
    """
    if not isinstance(scene, Scene):
        raise SceneError([Problem(f"a scene that load() returns is needed here, not {quote(scene)}")])
    if options.camera_only:
        scene, options = scene.without_dream(), replace(options, precision="float32")
    frames = _frame_range(scene, options)
    output = scene.output
    output_format = OutputFormat(
        output.codec,
        scene.fps,
        size=scene.size,
        crf=output.crf,
        quality=output.quality,
        bit_depth=output.bit_depth,
    )
    repeat = _repeat(scene, options, output_format)
    target = _resolved(Path(output.path))
    folder = _segments_folder(scene, target, options)
    first = numbered_path(target, frames.start) if output_format.is_pictures else target
    recorded = _recorded(scene, folder, first, options=options)
    return Plan(
        scene=scene,
        options=options,
        frames=frames,
        repeat=repeat,
        format=output_format,
        target=target,
        folder=folder,
        audio=None if output_format.is_silent else _audio_span(scene, frames, repeat),
        recorded=recorded,
    )


@lru_cache(maxsize=1)
def _detected_shots(
    footage: Clip, fps: Fraction, *, length: int, start: int, identities: tuple[tuple[str, tuple[int, ...]], ...]
) -> frozenset[int]:
    """The frames at which a shot of a clip begins, detected once for the parts of a film; see `file_identities`."""
    from render.media import shots  # imports scenedetect

    size = shots.thumbnail_size(footage.size)
    pictures = clip.clip_frames(footage, size, fps=fps, frames=range(length), fit="stretch", start=start)
    return frozenset([0, *shots.find_cuts(pictures)])


def embedded_elsewhere(file: Path) -> dict[str, Any] | None:
    """The metadata that a file at the output path embeds; None when it embeds none, or is no readable film."""
    try:
        return read_metadata(file) if file.is_file() else None  # a pipe may never end
    except ffmpeg.KilledError:
        raise
    except (StorageError, OSError):  # a name that no file can have is reported by the preflight
        return None


def _frame_range(scene: Scene, options: Options) -> range:
    """The requested frames; else those of the film that the scene was read from; else all."""
    first, last = 0, scene.length
    match options.frames or (scene.metadata or {}).get("frames"):
        case [int(start), int(stop)] | (int(start), int(stop)):
            first, last = start, stop
    if not 0 <= first < last <= scene.length:
        raise UsageError(f"frames {first}:{last} are not within the film, 0:{scene.length}")
    return range(first, last)


def _repeat(scene: Scene, options: Options, output_format: OutputFormat) -> int:
    """How often the film is in its file: as requested, else as in the film that the scene was read from."""
    embedded = (scene.metadata or {}).get("repeat", 1)
    if options.repeat is None:
        return embedded if type(embedded) is int and 1 <= embedded <= MAX_REPEATS and output_format.repeats else 1
    if options.repeat > 1 and output_format.is_looping:
        raise UsageError(f"a .{output_format.codec} repeats by itself; remove --repeat")
    if options.repeat > 1 and output_format.is_pictures:
        raise UsageError("pictures cannot be repeated; remove --repeat, or --output names a film")
    return options.repeat


def _resolved(target: Path) -> Path:
    """What a link at the output path points to; one that cannot be followed is reported by the preflight."""
    try:
        return target.resolve() if target.is_symlink() else target
    except (OSError, RuntimeError, ValueError):
        return target


def _segments_folder(scene: Scene, target: Path, options: Options) -> Path:
    """The film's own working folder; if there is none, that of the same unfinished film in another file.

    See same_frames_paths.
    """
    own = work_folder(target)
    if options.restart or os.path.lexists(own):
        return own
    frames_scene = without_sound({"scene": portable_scene(scene)})["scene"]
    for path in same_frames_paths(target, scene.output.codec):
        other = work_folder(path)
        if (unfinished_film(other) or {}).get("scene") == frames_scene:
            return other
    return own


def _recorded(scene: Scene, folder: Path, target: Path, *, options: Options) -> Mapping[str, Any]:
    """How the unfinished film in the folder, the film at the target, or the film being made again, was made."""
    unfinished = None if options.restart else unfinished_film(folder)
    finished = embedded_elsewhere(target) or {}
    current = {"scene": portable_scene(scene)}
    embedded = {"scene": finished.get("scene")}
    gets_another_sound = embedded != current and without_sound(embedded) == without_sound(current)
    if options.overwrite and not gets_another_sound:
        finished = {}
    machine = (unfinished or finished or scene.metadata or {}).get("machine") or options.machine
    return machine if is_valid_machine(machine) else {}


def _audio_span(scene: Scene, frames: range, repeat: int) -> AudioSpan | None:
    """The sound of some frames; None for a silent film."""
    sound = Sounds(scene.spec, scene.paths, scene.clip, clip_start=scene.spec.start / scene.fps).of_film()
    if sound is None:
        return None
    start, duration = sound.start + frames.start / scene.fps, len(frames) / scene.fps
    return AudioSpan(sound.track, start, duration=duration, repeat=repeat)
