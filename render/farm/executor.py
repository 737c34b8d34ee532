"""The executor of a job on a Ray cluster: a bridge process, and what becomes of the steps when that ends."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from render.errors import MissingError, RenderError
from render.farm.messages import (
    Command,
    ConnectedReport,
    DemandCommand,
    FailureReport,
    PerformCommand,
    Report,
    Settings,
    StepReport,
    StopCommand,
    WorkersReport,
    parse_report,
)
from render.farm.worker import ORPHAN_SECONDS
from render.jobs.executor import StepEvent
from render.jobs.messages import EndEvent, Step, StoppedEvent

BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from render.farm.bridge import main; main()"
LOG = "cluster.txt"
"""The standard error of the bridge, in the folder of the job's logs."""
CONNECT_SECONDS = 90.0
"""In which a cluster answers."""
RECONNECT_SECONDS = 90.0
"""In which a cluster that has failed is there again; then the job ends, and its tasks wait."""
RETRY_SECONDS = 2.0
"""Between attempts to connect."""
CLOSE_SECONDS = 10.0
"""In which a bridge ends, and with it a cluster of its own."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's future default, without which it warns
    "PYTHONWARNINGS": "ignore",
}


@dataclass
class _Bridge:
    """A bridge process. `reason` is why it has ended."""

    process: subprocess.Popen[bytes]
    is_connected: bool = False
    reason: FailureReport | None = None


class RayExecutor:
    """Performs steps on the workers of a Ray cluster."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        """Connects to the cluster; `logs` is a folder. Raises MissingError when it cannot be reached or used."""
        self._settings, self._log = settings, logs / LOG
        self._queue: queue.SimpleQueue[tuple[_Bridge, Report | None]] = queue.SimpleQueue()
        self._running: dict[str, float | None] = {}
        self._workers = self._demand = 0
        self._disconnected_at: float | None = None
        self._next_try = 0.0
        self._log.unlink(missing_ok=True)
        self._bridge: _Bridge | None = self._open_bridge()
        try:
            self._wait_for_connection()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """See Executor."""
        return max(self._workers - len(self._running), 0)

    def expect(self, steps: int) -> None:
        """See Executor."""
        if steps != self._demand:
            self._demand = steps
            self._send(DemandCommand(steps=steps))

    def start(self, step: Step) -> int | None:
        """See Executor. Returns the bridge's id: when it has ended, so have its workers."""
        self._running[step.task.id] = None
        self._send(PerformCommand(step=step))
        return None if self._bridge is None else self._bridge.process.pid

    def stop(self, task: str) -> None:
        """See Executor."""
        if self._running.get(task) is not None:
            self._running[task] = 0.0  # nothing more is to be waited for
        self._send(StopCommand(task=task))

    def events(self, timeout: float) -> Iterator[StepEvent]:
        """See Executor. Raises RenderError when the cluster does not come back, or nothing fits on it any more."""
        with contextlib.suppress(queue.Empty):
            yield from self._deal_with(*self._queue.get(timeout=timeout))
            while True:
                yield from self._deal_with(*self._queue.get_nowait())
        now = time.monotonic()
        for task in [task for task, ended_at in self._running.items() if ended_at is not None and now >= ended_at]:
            del self._running[task]
            yield StepEvent(task, StoppedEvent())
        self._reconnect()

    def close(self) -> None:
        """See Executor."""
        if self._bridge is not None:
            _end(self._bridge.process)
            self._bridge = None

    def _open_bridge(self) -> _Bridge:
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", BOOT, json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **ENVIRONMENT},
                    start_new_session=True,  # Ctrl-C reaches the driver alone
                )
        except OSError as error:
            raise MissingError(f"cannot start a process for the cluster: {error.strerror}") from None
        bridge = _Bridge(process)
        _write(bridge, self._settings)
        threading.Thread(target=self._read, args=(bridge,), daemon=True).start()
        return bridge

    def _wait_for_connection(self) -> None:
        until = time.monotonic() + CONNECT_SECONDS
        while self._bridge is None or not self._bridge.is_connected:
            with contextlib.suppress(queue.Empty):
                for _ in self._deal_with(*self._queue.get(timeout=max(until - time.monotonic(), 0))):
                    pass
            if self._bridge is None or time.monotonic() >= until:
                raise MissingError(f"the cluster {self._settings.address} does not answer; {self._log} says more")

    def _read(self, bridge: _Bridge) -> None:
        """Puts what a bridge says into the queue, and None at its end."""
        assert bridge.process.stdout is not None
        with bridge.process.stdout as lines, contextlib.suppress(OSError, ValueError):
            for line in lines:
                self._queue.put((bridge, parse_report(line)))
        self._queue.put((bridge, None))

    def _send(self, command: Command) -> None:
        if self._bridge is not None:
            _write(self._bridge, command)

    def _deal_with(self, bridge: _Bridge, report: Report | None) -> Iterator[StepEvent]:
        if bridge is not self._bridge:
            return
        match report:
            case ConnectedReport():
                bridge.is_connected, self._disconnected_at = True, None
                self._send(DemandCommand(steps=self._demand))
            case WorkersReport(count=count):
                self._workers = count
            case StepReport(task=task, event=event) if task in self._running:
                if isinstance(event, EndEvent):
                    del self._running[task]
                yield StepEvent(task, event)
            case FailureReport():
                bridge.reason = report
            case None:
                yield from self._handle_end(bridge)

    def _handle_end(self, bridge: _Bridge) -> Iterator[StepEvent]:
        """Deals with the end of a bridge: its workers end too, and another one is opened unless that is pointless."""
        _end(bridge.process)
        now, self._bridge, self._workers = time.monotonic(), None, 0
        reason = bridge.reason
        is_first = self._disconnected_at is None and not bridge.is_connected
        if reason is not None and (is_first or not reason.may_pass):
            for task in list(self._running):
                del self._running[task]
                yield StepEvent(task, StoppedEvent())
            raise _error(reason)
        self._disconnected_at = self._disconnected_at or now
        self._next_try = now + RETRY_SECONDS
        for task, ended_at in self._running.items():
            self._running[task] = now + ORPHAN_SECONDS if ended_at is None else ended_at

    def _reconnect(self) -> None:
        now = time.monotonic()
        if self._disconnected_at is None:
            return
        if now >= self._disconnected_at + RECONNECT_SECONDS and not self._running:
            raise MissingError(
                f"the cluster {self._settings.address} does not answer any more, and did not in "
                f"{RECONNECT_SECONDS:.0f} s; all tasks wait, and the same command goes on"
            )
        if self._bridge is None and now >= self._next_try:
            self._bridge = self._open_bridge()


def _write(bridge: _Bridge, message: Settings | Command) -> None:
    assert bridge.process.stdin is not None
    with contextlib.suppress(OSError):  # a bridge that has ended is noticed by its reader
        bridge.process.stdin.write(json.dumps(message.model_dump(mode="json")).encode() + b"\n")
        bridge.process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets a bridge end with its workers, and kills it when it does not."""
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _error(reason: FailureReport) -> RenderError:
    error = RenderError(reason.message)
    error.status = reason.status
    return error
