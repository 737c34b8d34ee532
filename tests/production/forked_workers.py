"""Workers of a job, forked from its driver, which has imported everything: they start at once.

The command that starts a worker otherwise is tested by tests/jobs/test_executor.py, and by jobs without this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from types import SimpleNamespace
from typing import IO

from render.jobs import executor, worker

POLL_INTERVAL = 0.002
"""Seconds."""
MAX_FILES = 1024
"""Descriptors below which all of a driver are."""


def fork_workers() -> None:
    """Makes this process, that of a driver, fork its workers; for `preexec` of tests.production.processes.Run."""
    replacement = SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    vars(executor)["subprocess"] = replacement


class Forked:
    """A worker as LocalExecutor uses subprocess.Popen: in a session of its own, with pipes for input and output."""

    def __init__(self, command: list[str], *, stderr: IO[bytes], env: dict[str, str], **_: object) -> None:
        child_input, driver_output = os.pipe()
        driver_input, child_output = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _work((child_input, child_output, stderr.fileno()), env)
        os.close(child_input)
        os.close(child_output)
        self.stdin, self.stdout = os.fdopen(driver_output, "wb"), os.fdopen(driver_input, "rb")
        self._status: int | None = None

    def poll(self) -> int | None:
        """See subprocess.Popen."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self, timeout: float = float("inf")) -> int:
        """See subprocess.Popen."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(POLL_INTERVAL)
        return status

    def kill(self) -> None:
        """See subprocess.Popen."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _work(streams: tuple[int, int, int], environment: dict[str, str]) -> None:
    """The worker's own main function."""
    status = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, MAX_FILES)  # the pipes of other workers among them
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
        os.environ.clear()
        os.environ.update(environment)
        worker.main()
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)
