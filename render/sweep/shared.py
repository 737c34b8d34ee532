"""The frames of a cell: those that it has in common with others are dreamed by the first of them, and stored."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
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
from render.sweep.model import CellWork
from render.sweep.store import Store

NO_STATE = State(torch.empty(0))
"""The state of a frame from the store, of which only the picture is needed."""


@dataclass(frozen=True)
class SharedFrames:
    """The frames of a cell: what others have made of them is in the store, and what others need is put there.

    `memo` has the flow and the features of cells before. `on_frame` is called with the index of each frame that is
    dreamed.
    """

    store: Store
    chain: Chain
    work: CellWork
    memo: Memo
    on_frame: Callable[[int], None] = lambda index: None

    def picture(self, engine: Engine) -> Tensor:
        """Returns the picture of the cell's frame, 1x3xHxW in [0, 1]. Raises StorageError for unreadable files."""
        engine, frame = replace(engine, memo=self.memo), self.work.frame
        keeper = _Keeper(self, engine)
        stored = keeper.stored_picture(frame)
        if stored is not None:
            return stored
        start, state = keeper.latest_state(frame) or (0, None)
        with closing(loop.frames(engine, start=start, state=state)) as frames:
            for each in frames:
                keeper.keep(each)
                if each.index == frame:
                    keeper.finish()
                    return each.picture
        raise AssertionError(f"a film without its frame {frame}")

    def source(
        self, *, on_picture: Callable[[Engine, int, Tensor], None] = lambda engine, index, picture: None
    ) -> FrameSource:
        """Returns the source of the frames of the cell's film. `on_picture` is called with every picture of it."""

        def frames(
            engine: Engine, *, start: int = 0, state: State | None = None, on_step: OnStep | None = None
        ) -> Generator[Frame]:
            for frame in self._frames(engine, start=start, state=state, on_step=on_step):
                on_picture(engine, frame.index, frame.picture)
                yield frame

        return frames

    def _frames(self, engine: Engine, *, start: int, state: State | None, on_step: OnStep | None) -> Generator[Frame]:
        engine = replace(engine, memo=self.memo)
        keeper, index = _Keeper(self, engine), start
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

    def __init__(self, shared: SharedFrames, engine: Engine) -> None:
        self._work, self._on_frame = shared.work, shared.on_frame
        self._pictures = frozenset(shared.work.pictures)
        self._chain, self._store, self._engine = shared.chain, shared.store, engine
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
            self._on_frame(index)
        if self._engine.network.tile_size != self._tile_size:  # memory has run out: what follows is of another size
            return
        if index in self._pictures:
            self._store.put(self._picture_key(index), quantize(frame.picture, self._bits))
        if chain.dreamed[index]:
            self._keep_state(index, frame.state)

    def _keep_state(self, index: int, state: State) -> None:
        """Stores the state after a dreamed frame where other cells part from this one, and at the ends of segments."""
        following = next((i for i in range(index + 1, len(self._chain.links)) if self._chain.dreamed[i]), None)
        end = len(self._chain.links) if following is None else following
        ends_segment = end // self._segment_frames > index // self._segment_frames
        key = self._state_key(index)
        if index in self._work.states or (ends_segment and index in self._pictures):
            self._store.put(key, state.to_array())
        elif ends_segment and not self._work.has_film:  # a film has a folder of segments
            self._store.put(key, state.to_array())
            self.finish()
            self._temporary = key

    def finish(self) -> None:
        """Removes what was stored to resume this cell alone. Raises StorageError."""
        if self._temporary is not None:
            self._store.remove(self._temporary)
            self._temporary = None

    def latest_state(self, before: int) -> tuple[int, State] | None:
        """Returns the first frame that is to be made, at most `before`, and the state that it is made from."""
        for index in range(min(before, len(self._chain.links)) - 1, -1, -1):
            state = self._state(index)
            if state is not None:
                return index + 1, state
        return None

    def stored_picture(self, index: int) -> Tensor | None:
        """Returns the picture of a frame that another cell has made, None when it is to be dreamed."""
        levels = self._store.get(self._picture_key(index))
        if levels is None:
            return None
        picture = torch.from_numpy(levels.astype(np.float32) / (2**self._bits - 1)).permute(2, 0, 1)[None]
        return picture.contiguous().to(self._engine.device.torch_device)

    def stored_frame(self, index: int) -> Frame | None:
        """Returns a frame of a film that another cell has made; None when it is to be dreamed."""
        if index >= len(self._chain.links):
            return None
        state: State | None = NO_STATE
        if (index + 1) % self._segment_frames == 0 or index + 1 == self._engine.plan.frames.stop:
            dreamed = max((i for i in range(index + 1) if self._chain.dreamed[i]), default=0)
            state = self._state(dreamed)  # saved with the segment that ends here
        picture = self.stored_picture(index) if state is not None else None
        return None if picture is None or state is None else Frame(index, picture, state)

    def _state(self, index: int) -> State | None:
        array = self._store.get(self._state_key(index)) if self._chain.dreamed[index] else None
        if array is None:
            return None
        return State.from_array(np.asarray(array, np.float32), self._engine.device.torch_device)

    def _state_key(self, index: int) -> str:
        return f"state {self._chain.links[index]} {self._machine}"

    def _picture_key(self, index: int) -> str:
        link = self._chain.links[self._chain.next_dreamed(index)]
        return f"picture {link} {index} {self._bits} {self._machine}"
