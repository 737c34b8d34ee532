"""Where a preview of the dream begins: the nearest state that is at hand, its own or that of an unfinished film."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from render.film.checkpoint import watched_state
from render.film.folder import unfinished_film
from render.film.naming import work_folder
from render.pipeline.engine import Engine
from render.pipeline.identity import portable_scene, without_sound
from render.pipeline.loop import State
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.scene import Scene
from render.pipeline.segments import split_frames
from render.sweep.chain import Chain

MAX_BYTES = 2**28
"""Bytes of the states that are kept; a frame of 256x256 has 0.8 MB."""


@dataclass(frozen=True)
class Beginning:
    """The first frame that is dreamed, the state before it, and where that comes from."""

    frame: int
    state: State | None
    source: Literal["start", "memory", "film"]


@dataclass
class StateMemory:
    """States of dreamed frames by their links, which name all that they depend on (see Chain)."""

    _states: OrderedDict[str, State] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def put(self, link: str, state: State) -> None:
        """Keeps a state; those that were used longest ago make room for it."""
        self._bytes -= _size(self._states.pop(link, None))
        self._states[link] = state
        self._bytes += _size(state)
        while self._bytes > MAX_BYTES and len(self._states) > 1:
            _, oldest = self._states.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, link: str) -> State | None:
        """Returns a state, None when it is not kept."""
        if link in self._states:
            self._states.move_to_end(link)
        return self._states.get(link)


def beginning(engine: Engine, whole: Scene, chain: Chain, *, frame: int, memory: StateMemory) -> Beginning:
    """Returns where to begin so that `frame` is dreamed soonest.

    `whole` is the scene of the engine's plan at its own size. Of the states for the same frame, exact ones come before
    those of the film, which are made smaller. Raises StorageError.
    """
    shot = max(each for each in engine.plan.shots if each <= frame)
    found = Beginning(shot, None, "start")
    for index in range(min(frame, len(chain.links)) - 1, shot - 1, -1):
        state = memory.get(chain.links[index])
        if state is not None:
            found = Beginning(index + 1, state, "memory")
            break
    film = _film_state(plan(whole, Options(quiet=True)), frame)
    if film is None or film[0] <= found.frame:
        return found
    width, height = engine.plan.scene.size
    return Beginning(film[0], State.from_array(_resized(film[1], (width, height)), engine.device.torch_device), "film")


def _film_state(planned: Plan, frame: int) -> tuple[int, NDArray[np.float32]] | None:
    """Returns the last saved state of a scene's unfinished film before a frame, and the frame after it."""
    folder = work_folder(planned.target)
    identity = unfinished_film(folder)
    own = without_sound({"scene": portable_scene(planned.scene), "files": planned.sources.checksums()})
    if identity is None or any(identity.get(key) != value for key, value in own.items()):
        return None
    match identity.get("frames"):
        case [int(first), int(last)] if 0 <= first < last <= planned.scene.length:
            segments = split_frames(range(first, last), planned.scene.output.segment_frames, planned.shots)
        case _:
            return None
    stops = {each.number: each.frames.stop for each in segments if each.frames.stop <= frame}
    found = watched_state(folder, identity, sorted(stops, reverse=True))
    return None if found is None else (stops[found[0]], found[1])


def _resized(state: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Returns a state, 1xCxHxW, at another (width, height)."""
    interpolation = cv2.INTER_AREA if size[0] < state.shape[3] else cv2.INTER_CUBIC
    planes = [np.clip(cv2.resize(plane, size, interpolation=interpolation), 0, 1) for plane in state[0]]
    return np.stack(planes)[None].astype(np.float32)


def _size(state: State | None) -> int:
    if state is None:
        return 0
    progress = 0 if state.progress is None else state.progress.nbytes
    return state.canvas.numel() * state.canvas.element_size() + progress
