"""A process that dreams frames of a scene at a small size, and keeps its network for the next request.

python -m render.studio.dream_process FOLDER NICENESS

It reads requests from standard input, writes events to standard output and frames into the folder, which it removes at
its end: that of standard input, when the studio has ended. Once it has started it is as nice as requested, so that a
film that is being made is hardly slowed.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import shutil
import sys
import threading
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import cv2
from torch import Tensor

from render.errors import RenderError
from render.film.atomic import storage_errors, write_unflushed
from render.film.encoder import quantize
from render.pipeline import loop
from render.pipeline.engine import open_engine
from render.pipeline.load import load_text
from render.pipeline.loop import Frame
from render.pipeline.plan import Options, plan
from render.studio.dream_messages import Begun, DreamedFrame, DreamEvent, DreamRequest, Ended
from render.studio.dream_states import StateMemory, beginning
from render.sweep.chain import Chain, chain_of
from render.system.memory import is_out_of_memory

AUTOGROUP = Path("/proc/self/autogroup")
"""Where Linux schedules sessions against each other, the priority of this one is set here."""
MAX_FILES = 600
"""Frames that are kept in the folder."""
CHAINED = 500
"""Frames after the requested one whose states are kept."""


def main() -> None:
    """Runs the process until standard input ends."""
    folder, niceness = Path(sys.argv[-2]), int(sys.argv[-1])
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no event
    with contextlib.suppress(OSError):
        os.nice(niceness)
        AUTOGROUP.write_text(str(niceness), encoding="ascii")
    Dreaming(folder, events).run(sys.stdin.buffer)


@dataclass
class _Scene:
    """A scene of a request: its frames from `next` on, how many it has, what its states depend on,
    its objectives, and whether they are those of the scene from its start on."""

    number: int
    frames: Generator[Frame]
    next: int
    length: int
    chain: Chain
    objectives: list[Tensor]
    is_exact: bool


@dataclass
class Dreaming:
    """Performs requests in the main thread; another thread reads the next one meanwhile, which ends the one before."""

    folder: Path
    events: IO[bytes]
    _requests: queue.SimpleQueue[DreamRequest] = field(default_factory=queue.SimpleQueue)
    _memory: StateMemory = field(default_factory=StateMemory)
    _files: deque[Path] = field(default_factory=deque)
    _count: int = 0

    def run(self, lines: IO[bytes]) -> None:
        """Performs the requests of lines of JSON."""
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        while True:
            request = self._requests.get()
            if not self._is_superseded and request.scenes:
                self._report(Ended(token=request.token, message=self._perform(request)))

    def _read(self, lines: IO[bytes]) -> None:
        for line in lines:
            try:
                self._requests.put(DreamRequest.model_validate_json(line))
            except ValueError:
                traceback.print_exc()
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)

    @property
    def _is_superseded(self) -> bool:
        return not self._requests.empty()

    def _perform(self, request: DreamRequest) -> str:
        """Dreams the frames of a request; returns what is wrong, as a sentence, empty when nothing is."""
        try:
            with contextlib.ExitStack() as stack:
                scenes = [stack.enter_context(self._opened(request, i)) for i in range(len(request.scenes))]
                while scenes and not self._is_superseded:
                    scene = min(scenes, key=lambda each: each.next)
                    if scene.next >= min(request.last or scene.length, scene.length):
                        scenes.remove(scene)
                        continue
                    frame = next(scene.frames)
                    self._announce(request, scene, frame)
                    scene.next = frame.index + 1
            return ""
        except RenderError as error:
            return str(error)
        except Exception as error:
            traceback.print_exc()
            return (
                "not enough memory for this preview" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
            )

    @contextlib.contextmanager
    def _opened(self, request: DreamRequest, number: int) -> Iterator[_Scene]:
        """Opens a scene where its dream begins soonest. Raises RenderError."""
        text = request.scenes[number]
        whole = load_text(text.text, Path(text.path))
        whole = whole.at(str(Path(text.folder) / whole.output.path))
        scene = load_text(text.text, Path(text.path), scale=min(1.0, request.side / max(whole.size)))
        scene = scene.at(str(self.folder / f"preview{Path(scene.output.path).suffix}"))
        engine = open_engine(plan(scene, Options(quiet=True)), autotune=False)
        frame = min(request.frame, scene.length - 1)
        chain = chain_of(engine.plan, min(frame + CHAINED, scene.length - 1))
        begin = beginning(engine, whole, chain, frame=frame, memory=self._memory)
        self._report(Begun(token=request.token, scene=number, frame=begin.frame, source=begin.source))
        objectives: list[Tensor] = []
        frames = loop.frames(
            engine,
            start=begin.frame,
            state=begin.state,
            on_step=lambda octave, step, objective: objectives.append(objective),
        )
        with closing(frames):
            yield _Scene(
                number,
                frames,
                next=begin.frame,
                length=scene.length,
                chain=chain,
                objectives=objectives,
                is_exact=begin.source != "film",
            )

    def _announce(self, request: DreamRequest, scene: _Scene, frame: Frame) -> None:
        """Writes a frame, keeps its state, and reports it."""
        objective = scene.objectives[-1].item() if scene.objectives else math.nan
        scene.objectives.clear()
        if frame.index < len(scene.chain.links) and scene.is_exact:
            self._memory.put(scene.chain.links[frame.index], frame.state)
        self._report(
            DreamedFrame(
                token=request.token,
                scene=scene.number,
                frame=frame.index,
                length=scene.length,
                file=self._write(frame.picture),
                is_lead=frame.index < request.frame,
                objective=None if math.isnan(objective) else objective,
            )
        )

    def _write(self, picture: Tensor) -> str:
        """Writes a picture (1x3xHxW in [0, 1]) into the folder, and removes the oldest; returns its name."""
        self._count += 1
        file = self.folder / f"{self._count}.png"
        _, data = cv2.imencode(".png", quantize(picture, 8)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        with storage_errors(file):
            write_unflushed(file, data.tobytes())
        self._files.append(file)
        if len(self._files) > MAX_FILES:
            self._files.popleft().unlink(missing_ok=True)
        return file.name

    def _report(self, event: DreamEvent) -> None:
        try:
            self.events.write(event.model_dump_json().encode() + b"\n")
            self.events.flush()
        except OSError:  # the studio has ended
            os._exit(0)


if __name__ == "__main__":
    main()
