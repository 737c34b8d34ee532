"""A worker of the cluster as the bridge has it: a thread that gives it steps and fetches what happens."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from render.errors import StorageError
from render.farm.cluster import Node, Shape
from render.farm.facts import difference
from render.farm.files import SceneFile, chunks, require_sendable, scene_file
from render.farm.messages import Settings
from render.farm.worker import LEASE_SECONDS, ORPHAN_SECONDS, FarmWorker
from render.jobs.executor import STOP_SECONDS
from render.jobs.messages import EndEvent, Event, FailedEvent, Step, StoppedEvent, parse_event

FETCH_SECONDS = 2.0
"""In which a worker answers a request for events, if nothing happens."""
CALL_SECONDS = 0.5
"""Between looks at whether a worker that does not answer is to be ended."""
CREATION = "creation task"
"""What Ray says of an actor whose own code raised an error at its start."""
PENDING, READY, BUSY, CLOSED = "pending", "ready", "busy", "closed"


class Closed(Exception):
    """The slot is to end."""


class Owner(Protocol):
    """The bridge, as its slots have it."""

    settings: Settings
    shape: Shape
    versions: dict[str, str]

    def take(self, slot: Slot) -> Step | None:
        """Waits for a step that the slot's node has not refused; None when the slot is to end."""

    def report(self, task: str, event: Event) -> None:
        """Reports what happened in a step."""

    def give_back(self, step: Step, node: Node, refusal: FailedEvent) -> None:
        """Gives a step to the worker of another node; reports the refusal when all have refused it."""

    def refuse(self, node: Node, reason: str) -> None:
        """Gives nothing to a node any more."""

    def note_failed_start(self, node: Node, reason: str, *, is_certain: bool) -> None:
        """Refuses a node on which no worker starts: at once if that is certain, else after some attempts."""


