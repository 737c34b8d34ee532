"""What the frames of a film depend on, as a chain: films whose chains begin alike have these frames in common.

A link names everything that the state after a frame depends on: the link before it, and what the frame itself is made
of. What changes over a film is compared by its value at each frame, and not by how the scene writes it, so that a key
that acts from frame 24 on leaves the links of 0 to 23 as they are. Everything of a scene that is not named here counts
from the first frame on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain as concatenated
from pathlib import Path
from typing import Any

from render.pipeline.identity import portable_scene
from render.pipeline.inputs import dreamed_frames
from render.pipeline.plan import Plan
from render.pipeline.scene import Scene

BY_FRAME: Mapping[str, tuple[str, ...]] = {
    "camera": ("zoom", "rotate", "pan", "shear", "pivot", "look_at"),
    "dream": ("octaves", "steps", "first_frame", "step_size"),
    "follow": ("persistence", "cuts"),
}
"""Keys of sections that are compared by their values at each frame."""
NOT_OF_FRAMES = (
    *("output", "duration", "objectives", "grade", "bpm", "signals"),
    *("view", "mix", "saturation", "hue", "exposure"),
)
"""Sections and keys that no frame depends on, or that are compared at each frame as a whole."""


@dataclass(frozen=True)
class Chain:
    """The links of a film's frames from 0 to the last that is needed, and which of these are dreamed."""

    links: tuple[str, ...]
    dreamed: tuple[bool, ...]

    def next_dreamed(self, index: int) -> int:
        """Returns the first dreamed frame from `index` on: the last one that the picture at `index` depends on."""
        return self.dreamed.index(True, index)

    def picture(self, index: int) -> str:
        """Returns what names the picture at a frame."""
        return f"{self.links[self.next_dreamed(index)]} {index}"


def chain_of(plan: Plan, frame: int) -> Chain:
    """Returns the chain of a plan's film up to what the picture at `frame` depends on. Raises StorageError."""
    scene = plan.scene
    repeats = scene.spec.loop is not None
    dreamed = dreamed_frames(plan.shots, scene.length, cadence=scene.spec.dream.cadence, repeats=repeats)
    last = min(index for index in dreamed if index >= frame)
    parts = [_digest(part) for part in _parts(scene, plan.sources.checksums())]
    link = _digest([_of_all_frames(plan), list(_of_lead_in(scene, parts))])
    links = []
    for index in range(last + 1):
        is_start, is_dreamed = index in plan.shots, index in dreamed
        made_of = _of_frame(scene, index, parts, is_start=is_start) if is_dreamed else _camera(scene, index)
        finish = scene.spec.mix.mode, scene.spec.view.border, scene.params(index).finish
        link = _digest([link, made_of, finish])
        links.append(link)
    return Chain(tuple(links), tuple(index in dreamed for index in range(last + 1)))


def _of_all_frames(plan: Plan) -> dict[str, Any]:
    """What every frame depends on."""
    scene = plan.scene
    written = {key: value for key, value in portable_scene(scene).items() if key not in NOT_OF_FRAMES}
    for section, keys in BY_FRAME.items():
        if section in written:
            written[section] = {key: value for key, value in written[section].items() if key not in keys}
    transforms = written["dream"]["transforms"]
    written["dream"]["transforms"] = {key: value for key, value in transforms.items() if key != "jitter"}
    if scene.clip is None:
        del written["fps"]
    else:
        written["first_frame_ratio"] = scene.spec.dream.first_frame_ratio
    files = plan.sources.checksums()
    of_frames = {key: files[key] for key in files if key.split(".")[0] not in NOT_OF_FRAMES}
    return {"scene": written, "files": of_frames, "cadence": scene.spec.dream.cadence}


def _of_lead_in(scene: Scene, parts: list[str]) -> Iterator[Any]:
    """What the lead-in of a loop depends on: its frames' numbers and what they are made of. Nothing for other films."""
    lead_in = scene.spec.lead_in
    for index in lead_in:
        yield [index, _of_frame(scene, index, parts, is_start=index == lead_in.start)]


def _parts(scene: Scene, checksums: Mapping[str, str]) -> Iterator[Any]:
    """What each of the objectives that `build_objectives` builds is, without its weight."""
    written = portable_scene(scene)["objectives"]
    for number, spec in enumerate(scene.spec.objectives):
        files = {
            str(keys[-1]): [str(path), checksums[".".join(map(str, keys))]]
            for keys, path in scene.paths.items()
            if keys[:2] == ("objectives", number)
        }
        part = {key: value for key, value in written[number].items() if key != "weight"}
        if spec.tour is not None:
            for turn in scene.spec.tours[number]:
                dumped = spec.at(turn).model_dump(mode="json", exclude_none=True, by_alias=True)
                yield [_without_files(dumped, files), files]
        elif spec.classes is not None and spec.layer is None:
            for name in spec.classes:
                yield [_without_files({**part, "class": [name]}, files), files]
        else:
            yield [_without_files(part, files), files]


def _without_files(part: Mapping[str, Any], files: Mapping[str, object]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in files and key != "weight"}


def _of_frame(scene: Scene, index: int, parts: list[str], *, is_start: bool) -> dict[str, Any]:
    """What a dreamed frame is made of besides the frame before it; a shot's first frame has none."""
    params = scene.params(index, is_shot_start=is_start)
    weights = zip(parts, concatenated.from_iterable(params.weights), strict=True)
    return {
        "is_start": is_start,
        "camera": _camera(scene, index),
        "objectives": [[part, weight] for part, weight in weights if weight != 0],  # others are left out of the sum
        "steps": params.steps,
        "step_size": params.step_size,
        "jitter": params.jitter,
        "moved": None if is_start else [params.persistence, params.grade],
    }


def _camera(scene: Scene, index: int) -> Any:
    """The camera's move to a frame; none leads to the first."""
    return scene.params(index).camera if index > 0 else None


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value))
