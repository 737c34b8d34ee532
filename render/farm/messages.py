"""What a driver and its bridge say to each other: lines of JSON, the first of which are the settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from render.jobs.messages import Event, Step
from render.jobs.model import Record


class Settings(Record):
    """The cluster, and what a worker takes of it; see `placement.Cluster`.

    `memory` is in bytes. `threads` is the number of threads of a worker, None for its machine's own. `boot` is the
    Python code of a worker process, None for the usual one.
    """

    address: str
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    memory: int = 0
    default_cpus: float = 1.0
    threads: int | None = None
    boot: str | None = None


class PerformCommand(Record):
    """A step that a worker is to perform."""

    command: Literal["perform"] = "perform"
    step: Step


class StopCommand(Record):
    """The step of this task is to be stopped."""

    command: Literal["stop"] = "stop"
    task: str


class DemandCommand(Record):
    """How many steps there are to be performed, those that run among them."""

    command: Literal["demand"] = "demand"
    steps: int


class ConnectedReport(Record):
    """The cluster has answered."""

    report: Literal["connected"] = "connected"


class WorkersReport(Record):
    """How many workers are ready or perform a step."""

    report: Literal["workers"] = "workers"
    count: int


class StepReport(Record):
    """Something has happened in the step of a task."""

    report: Literal["step"] = "step"
    task: str
    event: Event = Field(discriminator="event")


class FailureReport(Record):
    """Why the bridge ends, with an exit status; `may_pass` when another try may succeed."""

    report: Literal["failure"] = "failure"
    status: int
    message: str
    may_pass: bool = False


Command = PerformCommand | StopCommand | DemandCommand
Report = ConnectedReport | WorkersReport | StepReport | FailureReport
_command: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="command")])
_report: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="report")])


def parse_command(line: bytes) -> Command:
    """Returns the command of a line. Raises ValueError."""
    return _command.validate_json(line)


def parse_report(line: bytes) -> Report:
    """Returns the report of a line. Raises ValueError."""
    return _report.validate_json(line)
