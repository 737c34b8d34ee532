"""Frames of the dream as they are finished, from a process of its own that is started again when it was killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from render.errors import RenderError
from render.studio.dream_messages import Begun, DreamedFrame, DreamEvent, DreamRequest, Ended, SceneText, parse_event
from render.text import escape_lines

BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from render.studio.dream_process import main; main()"
"""The process imports this very package, and nothing from the folder that it is started in."""
LOG = "log.txt"
"""The file in the folder with what the process writes on standard error."""
NICENESS = 15
"""Of the process: beside a film that takes all processors it has 3 % of them (Linux: 36 of 36 + 1024 shares)."""
MAX_RESTARTS = 3
"""Of the process, without a new frame in between."""
STOP_SECONDS = 2.0


class PreviewError(RenderError):
    """A scene cannot be previewed; the message is a sentence."""


class DreamPreview:
    """A process that dreams previews, one at a time: of a scene, or of two beside each other.

    It is started with the first preview; `folder` has the files of its frames.
    """

    def __init__(self, *, niceness: int = NICENESS) -> None:
        self._niceness = niceness
        self.folder = Path(tempfile.mkdtemp(prefix="render-preview-"))
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._tokens = itertools.count(1)
        self._events: asyncio.Queue[DreamEvent | None] = asyncio.Queue()

    async def frames(
        self, scenes: Sequence[SceneText], frame: int, *, side: int = 256, last: int | None = None
    ) -> AsyncGenerator[DreamedFrame | Begun]:
        """Yields the frames of scenes from a frame on, up to `last` (exclusive), and first those that lead up to it.

        Another call ends this one. Raises PreviewError.
        """
        token = str(next(self._tokens))
        request = DreamRequest(token=token, scenes=tuple(scenes), frame=frame, last=last, side=side)
        self._events.put_nowait(None)  # ends the call before
        events = self._events = asyncio.Queue()
        restarts = 0
        try:
            await self._send(request)
            while True:
                event = await events.get()
                if event is None and events is not self._events:
                    return
                if event is None:
                    restarts += 1
                    if restarts > MAX_RESTARTS:
                        raise PreviewError("the process of the preview ends again and again; a smaller size may help")
                    await self._send(request)
                elif event.token != token:
                    continue
                elif isinstance(event, Ended):
                    if event.message:
                        raise PreviewError(escape_lines(event.message))
                    return
                else:
                    if isinstance(event, DreamedFrame):
                        restarts = 0
                        request = request.model_copy(update={"frame": max(frame, event.frame)})
                    yield event
        finally:
            if events is self._events and self.is_running:
                with contextlib.suppress(OSError):
                    await self._send(DreamRequest(token=token))

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The id of the process, None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def stop(self) -> None:
        """Ends the process, and removes its files."""
        self._events.put_nowait(None)
        self._events = asyncio.Queue()
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            await self._reader
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _send(self, request: DreamRequest) -> None:
        """Sends a request to the process, which is started if there is none. Raises PreviewError."""
        for _ in range(MAX_RESTARTS):
            process = self._process if self.is_running and self._process is not None else await self._start()
            assert process.stdin is not None
            with contextlib.suppress(ConnectionError):
                process.stdin.write(request.model_dump_json().encode() + b"\n")
                await process.stdin.drain()
                return
            await process.wait()
        raise PreviewError("the process of the preview does not start")

    async def _start(self) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with (self.folder / LOG).open("ab") as errors:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-c", BOOT, json.dumps(sys.path), str(self.folder), str(self._niceness)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
        except OSError as error:
            raise PreviewError(f"the process of the preview does not start: {error.strerror}") from None
        self._process = process
        self._reader = asyncio.create_task(self._read(process))
        return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(ValueError):
                self._events.put_nowait(parse_event(line))
        await process.wait()
        if process is self._process:
            self._process = None
            self._events.put_nowait(None)
