"""The bridge: the process that is connected to Ray. It keeps workers on the nodes and gives them the driver's steps.

It ends when its driver does, or when the cluster fails; then its workers end too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from render.errors import MissingError, RenderError
from render.farm.cluster import Node, Shape, UnreachableError, connected, nodes
from render.farm.facts import versions
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
    parse_command,
)
from render.farm.slot import BUSY, CLOSED, PENDING, READY, Slot
from render.jobs.messages import Event, FailedEvent, Step, StoppedEvent, WarningEvent

TICK = 0.1
"""Seconds between looks at the slots."""
NODES_SECONDS = 1.0
"""Between looks at the nodes."""
SILENT_SECONDS = 20.0
"""Without an answer about the nodes, after which the connection counts as failed."""
NO_ROOM_SECONDS = 15.0
"""In which a node appears that a worker fits on."""
IDLE_SECONDS = 30.0
"""After which a worker that nothing waits for is ended, so that others have its place."""
MAX_STARTS = 3
"""Workers that do not start on a node; then it takes no part."""
MAX_PENDING = 32
"""Workers that start at the same time."""
GPU_WORKER_CPUS = 2.0
"""Processors of a worker that has a GPU."""
CLOSE_SECONDS = 2.0
"""In which the workers end."""
END_SECONDS = 8.0
"""In which the bridge ends after its driver."""


def main() -> None:
    """Runs the bridge until standard input ends."""
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints is no report
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the driver says when to end
        signal.signal(number, signal.SIG_IGN)
    commands = sys.stdin.buffer
    settings = Settings.model_validate_json(commands.readline())
    send = Sender(reports)
    try:
        with connected(settings.address):
            bridge = Bridge(settings, send)
            send(ConnectedReport())
            bridge.run(commands)
    except RenderError as error:
        may_pass = isinstance(error, UnreachableError)
        send(FailureReport(status=error.status, message=str(error), may_pass=may_pass))
    sys.stderr.flush()
    os._exit(0)  # threads may wait for Ray


class Sender:
    """Writes reports as lines of JSON, from several threads."""

    def __init__(self, reports: IO[bytes]) -> None:
        self._reports = reports
        self._lock = threading.Lock()

    def __call__(self, report: Report) -> None:
        """Writes a report; when the driver has ended, nothing."""
        line = json.dumps(report.model_dump(mode="json")).encode() + b"\n"
        with self._lock:
            try:
                self._reports.write(line)
                self._reports.flush()
            except OSError:
                os._exit(0)


@dataclass
class _Waiting:
    """A step that waits for a worker, and the nodes that refused it."""

    step: Step
    refused: set[str] = field(default_factory=set)


class Bridge:
    """Keeps slots on the nodes. `run` is the only method of the main thread; slots call the others."""

    def __init__(self, settings: Settings, send: Sender) -> None:
        self.settings, self._send = settings, send
        self.versions = versions()
        self._nodes = {node.id: node for node in nodes()}
        self._nodes_at = time.monotonic()
        has_gpus = any(node.resources.get("GPU", 0) > 0 for node in self._nodes.values())
        gpus = settings.gpus if settings.gpus is not None else float(has_gpus)
        cpus = settings.cpus or (GPU_WORKER_CPUS if gpus else settings.default_cpus)
        self.shape = Shape(cpus=cpus, gpus=gpus, memory=settings.memory)
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._refused_by: dict[str, set[str]] = {}
        self._refused: dict[str, str] = {}
        self._failed_starts = Counter[str]()
        self._notes: list[str] = []
        self._slots: list[Slot] = []
        self._demand = self._ready = 0
        self._room_at = time.monotonic()
        self._is_closing = False

    def run(self, lines: IO[bytes]) -> None:
        """Obeys commands until there are no more. Raises RenderError when the cluster fails, or nothing fits on it."""
        commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(lines, commands), daemon=True).start()
        threading.Thread(target=self._watch_nodes, daemon=True).start()
        next_look = time.monotonic()
        try:
            while True:
                try:
                    command = commands.get(timeout=max(next_look - time.monotonic(), 0))
                except queue.Empty:
                    next_look = time.monotonic() + TICK
                    self._look()
                else:
                    if command is None:
                        return
                    self._obey(command)
        finally:
            self._close()

    def take(self, slot: Slot) -> Step | None:
        """See Owner."""
        with self._changed:
            while not self._is_closing and slot in self._slots:
                for waiting in self._waiting:
                    if slot.node.id not in waiting.refused:
                        self._waiting.remove(waiting)
                        self._refused_by[waiting.step.task.id] = waiting.refused
                        slot.task = waiting.step.task.id
                        return waiting.step
                self._changed.wait()
        return None

    def report(self, task: str, event: Event) -> None:
        """See Owner."""
        self._send(StepReport(task=task, event=event))

    def give_back(self, step: Step, node: Node, refusal: FailedEvent) -> None:
        """See Owner."""
        with self._changed:
            refused = self._refused_by.get(step.task.id, set()) | {node.id}
            others = self._usable() - refused
            if others:
                self._waiting.append(_Waiting(step, refused))
                self._changed.notify_all()
        if others:
            self.report(step.task.id, WarningEvent(message=f"{node.name} refused: {refusal.message}"))
        else:
            self.report(step.task.id, refusal)

    def refuse(self, node: Node, reason: str) -> None:
        """See Owner."""
        with self._changed:
            if node.id not in self._refused:
                self._refused[node.id] = f"{node.name}: {reason}"
                self._notes.append(f"{node.name} takes no part: {reason}")
                print(self._refused[node.id], file=sys.stderr, flush=True)

    def note_failed_start(self, node: Node, reason: str, *, is_certain: bool) -> None:
        """See Owner."""
        with self._changed:
            self._failed_starts[node.id] += 1
            count = self._failed_starts[node.id]
        if is_certain or count >= MAX_STARTS:
            self.refuse(node, f"no worker starts there: {reason}")

    def _usable(self) -> set[str]:
        """The ids of the nodes that workers fit on."""
        return {
            node.id for node in self._nodes.values() if node.id not in self._refused and self.shape.fits(node.resources)
        }

    def _watch_nodes(self) -> None:
        while not self._is_closing:
            found = {node.id: node for node in nodes()}
            self._nodes, self._nodes_at = found, time.monotonic()
            time.sleep(NODES_SECONDS)

    def _obey(self, command: Command) -> None:
        match command:
            case DemandCommand(steps=steps):
                self._demand = steps
            case PerformCommand(step=step):
                with self._changed:
                    notes, self._notes = self._notes, []
                    self._waiting.append(_Waiting(step))
                    self._changed.notify_all()
                for note in notes:
                    self.report(step.task.id, WarningEvent(message=note))
            case StopCommand(task=task):
                self._stop(task)

    def _stop(self, task: str) -> None:
        with self._changed:
            waiting = [each for each in self._waiting if each.step.task.id == task]
            for each in waiting:
                self._waiting.remove(each)
        if waiting:
            self.report(task, StoppedEvent())
        for slot in list(self._slots):
            if slot.task == task:
                slot.stop()

    def _look(self) -> None:
        """Starts and ends workers as the demand and the nodes are. Raises RenderError."""
        now = time.monotonic()
        if now > self._nodes_at + SILENT_SECONDS:
            raise UnreachableError(f"the cluster {self.settings.address} does not answer any more")
        with self._changed:
            self._slots = [slot for slot in self._slots if slot.state != CLOSED]
        usable = self._usable()
        if usable or self._ready:
            self._room_at = now
        elif now > self._room_at + NO_ROOM_SECONDS:
            raise self._no_room()
        wanted = min(self._demand, self.settings.workers or self._demand)
        refusing = self._refusing()
        self._release(len(self._slots) - wanted, refusing)
        self._add(wanted - len(self._slots), usable - refusing)
        ready = sum(slot.state in (READY, BUSY) for slot in self._slots)
        if ready != self._ready:
            self._ready = ready
            self._send(WorkersReport(count=ready))

    def _refusing(self) -> set[str]:
        """The ids of the nodes that have refused all steps that wait; empty when none does."""
        with self._changed:
            refused = [waiting.refused for waiting in self._waiting]
        return set.intersection(*refused) if refused else set()

    def _release(self, count: int, refusing: set[str]) -> None:
        """Ends workers that nothing waits for: that have not started, that are idle for long, or that refuse."""
        now = time.monotonic()
        for slot in list(self._slots):
            is_idle = slot.state == READY and slot.task is None and now > slot.changed_at + IDLE_SECONDS
            is_refusing = slot.state != BUSY and slot.node.id in refusing
            if is_refusing or (count > 0 and (slot.state == PENDING or is_idle)):
                count -= 1
                with self._changed:
                    if slot.task is None:  # it has not been given a step just now
                        self._slots.remove(slot)
                        slot.close()
                        self._changed.notify_all()

    def _add(self, count: int, usable: set[str]) -> None:
        """Starts workers, each on the node with the most room."""
        count = min(count, MAX_PENDING - sum(slot.state == PENDING for slot in self._slots))
        room = {each: self.shape.fits(self._nodes[each].resources) for each in usable if each in self._nodes}
        for slot in self._slots:
            if slot.node.id in room:
                room[slot.node.id] -= 1
        for _ in range(count):
            chosen = max(room, key=lambda each: room[each], default=None)
            if chosen is None or room[chosen] <= 0:
                break
            room[chosen] -= 1
            self._slots.append(Slot(self, self._nodes[chosen]))

    def _no_room(self) -> MissingError:
        if self._refused and all(node in self._refused for node in self._nodes):
            reasons = "\n".join(f"  {reason}" for reason in self._refused.values())
            return MissingError(f"no machine of the cluster can make these films:\n{reasons}")
        return MissingError(
            f"no machine of the cluster {self.settings.address} has room for a worker, which takes {self.shape}; "
            "--cpus and --gpus say what it takes"
        )

    def _close(self) -> None:
        """Ends the workers: those that answer by themselves, the others by force."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for slot in self._slots:
            slot.close()
        until = time.monotonic() + CLOSE_SECONDS
        while time.monotonic() < until and any(slot.state != CLOSED for slot in self._slots):
            time.sleep(0.02)
        for slot in self._slots:
            slot.kill()


def _read(lines: IO[bytes], commands: queue.SimpleQueue[Command | None]) -> None:
    for line in lines:
        commands.put(parse_command(line))
    commands.put(None)
    time.sleep(END_SECONDS)
    os._exit(0)  # the main thread waits for a cluster that has failed
