"""A process of the studio's own that makes pictures: requests and answers are lines of JSON.

It is niced, is started when there is a request, and ends when its standard input does, which is when the studio ends.
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
from typing import Any

from render.errors import RenderError

NICE = 10
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
    """The process of a module whose `main` answers requests, one at a time; it is started when it does not run."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process, None when none runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def request(self, request: Mapping[str, Any]) -> AsyncGenerator[Answer]:
        """Yields the answers to a request. Who does not wait for the last one stops the process.

        Raises ChildEndedError when the process ends before.
        """
        async with self._turn:
            is_answered = False
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
                if not is_answered:
                    await self.stop()

    async def stop(self) -> None:
        """Ends the process; what it has finished is on the disk."""
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
        return self._process


def answer_requests(perform: Callable[[dict[str, Any]], Iterable[Answer]]) -> None:
    """Answers the requests of standard input until it ends, and then ends the process, whatever it is doing."""
    os.nice(NICE)
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
