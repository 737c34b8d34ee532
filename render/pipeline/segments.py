"""Segments: a film is dreamed in runs of frames, each encoded, committed and, when missing or damaged, made again."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.dream.ascent import OnStep
from render.errors import StorageError
from render.film.atomic import atomic_path
from render.film.checkpoint import Checkpoint
from render.film.encoder import OutputFormat, SegmentEncoder
from render.film.preview import Preview, PreviewWriter
from render.pipeline import loop
from render.pipeline.engine import Engine, gradient_bytes, recorded_tile_size
from render.pipeline.loop import Frame, FrameSource, State
from render.pipeline.pace import Pace
from render.pipeline.sources import READ_LATE
from render.system.memory import free_memory
from render.system.workers import BackgroundWriter

MAX_ATTEMPTS = 3
"""How often a segment is made that is damaged as soon as it is written; then the disk is to blame."""


@dataclass(frozen=True)
class FrameProgress:
    """A finished frame: its index, the run's first frame and the one after its last, and the objective.

    The objective is the one before the last step of the last dreamed frame; None when nothing is requested, or that
    step could change nothing. `begin` is the frame from which an undisturbed run dreams, where the first frame's shot
    starts. `rate` is in frames a second, and `eta_s` the seconds until the last frame is finished; None until they are
    measured.
    """

    index: int
    first: int
    last: int
    objective: float | None
    begin: int = 0
    rate: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class Callbacks:
    """What a run reports to: every finished frame, every step of ascent, and warnings, each a sentence."""

    on_frame: Callable[[FrameProgress], None] = lambda progress: None
    on_step: OnStep = lambda octave, step, objective: None
    on_warning: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Segment:
    """The frames between two checkpoints. One that only leads up to requested frames is not encoded."""

    number: int
    frames: range
    is_encoded: bool


def split_frames(frames: range, length: int, shots: Collection[int] = (0,)) -> list[Segment]:
    """Splits frames into segments that begin at the multiples of `length`, and where a shot begins.

    So parts of a film that begin there have its segments. The requested frames come after those that lead up to them,
    from the start of their shot on. `shots` are the frames at which a shot begins, 0 among them.
    """
    first = max(shot for shot in shots if shot <= frames.start)
    starts = sorted(
        {first, frames.start}
        | {shot for shot in shots if frames.start < shot < frames.stop}
        | set(range(first - first % length + length, frames.stop, length))
    )
    stops = [*starts[1:], frames.stop]
    return [
        Segment(number, range(start, stop), start >= frames.start)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


class SegmentSink:
    """Encodes frames into segments, in order, and commits each to the checkpoint once its last frame is written.

    `verify` is called before a segment is committed; it raises StorageError when what the frames are made from changed.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        checkpoint: Checkpoint,
        output_format: OutputFormat,
        *,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        self._segments = iter(segments)
        self._checkpoint, self._format, self._verify = checkpoint, output_format, verify
        self._stack = contextlib.ExitStack()
        self._segment: Segment | None = None
        self._encoder: SegmentEncoder | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)  # ends an encoder that has not finished, and removes its file

    def write(self, item: tuple[Frame, int | None]) -> None:
        """Encodes a frame, given with the tile size that it was dreamed with. Raises StorageError."""
        frame, tile_size = item
        if self._encoder is not None:
            self._encoder.write(frame.picture)
        if self._segment is not None and frame.index == self._segment.frames[-1]:
            self._finish(self._segment, frame.state, tile_size)

    def _begin(self) -> None:
        """Starts the next segment's encoder, before the dream takes the memory that its process and thread need."""
        self._segment = segment = next(self._segments, None)
        if segment is not None and segment.is_encoded:
            path = self._stack.enter_context(atomic_path(self._checkpoint.segment_path(segment.number)))
            self._encoder = self._stack.enter_context(SegmentEncoder(path, self._format))

    def _finish(self, segment: Segment, state: State, tile_size: int | None) -> None:
        if self._encoder is not None:
            self._encoder.finish()
        self._verify()
        self._stack.close()
        self._segment = self._encoder = None
        self._checkpoint.commit(segment.number, state.to_array(), note={"tile": tile_size})
        self._begin()


