"""The folder of a job: its tasks, their states, requests to its driver, and logs.

    ~/.local/share/render/jobs/zoom-1a2b3c4d/
      made-by-render       what marks the folder
      lock                 locked by the driver, the one process that runs the job
      job.json             the tasks
      tasks/3.json         the state of a task; none before it begins
      progress.json        frames and rates of the running tasks, for those who watch
      requests/….json      what `render jobs` asks of the driver
      logs/3.txt           what happened to a task;  logs/worker-1.txt  the standard error of a worker
      parts/3/             the shots of a film until they are joined

Every file is written atomically, and all but the progress reach the disk before they count. Names are made of ids and
numbers alone, never of what a scene or a label says.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from filelock import BaseFileLock
from platformdirs import user_data_path
from pydantic import TypeAdapter, ValidationError

from render.errors import StorageError, UsageError
from render.film.atomic import TEMPORARY_NAME, atomic_write, storage_errors, write_unflushed
from render.film.folder import MARKER
from render.film.lock import InUseError, is_locked, lock_folder, locked_by
from render.jobs.model import NAME, Job, Progress, Record, Task, TaskState
from render.system.files import open_regular
from render.text import did_you_mean, escape, quote

FOLDER_VARIABLE = "RENDER_JOBS"
"""The environment variable that names the folder of jobs."""
MAX_BYTES = 2**28
"""Bytes of a file of a job, at most."""
ANSWER_SECONDS = 10.0
"""In which a driver deals with a request; an older one is of a command that has given up."""
REQUEST_NAME = r"[0-9]{20}-[0-9a-f]{32}\.json"
"""The regular expression of a request's name."""
JOB, PROGRESS, TASKS, REQUESTS, LOGS, PARTS = "job.json", "progress.json", "tasks", "requests", "logs", "parts"
DRIVER = "driver"
DRIVER_LOG = f"{DRIVER}.txt"
RecordT = TypeVar("RecordT", bound=Record)
_progress = TypeAdapter(dict[str, Progress])


class DamagedError(StorageError):
    """A file of a job is not what was written."""


class Request(Record):
    """What a user requests of a driver.

    `tasks` are ids; none stand for all that are unfinished, for `retry` for all that failed or were cancelled. `edit`
    removes those of the tasks that do not run, and adds the `added` ones whose ids no task has.
    """

    action: Literal["pause", "cancel", "eat", "retry", "edit"]
    tasks: tuple[str, ...] = ()
    added: tuple[Task, ...] = ()


class JobFolder:
    """The folder of a job that exists."""

    def __init__(self, path: Path) -> None:
        """Opens a folder. Raises StorageError when it is none of a job."""
        self.path = path
        if path.is_symlink() or not (path / MARKER).is_file():
            raise StorageError(f"{path} is not the folder of a job")

    @property
    def name(self) -> str:
        """The job's name."""
        return self.path.name

    @property
    def has_job(self) -> bool:
        """Whether tasks were written to it."""
        return os.path.lexists(self.path / JOB)

    def job(self) -> Job:
        """Returns the job. Raises StorageError when it cannot be read."""
        return self._read(self.path / JOB, Job)

    def write_job(self, job: Job) -> None:
        """Writes the job. Raises StorageError."""
        _write(self.path / JOB, job)

    def state(self, task: Task) -> TaskState:
        """Returns the state of a task; one that is damaged waits, and its film is found again. Raises StorageError."""
        file = self.path / TASKS / f"{task.id}.json"
        if not os.path.lexists(file):
            return TaskState()
        try:
            return self._read(file, TaskState)
        except DamagedError:
            return TaskState(message=f"{file} is damaged; what exists of the film is kept")

    def states(self, job: Job) -> dict[str, TaskState]:
        """Returns the state of each task by its id."""
        return {task.id: self.state(task) for task in job.tasks}

    def states_for_display(self, job: Job, *, is_running: bool) -> dict[str, TaskState]:
        """Returns the states as they are meant: what a driver that has died left RUNNING waits for the next one."""
        states = self.states(job)
        if is_running:
            return states
        waiting = {"state": "WAITING", "pid": None, "started": None}
        return {
            key: state.model_copy(update=waiting) if state.state == "RUNNING" else state
            for key, state in states.items()
        }

    def write_state(self, task_id: str, state: TaskState) -> None:
        """Writes the state of a task. Raises StorageError."""
        _write(self.path / TASKS / f"{task_id}.json", state)

    def forget(self, task_id: str) -> None:
        """Removes the state and the log of a task, and the shots of its film."""
        with storage_errors(self.path):
            (self.path / TASKS / f"{task_id}.json").unlink(missing_ok=True)
            self.log_path(task_id).unlink(missing_ok=True)
        self.remove_parts(task_id)

    def parts(self, film: str) -> Path:
        """The folder of the shots of a film."""
        return self.path / PARTS / film

    def remove_parts(self, film: str) -> None:
        """Removes the shots of a film."""
        shutil.rmtree(self.parts(film), ignore_errors=True)

    def log_path(self, task_id: str) -> Path:
        """The file with what happened to a task."""
        return self.path / LOGS / f"{task_id}.txt"

    def log(self, task_id: str, text: str) -> None:
        """Appends lines to the log of a task; a disk that is full loses them."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError), self.log_path(task_id).open("a", encoding="utf-8") as file:
            file.write("".join(f"{stamp} {escape(line)}\n" for line in text.splitlines()))

    def progress(self) -> dict[str, Progress]:
        """Returns the progress of the running tasks; empty when there is none."""
        try:
            return _progress.validate_json(_read_bytes(self.path / PROGRESS))
        except (OSError, ValidationError):
            return {}

    def write_progress(self, progress: Mapping[str, Progress]) -> None:
        """Writes the progress of the running tasks; a disk that is full keeps the old one."""
        with contextlib.suppress(OSError):
            write_unflushed(self.path / PROGRESS, _progress.dump_json(dict(progress)))

    def remove_temporary_files(self) -> None:
        """Removes what a killed driver did not finish writing."""
        for folder in (self.path, self.path / TASKS):
            for file in folder.glob("*.tmp*"):
                if re.fullmatch(TEMPORARY_NAME, file.name):
                    with contextlib.suppress(OSError):  # it takes no part in anything
                        file.unlink(missing_ok=True)

    def send(self, request: Request) -> Path:
        """Writes a request to the driver; returns its file, which the driver removes. Raises StorageError."""
        file = self.path / REQUESTS / f"{time.time_ns():020d}-{uuid.uuid4().hex}.json"
        _write(file, request)
        return file

    def requests(self) -> Iterator[Request]:
        """Yields the requests in their order, and removes each once it has been dealt with, or can be of nobody."""
        for file in sorted((self.path / REQUESTS).glob("*.json")):
            if not re.fullmatch(REQUEST_NAME, file.name):  # one that is being written
                continue
            try:
                if time.time() - file.lstat().st_mtime <= ANSWER_SECONDS:
                    yield Request.model_validate_json(_read_bytes(file))
            except (OSError, ValidationError) as error:
                self.log(DRIVER, f"a request that cannot be read: {error}")
            finally:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes this process the job's driver for the block. Raises StorageError when another one is."""
        try:
            lock: BaseFileLock = lock_folder(self.path)
        except InUseError:
            raise StorageError(
                f"job {self.name} is running already, in process {self.driver()}; `render jobs watch {self.name}` "
                "shows it"
            ) from None
        except (FileNotFoundError, FileExistsError):
            raise StorageError(f"job {self.name} was removed meanwhile") from None
        try:
            yield
        finally:
            lock.release()

    def is_running(self) -> bool:
        """Whether a driver runs the job."""
        return is_locked(self.path)

    def driver(self) -> str:
        """The id of the process that runs the job, or was the last to do so."""
        return locked_by(self.path)

    def remove(self) -> None:
        """Removes the folder with all that is in it. Raises StorageError when the job is running."""
        with self.locked(), storage_errors(self.path):
            for name in (JOB, TASKS, REQUESTS, LOGS, PARTS):  # what marks the folder is removed last
                path = self.path / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            shutil.rmtree(self.path)

    def _read(self, file: Path, kind: type[RecordT]) -> RecordT:
        try:
            return kind.model_validate_json(_read_bytes(file))
        except OSError as error:
            raise StorageError(f"cannot read {file}: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DamagedError(
                f"{file} is damaged, or of another version of render ({where}: {first['msg']}); "
                f"`render jobs remove {self.name}` removes the job, and no film"
            ) from None


