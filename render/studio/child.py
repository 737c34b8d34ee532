"""A process of the studio's own that makes pictures: requests and answers are lines of JSON.

It runs at a low priority, is started when there is a request, and ends when there was none for a minute, and with
its standard input, which is when the studio ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from render.errors import RenderError, StorageError
from render.system.cache import cache_folder

NICENESS = 15
"""A film that is made meanwhile on the same cores takes 3 % longer."""
IDLE_SECONDS = 60.0
"""After the last request, before the process and its memory are given back."""
BOOT = (
    "import json, sys; from importlib import import_module; sys.path[:] = json.loads(sys.argv[1]); "
    "import_module(sys.argv[2]).main()"
)
"""A process imports this very package, wherever Python would look, and nothing from the folder that it works in."""
END = "end"
MESSAGE = "message"

Answer = dict[str, Any]
"""An answer to a request; `message` says what went wrong."""


class ChildEndedError(RenderError):
    """The process ended before it had answered."""


class Child:
    """The process of a module whose `main` answers requests, one at a time; it belongs to one event loop."""

    def __init__(self, module: str, *, idle_seconds: float = IDLE_SECONDS, niceness: int = NICENESS) -> None:
        self._module = module
        self._idle_seconds = idle_seconds
        self._niceness = niceness
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, None when none runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def request(self, request: Mapping[str, Any]) -> AsyncGenerator[Answer]:
        """Yields the answers to a request. Closing the generator before the last one ends the process.

        Raises ChildEndedError when the process ends before.
        """
        async with self._turn:
            is_answered = False
            if self._rest is not None:
                self._rest.cancel()
            try:
                process = await self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(OSError):  # a process that has ended is noticed below
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                while line := await process.stdout.readline():
                    answer = json.loads(line)
                    if END in answer:
                        is_answered = True
                        return
                    yield answer
                raise ChildEndedError("the process that makes the pictures has ended")
            finally:
                if is_answered:
                    self._rest = asyncio.create_task(self._end_later())
                else:
                    await self._end()

    async def close(self) -> None:
        """Ends the process once the current request is answered; what it has finished is on the disk."""
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            await self._end()

    async def _end_later(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        self._rest = None  # from here on it is not cancelled
        async with self._turn:
            if self._rest is None:
                await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()  # until its pipes are closed

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-c", BOOT, json.dumps(sys.path), self._module),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C reaches the studio alone
            )
            _set_priority(self._process.pid, self._niceness)
        return self._process


def _set_priority(pid: int, niceness: int) -> None:
    """Sets the priority of a process, and of its session, as Linux schedules sessions against each other."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")


def pictures_folder() -> Path:
    """Returns the folder of the user's cache where processes put pictures. Raises StorageError when there is none."""
    try:
        return cache_folder() / "studio"
    except OSError as error:
        raise StorageError(f"there is no folder for pictures: {error}") from None


def answer_requests(perform: Callable[[dict[str, Any]], Iterable[Answer]]) -> None:
    """Answers the requests of standard input until it ends, and then ends the process, whatever it is doing."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        with os.fdopen(os.dup(0), "rb") as lines:
            for line in lines:
                requests.put(json.loads(line))
        os._exit(0)

    def write(answer: Answer) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            request = requests.get()
            try:
                for answer in perform(request):
                    write(answer)
            except RenderError as error:
                write({MESSAGE: str(error)})
            write({END: True})
    except BrokenPipeError:  # the studio has ended
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(RenderError.status)
