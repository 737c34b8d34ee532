"""Renders as processes of their own, as from a terminal: started, observed, stopped, killed.

They are forked from one process that has imported everything and loaded the network, so that they start at once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil

TIMEOUT = 180.0
"""Seconds after which a process that has not ended is a failure."""
POLL_INTERVAL = 0.002
"""Seconds, less than a tenth of a frame's."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["render.cli.main", "render.pipeline.job", "tests.production.preloaded"])
_numbers = itertools.count()


@dataclass(frozen=True)
class Result:
    """The exit status of a process (None while it runs), its standard output and its standard error."""

    status: int | None
    out: str
    err: str

    @property
    def events(self) -> list[Any]:
        """The output of --json."""
        return [json.loads(line) for line in self.out.splitlines()]


class Run:
    """A process of `render ARGUMENTS` in a folder, in a session of its own.

    `environment` is added to that of this process; None removes a variable. `preexec` is called first in the process.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str | None] | None = None,
        preexec: Callable[[], object] | None = None,
    ) -> None:
        self.folder = folder
        self._log = folder.parent / f"{folder.name}.{next(_numbers)}"
        merged: dict[str, str | None] = {**os.environ, **(environment or {})}
        variables = {key: value for key, value in merged.items() if value is not None}
        with _server_environment():  # the server starts with the first of its processes
            self.process: ForkServerProcess = _server.Process(
                target=_main, args=(str(folder), str(self._log), arguments, variables, preexec)
            )
            self.process.start()

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.exitcode is None

    def wait_until(self, condition: Callable[[], bool]) -> Run:
        """Waits for a condition, or for the end of the process."""
        deadline = time.monotonic() + TIMEOUT
        while self.is_running and not condition():
            assert time.monotonic() < deadline, f"the condition does not become true: {self.result()}"
            time.sleep(POLL_INTERVAL)
        return self

    def wait_for_frame(self, number: int) -> Run:
        """Waits until --json reports a frame."""
        out, report = Path(f"{self._log}.out"), f'"frame": {number},'.encode()
        return self.wait_until(lambda: out.exists() and report in out.read_bytes())

    def wait_for_file(self, name: str) -> Run:
        """Waits until a file exists in the folder."""
        return self.wait_until((self.folder / name).exists)

    def result(self) -> Result:
        """What has been written so far."""
        out, err = (Path(f"{self._log}.{kind}") for kind in ("out", "err"))
        texts = [path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in (out, err)]
        return Result(self.process.exitcode, *texts)

    def wait(self) -> Result:
        """Waits for the end of the process."""
        self.process.join(TIMEOUT)
        assert not self.is_running, f"does not end: {self.result()}"
        return self.result()

    def send_signal(self, number: int) -> Run:
        """Sends a signal to it and to all that it started in its session, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        return self

    def kill(self) -> Result:
        """`kill -9` of this process alone; waits for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def run_render(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    preexec: Callable[[], object] | None = None,
) -> Result:
    """Runs `render ARGUMENTS` in a folder to its end; see Run."""
    return Run(folder, *arguments, environment=environment, preexec=preexec).wait()


def running_processes(folder: Path) -> list[str]:
    """The command lines of processes that still work in a folder."""
    lines = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line or ("ffmpeg" in line and str(folder) in (process.info["cwd"] or "")):
            lines.append(line)
    return lines


@contextlib.contextmanager
def _server_environment() -> Iterator[None]:
    added = {"PYTHONPATH": str(Path(__file__).parents[2])}
    before = {key: os.environ.get(key) for key in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _main(
    folder: str, log: str, arguments: tuple[str, ...], environment: dict[str, str], preexec: Callable[[], object] | None
) -> None:
    """The process's own main function."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, f"{log}.out"), (2, f"{log}.err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    sys.argv = ["render", *arguments]
    if preexec is not None:
        preexec()
    from render.cli.main import main  # noqa: PLC0415  # after the streams were replaced

    main()
