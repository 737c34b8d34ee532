"""Metrics of a film: how steady it is along its motion, its objective, how sharp and how even it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from render.dream.transforms import Transform
from render.errors import StorageError, UsageError
from render.film.metadata import read_metadata
from render.film.naming import numbered_path
from render.media.clip import Clip, clip_frames, probe_clip
from render.motion import flow
from render.motion.camera import inverse_affine
from render.motion.composite import warp_by_motion
from render.motion.flow import Motion
from render.motion.warp import Affine, pixel_grid, transform_points
from render.pipeline.build import build_objectives, frame_objective
from render.pipeline.camera import camera_path
from render.pipeline.catalogue import MODELS
from render.pipeline.embedded import upgraded_metadata
from render.pipeline.engine import Engine, open_engine
from render.pipeline.identity import follows_film_sound
from render.pipeline.inputs import clip_views
from render.pipeline.plan import Options, plan
from render.pipeline.scene import Scene, complete
from render.scene.model import SceneSpec

LONG_RANGES = (2, 4, 8, 16, 32, 64)
"""Frames after a shot's first at which that one is compared again, as far as the shot lasts."""
WHAT_IS_GOOD = {
    "E_warp": "lower is steadier",
    "objective": "higher is more of what the scene asks for",
    "sharpness": "higher has more fine detail, or noise",
    "brightness": "near that of the source",
    "contrast": "near that of the source",
    "drift": "lower is more even",
}
"""What a metric's value says, by the start of its name, or its end for the drift of another."""
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
DEFAULT_OBJECTIVE = {"layer": "blocks.10"}
"""The objective of a film that embeds no scene."""


@dataclass(frozen=True)
class FrameMotion:
    """How a frame moved since the one before it (None where a shot begins).

    At LONG_RANGES, `long` is also how it moved since its shot's first frame: (frames since, motion).
    """

    short: Motion | None
    long: tuple[int, Motion] | None = None


@dataclass
class Metrics:
    """The metrics of a film, one number per frame or pair of frames; pictures' values are in [0, 1].

    `e_warp`: mean square difference between a frame and the one before it, moved along the motion, over the pixels
    whose motion is trusted (Lai et al. 2018). `far`: the same between a shot's first frame and later ones, by frames
    between them. `objective`: the value of the scene's objective. `sharpness`: energy of high frequencies, the mean
    square of the Laplacian of grey. `brightness`, `contrast`: mean and standard deviation.
    """

    e_warp: list[float] = field(default_factory=list)
    far: dict[int, list[float]] = field(default_factory=dict)
    objective: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    _shot_start: Tensor | None = field(default=None, repr=False)
    _previous: Tensor | None = field(default=None, repr=False)

    def add(self, frame: Tensor, motion: FrameMotion, *, objective: float) -> None:
        """Adds the next frame, 1x3xHxW in [0, 1]; holds three at most."""
        if motion.short is None or self._previous is None:
            self._shot_start = frame
        else:
            self.e_warp.append(warp_error(self._previous, frame, motion=motion.short))
        if motion.long is not None and self._shot_start is not None:
            distance, since_start = motion.long
            self.far.setdefault(distance, []).append(warp_error(self._shot_start, frame, motion=since_start))
        self.objective.append(objective)
        self.sharpness.append(sharpness(frame))
        self.brightness.append(float(frame.mean()))
        self.contrast.append(float(frame.std((2, 3)).mean()))
        self._previous = frame

    def as_json(self) -> dict[str, Any]:
        """All numbers, as plain JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.repr}

    def summary(self, source: Metrics | None = None) -> list[tuple[str, float]]:
        """Means by name, and how far brightness and contrast drift from the first frame's.

        With the metrics of the `source` clip, the drift is that of the difference from the clip, and E_warp is also
        given beyond the clip's own: water and noise move by themselves.
        """
        rows = [("E_warp", fmean(self.e_warp))] if self.e_warp else []
        if rows and source is not None:
            rows.append(("E_warp, beyond the clip's own", fmean(self.e_warp) - fmean(source.e_warp)))
        rows += [
            (f"E_warp, a shot's first frame and {distance} later", fmean(values))
            for distance, values in sorted(self.far.items())
        ]
        rows += [("objective", fmean(self.objective)), ("sharpness", fmean(self.sharpness))]
        for name in ("brightness", "contrast"):
            values = np.array(getattr(self, name))
            drift = values if source is None else values - np.array(getattr(source, name))
            rows.append((name, float(values.mean())))
            rows.append((f"{name}, furthest drift", float(np.abs(drift - drift[0]).max())))
        return rows


def what_is_good(metric: str) -> str:
    """Returns what the value of a metric of `Metrics.summary` says: `lower is steadier`."""
    key = "drift" if metric.endswith("drift") else metric.partition(",")[0]
    return WHAT_IS_GOOD[key]


def warp_error(before: Tensor, frame: Tensor, *, motion: Motion) -> float:
    """Σ M·(warp(before) - frame)² / ΣM, M the motion's confidence; averaged over the channels."""
    confidence = torch.from_numpy(motion.confidence)
    squares = (warp_by_motion(before.cpu(), motion) - frame.cpu()).square().mean((0, 1))
    return float((confidence * squares).sum() / confidence.sum().clamp_min(1))


def sharpness(frame: Tensor) -> float:
    """The mean square of the Laplacian of grey."""
    kernel = torch.tensor(LAPLACIAN, device=frame.device).view(1, 1, 3, 3)
    return float(F.conv2d(frame.mean(1, keepdim=True), kernel).square().mean())