def jobs_folder() -> Path:
    """Returns the folder of all jobs: that of RENDER_JOBS, or the user's own data folder. Raises StorageError."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else user_data_path("render", appauthor=False) / "jobs"
    if not named and not folder.is_absolute():  # platformdirs leaves ~ as it is where there is no home
        raise StorageError(f"there is no home folder for jobs; {FOLDER_VARIABLE} names another one")
    return folder.absolute()


def create(job: Job) -> JobFolder:
    """Creates the folder of a job, or opens the one that exists; writes no tasks. Raises StorageError."""
    path = jobs_folder() / job.name
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        is_new = all(re.fullmatch(TEMPORARY_NAME, file.name) for file in path.iterdir())
        if is_new and not path.is_symlink():
            atomic_write(path / MARKER, b"")
    folder = JobFolder(path)
    with storage_errors(path):
        for name in (TASKS, REQUESTS, LOGS, PARTS):
            (path / name).mkdir(exist_ok=True)
    return folder


def all_jobs() -> list[JobFolder]:
    """Returns the folders of all jobs, by name."""
    with contextlib.suppress(OSError):
        paths = sorted(path for path in jobs_folder().iterdir() if re.fullmatch(NAME, path.name))
        return [JobFolder(path) for path in paths if (path / MARKER).is_file() and not path.is_symlink()]
    return []


def find(name: str) -> JobFolder:
    """Returns the folder of a job by its name, or by the start of it if no other one has that. Raises UsageError."""
    existing = {folder.name: folder for folder in all_jobs()}
    if name in existing:
        return existing[name]
    matching = [each for each in existing if name and each.startswith(name)]
    if len(matching) == 1:
        return existing[matching[0]]
    if matching:
        raise UsageError(f"several jobs begin with {quote(name)}: {', '.join(matching)}")
    raise UsageError(f"there is no job {quote(name)}{did_you_mean(name, existing, '`render jobs list` lists all')}")


def require_tasks(job: Job, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the ids of tasks that are named by id or label. Raises UsageError."""
    known = {task.label: task.id for task in job.tasks} | {task.id: task.id for task in job.tasks}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, f"`render jobs list {job.name}` lists them")
            raise UsageError(f"job {job.name} has no task {quote(name)}{hint}")
    return tuple(known[name] for name in names)


def _write(file: Path, record: Record) -> None:
    data = json.dumps(record.model_dump(mode="json"), indent=1).encode()
    if len(data) > MAX_BYTES:
        raise StorageError(f"{file} would be larger than {MAX_BYTES} bytes; several jobs with fewer scenes are smaller")
    atomic_write(file, data)


def _read_bytes(file: Path) -> bytes:
    with open_regular(file, follow_links=False) as stream:
        return stream.read(MAX_BYTES)
