"""The display of a job: a live table on a terminal, lines in a log, or JSON."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from render.cli.output import plural, print_json_line, print_line
from render.cli.progress import LOG_INTERVAL
from render.jobs.driver import Observer
from render.jobs.model import Job, Progress, State, Task, TaskState, counts, shots_done
from render.text import escape, escape_lines

ORDER: tuple[State, ...] = ("RUNNING", "DEAD", "WAITING", "SUCCEEDED", "EATEN", "CANCELLED")
"""Which tasks the live table shows first, where the terminal has no lines for all."""
MARGIN = 4
"""Lines of a terminal that the table leaves free."""
STYLES: dict[State, str] = {"RUNNING": "bold", "DEAD": "red", "SUCCEEDED": "green", "EATEN": "dim", "CANCELLED": "dim"}
REFRESHES = 4
"""Of the live table, in a second."""
HEADERS = ("task", "scene", "state", "frame", "rate", "remaining", "film")
SHRINKING = ("scene", "film")
"""The columns that are shortened where the terminal is narrow."""


class JobDisplay(Observer):
    """Displays nothing: --quiet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends the display."""


class JsonJobDisplay(JobDisplay):
    """Prints a JSON object per line on standard output."""

    def job(self, job: Job, states: dict[str, TaskState]) -> None:
        """Prints the job and its tasks."""
        tasks = [task_json(task, states[task.id], None) for task in job.tasks]
        print_json_line({"event": "job", "name": job.name, "tasks": tasks})

    def state(self, task: Task, state: TaskState) -> None:
        """Prints the new state of a task."""
        print_json_line({"event": "task", **task_json(task, state, None)})

    def progress(self, task: Task, progress: Progress) -> None:
        """Prints a finished frame."""
        print_json_line({"event": "frame", "task": task.id, **progress.model_dump()})

    def warning(self, task: Task, message: str) -> None:
        """Prints a warning."""
        print_json_line({"event": "warning", "task": task.id, "message": message})


class LogJobDisplay(JobDisplay):
    """Prints lines on standard error, and finished films on standard output."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next: dict[str, float] = {}

    def state(self, task: Task, state: TaskState) -> None:
        """Prints the new state of a task."""
        if state.state == "SUCCEEDED" and task.film is None:
            print_line(film_line(task, state))
        else:
            self._print(", ".join(filter(None, (f"{task.label}: {state.state}", reason(state)))))

    def progress(self, task: Task, progress: Progress) -> None:
        """Prints a finished frame, now and then."""
        now = time.monotonic()
        if now >= self._next.setdefault(task.id, now + LOG_INTERVAL):
            self._next[task.id] = now + LOG_INTERVAL
            _, label, _, frame, rate, remaining, _ = task_row(task, TaskState(state="RUNNING"), progress)
            self._print(", ".join(filter(None, (f"{label}: frame {frame}", rate, remaining and f"{remaining} left"))))

    def warning(self, task: Task, message: str) -> None:
        """Prints a warning."""
        self._print(f"render: {task.label}: {message}")

    def _print(self, text: str) -> None:
        self._console.print(escape_lines(text), highlight=False, markup=False, soft_wrap=True)


class TableJobDisplay(LogJobDisplay):
    """Displays a live table on a terminal, warnings and failures above it; prints the finished films at the end."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._shown: tuple[Job, dict[str, TaskState]] | None = None  # in one, for the thread that draws the table
        self._progress: dict[str, Progress] = {}
        self._films: list[str] = []
        self._live = Live(
            console=console,
            get_renderable=self._table,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Removes the table, and prints the films."""
        self._live.stop()
        for line in self._films:
            print_line(line)

    def job(self, job: Job, states: dict[str, TaskState]) -> None:
        """Displays the tasks."""
        self._shown = job, dict(states)

    def state(self, task: Task, state: TaskState) -> None:
        """Displays the new state of a task."""
        if self._shown is not None:
            self._shown[1][task.id] = state
        if state.state != "RUNNING":
            self._progress.pop(task.id, None)
        if state.state == "DEAD":
            super().state(task, state)
        elif state.state == "SUCCEEDED" and task.film is None:
            self._films.append(film_line(task, state))

    def progress(self, task: Task, progress: Progress) -> None:
        """Displays a finished frame."""
        self._progress[task.id] = progress

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        if self._shown is None:
            return table
        job, states = self._shown
        shots = shots_done(job, states)
        shown = sorted(job.tasks, key=lambda task: ORDER.index(states[task.id].state))
        kept = {task.id for task in shown[: max(self._console.height - MARGIN, 1)]}
        rows = [
            (task_row(task, states[task.id], self._progress.get(task.id), shots=shots.get(task.id, "")), task)
            for task in job.tasks
            if task.id in kept
        ]
        for number, header in enumerate(HEADERS):
            width = None if header in SHRINKING else max(len(header), *(len(row[number]) for row, _ in rows))
            table.add_column(header, no_wrap=True, overflow="ellipsis", min_width=width)
        for row, task in rows:
            table.add_row(*map(Text, row), style=STYLES.get(states[task.id].state))
        table.caption = ", ".join(f"{number} {state}" for state, number in counts(states.values()).items())
        return table


def task_row(task: Task, state: TaskState, progress: Progress | None, *, shots: str = "") -> tuple[str, ...]:
    """Returns the columns of a task, as HEADERS; of one that failed the reason in the place of its film.

    `shots` says how many shots of a film are done.
    """
    frame, rate, remaining = shots, "", ""
    if progress is not None:
        frame = f"{progress.frame + 1} of {progress.last}"
        rate = "" if progress.rate is None else f"{progress.rate:.2f}/s"
        remaining = "" if progress.eta_s is None else f"{progress.eta_s:.0f} s"
    elif state.state == "SUCCEEDED":
        frame = str(state.frames)
    film = reason(state) or shown_path(task.output)
    return task.id, escape(task.label), state.state, frame, rate, remaining, escape(film)


def film_line(task: Task, state: TaskState) -> str:
    """Returns `zoom.mp4: 48 frames, rendered in 20 s`."""
    return f"{shown_path(task.output)}: {plural(state.frames, 'frame')}, rendered in {state.seconds:.0f} s"


def reason(state: TaskState) -> str:
    """Returns `status 4: no room` for a task that failed: the first line of its message; else an empty text."""
    first_line = state.message.partition("\n")[0]
    return f"status {state.status}: {first_line}" if state.status else first_line


def shown_path(path: str) -> str:
    """Returns a path relative to the current folder, if it is in it."""
    folder = Path.cwd()
    return escape(Path(path).relative_to(folder) if Path(path).is_relative_to(folder) else path)


def task_json(task: Task, state: TaskState, progress: Progress | None) -> dict[str, Any]:
    """Returns what is known of a task, as plain JSON."""
    return {
        "task": task.id,
        "scene": task.label,
        "kind": task.kind,
        "state": state.state,
        "status": state.status,
        "message": state.message,
        "path": task.output,
        "frames": state.frames,
        "seconds": state.seconds,
        "progress": None if progress is None else progress.model_dump(),
    }


def open_job_display(*, quiet: bool, as_json: bool) -> JobDisplay:
    """Returns the display that the options of the command line choose."""
    if quiet:
        return JobDisplay()
    if as_json:
        return JsonJobDisplay()
    console = Console(stderr=True)
    return TableJobDisplay(console) if console.is_terminal else LogJobDisplay(console)
