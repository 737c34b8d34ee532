"""A worker on a machine of the cluster: a Ray actor with a worker process as on one machine.

It does not import Ray. A step whose events nobody fetches for LEASE_SECONDS is ended, and the actor with it: its
driver, or the network to it, is gone, and another worker may have the step by now.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil

from render.errors import RenderError
from render.farm.facts import versions
from render.farm.files import Cache, SceneFile
from render.farm.messages import Settings
from render.jobs.executor import STOP_SECONDS, LocalExecutor
from render.jobs.messages import EndEvent, Event, FailedEvent, Step

LEASE_SECONDS = 10.0
"""In which the events of a step are fetched; without that it ends."""
ORPHAN_SECONDS = LEASE_SECONDS + STOP_SECONDS + 1.0
"""After the last contact with a worker, when its process has ended in any case."""
TICK = 0.02
"""Seconds between looks at what is requested of the step."""
FOLDER = "render-worker-"
"""What the name of a worker's temporary folder begins with, before the id of its process."""
THREADS, GPUS = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"


class FarmWorker:
    """Performs one step at a time. Its methods are called from several threads."""

    def __init__(self, settings: bytes, gpus: float) -> None:
        """`settings` is the JSON of Settings."""
        options = Settings.model_validate_json(settings)
        _set_environment(options.threads, has_gpu=gpus > 0)
        _remove_abandoned_folders()
        self._logs = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        self._executor = LocalExecutor(1, self._logs, boot=options.boot)
        self._cache = Cache()
        self._requests: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._is_performing = False
        self._fetched_at = time.monotonic()
        threading.Thread(target=self._loop, daemon=True).start()

    def versions(self) -> dict[str, str]:
        """Returns the versions that a film depends on."""
        return versions()

    def sees(self, token: str) -> bool:
        """Whether this machine sees a file of the folder in which a film is written."""
        return Path(token).is_file()

    def find(self, files: dict[str, bytes]) -> dict[str, str]:
        """Returns the paths of those files that are here with the same bytes, at their own path or in the cache."""
        found = {key: self._cache.find(SceneFile.model_validate_json(file)) for key, file in files.items()}
        return {key: str(path) for key, path in found.items() if path is not None}

    def receive(self, file: bytes, name: str, data: bytes) -> None:
        """Appends bytes to a file that is being sent. Raises OSError."""
        self._cache.append(SceneFile.model_validate_json(file), name, data)

    def received(self, file: bytes) -> str:
        """Returns the path of a file that was sent. Raises OSError, StorageError when it is damaged."""
        return str(self._cache.finish(SceneFile.model_validate_json(file)))

    def start(self, step: bytes) -> None:
        """Starts a step, in a folder of this machine if the one that it names is not here."""
        given = Step.model_validate_json(step)
        if not Path(given.task.folder).is_dir():
            task = given.task.model_copy(update={"folder": str(self._logs)})
            given = given.model_copy(update={"task": task})
        with self._changed:
            self._is_performing, self._fetched_at = True, time.monotonic()
        self._requests.put(lambda: self._start(given))

    def stop(self, task: str) -> None:
        """Stops the step of a task."""
        self._requests.put(lambda: self._executor.stop(task))

    def fetch(self, timeout: float) -> list[bytes]:
        """Returns what has happened as lines of JSON, after at most `timeout` seconds if nothing has."""
        with self._changed:
            self._fetched_at = time.monotonic()
            self._changed.wait_for(lambda: self._events, timeout)
            events = [event.model_dump_json().encode() for event in self._events]
            self._events.clear()
        return events

    def close(self) -> None:
        """Ends the worker process, within two seconds, and this one."""
        self._requests.put(self._end)

    def _start(self, step: Step) -> None:
        try:
            self._executor.start(step)
        except RenderError as error:
            self._put(FailedEvent(status=error.status, message=str(error), may_pass=True))

    def _loop(self) -> None:
        while True:
            for happened in self._executor.events(TICK):
                self._put(happened.event)
            with contextlib.suppress(queue.Empty):
                while True:
                    self._requests.get_nowait()()
            if self._is_performing and time.monotonic() - self._fetched_at > LEASE_SECONDS:
                self._end()

    def _put(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._is_performing = self._is_performing and not isinstance(event, EndEvent)
            self._changed.notify_all()

    def _end(self) -> None:
        self._executor.close()
        shutil.rmtree(self._logs, ignore_errors=True)
        os._exit(0)


def _remove_abandoned_folders() -> None:
    """Removes the temporary folders of workers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _set_environment(threads: int | None, *, has_gpu: bool) -> None:
    """Sets what the worker process depends on, in the place of what Ray sets."""
    os.environ.pop(THREADS, None)
    if threads is not None:
        os.environ[THREADS] = str(threads)
    if not has_gpu:
        os.environ[GPUS] = ""
