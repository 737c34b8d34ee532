"""A film is made in pieces, each of which is dreamed, kept and, when it is lost or damaged, made again."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from render import api, loop, machine
from render.dream.ascent import OnStep
from render.dream.networks import Network
from render.errors import StorageError
from render.film.checkpoint import Checkpoint
from render.film.encoder import Format, Segment
from render.film.files import replacing
from render.scene.model import Scene
from render.threads import Behind

TRIES = 3
"""So many times a segment is made that is damaged as soon as it is there; then the disk is to blame."""

Warn = Callable[[str], None]
"""Hears, in a sentence, of what is no error."""


@dataclass(frozen=True)
class Progress:
    """What is told after every frame: its index, the film's first frame and the one after its last, and the objective
    before the last step of the last dreamed frame (None when nothing was asked for, or nothing could change)."""

    index: int
    first: int
    last: int
    objective: float | None


@dataclass(frozen=True)
class Piece:
    """The frames between two checkpoints; what only leads up to others is not `kept`, its frames become no segment."""

    number: int
    frames: range
    kept: bool


def cut(first: int, last: int, length: int) -> list[Piece]:
    """Up to `first`, then up to `last`, at most `length` frames at a time."""
    starts = [*range(0, first, length), *range(first, last, length)]
    stops = [*starts[1:], last]
    return [Piece(n, range(*ends), ends[0] >= first) for n, ends in enumerate(zip(starts, stops, strict=True))]


def lost(pieces: list[Piece], checkpoint: Checkpoint) -> list[Piece]:
    """Those to be kept that are not yet there, or damaged."""
    numbers = set(checkpoint.lost(piece.number for piece in pieces if piece.kept))
    return [piece for piece in pieces if piece.number in numbers]


@dataclass
class Maker:
    """Makes pieces of a scene's film and keeps them in a checkpoint."""

    scene: Scene
    network: Network
    form: Format
    pieces: list[Piece]
    checkpoint: Checkpoint
    on_step: OnStep | None
    warn: Warn

    def __post_init__(self) -> None:
        self._idle = False  # that it was told
        self._tile = self.network.tile

    def made(self) -> Generator[Progress]:
        """Makes all that is lost, until all is there. Raises StorageError when the disk damages what is written."""
        tries: Counter[int] = Counter()
        while missing := lost(self.pieces, self.checkpoint):
            run = [piece for i, piece in enumerate(missing) if piece.number == missing[0].number + i]
            tries.update(piece.number for piece in run)
            if max(tries.values()) > TRIES:
                raise StorageError(f"what is written to {self.checkpoint.folder} comes back damaged; see to its disk")
            if self.pieces[-1].number - run[-1].number > len(missing) - len(run):  # later ones are there
                frames = f"frames {run[0].frames.start} to {run[-1].frames.stop - 1}"
                self.warn(f"{frames} in {self.checkpoint.folder} are missing or damaged; they are made again")
            yield from self._dreamed(run)

    def _dreamed(self, run: list[Piece]) -> Generator[Progress]:
        """Dreams a run of pieces, and whatever leads up to it; they are kept meanwhile, a few frames behind."""
        number, state = self.checkpoint.before(run[0].number)
        lead = [replace(piece, kept=False) for piece in self.pieces[number : run[0].number]]
        canvas = None if state is None else torch.from_numpy(state).to(self.network.device)
        noted = self.checkpoint.noted(number - 1) if number else {}
        self.network.tile = api.tile(noted, self._tile)  # tiles may have been halved on the way
        self._fit()
        values: list[Tensor] = []
        objective: float | None = None

        def heard(octave: int, step: int, value: Tensor) -> None:
            values.append(value)
            if self.on_step is not None:
                self.on_step(octave, step, value)

        ahead = [*lead, *run]
        first = next(piece.frames.start for piece in self.pieces if piece.kept)
        start, last = ahead[0].frames.start, ahead[-1].frames.stop
        stream = loop.frames(self.scene, self.network, start, canvas, heard)
        with contextlib.closing(stream), Behind(partial(self._keep, ahead)) as behind:
            tile = self.network.tile
            for index, picture, after in islice(stream, last - start):
                behind.give((picture, after, self.network.tile))
                if self.network.tile != tile:
                    tile = self.network.tile
                    self._tell_tiles()
                if values:
                    objective = self._judged(torch.stack(values).tolist(), index)
                    values.clear()
                yield Progress(index, first, self.pieces[-1].frames.stop, objective)

    def _fit(self) -> None:
        """Halves the tiles that the film had before, when the memory that is free today is too little for them: what
        Linux ended for want of memory would be ended again."""
        while api.needed(self.scene, self.network) > machine.free_memory(self.network.device):
            self.network.halve_tile((self.form.size[1], self.form.size[0]))
            self._tell_tiles()

    def _tell_tiles(self) -> None:
        self.warn(f"memory is short; from here on the picture is dreamed in tiles of {self.network.tile} pixels")

    def _keep(self, pieces: list[Piece], frames: Iterator[tuple[Tensor, Tensor, int | None]]) -> None:
        """Keeps each piece once its frames, (picture, canvas, side of the tiles), have come."""
        for piece in pieces:
            with contextlib.ExitStack() as stack:
                if piece.kept:
                    temporary = stack.enter_context(replacing(self.checkpoint.segment(piece.number)))
                    segment = stack.enter_context(Segment(temporary, self.form))
                for picture, after, tiled in islice(frames, len(piece.frames)):
                    canvas, tile = after, tiled
                    if piece.kept:
                        segment.write(picture)
                if piece.kept:
                    segment.finish()
            self.checkpoint.keep(piece.number, canvas.cpu().numpy(), {"tile": tile})

    def _judged(self, values: list[float], index: int) -> float | None:
        """The objective before the last of a frame's steps; None when that step could change nothing, which is told
        once."""
        idle = sum(map(math.isnan, values))
        if idle and not self._idle:
            self._idle = True
            self.warn(
                f"frame {index}: in {idle} of {len(values)} steps the gradient was zero or not a number; "
                "such a step leaves the frame as it was"
            )
        return None if math.isnan(values[-1]) else values[-1]
