"""What goes on beside the dream, each in one thread of its own: making things ahead of it, keeping them behind it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Full, Queue
from threading import Thread
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

BEHIND = 2
"""Items that may wait to be taken; then whoever gives them waits."""
WAIT = 0.05
"""Seconds between looks at a thread that is to end."""


def ahead(items: Generator[Item], depth: int = 1) -> Generator[Item]:
    """The same items, `depth` of them made while the ones before are in use."""
    with ThreadPoolExecutor(1) as worker:
        try:
            coming = deque(worker.submit(next, items, None) for _ in range(depth))
            while (item := coming.popleft().result()) is not None:
                coming.append(worker.submit(next, items, None))
                yield item
        finally:
            for each in coming:
                each.cancel()
            worker.submit(items.close).result()


class Behind(Generic[Item]):
    """Takes items in order, as `take` does that is given them all; left without an error, when all are taken.

    What `take` raises is raised by the next `give`, or when the block ends. When the block fails, `take` gets what
    was given so far, and then Abandoned.
    """

    def __init__(self, take: Callable[[Iterator[Item]], None]) -> None:
        self._take = take
        self._given: Queue[list[Item] | None] = Queue(BEHIND)  # one in each; [] after the last, None when abandoned
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            self._given.put([] if kind is None else None)
            self._thread.join()
        except BaseException:  # Ctrl-C while we wait: nothing goes on once we have left
            self._stopped = True
            while self._thread.is_alive():
                with contextlib.suppress(Full):
                    self._given.put_nowait(None)
                self._thread.join(WAIT)
            raise
        if kind is None:
            self._check()

    def give(self, item: Item) -> None:
        """One item more; waits while too many are."""
        self._check()
        self._given.put([item])

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        items = self._items()
        with contextlib.suppress(Abandoned):
            try:
                self._take(items)
            except Abandoned:
                raise
            except Exception as error:  # raised again where the items come from
                self._error = error
            for _ in items:  # so that nobody waits for room
                pass

    def _items(self) -> Iterator[Item]:
        while (given := self._given.get()) and not self._stopped:
            yield given[0]
        if given is None or self._stopped:
            raise Abandoned


class Abandoned(Exception):
    """No more items are to come, though they are not all."""
