"""The frames of a sweep: those that several cells have in common are dreamed by the first of them, and stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from render.dream.ascent import OnStep
from render.film.encoder import quantize
from render.film.folder import digest
from render.pipeline import loop
from render.pipeline.engine import Engine
from render.pipeline.loop import Frame, FrameSource, State
from render.pipeline.memo import Memo
from render.pipeline.provenance import provenance
from render.sweep.chain import Chain
from render.sweep.store import Store

NO_STATE = State(torch.empty(0))
"""The state of a frame from the store, of which only the picture is needed."""


class SharedFrames:
    """The frames of cells that are not finished, by their numbers and chains.

    With `films`, every picture that several cells have in common is stored as well. `on_frame` is called with the
    number of frames dreamed so far, after each.
    """

    def __init__(
        self,
        store: Store,
        chains: Mapping[int, Chain],
        *,
        films: bool,
        memo: Memo,
        on_frame: Callable[[int], None] = lambda dreamed: None,
    ) -> None:
        self._store, self._chains = store, dict(chains)
        self.films, self._memo, self._on_frame = films, memo, on_frame
        self.dreamed = 0
        """Number of frames that were dreamed."""
        self._users: dict[str, set[int]] = defaultdict(set)
        for number, chain in chains.items():
            for link in chain.links:
                self._users[link].add(number)

    def users(self, link: str) -> set[int]:
        """Returns the unfinished cells that have a link."""
        return self._users[link]

    def count_frame(self) -> None:
        """Counts a frame that was dreamed."""
        self.dreamed += 1
        self._on_frame(self.dreamed)

    def order(self) -> list[int]:
        """Returns the cells so that those with frames in common follow each other."""
        ranks: dict[str, int] = {}
        for number in sorted(self._chains):
            for link in self._chains[number].links:
                ranks.setdefault(link, len(ranks))
        return sorted(self._chains, key=lambda number: [ranks[link] for link in self._chains[number].links])

    def finish(self, number: int) -> None:
        """Forgets a cell, and removes what no other one needs. Raises StorageError."""
        for link in self._chains.pop(number).links:
            self._users[link].discard(number)
        self._store.keep(lambda key: bool(self._users.get(key.split()[1])))

    def picture(self, number: int, engine: Engine, *, frame: int, on_step: OnStep | None = None) -> Tensor:
        """Returns the picture of a cell at a frame, 1x3xHxW in [0, 1]. Raises StorageError for unreadable files."""
        engine = replace(engine, memo=self._memo)
        keeper = _Keeper(self, number, engine)
        start, state = keeper.latest_state(frame) or (0, None)
        with closing(loop.frames(engine, start=start, state=state, on_step=on_step)) as frames:
            for each in frames:
                keeper.keep(each)
                if each.index == frame:
                    return each.picture
        raise AssertionError(f"a film without its frame {frame}")

    def source(
        self, number: int, *, on_picture: Callable[[Engine, int, Tensor], None] = lambda engine, index, picture: None
    ) -> FrameSource:
        """Returns the source of the frames of a cell's film. `on_picture` is called with every picture of it."""

        def frames(
            engine: Engine, *, start: int = 0, state: State | None = None, on_step: OnStep | None = None
        ) -> Generator[Frame]:
            for frame in self._frames(
                number, replace(engine, memo=self._memo), start=start, state=state, on_step=on_step
            ):
                on_picture(engine, frame.index, frame.picture)
                yield frame

        return frames

    def _frames(
        self, number: int, engine: Engine, *, start: int, state: State | None, on_step: OnStep | None
    ) -> Generator[Frame]:
        keeper = _Keeper(self, number, engine)
        index = start
        while (stored := keeper.stored_frame(index)) is not None:
            yield stored
            index += 1
        latest = keeper.latest_state(index)
        begin, begin_state = latest if latest is not None and latest[0] > start else (start, state)
        with closing(loop.frames(engine, start=begin, state=begin_state, on_step=on_step)) as frames:
            for frame in frames:
                keeper.keep(frame)
                if frame.index >= index:
                    yield frame