class Slot:
    """A worker on a node, from the request for it to its end."""

    def __init__(self, owner: Owner, node: Node) -> None:
        self.node, self.state = node, PENDING
        self.changed_at = time.monotonic()
        self.task: str | None = None
        self._owner = owner
        self._actor: Any = None
        self._answered_at = time.monotonic()
        self._is_closing = False
        self._stop_at: float | None = None
        self._probed: set[Path] = set()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Stops the current step."""
        if self._stop_at is None:
            self._stop_at = time.monotonic() + STOP_SECONDS + CALL_SECONDS  # it has ended its process by then
            with contextlib.suppress(Exception):
                self._actor.stop.remote(self.task)

    def close(self) -> None:
        """Ends the worker, and what it does."""
        self._is_closing = True
        if self._actor is not None:
            with contextlib.suppress(Exception):
                self._actor.close.remote()

    def kill(self) -> None:
        """Ends the worker at once; its worker process ends in STOP_SECONDS."""
        if self._actor is not None:
            with contextlib.suppress(Exception):
                ray.kill(self._actor)

    def _run(self) -> None:
        step: Step | None = None
        try:
            if not self._begin():
                return
            while (step := self._owner.take(self)) is not None:
                self.task, self._stop_at, self._answered_at = step.task.id, None, time.monotonic()
                self._set(BUSY)
                self._perform(step)
                self.task, step = None, None
                self._set(READY)
        except Closed:
            if step is not None:
                self._owner.report(step.task.id, StoppedEvent())
        except Exception as error:  # Ray raises errors of many kinds
            self._handle_failure(step, error)
        finally:
            self.close() if step is None and self.state != PENDING else self.kill()
            self._set(CLOSED)

    def _set(self, state: str) -> None:
        self.state, self.changed_at = state, time.monotonic()

    def _begin(self) -> bool:
        """Starts the worker; returns whether it may make films."""
        shape = self._owner.shape
        self._actor = (
            ray.remote(FarmWorker)
            .options(
                num_cpus=shape.cpus,
                num_gpus=shape.gpus,
                memory=shape.memory,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=8,
                scheduling_strategy=NodeAffinitySchedulingStrategy(self.node.id, soft=False),
            )
            .remote(self._owner.settings.model_dump_json().encode(), shape.gpus)
        )
        other = difference(self._owner.versions, self._get(self._actor.versions.remote()))
        if other:
            self._owner.refuse(self.node, f"it has {other}")
            return False
        self._set(READY)
        return True

    def _get(self, reference: Any) -> Any:
        """Waits for an answer of the worker, which becomes urgent while it performs a step. Raises Closed."""
        while True:
            try:
                answer = ray.get(reference, timeout=CALL_SECONDS)
            except ray.exceptions.GetTimeoutError:
                now = time.monotonic()
                if self._is_closing or (self._stop_at is not None and now >= self._stop_at):
                    raise Closed from None
                if self.state == BUSY and now > self._answered_at + LEASE_SECONDS + FETCH_SECONDS:
                    raise TimeoutError(f"no answer in {now - self._answered_at:.0f} s") from None
            else:
                self._answered_at = time.monotonic()
                return answer

    def _perform(self, step: Step) -> None:
        """Performs a step, and reports its end."""
        task = step.task
        try:
            self._require_folder(Path(task.output).parent)
            located = self._locate(dict(task.files))
        except StorageError as error:
            self._owner.give_back(step, self.node, FailedEvent(status=error.status, message=str(error)))
            return
        self._get(self._actor.start.remote(step.model_copy(update={"files": located}).model_dump_json().encode()))
        while True:
            for line in self._get(self._actor.fetch.remote(FETCH_SECONDS)):
                event = parse_event(line)
                if isinstance(event, FailedEvent) and event.is_refused and self._stop_at is None:
                    self._owner.give_back(step, self.node, event)
                else:
                    self._owner.report(task.id, event)
                if isinstance(event, EndEvent):
                    return

    def _require_folder(self, folder: Path) -> None:
        """Raises StorageError when the worker does not see the folder in which a film is written."""
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        if folder in self._probed:
            return
        token = folder / f".render-{secrets.token_hex(8)}"
        try:
            token.touch(exist_ok=False)
            try:
                if not self._get(self._actor.sees.remote(str(token))):
                    raise StorageError(
                        f"{self.node.name} does not see {folder}, where the film is written; all machines of a cluster "
                        "need that folder (RENDER_JOBS names the one of shots that are rendered side by side)"
                    )
            finally:
                token.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
        self._probed.add(folder)

    def _locate(self, paths: dict[str, str]) -> dict[str, str]:
        """Returns where the worker has the files that a scene names, by key; sends what is missing."""
        files = {key: scene_file(path) for key, path in paths.items()}
        encoded = {key: file.model_dump_json().encode() for key, file in files.items()}
        located: dict[str, str] = self._get(self._actor.find.remote(encoded)) if files else {}
        for key in [key for key in files if key not in located]:
            located[key] = self._send(files[key], encoded[key])
        return located

    def _send(self, file: SceneFile, encoded: bytes) -> str:
        require_sendable(file, self.node.name)
        for name, data in chunks(file):
            self._get(self._actor.receive.remote(encoded, name, data))
        return str(self._get(self._actor.received.remote(encoded)))

    def _handle_failure(self, step: Step | None, error: Exception) -> None:
        """Deals with a worker that has ended, or does not answer: reports that when its process has ended too."""
        reason = _reason(error)
        if self.state == PENDING and not isinstance(error, ray.exceptions.ActorUnschedulableError):
            self._owner.note_failed_start(self.node, reason, is_certain=CREATION in str(error))
        if step is None:
            return
        until = self._answered_at + ORPHAN_SECONDS
        while time.monotonic() < until and self._stop_at is None:
            time.sleep(0.1)
        message = f"its worker on {self.node.name} has failed: {reason}"
        stopped, failed = StoppedEvent(), FailedEvent(status=3, message=message, may_pass=True)
        self._owner.report(step.task.id, failed if self._stop_at is None else stopped)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
