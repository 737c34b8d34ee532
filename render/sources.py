"""What each frame of a film begins from: noise or a picture for the first; of a clip every frame, and how it moved."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from render.dream import weights
from render.film import clip, cuts, sound, source
from render.film.clip import Clip
from render.film.sound import Heard
from render.motion import flow
from render.motion.camera import Move, onward
from render.motion.flow import Estimator, Motion
from render.motion.follow import seen
from render.motion.warp import Matrix, warp_affine
from render.scene.model import Scene
from render.scene.source import Noise
from render.threads import ahead


@dataclass(frozen=True)
class Shown:
    """What the source shows at a frame, as the camera sees it, 1x3xHxW in [0, 1]: `picture`, None if nothing new.

    Of a clip also what it showed the frame `before`, if that is dreamed, and where its pixels have come from since,
    `back`; None where a film or a shot begins. Where not every frame is dreamed, also where those before have gone to,
    `onward`. `is_dreamed` says whether the network sees this frame.
    """

    index: int
    is_dreamed: bool
    picture: Tensor | None = None
    before: Tensor | None = None
    back: Motion | None = None
    onward: Motion | None = None

    @property
    def begins(self) -> bool:
        """Whether a film or a shot begins here."""
        return self.picture is not None and self.back is None


def shown(scene: Scene, device: torch.device, start: int = 0) -> Generator[Shown]:
    """What the source shows at each frame, from the one after the last that is dreamed before `start`.

    A clip is decoded, and its flow found, ahead of the dream, in a thread of its own. Raises StorageError.
    """
    if scene.source.video is not None:
        yield from ahead(_footage(scene, device, start), scene.dream.every)
        return
    keys = dreamed([0], scene.length, scene.dream.every)
    for index in range(_last(keys, start) + 1, scene.length):
        yield Shown(index, index in keys, picture=_still(scene).to(device) if index == 0 else None)


def dreamed(begins: Iterable[int], length: int, every: int) -> frozenset[int]:
    """The frames that the network sees: of each shot the first, every so many from there on, and the last."""
    starts = sorted(begins)
    ends = [*starts[1:], length]
    return frozenset(
        index for start, end in zip(starts, ends, strict=True) for index in (*range(start, end, every), end - 1)
    )


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
    published = flow_source(scene)
    return None if published is None else published.fetched(quiet)


def flow_source(scene: Scene) -> weights.Source | None:
    """Where the weights of the network that finds the flow come from, None when none is needed."""
    match scene.follow and scene.follow.flow:
        case "raft_small" | "raft_large" as name:
            return weights.published(name, flow.trained(name), "follow.flow: dis needs no download")
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


def _last(keys: Iterable[int], start: int) -> int:
    """The last of the dreamed frames before `start`, -1 when there is none."""
    return max((key for key in keys if key < start), default=-1)


def _footage(scene: Scene, device: torch.device, start: int) -> Generator[Shown]:
    """Each frame of the clip, and its motion, both as the camera sees them, from where `shown` begins."""
    estimate, begins, every = estimator(scene, device), shots(scene), scene.dream.every
    keys = dreamed(begins, scene.length, every)
    last = _last(keys, start)
    before: View | None = None
    for index, now in enumerate(views(scene, max(last, 0)), max(last, 0)):
        picture = now.picture.to(device)
        if index in begins and index > last:
            yield Shown(index, True, picture)
        elif before is not None:
            back, onward = _motions(before, now, estimate, both=every > 1)
            begun = before.picture.to(device) if index - 1 in keys else None
            yield Shown(index, index in keys, picture, begun, back, onward)
        before = now


def _motions(before: View, now: View, estimate: Estimator | None, both: bool) -> tuple[Motion, Motion | None]:
    """Back from a frame to the one before, as the camera sees it; and, for `both`, the other way."""
    back = onward = flow.standstill(now.still)
    if estimate is not None:
        if both:
            back, onward = flow.back_and_forth(before.still, now.still, estimate)
        else:
            back = flow.motion(before.still, now.still, estimate)
    back = seen(back, now.still, before.camera, now.camera)
    return back, seen(onward, now.still, now.camera, before.camera) if both else None


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
            camera = onward(camera, Move(**scene.at(index).camera._asdict()), *scene.size)
        yield camera
