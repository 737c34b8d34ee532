"""What each frame of a film begins from: noise or a picture for the first; of a clip every frame, and how it moved."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from render.dream import weights
from render.film import clip, cuts, sound, source
from render.film.clip import Clip
from render.film.sound import Heard
from render.motion import flow
from render.motion.camera import Move, forward_affine
from render.motion.flow import Estimator, Motion
from render.motion.follow import Matrix, seen
from render.motion.warp import warp_affine
from render.scene.model import Scene
from render.scene.source import Noise

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shown:
    """What the source shows at a frame, as the camera sees it, 1x3xHxW in [0, 1]: `picture`.

    Of a clip also what it showed the frame `before`, and how that `moved` since; None where a film or a shot begins.
    """

    picture: Tensor
    before: Tensor | None = None
    moved: Motion | None = None


def shown(scene: Scene, device: torch.device, start: int = 0) -> Generator[Shown | None]:
    """What the source shows at each frame from `start` on, None where that is nothing new. Raises StorageError.

    A clip is decoded, and its flow found, a frame ahead, in a thread of its own.
    """
    if scene.source.video is not None:
        yield from _ahead(_footage(scene, device, start))
        return
    for index in range(start, scene.length):
        yield Shown(_still(scene).to(device)) if index == 0 else None


def footage(scene: Scene) -> Clip | None:
    """The clip that the film follows, None when there is none. Raises StorageError."""
    video = scene.source.video
    return None if video is None else clip.probe(scene.locate(video, ("source", "video")), scene.fps)


def picture(scene: Scene) -> Path | None:
    """The picture that the film begins from, None when it begins from something else."""
    image = scene.source.image
    return None if image is None else scene.locate(image, ("source", "image"))


def files(scene: Scene) -> list[Path]:
    """All files that the film is made from, each picture of a sequence too. Raises StorageError."""
    named = [scene.locate(name, path) for path, name, _ in scene.files()]
    return [file for each in named for file in (clip.sequence(each) or {0: each}).values()]


def heard(scene: Scene, first: int, last: int) -> Heard | None:
    """What is heard with the film's frames `first` to `last` - 1; None when they are silent. Raises StorageError."""
    start, seconds = first / scene.fps, (last - first) / scene.fps
    match scene.output.audio:
        case "none":
            return None
        case "source":
            video = footage(scene)
            if video is None or video.number is not None or (found := sound.probe(video.path)) is None:
                return None
            return Heard(found, video.begin + scene.start / scene.fps + start, seconds)
        case name:
            found = sound.required(scene.locate(name, ("output", "audio")))
            return Heard(found, found.begin + start, seconds)


def shots(scene: Scene) -> frozenset[int]:
    """The frames that begin a shot, the film's first one always. Raises StorageError."""
    video = footage(scene)
    if video is None or scene.follow is None or scene.follow.cuts == "none":
        return frozenset([0])
    if scene.follow.cuts == "auto":
        small = clip.frames(video, cuts.small(video.size), scene.fps, scene.length, "stretch", scene.start)
        return frozenset([0, *cuts.find(small)])
    return frozenset([0, *scene.cuts])


def flow_weights(scene: Scene, quiet: bool = False) -> Path | None:
    """The weights' file of the network that finds the flow, fetched when it is not here, with a bar unless `quiet`.

    None when none is needed. Raises MissingError when they cannot be fetched.
    """
    match scene.follow and scene.follow.flow:
        case "raft_small" | "raft_large" as name:
            return weights.published(name, flow.trained(name), "follow.flow: dis needs no download").fetched(quiet)
    return None


def estimator(scene: Scene, device: torch.device) -> Estimator | None:
    """What finds the flow of a scene's clip, None when the dream does not follow it. Raises MissingError."""
    match scene.follow and scene.follow.flow:
        case "dis":
            return flow.dis
        case "farneback":
            return flow.farneback
        case "raft_small" | "raft_large" as name:
            file = flow_weights(scene)
            assert file is not None, "a network that finds flow has weights"
            return flow.raft(name, weights.read(file), device)
    return None


def _still(scene: Scene) -> Tensor:
    """What the film begins from, 1x3xHxW in [0, 1] on the CPU. Raises StorageError."""
    assert scene.size is not None, "a loaded scene knows its size"
    match scene.source.chosen:
        case Noise(grain=grain, contrast=contrast, color=color):
            return source.noise(scene.size, grain, contrast, color, scene.seed)
    path = picture(scene)
    assert path is not None, f"a source of no kind: {scene.source}"
    return source.picture(path, scene.size)


def _footage(scene: Scene, device: torch.device, start: int) -> Generator[Shown]:
    """Each frame of the clip from `start` on, and its motion, both as the camera sees them."""
    estimate, begins = estimator(scene, device), shots(scene)
    before: View | None = None
    lead = max(start - 1, 0)  # the frame before is what the first one has moved from
    for index, now in enumerate(views(scene, lead), lead):
        if index in begins and index >= start:
            yield Shown(now.picture.to(device))
        elif before is not None:
            moved = flow.standstill(now.still) if estimate is None else flow.motion(before.still, now.still, estimate)
            moved = seen(moved, now.still, before.camera, now.camera)
            yield Shown(now.picture.to(device), before.picture.to(device), moved)
        before = now


@dataclass(frozen=True)
class View:
    """A frame of a clip, `still`, and the `picture` of it that the `camera` shows, 1x3xHxW in [0, 1]."""

    still: Tensor
    picture: Tensor
    camera: Matrix


def views(scene: Scene, start: int = 0) -> Iterator[View]:
    """The frames of the film's clip from `start` on, on the CPU. Raises StorageError."""
    video, size = footage(scene), scene.size
    assert video is not None, "a scene of a clip"
    assert size is not None, "a loaded scene knows its size"
    count, fit = scene.length - start, scene.source.fit or "cover"
    stills = clip.frames(video, size, scene.fps, count, fit, scene.start, start)
    for still, camera in zip(stills, islice(_cameras(scene), start, None), strict=True):
        to_clip = np.asarray(np.linalg.inv(camera)[:2], np.float64)
        yield View(still, warp_affine(still, to_clip, scene.camera.border).clamp(0, 1), camera)


def _cameras(scene: Scene) -> Iterator[Matrix]:
    """Where the camera shows the clip's pixels, at each frame: all its moves so far."""
    assert scene.size is not None, "a loaded scene knows its size"
    camera: Matrix = np.eye(3)
    for index in range(scene.length):
        if index > 0:
            camera = forward_affine(Move(**scene.at(index).camera._asdict()), *scene.size) @ camera
        yield camera


def _ahead(items: Generator[Item]) -> Generator[Item]:
    """The same items, each made while the one before it is in use."""
    with ThreadPoolExecutor(1) as worker:
        try:
            coming = worker.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = worker.submit(next, items, None)
                yield item
        finally:
            worker.submit(items.close).result()
