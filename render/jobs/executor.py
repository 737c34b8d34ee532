"""Executors: what performs steps, some at a time. `LocalExecutor` does it in processes of this machine that stay warm.

Another executor, such as one on a cluster, is another class with the methods of `Executor`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from render.errors import MissingError
from render.jobs.messages import EndEvent, Event, FailedEvent, Step, StoppedEvent, parse_event
from render.jobs.worker import STOP

STOP_SECONDS = 1.5
"""Seconds in which a stopped step ends by itself; then its worker is killed, which loses no segment that counts."""
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from render.jobs.worker import main; main()"
"""A worker imports this very package, wherever Python would look, and nothing from the folder that it works in."""
LOG_TAIL = 2000
"""Bytes of the end of a log that are reported."""
FREED_MEMORY = ", as Linux does where memory is short"


@dataclass(frozen=True)
class StepEvent:
    """An event of a step of a task, by the task's id."""

    task: str
    event: Event


class Executor(Protocol):
    """Performs steps. Its methods are called from one thread."""

    @property
    def free(self) -> int:
        """How many more steps can be started now."""

    def expect(self, steps: int) -> None:
        """How many steps there are to be performed, those that run among them."""

    def start(self, step: Step) -> int | None:
        """Starts a step; returns the id of the process whose end is that of the step too, None if there is none."""

    def stop(self, task: str) -> None:
        """Stops the step of a task: within two seconds it ends, with what counts of it on the disk."""

    def events(self, timeout: float) -> Iterator[StepEvent]:
        """Yields what has happened, after at most `timeout` seconds if nothing has.

        Every step that was started ends with one EndEvent, whatever becomes of its worker.
        """

    def close(self) -> None:
        """Stops all steps, and ends the workers."""


@dataclass
class _Worker:
    """A worker process, and what it does. `deadline` is when it is killed, if it was stopped."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    step: Step | None = None
    deadline: float | None = None
    reader: threading.Thread | None = None


class LocalExecutor:
    """Worker processes on this machine, started when there is something to do.

    Where there are several GPUs, each worker sees one of them.
    """

    def __init__(self, workers: int, logs: Path, *, boot: str | None = None) -> None:
        """`logs` is the folder for what the workers write on standard error, `boot` the code that they run."""
        self._count, self._logs, self._boot = workers, logs, boot or BOOT
        self._workers: dict[int, _Worker] = {}
        self._queue: queue.SimpleQueue[tuple[_Worker, Event | None]] = queue.SimpleQueue()

    @property
    def free(self) -> int:
        """See Executor."""
        return self._count - sum(worker.step is not None for worker in self._workers.values())

    def expect(self, steps: int) -> None:
        """See Executor. Workers are started with their steps."""

    def start(self, step: Step) -> int:
        """See Executor. Raises MissingError when no process can be started."""
        worker = self._idle_worker()
        worker.step, worker.deadline = step, None
        self._send(worker, json.dumps(step.model_dump(mode="json")).encode() + b"\n")
        return worker.process.pid

    def stop(self, task: str) -> None:
        """See Executor."""
        for worker in self._workers.values():
            if worker.step is not None and worker.step.task.id == task and worker.deadline is None:
                worker.deadline = time.monotonic() + STOP_SECONDS
                self._send(worker, STOP)

    def events(self, timeout: float) -> Iterator[StepEvent]:
        """See Executor."""
        deadlines = [worker.deadline for worker in self._workers.values() if worker.deadline is not None]
        until = min([time.monotonic() + timeout, *deadlines])
        with contextlib.suppress(queue.Empty):
            yield from self._event(*self._queue.get(timeout=max(until - time.monotonic(), 0)))
            while True:
                yield from self._event(*self._queue.get_nowait())
        for worker in self._workers.values():
            if worker.deadline is not None and time.monotonic() >= worker.deadline:
                worker.process.kill()

    def close(self) -> None:
        """See Executor."""
        for worker in self._workers.values():
            with contextlib.suppress(OSError):
                assert worker.process.stdin is not None
                worker.process.stdin.close()  # a worker whose driver has ended ends too
        until = time.monotonic() + STOP_SECONDS
        for worker in self._workers.values():
            try:
                worker.process.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            if worker.reader is not None:
                worker.reader.join()
        self._workers.clear()

    def _idle_worker(self) -> _Worker:
        for worker in self._workers.values():
            if worker.step is None and worker.process.poll() is None:
                return worker
        number = next(n for n in range(1, self._count + 1) if n not in self._workers or self._workers[n].step is None)
        self._workers[number] = worker = self._new_worker(number)
        return worker

    def _new_worker(self, number: int) -> _Worker:
        log = self._logs / f"worker-{number}.txt"
        try:
            with log.open("wb") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", self._boot, json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **gpu_variables(number)},
                    start_new_session=True,  # Ctrl-C reaches the driver alone
                )
        except OSError as error:
            raise MissingError(f"cannot start a worker process: {error.strerror}") from None
        worker = _Worker(number, process, log)
        worker.reader = threading.Thread(target=self._read, args=(worker,), daemon=True)
        worker.reader.start()
        return worker

    def _send(self, worker: _Worker, line: bytes) -> None:
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):  # a worker that has ended is noticed by its reader
            worker.process.stdin.write(line)
            worker.process.stdin.flush()

    def _read(self, worker: _Worker) -> None:
        """Puts what a worker says into the queue, and None at its end."""
        assert worker.process.stdout is not None
        with worker.process.stdout as lines, contextlib.suppress(OSError, ValueError):
            for line in lines:
                self._queue.put((worker, parse_event(line)))
        self._queue.put((worker, None))

    def _event(self, worker: _Worker, event: Event | None) -> Iterator[StepEvent]:
        step = worker.step
        if event is None:
            event = _end_of_worker(worker)
        if step is None:
            return
        if isinstance(event, EndEvent):
            worker.step = worker.deadline = None
        yield StepEvent(step.task.id, event)


def _end_of_worker(worker: _Worker) -> EndEvent:
    """What a worker's end means for its step: it was stopped too slowly, or something killed it."""
    was_stopped = worker.deadline is not None
    worker.process.kill()
    status = worker.process.wait()
    if was_stopped:
        return StoppedEvent()
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        message = f"its worker process was killed by signal {-status} ({name})"
        message += FREED_MEMORY if -status == signal.SIGKILL else ""
    else:
        message = f"its worker process ended with status {status}"
    detail = log_tail(worker.log)
    return FailedEvent(status=MissingError.status, message=message, may_pass=True, detail=detail)


def log_tail(log: Path) -> str:
    """Returns the end of a log; an empty text when it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - LOG_TAIL, 0))
            return file.read(LOG_TAIL).decode("utf-8", errors="replace")
    except OSError:
        return ""


def gpu_variables(number: int) -> dict[str, str]:
    """Returns the environment variables that show a worker, counted from 1, one GPU of several."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        gpus = sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)
    else:
        gpus = [name for name in visible.split(",") if name]
    return {"CUDA_VISIBLE_DEVICES": gpus[(number - 1) % len(gpus)]} if len(gpus) > 1 else {}


def end_process(pid: int, started: float, *, timeout: float) -> None:
    """Ends a worker of a driver that has died: waits until it has ended, and kills it after `timeout` seconds.

    `started` is when it began, in seconds since 1970: another process may have its id by now.
    """
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < 1:
            try:
                process.wait(timeout)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout)


def start_time(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None when it has ended."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
