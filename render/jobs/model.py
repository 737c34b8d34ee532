"""The job model, as plain JSON: a job is a list of tasks, a task is an ordinary render, and each task has a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from render.scene.document import Override
from render.sweep.model import CellWork, SweepOptions

MAX_TASKS = 10_000
MAX_WITH_SHOTS = 2 * MAX_TASKS
"""Tasks of a job with the shots of its films, at most, but for one shot that each film has in any case."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
"""The regular expression of a job's name, which is that of its folder."""
TASK_ID = r"^[1-9][0-9]{0,4}(\.[1-9][0-9]{0,4})?$"
"""The regular expression of a task's id: its number in the job, and for a shot of a film a number of its own, `3.2`."""

Kind = Literal["film", "still", "shot", "sweep", "cell"]
State = Literal["WAITING", "RUNNING", "SUCCEEDED", "DEAD", "EATEN", "CANCELLED"]
"""WAITING for a worker; RUNNING; SUCCEEDED, its film is there; DEAD, it failed and is not tried again by itself; EATEN,
given up by the user, the job succeeds without it; CANCELLED by the user."""
UNFINISHED: tuple[State, ...] = ("WAITING", "RUNNING")
STATES: tuple[State, ...] = ("WAITING", "RUNNING", "SUCCEEDED", "DEAD", "EATEN", "CANCELLED")


class Record(BaseModel):
    """A value of a job's files: immutable, of exactly the declared keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Resources(Record):
    """What a task takes, for executors that place tasks on several machines: processors, GPUs, bytes of memory.

    0 bytes: unknown.
    """

    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    memory: int = Field(default=0, ge=0)


class Task(Record):
    """An ordinary render: `render SCENE` with its options, in the folder where the job was started.

    `scene` is the absolute path of the scene file or film, from which relative files are found; `text` is the scene
    file's text when the task was made, None for a film, which is read itself. `overrides` are those of `load`.
    `folder` is the current folder of the render, to which the paths of overrides are relative. `output` is the absolute
    path of the film. `frames` (first, one after the last) renders only these. `machine` is how the film is to be made
    (see `Options.machine`). A film that `is_split` is rendered as shots; `film` is the id of the film that a shot is
    part of. A sheet of a `sweep` is split into its cells, which are parts of it as well: `output` is the sheet, or the
    still of the `cell`. A task waits until those in `after` have ended, whatever became of them.
    `files` are the absolute paths of the files that the scene names, by key (`source.video`).
    """

    id: str = Field(pattern=TASK_ID)
    label: str
    kind: Kind = "film"
    scene: str
    text: str | None = None
    folder: str
    overrides: tuple[Override, ...] = ()
    scale: float = 1.0
    frames: tuple[int, int] | None = None
    output: str
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    is_split: bool = False
    film: Annotated[str, Field(pattern=TASK_ID)] | None = None
    machine: dict[str, Any] | None = None
    files: dict[str, str] = Field(default_factory=dict)
    sweep: SweepOptions | None = None
    cell: CellWork | None = None
    after: tuple[Annotated[str, Field(pattern=TASK_ID)], ...] = ()
    resources: Resources = Resources()


class TaskState(Record):
    """How far a task is.

    `attempts` counts the workers that ended during the task, one after the other without a frame after `last_frame`,
    the last one that any had finished. `status` and `message` say why it is DEAD, as an exit status and a
    sentence. `pid` and `started` (seconds of the system's clock) identify the worker that runs it. `made` is what the
    finished film was found to be: (bytes, time of modification in nanoseconds) of each of its checked files.
    """

    state: State = "WAITING"
    attempts: int = 0
    last_frame: int = -1
    status: int = 0
    message: str = ""
    pid: int | None = None
    started: float | None = None
    seconds: float = 0.0
    frames: int = 0
    made: tuple[tuple[int, int], ...] = ()


class Job(Record):
    """A list of tasks. `format` is the version of the files of a job, `created` is in seconds since 1970."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    created: float
    tasks: tuple[Task, ...] = Field(max_length=MAX_WITH_SHOTS + MAX_TASKS)

    def with_shots(self, film: str, shots: Sequence[Task]) -> Job:
        """Returns the job with these shots of a film after it, in the place of any others."""
        tasks: list[Task] = []
        for task in self.tasks:
            if task.film != film:
                tasks.append(task)
            if task.id == film:
                tasks += shots
        return self.model_copy(update={"tasks": tuple(tasks)})


class Progress(Record):
    """A running task: the last finished frame, the first and the one after the last, frames a second, seconds left.

    `rate` and `eta_s` are None until they are measured.
    """

    frame: int
    first: int
    last: int
    rate: float | None = None
    eta_s: float | None = None


def task_number(task_id: str) -> tuple[int, ...]:
    """Returns the numbers in a task's id, by which tasks are ordered: a film, its shots, the next film."""
    return tuple(map(int, task_id.split(".")))


def counts(states: Iterable[TaskState]) -> dict[State, int]:
    """Returns the number of tasks in each state that any is in, in the order of STATES."""
    numbers = dict.fromkeys(STATES, 0)
    for each in states:
        numbers[each.state] += 1
    return {state: number for state, number in numbers.items() if number}


def shots_by_film(job: Job) -> dict[str, list[Task]]:
    """Returns the shots of each film that was split, in the order of their frames."""
    shots: dict[str, list[Task]] = {}
    for task in job.tasks:
        if task.film is not None:
            shots.setdefault(task.film, []).append(task)
    return shots


def shots_done(job: Job, states: Mapping[str, TaskState]) -> dict[str, str]:
    """Returns `3 of 5 shots`, or cells, for each film that was split and is not finished."""
    return {
        film: f"{sum(states[shot.id].state == 'SUCCEEDED' for shot in shots)} of {len(shots)} {shots[0].kind}s"
        for film, shots in shots_by_film(job).items()
        if states[film].state != "SUCCEEDED"
    }
