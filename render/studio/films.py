"""The films of a folder: those that are being made, by this studio or by anybody, those that wait, and finished ones.

Films are made by a job of the folder, whose driver is a process of its own that outlives the studio: one film at a
time, in the order in which they were requested. What the driver, a worker or the studio had not written when it ended
is found again in the films' own working folders.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from render.errors import StorageError, UsageError
from render.film.folder import WorkFolder
from render.film.lock import is_locked, locked_by
from render.film.naming import FOLDER_SUFFIX, numbered_path, work_folder
from render.film.preview import Preview, read_preview
from render.jobs.control import request
from render.jobs.folder import JobFolder, Request, jobs_folder
from render.jobs.model import Job, Task, TaskState, task_number
from render.jobs.placement import LocalWorkers
from render.jobs.run import start_detached
from render.jobs.submit import Entry, make_tasks, name_of, open_job, require_no_other_job
from render.studio.finished import Finished, Listing
from render.text import escape

Stage = Literal["making", "queued", "stopped", "failed", "finished"]
ATTEMPTS = 5
"""To add a film to the queue while another studio does the same."""


@dataclass(frozen=True)
class FilmOptions:
    """How a film is made: options of `render`. `overwrite` replaces another film, `restart` discards what exists."""

    scale: float = 1.0
    frames: tuple[int, int] | None = None
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    restart: bool = False


@dataclass(frozen=True)
class FilmState:
    """A film, by its path, and how far it is.

    `name` is its path in the folder, `scene` that of its scene file, empty where it is not known. `is_own` says whether
    it is in the folder's queue, so that it can be stopped and resumed here; `maker` is otherwise the process that makes
    it. `preview` is the last one of an unfinished film, `parts` its working folder. `message` says why it failed.
    `finished` is the film in its file, which may be an earlier one.
    """

    path: Path
    name: str
    stage: Stage
    scene: str = ""
    is_own: bool = False
    maker: str = ""
    preview: Preview | None = None
    parts: Path | None = None
    message: str = ""
    finished: Finished | None = None
    number: tuple[int, ...] = field(default=(), compare=False)


class Films:
    """The films of a folder. The methods wait for the disk, and for the job's driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._job = name_of(f"studio-{self.folder.name}", ["studio", str(self.folder)])
        self._listing = Listing(self.folder)
        self._lock = threading.Lock()

    def look(self) -> list[FilmState]:
        """Returns the films: those in the queue in its order, then what others make, and finished ones, newest first.

        Raises StorageError when the queue cannot be read.
        """
        with self._lock:
            finished, folders = self._listing.look()
        by_path = {film.path: film for film in finished}
        states: dict[Path, FilmState] = {}
        job = self._open()
        if job is not None:
            is_running = job.is_running()
            listed = job.job()
            tasks = job.states_for_display(listed, is_running=is_running)
            for task in listed.tasks:
                state = self._of_task(task, tasks[task.id], is_running=is_running)
                if state is not None:
                    states[state.path] = state
        for parts in folders:
            path = parts.with_name(parts.name.removesuffix(FOLDER_SUFFIX))
            if not any(state.parts == parts for state in states.values()):
                states[path] = self._of_parts(path, parts)
        for path, film in by_path.items():
            if path not in states:
                states[path] = FilmState(path, self._name(path), "finished")
            states[path] = replace(states[path], finished=film)
        return sorted(states.values(), key=_order)

    def start(self, scene: Path, options: FilmOptions = FilmOptions()) -> Path:
        """Adds the film of a scene to the end of the queue, and sees that it is worked on; returns the film's path.

        Raises RenderError: for a wrong scene, a film outside the folder, one that is being made, and what the machine
        refuses.
        """
        task = self._task(scene, options)
        film = Path(task.output)
        parts = work_folder(film)
        if is_locked(parts):
            raise UsageError(f"{self._name(film)} is being made already, by process {locked_by(parts)}")
        job = open_job(self._job)
        require_no_other_job(job.name, [task])
        if options.restart and parts.is_dir():
            with WorkFolder(parts) as folder:
                folder.discard()
        for _ in range(ATTEMPTS):
            listed = _listed(job)
            states = job.states_for_display(listed, is_running=job.is_running())
            same = [each for each in listed.tasks if work_folder(Path(each.output)) == parts]
            if any(states[each.id].state == "RUNNING" for each in same):
                raise UsageError(f"{self._name(film)} is being made already")
            gone = [each.id for each in listed.tasks if each in same or states[each.id].state == "SUCCEEDED"]
            number = max((task_number(each.id)[0] for each in listed.tasks), default=0) + 1
            added = task.model_copy(update={"id": str(number)})
            request(job, Request(action="edit", tasks=tuple(gone), added=(added,)))
            if added in job.job().tasks:
                self.run()
                return film
        raise StorageError(f"{self._name(film)} cannot be added to the queue; other studios change it all the time")

    def stop(self, film: Path) -> None:
        """Stops a film of the queue, or takes it out; what is finished of it is kept. Raises RenderError."""
        job, task = self._find(film)
        request(job, Request(action="cancel", tasks=(task.id,)))

    def resume(self, film: Path) -> None:
        """Goes on with a film of the queue that was stopped, has failed, or waits. Raises RenderError."""
        job, task = self._find(film)
        request(job, Request(action="retry", tasks=(task.id,)))
        self.run()

    def forget(self, film: Path) -> None:
        """Removes a film that is not being made from the queue; no file is removed. Raises RenderError."""
        job, task = self._find(film)
        request(job, Request(action="edit", tasks=(task.id,)))

    def order(self, films: Sequence[Path]) -> None:
        """Puts waiting films of the queue into an order, after all others. Raises RenderError."""
        job = self._open()
        if job is None:
            return
        listed = job.job()
        states = job.states(listed)
        by_film = {Path(task.output): task for task in listed.tasks if states[task.id].state == "WAITING"}
        moved = [by_film[film] for film in films if film in by_film]
        first = max((task_number(task.id)[0] for task in listed.tasks), default=0) + 1
        added = [task.model_copy(update={"id": str(first + i)}) for i, task in enumerate(moved)]
        request(job, Request(action="edit", tasks=tuple(task.id for task in moved), added=tuple(added)))

    def sooner(self, film: Path) -> None:
        """Puts a waiting film of the queue before the one that waits before it. Raises RenderError."""
        waiting = [each.path for each in self.look() if each.is_own and each.stage in ("queued", "stopped")]
        place = waiting.index(film) if film in waiting else 0
        if place > 0:
            waiting[place - 1 : place + 1] = [film, waiting[place - 1]]
            self.order(waiting)

    def run(self) -> None:
        """Sees that the queue is worked on, in a process that outlives this one. Raises StorageError."""
        job = self._open()
        if job is not None and not job.is_running():
            try:
                start_detached(job, placement=LocalWorkers())
            except StorageError:
                if not job.is_running():  # else another studio has started it meanwhile
                    raise

    def log(self, film: Path) -> str:
        """Returns what happened to a film of the queue. Raises RenderError when it is not in it."""
        job, task = self._find(film)
        with contextlib.suppress(OSError):
            return job.log_path(task.id).read_text(encoding="utf-8", errors="replace")
        return ""

    def _open(self) -> JobFolder | None:
        """Returns the job of the folder's queue, None when there is none."""
        with contextlib.suppress(StorageError):
            job = JobFolder(jobs_folder() / self._job)
            return job if job.has_job else None
        return None

    def _find(self, film: Path) -> tuple[JobFolder, Task]:
        job = self._open()
        for task in () if job is None else job.job().tasks:
            if job is not None and Path(task.output) == film:
                return job, task
        raise UsageError(f"{self._name(film)} is not in the queue")

    def _task(self, scene: Path, options: FilmOptions) -> Task:
        """Returns the task of a film. Raises RenderError when its scene is wrong, or its film outside the folder."""
        entry = Entry(
            self.folder / scene,
            scale=options.scale,
            frames=options.frames,
            device=options.device,
            precision=options.precision,
            overwrite=options.overwrite,
            folder=self.folder,
        )
        made = make_tasks([entry])
        for failed in made.failed.values():
            raise UsageError(failed.message)
        (task,) = made.tasks
        if not Path(os.path.realpath(task.output)).is_relative_to(self.folder):
            raise UsageError(f"output.path leads out of the folder that the studio works in: {escape(task.output)}")
        return task.model_copy(update={"label": escape(self._name(Path(task.scene)))})

    def _of_task(self, task: Task, state: TaskState, *, is_running: bool) -> FilmState | None:
        """Returns the state of a film of the queue; None for a finished one, which is found by its file."""
        path = Path(task.output)
        parts = work_folder(path)
        film = FilmState(
            path,
            self._name(path),
            "queued",
            scene=self._name(Path(task.scene)),
            is_own=True,
            parts=parts,
            number=task_number(task.id),
        )
        if state.state != "RUNNING" and is_locked(parts):  # somebody else goes on with it
            return replace(film, stage="making", is_own=False, maker=locked_by(parts), preview=read_preview(parts))
        match state.state:
            case "SUCCEEDED":
                finished = _file(numbered_path(path, task.frames[0] if task.frames else 0))
                return None if finished is None else replace(film, stage="finished", finished=finished)
            case "RUNNING":
                return replace(film, stage="making", preview=read_preview(parts))
            case "WAITING":
                return replace(film, stage="queued" if is_running else "stopped", preview=read_preview(parts))
            case "DEAD":
                return replace(film, stage="failed", message=state.message, preview=read_preview(parts))
        return replace(film, stage="stopped", preview=read_preview(parts))

    def _of_parts(self, path: Path, parts: Path) -> FilmState:
        """Returns the state of a film that has a working folder, and is not in the queue."""
        is_making = is_locked(parts)
        return FilmState(
            path,
            self._name(path),
            "making" if is_making else "stopped",
            maker=locked_by(parts) if is_making else "",
            preview=read_preview(parts),
            parts=parts,
        )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)


def _listed(job: JobFolder) -> Job:
    """Returns the tasks of a job, of which there are none at first."""
    if not job.has_job:
        with job.locked():
            job.write_job(Job(name=job.name, created=time.time(), tasks=()))
    return job.job()


def _file(path: Path) -> Finished | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Finished(path, status.st_size, status.st_mtime)


def _order(film: FilmState) -> tuple[int, tuple[int, ...], float, str]:
    """The queue first, in its order; then what others make or have begun, then finished films, the newest first."""
    written = 0.0 if film.finished is None else -film.finished.written
    if film.stage == "finished":
        return 2, (), written, film.name
    return (0, film.number, 0.0, film.name) if film.is_own else (1, (), 0.0, film.name)
