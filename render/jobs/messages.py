"""What a driver and its workers say to each other: steps, and events. Each is a line of JSON between processes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from render.jobs.model import Record, Task
from render.scene.document import Override
from render.sweep.model import CellOutcome, CellWork

Kind = Literal["render", "split", "join"]
"""render: the task's film, or cell. split: find the shots of a film, and how it is to be made, or render it if it has
one shot; or find how the cells of a sweep are to be made. join: the film from its finished shots, or the sheet."""


class Step(Record):
    """What a worker does at a time.

    `parts` are the films of the shots that are joined, `cells` those of a sheet. `files` are the paths of files that
    the scene names, by key (`source.video`), where they are not those of the scene.
    """

    kind: Kind
    task: Task
    parts: tuple[str, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)
    cells: tuple[CellOutcome, ...] = ()


class FrameEvent(Record):
    """A finished frame; see FrameProgress."""

    event: Literal["frame"] = "frame"
    frame: int
    first: int
    last: int
    rate: float | None = None
    eta_s: float | None = None


class WarningEvent(Record):
    """A warning: a sentence."""

    event: Literal["warning"] = "warning"
    message: str


class CellPart(Record):
    """A cell of a sweep, and how it is made. `after` is the number of a cell that it waits for."""

    number: int
    label: str
    overrides: tuple[Override, ...]
    still: str
    work: CellWork
    after: int | None = None


class DoneEvent(Record):
    """A step is done.

    `path`, `frames`, `size` and `is_new` are those of a Film that is finished. After a split, `shots` are the frames at
    which a shot begins, and one after the last frame; `machine` is how the film is to be made; or `cells` are those of
    a sweep, in the order in which they are made.
    """

    event: Literal["done"] = "done"
    path: str = ""
    frames: int = 0
    size: tuple[int, int] = (0, 0)
    fps: str = ""
    is_new: bool = True
    shots: tuple[int, ...] = ()
    cells: tuple[CellPart, ...] = ()
    machine: dict[str, Any] | None = None


class FailedEvent(Record):
    """A step failed, with the exit status and message of the error.

    `may_pass` says that the same step may succeed another time: something outside ended it. `is_refused` says that
    another machine may be able to perform it. `detail` is a traceback.
    """

    event: Literal["failed"] = "failed"
    status: int
    message: str
    may_pass: bool = False
    is_refused: bool = False
    detail: str = ""


class StoppedEvent(Record):
    """A step was stopped as requested; what counts of it is on the disk."""

    event: Literal["stopped"] = "stopped"


Event = FrameEvent | WarningEvent | DoneEvent | FailedEvent | StoppedEvent
EndEvent = DoneEvent | FailedEvent | StoppedEvent
"""The last event of a step."""
_event: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: bytes) -> Event:
    """Returns the event of a line. Raises ValueError."""
    return _event.validate_json(line)
