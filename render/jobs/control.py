"""What `render jobs` requests of a job: of its driver when it is running, else done at once."""

from __future__ import annotations

import time

from render.errors import StorageError
from render.jobs.driver import Driver, Observer
from render.jobs.executor import LocalExecutor
from render.jobs.folder import ANSWER_SECONDS, LOGS, JobFolder, Request

POLL_SECONDS = 0.05


def request(folder: JobFolder, wanted: Request) -> None:
    """Makes a request. Raises StorageError when the driver does not answer."""
    if not folder.is_running():
        apply(folder, wanted)
        return
    file = folder.send(wanted)
    until = time.monotonic() + ANSWER_SECONDS
    while file.exists() and folder.is_running() and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    if file.exists():  # the driver ended before it looked
        file.unlink(missing_ok=True)
        if folder.is_running():
            raise StorageError(f"the driver of job {folder.name}, process {folder.driver()}, does not answer")
        apply(folder, wanted)


def apply(folder: JobFolder, wanted: Request) -> None:
    """Deals with a request to a job that is not running. Raises StorageError."""
    with folder.locked():
        obey(folder, wanted)


def obey(folder: JobFolder, wanted: Request) -> None:
    """Deals with a request to a job whose folder this process has locked. Raises StorageError."""
    driver = Driver(folder, LocalExecutor(1, folder.path / LOGS), Observer())
    driver.recover()
    if wanted.action != "pause":
        driver.obey(wanted)


def wait_until_idle(folder: JobFolder, tasks: tuple[str, ...], *, timeout: float) -> bool:
    """Waits until none of the tasks (all of the job's if empty) runs; returns whether that is so within the timeout."""
    job = folder.job()
    until = time.monotonic() + timeout
    while True:
        states = folder.states(job)
        busy = [each for each, state in states.items() if state.state == "RUNNING" and (not tasks or each in tasks)]
        if not busy or time.monotonic() >= until:
            return not busy
        time.sleep(POLL_SECONDS)
