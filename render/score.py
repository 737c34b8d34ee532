"""How good a film is, in numbers: how steady along its motion, how much of what was asked for, how sharp, how even."""

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

from render import api, machine, sources
from render.dream.networks import Network
from render.dream.views import View
from render.errors import StorageError, UsageError
from render.film import clip, encoder
from render.film.clip import Clip
from render.motion import flow
from render.motion.camera import Move, backward_affine
from render.motion.flow import Motion
from render.motion.follow import followed
from render.motion.warp import Affine, grid, through
from render.scene.model import Scene
from render.wishes import objective, wishes

FAR = (2, 4, 8, 16, 32, 64)
"""Frames after a shot's first with which that is compared, as far as the shot goes."""
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
EXPECTED = {"layer": "blocks.10"}
"""What is looked for in a film that carries no scene."""


@dataclass(frozen=True)
class Moves:
    """How a frame has moved since the one before it (None where a shot begins), and, now and then, by the number of
    frames in between, since its shot's first."""

    near: Motion | None
    far: tuple[int, Motion] | None = None


@dataclass
class Score:
    """Of a film: one number a frame, or a pair of frames; pictures' values are in [0, 1].

    `e_warp`: the mean square difference between a frame and the one before it, moved along the motion, over the pixels
    whose motion is trusted (Lai et al. 2018). `far`: the same of a shot's first frame and those in `FAR`, by how far.
    `objective`: what was asked for. `sharpness`: the energy of high frequencies, the mean square of the Laplacian of
    grey. `brightness`, `contrast`: mean and standard deviation.
    """

    e_warp: list[float] = field(default_factory=list)
    far: dict[int, list[float]] = field(default_factory=dict)
    objective: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    _begun: Tensor | None = field(default=None, repr=False)
    _before: Tensor | None = field(default=None, repr=False)

    def add(self, frame: Tensor, moved: Moves, objective: float) -> None:
        """One frame more, 1x3xHxW in [0, 1]; three are held at most."""
        if moved.near is None or self._before is None:
            self._begun = frame
        else:
            self.e_warp.append(difference(self._before, frame, moved.near))
        if moved.far is not None and self._begun is not None:
            self.far.setdefault(moved.far[0], []).append(difference(self._begun, frame, moved.far[1]))
        self.objective.append(objective)
        self.sharpness.append(sharpness(frame))
        self.brightness.append(float(frame.mean()))
        self.contrast.append(float(frame.std((2, 3)).mean()))
        self._before = frame

    def numbers(self) -> dict[str, Any]:
        """All of them, in plain JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.repr}

    def rows(self, beside: Score | None = None) -> list[tuple[str, float]]:
        """What the numbers come to, by name: means, and how far brightness and contrast go from the first frame's.

        With the score of a clip `beside`, how far their difference from that clip's goes from the first frame's.
        """
        rows = [("E_warp", fmean(self.e_warp))] if self.e_warp else []
        rows += [
            (f"E_warp, a shot's first frame and {ago} later", fmean(found)) for ago, found in sorted(self.far.items())
        ]
        rows += [("objective", fmean(self.objective)), ("sharpness", fmean(self.sharpness))]
        for name in ("brightness", "contrast"):
            own = np.array(getattr(self, name))
            drift = own if beside is None else own - np.array(getattr(beside, name))
            rows += [(name, float(own.mean())), (f"{name}, furthest drift", float(np.abs(drift - drift[0]).max()))]
        return rows


def difference(before: Tensor, now: Tensor, moved: Motion) -> float:
    """Σ M·(warp(before) - now)² / ΣM, M the confidence; the mean of the channels."""
    trust = torch.from_numpy(moved.confidence)
    squares = (followed(before.cpu(), moved) - now.cpu()).square().mean((0, 1))
    return float((trust * squares).sum() / trust.sum().clamp_min(1))


def sharpness(frame: Tensor) -> float:
    """The mean square of the Laplacian of grey."""
    kernel = torch.tensor(LAPLACIAN, device=frame.device).view(1, 1, 3, 3)
    return float(F.conv2d(frame.mean(1, keepdim=True), kernel).square().mean())


def along_clip(pictures: Iterable[Tensor], begins: frozenset[int], first: int = 0) -> Iterator[Moves]:
    """The motion in a clip's pictures, by DIS flow and the checks of Ruder et al. 2016; shots begin at `begins`."""
    before = begun = None
    since = 0
    for index, picture in enumerate(pictures, first):
        if before is None or begun is None or index in begins:
            begun, since = picture, index
            yield Moves(None)
        else:
            near = flow.consistent(before, picture, flow.dis)
            ago = index - since
            yield Moves(near, (ago, flow.consistent(begun, picture, flow.dis)) if ago in FAR else None)
        before = picture