class _Keeper:
    """Stores, and finds, what a cell has in common with others, as long as its engine is what it was at first."""

    def __init__(self, shared: SharedFrames, number: int, engine: Engine) -> None:
        self._shared, self._number, self._engine = shared, number, engine
        self._chain, self._store = shared._chains[number], shared._store
        self._segment_frames = engine.plan.scene.output.segment_frames
        self._bits: Literal[8, 16] = 16 if engine.plan.format.raw == "rgb48le" else 8
        self._tile_size = engine.network.tile_size
        everything = provenance(engine)
        self._machine = digest({key: everything[key] for key in ("weights", "machine", "versions")})
        self._temporary: str | None = None

    def keep(self, frame: Frame) -> None:
        """Stores what of a frame is needed later: by other cells, or to resume this one. Raises StorageError."""
        index, chain = frame.index, self._chain
        if index >= len(chain.links):
            return
        if chain.dreamed[index]:
            self._shared.count_frame()
        if self._engine.network.tile_size != self._tile_size:  # memory has run out: what follows is of another size
            return
        if self._shared.films and self._others(chain.next_dreamed(index)):
            self._store.put(self._picture_key(index), quantize(frame.picture, self._bits))
        if chain.dreamed[index]:
            self._keep_state(index, frame.state)

    def _keep_state(self, index: int, state: State) -> None:
        """Stores the state after a dreamed frame where other cells part from this one, and at the ends of segments."""
        following = next((i for i in range(index + 1, len(self._chain.links)) if self._chain.dreamed[i]), None)
        others = self._others(index)
        part = others - self._others(following) if following is not None else others
        end = len(self._chain.links) if following is None else following
        ends_segment = end // self._segment_frames > index // self._segment_frames
        key = self._state_key(index)
        if part or (ends_segment and others):
            self._store.put(key, state.to_array())
        elif ends_segment and not self._shared.films:  # a film has a folder of segments
            self._store.put(key, state.to_array())
            if self._temporary is not None:
                self._store.remove(self._temporary)
            self._temporary = key

    def latest_state(self, before: int) -> tuple[int, State] | None:
        """Returns the first frame that is to be made, at most `before`, and the state that it is made from."""
        for index in range(min(before, len(self._chain.links)) - 1, -1, -1):
            state = self._state(index)
            if state is not None:
                return index + 1, state
        return None

    def stored_frame(self, index: int) -> Frame | None:
        """Returns a frame of a film that another cell has made; None when it is to be dreamed."""
        if index >= len(self._chain.links):
            return None
        state: State | None = NO_STATE
        if (index + 1) % self._segment_frames == 0 or index + 1 == self._engine.plan.frames.stop:
            dreamed = max((i for i in range(index + 1) if self._chain.dreamed[i]), default=0)
            state = self._state(dreamed)  # saved with the segment that ends here
        levels = self._store.get(self._picture_key(index)) if state is not None else None
        if levels is None or state is None:
            return None
        picture = torch.from_numpy(levels.astype(np.float32) / (2**self._bits - 1)).permute(2, 0, 1)[None]
        return Frame(index, picture.contiguous().to(self._engine.device.torch_device), state)

    def _state(self, index: int) -> State | None:
        key = self._state_key(index)
        array = self._store.get(key) if self._chain.dreamed[index] and key in self._store else None
        if array is None:
            return None
        return State.from_array(np.asarray(array, np.float32), self._engine.device.torch_device)

    def _others(self, index: int) -> set[int]:
        """The unfinished cells, besides this one, that have the link of a frame."""
        return self._shared.users(self._chain.links[index]) - {self._number}

    def _state_key(self, index: int) -> str:
        return f"state {self._chain.links[index]} {self._machine}"

    def _picture_key(self, index: int) -> str:
        link = self._chain.links[self._chain.next_dreamed(index)]
        return f"picture {link} {index} {self._bits} {self._machine}"


def frames_to_dream(chains: Collection[Chain]) -> tuple[int, int]:
    """Returns the number of frames that cells dream together, and that each would dream by itself."""
    of_each = [
        [link for link, is_dreamed in zip(each.links, each.dreamed, strict=True) if is_dreamed] for each in chains
    ]
    return len({link for links in of_each for link in links}), sum(map(len, of_each))
