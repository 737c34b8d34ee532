"""The Scene that everything after loading works with, and how a spec becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from render.choices import IMAGE_CODECS, MAX_SIDE, MAX_SIDES, MIN_SIDE, Codec
from render.errors import SceneError, SceneFileError, UsageError
from render.film.naming import repeated_title
from render.media import clip, image
from render.media.clip import Clip
from render.models.registry import layer_map
from render.pipeline.sound import Sounds
from render.pipeline.sources import FileIdentities
from render.scene import validation
from render.scene.defaults import defaults, with_defaults
from render.scene.document import Document, Override, replacement
from render.scene.dream import FirstFrame
from render.scene.field_errors import FieldError, Loc
from render.scene.model import SceneSpec
from render.scene.objectives import NetworkSpec, ObjectiveSpec
from render.scene.output import FilmOutput
from render.scene.params import FrameParams
from render.text import Problem

DEFAULT_SIZE = (512, 512)
EMBEDDED_LAYER = "stem"
"""Of the embedded network: the cheapest, for scenes that dream nothing."""


@dataclass(frozen=True)
class Scene:
    """A complete scene: what its file says, completed from the files that it names.

    `spec` has every value set: rate, duration, size, output and the defaults of footage. `size` is (width, height) in
    pixels. `paths` locates each named file by its keys in the scene, `found` is the identity of each when the scene was
    loaded, `clip` describes the footage. `metadata` is what the film embeds that the scene was read from. `defaults`
    are the values, by key, that follow from what the scene requests. `warnings` says what is valid, but hardly what was
    meant. `revise` loads the scene again with another override.
    """

    spec: SceneSpec
    size: tuple[int, int]
    output: FilmOutput
    paths: Mapping[Loc, Path]
    clip: Clip | None = None
    metadata: Mapping[str, Any] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    revise: Callable[[Override], Scene] | None = field(default=None, repr=False, compare=False)
    found: Mapping[Path, FileIdentities] = field(default_factory=dict, repr=False)

    @property
    def fps(self) -> Fraction:
        """Frames per second, exact."""
        return self.spec.fps

    @property
    def length(self) -> int:
        """Number of frames, at least one."""
        return self.spec.length

    @property
    def reference_side(self) -> int:
        """Longer side, in pixels, of the picture that has the scene's number of octaves."""
        return self.spec.dream.reference_side or max(self.size)

    def params(self, index: int, *, is_shot_start: bool = False) -> FrameParams:
        """Every track evaluated at a frame."""
        return self.spec.params(index, is_shot_start=is_shot_start)

    def replace(self, key: str, value: object) -> Scene:
        """Returns the scene with a value replaced, `scene.replace("camera.zoom", 1.03)`, checked as by `load`.

        A relative path is relative to the current folder. Raises SceneError for a value of the wrong type or range.
        """
        override = replacement(key, value)
        if self.revise is None:
            raise UsageError("only a scene from load() can be changed")
        return self.revise(override)

    def without_dream(self) -> Scene:
        """Returns the scene as its camera, clip and grading move it: no step is taken, and no network needed.

        `camera` is in its film's name. The network is the embedded one, whose weights are always there.
        """
        spec = self.spec.replaced(
            network=NetworkSpec(),
            objectives=(ObjectiveSpec(layer=EMBEDDED_LAYER),),
            dream=self.spec.dream.model_copy(update={"steps": (0,), "first_frame": FirstFrame()}),
        )
        paths = {keys: path for keys, path in self.paths.items() if keys[0] not in ("network", "objectives")}
        return replace(self.titled("camera"), spec=spec, paths=paths)

    def titled_by(
        self, *, scale: float = 1.0, frames: tuple[int, int] | None = None, repeat: int | None = None
    ) -> Scene:
        """Returns the scene with a scale, a range of frames and a number of repetitions in its film's name.

        So no part of a film is taken for it.

        Pictures of a sequence are numbered, and have no range in their name.
        """
        scene = self if scale == 1 else self.titled(f"x{scale:g}")
        if frames is not None and scene.output.codec not in IMAGE_CODECS:
            scene = scene.titled(f"{frames[0]}-{frames[1]}")
        return scene if repeat in (None, 1) else scene.titled(repeated_title(repeat))

    def at(self, path: str) -> Scene:
        """Returns the scene with its film at another path of the same ending, whatever characters it has."""
        output = self.output.model_copy(update={"path": path})
        return replace(self, spec=self.spec.replaced(output=output), output=output)

    def titled(self, title: str) -> Scene:
        """Returns the scene with `title` in its film's name."""
        return replace(self, output=self.output.titled(title))