def clip_motion(pictures: Iterable[Tensor], shots: frozenset[int], *, first: int = 0) -> Iterator[FrameMotion]:
    """The motion of a clip's pictures from frame `first` on, by DIS flow and the checks of Ruder et al. 2016."""
    previous = shot_start = None
    start = 0
    for index, picture in enumerate(pictures, first):
        if previous is None or shot_start is None or index in shots:
            shot_start, start = picture, index
            yield FrameMotion(None)
        else:
            distance = index - start
            short = flow.consistent_motion(previous, picture, estimate=flow.dis)
            if distance in LONG_RANGES:
                long = flow.consistent_motion(shot_start, picture, estimate=flow.dis)
                yield FrameMotion(short, (distance, long))
            else:
                yield FrameMotion(short)
        previous = picture


def camera_motion(scene: Scene, frames: range) -> Iterator[FrameMotion]:
    """The motion of frames that only the scene's camera moves."""
    path = camera_path(scene)
    yield FrameMotion(None)
    to_start = np.eye(3)
    for index in frames[1:]:
        step = np.vstack([inverse_affine(path.between(index - 1, index)), [0, 0, 1]])
        to_start = to_start @ step
        distance = index - frames[0]
        long = (distance, _affine_motion(to_start, scene.size)) if distance in LONG_RANGES else None
        yield FrameMotion(_affine_motion(step, scene.size), long)


def measure(
    film: Path,
    source: Path | None = None,
    *,
    device: str = "auto",
    quiet: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Metrics, Metrics | None]:
    """Measures a film, and the `source` clip that it follows, whose motion is the film's.

    Without a clip, the motion is that of the film's own camera. The objective is that of the scene that the film
    embeds, or `blocks.10` of the embedded network. `on_progress` is called with the number of frames done, and of all.
    Raises StorageError for files that cannot be read, UsageError when the film's motion is not known.
    """
    made = probe_clip(film) if source is None else probe_clip(film, probe_clip(source).fps)
    scene, first = _film_scene(film, made, source=source)
    count = min(round(made.duration * made.fps), scene.length - first)
    planned = plan(scene, Options(device=device, quiet=quiet, overwrite=True, restart=True))
    evaluate = _evaluator(open_engine(planned, autotune=False))
    frames = clip_frames(made, scene.size, fps=made.fps, frames=range(count), fit="stretch")
    of_film, of_source = Metrics(), None if source is None else Metrics()
    if source is None:
        pictures: Iterator[Tensor | None] = itertools.repeat(None)
        motions = camera_motion(scene, range(first, first + count))
    else:
        pictures, followed = itertools.tee(view.picture for view in clip_views(scene, first))
        motions = clip_motion(followed, planned.shots, first=first)
    indices = range(first, first + count)
    for index, frame, motion, picture in zip(indices, frames, motions, pictures, strict=False):
        of_film.add(frame, motion, objective=evaluate(index, frame))
        if of_source is not None and picture is not None:
            of_source.add(picture, motion, objective=evaluate(index, picture))
        on_progress(index - first + 1, count)
    return of_film, of_source


def _film_scene(film: Path, made: Clip, *, source: Path | None) -> tuple[Scene, int]:
    """The scene that a film was made from, with `source` as its clip; and which of its frames the film begins with."""
    metadata = read_metadata(film if made.number is None else numbered_path(film, made.number))
    if metadata is None and source is None:
        raise UsageError(f"{film} embeds no scene, its motion is not known; --source names the clip it was made from")
    if metadata is not None:
        metadata = upgraded_metadata(metadata, str(film))
    keys: dict[str, Any] = dict(metadata["scene"]) if metadata else {"objectives": [DEFAULT_OBJECTIVE]}
    if source is None and "video" in keys.get("source", {}):
        raise UsageError(f"{film} follows a clip, whose motion is the film's; --source names it")
    first = 0
    if metadata is not None:  # pictures embed no frames, as each is the same in any film
        first, _ = metadata.get("frames", (made.number or 0, None))
    if source is not None:
        embedded = keys.get("source", {})
        keys["source"] = {**(embedded if "video" in embedded else {}), "video": str(source)}
    if not follows_film_sound(keys):
        keys["output"] = {**keys.get("output", {}), "audio": "none"}
    keys.setdefault("fps", str(made.fps))
    keys.setdefault("duration", first + max(1, round(made.duration * made.fps)))
    try:
        spec = SceneSpec.model_validate(keys, context=MODELS)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise StorageError(f"{film} embeds a scene that this version does not know: {reason}") from None
    if spec.size is None:
        spec = spec.replaced(size=made.size)
    paths = {keys: Path(name) for keys, name, _ in spec.files()}
    return complete(spec, paths=paths, stem=film.stem), first


def _evaluator(engine: Engine) -> Callable[[int, Tensor], float]:
    """Returns a function from a frame's index and picture to the value of the scene's objective."""
    scene, network = engine.plan.scene, engine.network.network
    objectives = build_objectives(scene, network)

    def evaluate(index: int, frame: Tensor) -> float:
        objective = frame_objective(objectives, scene.params(index))
        if not objective.layers:
            return 0.0
        with torch.no_grad():
            activations = network.activations(frame.to(network.device), objective.layers)
            return float(objective(activations, Transform((frame.shape[2], frame.shape[3]))))

    return evaluate


def _affine_motion(matrix: Affine, size: tuple[int, int]) -> Motion:
    """The motion of an affine matrix (2x3 or 3x3) that leads back; trusted wherever that is in the picture."""
    width, height = size
    blank = torch.empty(1, 3, height, width, device="meta")
    x, y = (points.astype(np.float32) for points in transform_points(matrix, *pixel_grid(blank)))
    return Motion(x, y, (flow.inside_mask(x, y, blank) == 1).astype(np.float32))