def along_camera(scene: Scene, first: int, last: int) -> Iterator[Moves]:
    """The motion of a film that only its camera moves."""
    assert scene.size is not None, "a complete scene knows its size"
    back = np.eye(3)
    for index in range(first, last):
        if index == first:
            yield Moves(None)
            continue
        step = np.vstack([backward_affine([Move(**scene.at(index).camera._asdict())], *scene.size), [0, 0, 1]])
        back = back @ step
        ago = index - first
        yield Moves(_affine(step, scene.size), (ago, _affine(back, scene.size)) if ago in FAR else None)


def score(
    film: Path,
    source: Path | None = None,
    device: str = "auto",
    watch: Callable[[int, int], None] | None = None,
    quiet: bool = False,
) -> tuple[Score, Score | None]:
    """The score of a film, and of the `source` clip that it follows, whose motion is the film's.

    Without a clip the film's own camera is its motion. What was asked for is read in the scene that the film carries,
    or is `blocks.10` of the embedded network. Raises StorageError for files that cannot be read, UsageError when the
    film's motion is not known.
    """
    made = clip.probe(film) if source is None else clip.probe(film, clip.probe(source).fps)
    scene, first = _scene(film, made, source)
    count = min(round(made.duration * made.fps), scene.length - first)
    wanted = _wanted(scene, api.network(scene, machine.choose(device), quiet))
    assert scene.size is not None, "made complete"
    frames = clip.frames(made, scene.size, made.fps, count, "stretch")
    of_film, of_source = Score(), None if source is None else Score()
    if source is None:
        pictures: Iterator[Tensor | None] = itertools.repeat(None)
        moves = along_camera(scene, first, first + count)
    else:
        pictures, seen = itertools.tee(view.picture for view in sources.views(scene, first))
        moves = along_clip(seen, sources.shots(scene), first)
    for index, frame, moved, picture in zip(range(first, first + count), frames, moves, pictures, strict=False):
        of_film.add(frame, moved, wanted(index, frame))
        if of_source is not None and picture is not None:
            of_source.add(picture, moved, wanted(index, picture))
        if watch is not None:
            watch(index - first + 1, count)
    return of_film, of_source


def _scene(film: Path, made: Clip, source: Path | None) -> tuple[Scene, int]:
    """What the film was made from, complete, with this clip for its source; and which of its frames is the first."""
    carried = encoder.carried(film if made.number is None else encoder.numbered(film, made.number))
    if carried is None and source is None:
        raise UsageError(f"{film} carries no scene, its motion is not known; --source names the clip it was made from")
    said: dict[str, Any] = dict(carried["scene"]) if carried else {"layers": [EXPECTED]}
    if source is None and "video" in said.get("source", {}):
        raise UsageError(f"{film} follows a clip, whose motion is the film's; --source names it")
    first = 0
    if carried is not None:  # pictures carry no frames, as each is the same in any film
        first, _ = carried.get("frames", (made.number or 0, None))
    if source is not None:
        before = said.get("source", {})
        said["source"] = {**(before if "video" in before else {}), "video": str(source)}
    said.setdefault("fps", str(made.fps))
    try:
        scene = Scene.model_validate(said)
    except ValidationError as error:
        raise StorageError(
            f"{film} carries a scene that this version does not know: {error.errors()[0]['msg']}"
        ) from None
    footage = sources.footage(scene)
    if footage is not None:
        scene = scene.timed(made.fps, made.duration + first / made.fps)
    return scene.concrete(scene.size or made.size, film.stem, 1), first


def _wanted(scene: Scene, network: Network) -> Callable[[int, Tensor], float]:
    """From a frame's index and picture to how much of what the scene asks for there is in it."""
    asked = wishes(scene, network)

    def wanted(index: int, frame: Tensor) -> float:
        now = objective(asked, scene.at(index))
        if not now.layers:
            return 0.0
        with torch.no_grad():
            found = network.activations(frame.to(network.device), now.layers)
            return float(now(found, View((frame.shape[2], frame.shape[3]))))

    return wanted


def _affine(back: Affine, size: tuple[int, int]) -> Motion:
    """The motion of an affine, 2x3 or 3x3, from a pixel to where it was; trusted wherever that is in the picture."""
    width, height = size
    blank = torch.empty(1, 3, height, width, device="meta")
    x, y = through(back, *grid(blank))
    return Motion(x, y, (flow.within(x, y, blank) == 1).astype(np.float32))
