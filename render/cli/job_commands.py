"""`render jobs`: what the jobs of `render batch` do, and what they are to do next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.batch import Detach, detach, run
from render.cli.interrupts import interruptible
from render.cli.options import DisplayOptions, Json, Quiet
from render.cli.output import plural, print_json, print_json_line, print_line, print_message, print_table
from render.cli.placement import PlacementOptions
from render.errors import StorageError
from render.text import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from render.jobs.folder import JobFolder
    from render.jobs.model import Job, Progress, TaskState

JobName = Annotated[
    str, typer.Argument(help="Name of a job, or the start of it; `render jobs list` lists them.", metavar="JOB")
]
TaskNames = Annotated[
    list[str] | None, typer.Argument(help="Tasks, by number or scene; all if none is named.", metavar="[TASK]")
]
CANCEL_SECONDS = 5.0
"""In which the workers of a cancelled job have stopped."""


def jobs(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List, watch and steer the jobs of `render batch`.

    Example:
      render jobs
    """
    if ctx.invoked_subcommand is None:
        _list_jobs(as_json=as_json)


def list_(
    job: Annotated[str | None, typer.Argument(help="A job, whose tasks are listed.", metavar="[JOB]")] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the jobs, or the tasks of a job; the exit status says whether all of these have succeeded.

    Example:
      render jobs list zoom
    """
    if job is None:
        _list_jobs(as_json=as_json)
        return
    from render.jobs.folder import find

    folder = find(job)
    listed = folder.job()
    is_running = folder.is_running()
    states = folder.states_for_display(listed, is_running=is_running)
    _list_tasks(folder, listed, states, progress=folder.progress() if is_running else {}, as_json=as_json)


def watch(job: JobName, display: DisplayOptions) -> None:
    """Show a job that runs, until it ends.

    Example:
      render jobs watch zoom
    """
    from render.cli.job_display import open_job_display
    from render.jobs.folder import find
    from render.jobs.run import watch as watch_job

    folder = find(job)
    with interruptible(), open_job_display(quiet=display.quiet, as_json=display.as_json) as observer:
        watch_job(folder, observer)


def resume(
    job: JobName,
    tasks: TaskNames = None,
    *,
    placement: PlacementOptions,
    is_detached: Detach = False,
    display: DisplayOptions,
) -> None:
    """Go on with a job that was stopped or paused.

    Example:
      render jobs resume zoom --detach
    """
    chosen = placement.chosen()
    from render.jobs.folder import find, require_tasks

    folder = find(job)
    only = require_tasks(folder.job(), tasks or ()) or None
    if is_detached:
        detach(folder, chosen, only=only or (), display=display)
        return
    with folder.locked():
        run(folder, chosen, only=only, display=display)


def retry(
    job: JobName,
    tasks: TaskNames = None,
    *,
    placement: PlacementOptions,
    is_detached: Detach = False,
    display: DisplayOptions,
) -> None:
    """Try tasks that failed or were cancelled again.

    Example:
      render jobs retry zoom 3
    """
    placement.chosen()
    folder, _ = _request(job, "retry", tasks)
    if folder.is_running():
        _report(folder, "retried", as_json=display.as_json, quiet=display.quiet)
        return
    resume(folder.name, placement=placement, is_detached=is_detached, display=display)


def pause(job: JobName, *, quiet: Quiet = False, as_json: Json = False) -> None:
    """Stop a job where all that counts is on the disk; `resume` goes on.

    Example:
      render jobs pause zoom
    """
    folder, _ = _request(job, "pause", None)
    until = time.monotonic() + CANCEL_SECONDS
    while folder.is_running():
        if time.monotonic() > until:
            raise StorageError(f"job {folder.name} does not stop; its process is {folder.driver()}")
        time.sleep(0.05)
    _report(folder, "paused", as_json=as_json, quiet=quiet)


def cancel(job: JobName, tasks: TaskNames = None, *, quiet: Quiet = False, as_json: Json = False) -> None:
    """Cancel a job or tasks of it; what is finished is kept, and `render SCENE` alone goes on from it.

    Example:
      render jobs cancel zoom 3
    """
    folder, ids = _request(job, "cancel", tasks)
    _wait(folder, ids)
    _report(folder, "cancelled", as_json=as_json, quiet=quiet)


def eat(
    job: JobName,
    tasks: Annotated[list[str], typer.Argument(help="Tasks, by number or scene.", metavar="TASK")],
    *,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Give tasks up: the job goes on, and succeeds, without them.

    Example:
      render jobs eat zoom 3
    """
    folder, ids = _request(job, "eat", tasks)
    _wait(folder, ids)
    _report(folder, "eaten", as_json=as_json, quiet=quiet)


def log(
    job: JobName,
    task: Annotated[
        str | None, typer.Argument(help="A task, by number or scene; the job's driver if missing.", metavar="[TASK]")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print what happened to a task.

    Example:
      render jobs log zoom 3
    """
    from render.jobs.folder import DRIVER_LOG, LOGS, find, require_tasks

    folder = find(job)
    path = folder.path / LOGS / DRIVER_LOG if task is None else folder.log_path(*require_tasks(folder.job(), [task]))
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    if as_json:
        print_json_line({"event": "log", "name": folder.name, "lines": text.splitlines()})
    else:
        print_line(text.rstrip() or "nothing has happened yet")


def remove(job: JobName, *, quiet: Quiet = False, as_json: Json = False) -> None:
    """Remove a job that does not run from the list, and no film.

    Example:
      render jobs remove zoom
    """
    from render.jobs.folder import find

    folder = find(job)
    folder.remove()
    if as_json:
        print_json_line({"event": "removed", "name": folder.name})
    elif not quiet:
        print_line(f"job {escape(folder.name)} is removed; its films are kept")


list_.__name__ = "list"
COMMANDS = (list_, watch, resume, retry, pause, cancel, eat, log, remove)
"""The commands of `render jobs`."""


def _request(
    job: str, action: Literal["pause", "cancel", "eat", "retry"], tasks: Sequence[str] | None
) -> tuple[JobFolder, tuple[str, ...]]:
    from render.jobs.control import request
    from render.jobs.folder import Request, find, require_tasks

    folder = find(job)
    ids = require_tasks(folder.job(), tasks or ())
    request(folder, Request(action=action, tasks=ids))
    return folder, ids


def _wait(folder: JobFolder, ids: tuple[str, ...]) -> None:
    from render.jobs.control import wait_until_idle

    if not wait_until_idle(folder, ids, timeout=CANCEL_SECONDS):
        raise StorageError(f"tasks of job {folder.name} do not stop; its process is {folder.driver()}")


def _report(folder: JobFolder, what: str, *, as_json: bool, quiet: bool) -> None:
    from render.jobs.model import counts

    job = folder.job()
    numbers = counts(folder.states(job).values())
    if as_json:
        print_json_line({"event": what, "name": folder.name, "tasks": numbers})
    elif not quiet:
        print_line(f"job {escape(folder.name)} {what}: {_summary(numbers)}")


def _summary(numbers: dict[Literal["WAITING", "RUNNING", "SUCCEEDED", "DEAD", "EATEN", "CANCELLED"], int]) -> str:
    return ", ".join(f"{number} {state.lower()}" for state, number in numbers.items()) or "no tasks"


def _list_jobs(*, as_json: bool) -> None:
    from render.jobs.folder import all_jobs, jobs_folder
    from render.jobs.model import counts

    listed = []
    for folder in all_jobs():
        if folder.has_job:
            try:
                job = folder.job()
                is_running = folder.is_running()
                states = folder.states_for_display(job, is_running=is_running)
                listed.append((job, is_running, counts(states.values())))
            except StorageError as error:
                print_message(str(error))
    if as_json:
        print_json(
            [
                {"name": job.name, "created": job.created, "is_running": is_running, "tasks": numbers}
                for job, is_running, numbers in listed
            ]
        )
    elif not listed:
        print_line(f"there is no job in {jobs_folder()}; `render batch SCENE...` makes one")
    else:
        rows = [
            (
                escape(job.name),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created)),
                "running" if is_running else "",
                _summary(numbers),
            )
            for job, is_running, numbers in listed
        ]
        print_table(("job", "created", "", "tasks"), rows)


def _list_tasks(
    folder: JobFolder,
    job: Job,
    states: dict[str, TaskState],
    *,
    progress: Mapping[str, Progress],
    as_json: bool,
) -> None:
    from render.cli.job_display import HEADERS, task_json, task_row
    from render.jobs.model import shots_done
    from render.jobs.run import exit_status

    if as_json:
        print_json([task_json(task, states[task.id], progress.get(task.id)) for task in job.tasks])
    else:
        shots = shots_done(job, states)
        rows = [
            task_row(task, states[task.id], progress.get(task.id), shots=shots.get(task.id, "")) for task in job.tasks
        ]
        print_table(HEADERS, rows)
        print_line(f"{plural(len(job.tasks), 'task')} in {escape(folder.path)}")
    raise typer.Exit(exit_status(job, states))