def complete(
    spec: SceneSpec,
    *,
    paths: Mapping[Loc, Path],
    stem: str,
    scale: float = 1.0,
    written: Document | None = None,
) -> Scene:
    """Completes a valid spec: timing, size and grading come from its clip or picture where the spec sets none.

    `stem` names the film when the spec sets no path. With the document that was `written`, errors have positions, and a
    scene file gets the defaults that follow from what it requests.
    Raises StorageError for files that cannot be read, SceneError for tracks that are wrong at some frame, UsageError
    for a size out of bounds.
    """
    video = paths.get(("source", "video"))
    footage = None if video is None else clip.probe_clip(video, spec.fps, track=spec.source.track)
    if spec.bpm is not None and spec.bpm.is_found:
        from render.pipeline.signals import find_beats  # imports scipy

        with _located(written):
            spec = spec.with_beats(find_beats(_sounds(spec, paths, footage)))
    chosen: dict[str, Any] = {}
    if written is not None and written.film is None:  # a film's scene has all values
        size = spec.size or _natural_size(spec, paths, footage)
        layers = layer_map(spec.network.name, spec.network.weights)
        sees_one_size = layers.input_side is not None
        chosen = defaults(spec, size=size, has_norms=bool(layers.norms), sees_one_size=sees_one_size)
        spec = with_defaults(spec, chosen)
    if footage is not None:
        spec = _timed(spec, footage, written)
    if spec.signals:
        from render.pipeline.signals import measure_signals  # imports scipy

        with _located(written):
            spec = spec.with_signals(measure_signals(_sounds(spec, paths, footage)))
    if written is not None and (footage is not None or spec.is_measured):
        validation.check_timing(written, spec)
    own_size = spec.size or _natural_size(spec, paths, footage)
    size = _scaled_size(own_size, scale, spec.codec)
    if scale != 1:
        spec = spec.scaled(scale, max(own_size))
    picture = paths.get(("source", "image"))
    if picture is not None and spec.grade.has_default_target:
        mean, contrast, cast = image.color_statistics(picture, size)
        spec = spec.with_grade_targets(mean=mean, contrast=contrast, cast=cast)
    output = spec.output.complete(stem, frames=spec.length)
    spec = spec.replaced(size=size, output=output)
    return Scene(spec, size=size, output=output, paths=paths, clip=footage, defaults=chosen)


def _timed(spec: SceneSpec, footage: Clip, written: Document | None) -> SceneSpec:
    """Gives the spec its clip's rate, and the duration that remains of the clip from its start on."""
    whole = spec.with_clip_timing(fps=footage.fps, duration=footage.duration)
    start = whole.start / whole.fps
    if start >= footage.duration:
        message = (
            f"{footage.path} ends at {float(footage.duration):.6g} s, the film cannot start at {float(start):.6g} s"
        )
        problem = Problem(message) if written is None else written.problem(message, ("source", "start"))
        raise SceneFileError([problem])
    return spec.with_clip_timing(fps=footage.fps, duration=footage.duration - start)


def _sounds(spec: SceneSpec, paths: Mapping[Loc, Path], footage: Clip | None) -> Sounds:
    """The sounds of a spec whose rate and start may still be those of its clip."""
    if footage is not None:
        spec = spec.with_clip_timing(fps=footage.fps, duration=footage.duration)
    return Sounds(spec, paths, footage, clip_start=spec.start / spec.fps)


@contextmanager
def _located(written: Document | None) -> Iterator[None]:
    """Turns an error at a field into one with its position in the document."""
    try:
        yield
    except FieldError as error:
        raise SceneError([Problem(str(error)) if written is None else written.field_problem(error)]) from None


def _natural_size(spec: SceneSpec, paths: Mapping[Loc, Path], footage: Clip | None) -> tuple[int, int]:
    """The clip's or the picture's size, cropped to even sides where the codec needs them, or the default."""
    picture = paths.get(("source", "image"))
    if footage is not None:
        width, height = footage.size
    elif picture is not None:
        width, height = image.image_size(picture)
    else:
        return DEFAULT_SIZE
    return (width, height) if spec.codec in IMAGE_CODECS else (width // 2 * 2, height // 2 * 2)


def _scaled_size(size: tuple[int, int], scale: float, codec: Codec) -> tuple[int, int]:
    width, height = size if scale == 1 else (max(2, round(side * scale / 2) * 2) for side in size)
    largest = MAX_SIDES.get(codec, MAX_SIDE)
    if min(width, height) < MIN_SIDE or max(width, height) > largest:
        raise UsageError(f"a film of {width}x{height}; sides of {codec} are from {MIN_SIDE} to {largest}")
    return width, height