class SegmentWriter:
    """Makes the missing segments of a plan's film, until none is missing."""

    def __init__(
        self,
        engine: Engine,
        segments: Sequence[Segment],
        checkpoint: Checkpoint,
        *,
        callbacks: Callbacks,
        source: FrameSource = loop.frames,
    ) -> None:
        self._engine, self._segments, self._checkpoint = engine, list(segments), checkpoint
        self._callbacks, self._source = callbacks, source
        self._initial_tile_size = engine.network.tile_size
        self._has_warned_of_idle_steps = False
        self._preview = PreviewWriter(checkpoint.folder)

    def run(self) -> Generator[FrameProgress]:
        """Yields the progress of each frame. Raises StorageError when the disk damages what is written."""
        attempts: Counter[int] = Counter()
        while missing := self._missing():
            run = [segment for i, segment in enumerate(missing) if segment.number == missing[0].number + i]
            attempts.update(segment.number for segment in run)
            if max(attempts.values()) > MAX_ATTEMPTS:
                folder = self._checkpoint.folder
                raise StorageError(f"segments written to {folder} read back damaged; check its disk")
            later = self._segments[-1].number - run[-1].number
            if later > len(missing) - len(run):  # some later segments exist
                frames = f"frames {run[0].frames.start} to {run[-1].frames.stop - 1}"
                self._warn(f"{frames} in {self._checkpoint.folder} are missing or damaged; they are made again")
            yield from self._dream(run)

    def _missing(self) -> list[Segment]:
        """The segments to be encoded that are missing or damaged."""
        numbers = set(self._checkpoint.missing(s.number for s in self._segments if s.is_encoded))
        return [segment for segment in self._segments if segment.number in numbers]

    def _dream(self, run: list[Segment]) -> Generator[FrameProgress]:
        """Dreams a run of segments, from the nearest saved state before it; encoding follows a few frames behind."""
        number, saved = self._nearest_state(run[0].number)
        lead = [replace(segment, is_encoded=False) for segment in self._segments[number : run[0].number]]
        state = None if saved is None else State.from_array(saved, self._engine.device.torch_device)
        self._restore_tile_size(number)
        objectives: list[Tensor] = []
        last_objective: float | None = None

        def on_step(octave: int, step: int, objective: Tensor) -> None:
            objectives.append(objective)
            self._callbacks.on_step(octave, step, objective)

        segments = [*lead, *run]
        start, stop = segments[0].frames.start, segments[-1].frames.stop
        first = next(segment.frames.start for segment in self._segments if segment.is_encoded)
        frames = self._source(self._engine, start=start, state=state, on_step=on_step)
        sources = self._engine.plan.sources
        sources.verify()
        verify = partial(sources.verify, READ_LATE)
        sink = SegmentSink(segments, self._checkpoint, self._engine.plan.format, verify=verify)
        tile_size, pace = self._engine.network.tile_size, Pace()
        last, begin = self._segments[-1].frames.stop, self._segments[0].frames.start
        with contextlib.closing(frames), sink, BackgroundWriter(sink.write) as writer:
            for frame in islice(frames, stop - start):
                writer.put((frame, self._engine.network.tile_size))
                if self._engine.network.tile_size != tile_size:
                    tile_size = self._engine.network.tile_size
                    self._warn_of_tiles()
                if objectives:
                    last_objective = self._last_objective(torch.stack(objectives).tolist(), frame.index)
                    objectives.clear()
                rate, eta_s = pace.measure(frame.index, last)
                progress = FrameProgress(
                    frame.index, first, last, objective=last_objective, begin=begin, rate=rate, eta_s=eta_s
                )
                self._preview.put(frame.picture, _preview(progress))
                yield progress

    def _nearest_state(self, number: int) -> tuple[int, NDArray[np.float32] | None]:
        """The last segment up to `number` that can start, with the state before it; None where a shot starts."""
        nearest, saved = self._checkpoint.nearest_state(number)
        shots = self._engine.plan.shots
        starts = [segment.number for segment in self._segments[: number + 1] if segment.frames.start in shots]
        return (max(starts), None) if starts and max(starts) > nearest else (nearest, saved)

    def _restore_tile_size(self, number: int) -> None:
        """Takes up the tile size with which the segment before was made, halved until it fits today's free memory.

        A process that Linux has ended for want of memory would only be ended again.
        """
        record = self._checkpoint.note(number - 1) if number else {}
        network = self._engine.network
        network.tile_size = recorded_tile_size(record, self._initial_tile_size)
        width, height = self._engine.plan.scene.size
        while gradient_bytes(self._engine) > free_memory(self._engine.device.torch_device):
            network.halve((height, width))
            self._warn_of_tiles()

    def _last_objective(self, values: list[float], index: int) -> float | None:
        """The last of a frame's objectives; None when its step changed nothing, of which the first is reported."""
        idle = sum(map(math.isnan, values))
        if idle and not self._has_warned_of_idle_steps:
            self._has_warned_of_idle_steps = True
            self._warn(
                f"frame {index}: in {idle} of {len(values)} steps the gradient was zero or not a number; "
                "such a step leaves the frame as it was"
            )
        return None if math.isnan(values[-1]) else values[-1]

    def _warn_of_tiles(self) -> None:
        size = self._engine.network.tile_size
        self._warn(f"memory is short; from here on the picture is dreamed in tiles of {size} pixels")

    def _warn(self, message: str) -> None:
        self._callbacks.on_warning(message)


def _preview(progress: FrameProgress) -> Preview:
    return Preview(
        frame=progress.index,
        first=progress.first,
        last=progress.last,
        objective=progress.objective,
        rate=progress.rate,
        eta_s=progress.eta_s,
    )
