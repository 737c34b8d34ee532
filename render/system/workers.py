"""Background threads: inputs are prefetched, and frames are written, while the network dreams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

QUEUE_SIZE = 2
"""Items that may wait for the thread; `put` waits while there are more."""


def prefetch(items: Generator[Item], depth: int = 1) -> Generator[Item]:
    """Yields the items; a thread computes the next `depth` of them while the caller uses one."""
    with ThreadPoolExecutor(1) as executor:
        try:
            pending = deque(executor.submit(next, items, None) for _ in range(depth))
            while (item := pending.popleft().result()) is not None:
                pending.append(executor.submit(next, items, None))
                yield item
        finally:
            for future in pending:
                future.cancel()
            executor.submit(items.close).result()


class BackgroundWriter(Generic[Item]):
    """Calls a function for each item, in order, in one thread.

    An error of the function is raised by the next `put` or at the end of the block, and no later item is written. When
    the block itself raises, the items that were put before are still written.
    """

    def __init__(self, write: Callable[[Item], None]) -> None:
        self._write = write
        self._executor = ThreadPoolExecutor(1)
        self._has_failed = False
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        self._executor.submit(int).result()  # starts the thread while there is memory for its stack
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            while self._pending:
                error = self._wait_for_oldest()
                if error is not None and kind is None:
                    raise error
        finally:
            self._cancel()  # nothing is written once the block has ended, even if Ctrl-C ended the loop above
            self._executor.shutdown()

    def put(self, item: Item) -> None:
        """Adds an item; waits while QUEUE_SIZE items are pending besides the one that is being written."""
        while self._pending and (len(self._pending) > QUEUE_SIZE or self._pending[0].done()):
            error = self._wait_for_oldest()
            if error is not None:
                raise error
        self._pending.append(self._executor.submit(self._write_unless_failed, item))

    def _write_unless_failed(self, item: Item) -> None:
        if self._has_failed:
            return
        try:
            self._write(item)
        except BaseException:
            self._has_failed = True
            raise

    def _wait_for_oldest(self) -> BaseException | None:
        """Waits for the oldest pending item; it stays pending when Ctrl-C interrupts the wait."""
        error = self._pending[0].exception()
        self._pending.popleft()
        return error

    def _cancel(self) -> None:
        for future in self._pending:
            future.cancel()
        self._pending.clear()
