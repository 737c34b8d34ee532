"""What the studio and its dreaming process say to each other: requests and events, each a line of JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_SCENES = 2


class Message(BaseModel):
    """A line, immutable and of exactly these keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SceneText(Message):
    """The text of a scene, and the absolute path of its file, from which relative files are found.

    `folder` is where its film is made.
    """

    text: str
    path: str
    folder: str


class DreamRequest(Message):
    """Dream the frames of scenes from `frame` on, up to the one before `last`, with `side` pixels at most.

    It takes the place of the request before; one without scenes only ends that. Each frame is dreamed of all scenes
    before the next one. `token` is repeated in the events.
    """

    token: str
    scenes: Annotated[tuple[SceneText, ...], Field(max_length=MAX_SCENES, strict=False)] = ()
    frame: int = Field(default=0, ge=0)
    last: int | None = Field(default=None, ge=1)
    side: int = Field(default=256, ge=16, le=4096)


class DreamedFrame(Message):
    """A frame is in a file of the process's folder.

    `scene` is the number of its scene in the request, `length` the number of its film's frames. A frame before the
    requested one `is_lead`. `objective` is that of the last step, None when none could change the picture.
    """

    event: Literal["frame"] = "frame"
    token: str
    scene: int
    frame: int
    length: int
    file: str = Field(pattern=r"^[0-9]+\.png$")
    is_lead: bool = False
    objective: float | None = None


class Begun(Message):
    """A scene's first frame is being dreamed: from which frame on, and what that continues."""

    event: Literal["begun"] = "begun"
    token: str
    scene: int
    frame: int
    source: Literal["start", "memory", "film"]


class Ended(Message):
    """A request is done, or failed with a sentence."""

    event: Literal["ended"] = "ended"
    token: str
    message: str = ""


DreamEvent = DreamedFrame | Begun | Ended
_event: TypeAdapter[DreamEvent] = TypeAdapter(Annotated[DreamEvent, Field(discriminator="event")])


def parse_event(line: bytes) -> DreamEvent:
    """Returns the event of a line. Raises ValueError."""
    return _event.validate_json(line)
