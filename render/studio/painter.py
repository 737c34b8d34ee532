"""Makes the pictures that pages look at, one after the other; the page that was looked at last comes first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from render.studio.child import MESSAGE, Answer, Child, ChildEndedError

ATTEMPTS = 2


@dataclass(frozen=True)
class Picture:
    """A picture that is wanted: the network and the objective, as plain JSON."""

    network: Mapping[str, Any]
    objective: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What is the same for the same picture."""
        return json.dumps([self.network, self.objective], sort_keys=True)


@dataclass(frozen=True)
class Outcome:
    """The file of a picture, or why there is none."""

    file: Path | None
    message: str = ""


OnDone = Callable[[Picture, Outcome], None]


@dataclass
class _Order:
    pictures: dict[str, Picture]
    on_done: OnDone


@dataclass
class Painter:
    """The queue of wanted pictures, for a process that makes them; it belongs to one event loop."""

    child: Child
    _orders: dict[Hashable, _Order] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def want(self, owner: Hashable, pictures: Sequence[Picture], on_done: OnDone) -> None:
        """Makes pictures in their order, instead of those that the owner wanted before.

        `on_done` is called for each when it is there, at once or later, or cannot be made.
        """
        self._orders.pop(owner, None)
        self._orders[owner] = _Order({picture.key: picture for picture in pictures}, on_done)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def forget(self, owner: Hashable) -> None:
        """Makes nothing more for an owner."""
        self._orders.pop(owner, None)

    async def close(self) -> None:
        """Stops, and ends the process."""
        self._orders.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.child.close()

    def _next(self) -> Picture | None:
        for order in reversed(self._orders.values()):
            if order.pictures:
                return next(iter(order.pictures.values()))
        return None

    async def _run(self) -> None:
        while (picture := self._next()) is not None:
            self._done(picture, await self._made(picture))

    def _done(self, picture: Picture, outcome: Outcome) -> None:
        for order in list(self._orders.values()):
            if order.pictures.pop(picture.key, None) is not None:
                order.on_done(picture, outcome)

    async def _made(self, picture: Picture) -> Outcome:
        request = {"network": picture.network, "objective": picture.objective}
        message = ""
        for _ in range(ATTEMPTS):
            try:
                answers: list[Answer] = [answer async for answer in self.child.request(request)]
            except (ChildEndedError, OSError) as error:
                message = str(error)
                continue
            answer = answers[-1]
            file = answer.get("file")
            return Outcome(None if file is None else Path(file), answer.get(MESSAGE, ""))
        return Outcome(None, message)
