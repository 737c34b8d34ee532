"""A worker process: reads steps from standard input, performs each, and writes events to standard output.

It keeps the network of the film before. `stop` makes it end the step after the current frame; so does the end of
standard input, which means that the driver has ended, and then the worker ends too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import IO

from render.errors import Interrupted, RenderError
from render.jobs.messages import Event, Step

STOP = b"stop\n"
"""The line that stops the current step; any other one is a step."""
GRACE = 1.5
"""Seconds in which a step ends after its driver has ended; then the process ends at once."""


def main() -> None:
    """Runs the worker until standard input ends."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no event
    Worker(events).run(sys.stdin.buffer)


class Worker:
    """Performs steps, one at a time, in the main thread; another thread reads what the driver says meanwhile."""

    def __init__(self, events: IO[bytes]) -> None:
        self._events = events
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._main = threading.main_thread().ident or 0
        self._is_performing = False

    def run(self, commands: IO[bytes]) -> None:
        """Performs the steps of lines of JSON."""
        signal.signal(signal.SIGINT, self._interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # a thread of Ray that started this blocks it
        for number in (signal.SIGTERM, signal.SIGHUP):  # a signal to all processes reaches the driver too
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=self._read, args=(commands,), daemon=True).start()
        from render.jobs.perform import perform  # noqa: PLC0415  # imports torch, while the driver goes on

        while (step := self._steps.get()) is not None:
            self._is_performing = True
            end = perform(step, self._report)
            self._is_performing = False
            self._report(end)

    def _read(self, commands: IO[bytes]) -> None:
        for line in commands:
            if line == STOP:
                self._stop()
                continue
            try:
                self._steps.put(Step.model_validate_json(line))
            except ValueError:  # without this thread the process would wait for ever
                traceback.print_exc()
                os._exit(RenderError.status)
        self._steps.put(None)
        self._stop()
        time.sleep(GRACE)
        os._exit(Interrupted.status)

    def _stop(self) -> None:
        signal.pthread_kill(self._main, signal.SIGINT)

    def _interrupt(self, number: int, frame: object) -> None:
        if self._is_performing:
            self._is_performing = False  # once: what it cleans up is not interrupted
            raise KeyboardInterrupt

    def _report(self, event: Event) -> None:
        try:
            self._events.write(json.dumps(event.model_dump(mode="json")).encode() + b"\n")
            self._events.flush()
        except OSError:  # the driver has ended
            os._exit(Interrupted.status)


if __name__ == "__main__":
    main()
