"""Runs a job in this process, in one that outlives the terminal, or watches one run; and what its end means."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import closing

from render.errors import Interrupted, RenderError, StorageError
from render.jobs.driver import Driver, Observer
from render.jobs.executor import log_tail
from render.jobs.folder import DRIVER_LOG, LOGS, JobFolder
from render.jobs.model import UNFINISHED, Job, Progress, TaskState
from render.jobs.placement import LocalWorkers, Placement

START_SECONDS = 60.0
"""In which a driver in the background begins."""
WATCH_SECONDS = 0.3
"""Between looks at a job that another process runs."""
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from render.cli.main import main; main()"


class TasksFailed(RenderError):
    """Some tasks of a job failed; the status is that of the first."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run_job(
    folder: JobFolder,
    observer: Observer,
    *,
    placement: Placement = LocalWorkers(),
    only: Collection[str] | None = None,
) -> None:
    """Runs a job whose folder this process has locked.

    Raises TasksFailed at the end when tasks failed, Interrupted when tasks remain, MissingError when the placement's
    workers cannot be had.
    """
    with closing(placement.open(folder)) as executor:
        driver = Driver(folder, executor, observer, only=only)
        states = driver.run()
    require_success(driver.job, states, only=only)


def require_success(job: Job, states: dict[str, TaskState], *, only: Collection[str] | None = None) -> None:
    """Raises TasksFailed when tasks have failed, Interrupted when tasks remain or were cancelled."""
    chosen = [task for task in job.tasks if only is None or task.id in only or task.film in only]
    films = {task.id for task in chosen}
    tasks = [task for task in chosen if task.film not in films]  # a film represents its shots
    failed = [task for task in tasks if states[task.id].state == "DEAD"]
    if failed:
        lines = [f"  {task.label}: status {states[task.id].status}: {states[task.id].message}" for task in failed]
        summary = (
            f"{len(failed)} of {len(tasks)} tasks failed; --retry, or `render jobs retry {job.name}`, tries them again"
        )
        raise TasksFailed("\n".join([summary, *lines]), status=states[failed[0].id].status)
    for some, what in (
        (("CANCELLED",), "were cancelled; `render jobs retry"),
        (UNFINISHED, "wait; `render jobs resume"),
    ):
        count = sum(states[task.id].state in some for task in tasks)
        if count:
            raise Interrupted(f"{count} of {len(tasks)} tasks {what} {job.name}` goes on")


def exit_status(job: Job, states: dict[str, TaskState]) -> int:
    """Returns the exit status of a job with these states: 0 when all tasks succeeded, or were given up."""
    try:
        require_success(job, states)
    except RenderError as error:
        return error.status
    return 0


def start_detached(folder: JobFolder, *, placement: Placement, only: Sequence[str] = ()) -> None:
    """Runs a job in a process that outlives this one and its terminal. Raises StorageError when it does not begin."""
    log = folder.path / LOGS / DRIVER_LOG
    arguments = ["jobs", "resume", folder.name, *only, *placement.arguments()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, json.dumps(sys.path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # of a caller that lives on, the end is noticed
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        has_ended = process.poll() is not None
        if folder.driver() == str(process.pid):  # it has locked the folder, and may have ended since
            return
        if has_ended:
            raise StorageError(f"the job ended at once: {log_tail(log).strip()}")
        time.sleep(WATCH_SECONDS / 10)
    raise StorageError(f"the job does not begin; its process is {process.pid}")


def watch(folder: JobFolder, observer: Observer) -> None:
    """Reports a job that another process runs until it ends. Raises as `run_job`."""
    job, states = _look(folder, is_running=folder.is_running())
    observer.job(job, states)
    last: dict[str, Progress] = {}
    while True:
        is_running = folder.is_running()
        job, now = _look(folder, is_running=is_running)
        if now.keys() != states.keys():
            observer.job(job, now)
        progress = folder.progress() if is_running else {}
        for task in job.tasks:
            if now[task.id].state != states.get(task.id, TaskState()).state:
                observer.state(task, now[task.id])
            if task.id in progress and progress[task.id] != last.get(task.id) and now[task.id].state == "RUNNING":
                observer.progress(task, progress[task.id])
        states, last = now, progress
        observer.tick()
        if not is_running:
            break
        time.sleep(WATCH_SECONDS)
    require_success(job, states)


def _look(folder: JobFolder, *, is_running: bool) -> tuple[Job, dict[str, TaskState]]:
    job = folder.job()
    return job, folder.states_for_display(job, is_running=is_running)
