"""Renders as processes of their own, as from a terminal: started, watched, stopped, killed.

They are forked from one that has imported everything, so that they are there at once.
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

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
PATIENCE = 180.0
"""Seconds after which a process that has not ended is a failure."""
PAUSE = 0.001

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["render.cli", "render.production"])
_numbers = itertools.count()


@dataclass(frozen=True)
class Ended:
    """What a process has left: exit status, standard output and standard error."""

    status: int | None
    out: str
    err: str

    @property
    def events(self) -> list[Any]:
        """The output of --json."""
        return [json.loads(line) for line in self.out.splitlines()]


class Run:
    """A process of `render ARGUMENTS` in a folder, in a session of its own. `environment` is added to ours, None takes
    away; `before` is called in the process, first."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str | None] | None = None,
        before: Callable[[], object] | None = None,
    ) -> None:
        self.folder = folder
        self.told = folder.parent / f"{folder.name}.{next(_numbers)}"
        wanted: dict[str, str | None] = {**os.environ, **ONE_THREAD, **(environment or {})}
        given = {key: value for key, value in wanted.items() if value is not None}
        with _one_thread():  # the server is started with the first of its processes
            self.process: ForkServerProcess = _server.Process(
                target=_render, args=(str(folder), str(self.told), arguments, given, before)
            )
            self.process.start()

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.exitcode is None

    def until(self, moment: Callable[[], bool]) -> Run:
        """Waits for a moment, or for the process to end."""
        deadline = time.monotonic() + PATIENCE
        while self.is_running and not moment():
            assert time.monotonic() < deadline, f"nothing happens: {self.output()}"
            time.sleep(PAUSE)
        return self

    def until_frame(self, number: int) -> Run:
        """Waits until a frame is told of, by --json."""
        return self.until(lambda: f'"frame": {number},' in self.output().out)

    def until_there(self, name: str) -> Run:
        """Waits until a file is there."""
        return self.until((self.folder / name).exists)

    def output(self) -> Ended:
        """What has been written so far."""
        out, err = (Path(f"{self.told}.{kind}") for kind in ("out", "err"))
        texts = [path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in (out, err)]
        return Ended(self.process.exitcode, *texts)

    def ended(self) -> Ended:
        """Waits until it has ended."""
        self.process.join(PATIENCE)
        assert not self.is_running, f"does not end: {self.output()}"
        return self.output()

    def send(self, number: int) -> Run:
        """A signal to it and all it has started in its session, as from a terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        return self

    def kill(self) -> Ended:
        """`kill -9`, of it alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.ended()


def rendered(folder: Path, *arguments: str, **how: Any) -> Ended:
    """A whole run."""
    return Run(folder, *arguments, **how).ended()


def strays(folder: Path) -> list[str]:
    """The processes that still work in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line or ("ffmpeg" in line and str(folder) in (process.info["cwd"] or "")):
            found.append(line)
    return found


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = {key: os.environ.get(key) for key in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _render(
    folder: str, told: str, arguments: tuple[str, ...], environment: dict[str, str], before: Callable[[], object] | None
) -> None:
    """What the process does."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, f"{told}.out"), (2, f"{told}.err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    sys.argv = ["render", *arguments]
    if before is not None:
        before()
    from render.cli import main  # noqa: PLC0415  # in the process, after it is as it should be

    main()
