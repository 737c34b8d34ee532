"""Background threads: order, errors and interruptions of prefetched and written items."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator

import pytest

from render.system.workers import QUEUE_SIZE, BackgroundWriter, prefetch


def test_items_are_written_in_order_by_another_thread() -> None:
    written: list[tuple[int, int]] = []
    with BackgroundWriter[int](lambda item: written.append((item, threading.get_ident()))) as writer:
        for item in range(50):
            writer.put(item)
    assert [item for item, _ in written] == list(range(50))
    assert {thread for _, thread in written}.isdisjoint([threading.get_ident()])


def test_put_waits_while_too_many_items_are_pending() -> None:
    started, release = threading.Semaphore(0), threading.Event()

    def write(item: int) -> None:
        started.release()
        release.wait(10)

    put: list[int] = []

    def put_all() -> None:
        with BackgroundWriter[int](write) as writer:
            for item in range(10):
                writer.put(item)
                put.append(item)

    thread = threading.Thread(target=put_all)
    thread.start()
    assert started.acquire(timeout=10)
    thread.join(0.2)
    assert len(put) == QUEUE_SIZE + 1
    release.set()
    thread.join(10)
    assert put == list(range(10))


@pytest.mark.parametrize("count", [4, 5, 100 * QUEUE_SIZE])
def test_an_error_ends_the_block_and_no_later_item_is_written(count: int) -> None:
    written: list[int] = []

    def write(item: int) -> None:
        if item == 3:
            raise ValueError("no space")
        written.append(item)

    with pytest.raises(ValueError, match="no space"), BackgroundWriter[int](write) as writer:
        for item in range(count):
            writer.put(item)
    assert written == [0, 1, 2]


def test_an_error_is_raised_by_the_next_put() -> None:
    def write(item: int) -> None:
        raise ValueError("no space")

    is_put = False
    with pytest.raises(ValueError, match="no space"), BackgroundWriter[int](write) as writer:
        writer.put(0)
        writer._pending[0].exception()
        writer.put(1)
        is_put = True
    assert not is_put


def test_items_put_before_the_block_fails_are_written() -> None:
    written: list[int] = []
    with pytest.raises(KeyboardInterrupt), BackgroundWriter[int](written.append) as writer:
        for item in range(5):
            writer.put(item)
        raise KeyboardInterrupt
    assert written == [0, 1, 2, 3, 4]


def interrupt_main_thread() -> None:
    """Ctrl-C, after enough time for the main thread to wait."""
    time.sleep(0.1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_ctrl_c_while_put_waits_leaves_no_thread_and_no_gap() -> None:
    written: list[int] = []
    release = threading.Event()

    def write(item: int) -> None:
        if item == 0:
            interrupt_main_thread()
            release.wait(10)
        written.append(item)

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt), BackgroundWriter[int](write) as writer:
        try:
            for item in range(10):
                writer.put(item)
        finally:
            release.set()
    assert threading.active_count() == threads
    assert written == list(range(QUEUE_SIZE + 1))


def test_ctrl_c_at_the_end_of_the_block_leaves_no_thread() -> None:
    written: list[int] = []

    def write(item: int) -> None:
        interrupt_main_thread()
        time.sleep(0.1)
        written.append(item)

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt), BackgroundWriter[int](write) as writer:
        writer.put(0)
        writer.put(1)
    assert threading.active_count() == threads
    assert written == [0]


@pytest.mark.parametrize("depth", [1, 4])
def test_as_many_items_as_requested_are_prefetched(depth: int) -> None:
    computed: list[int] = []
    is_enough = threading.Event()

    def items() -> Generator[int]:
        for item in range(10):
            computed.append(item)
            if item == depth:
                is_enough.set()
            yield item

    prefetched = prefetch(items(), depth)
    assert next(prefetched) == 0
    assert is_enough.wait(10)
    assert len(computed) == depth + 1
    prefetched.close()


def test_an_error_of_the_items_is_raised_where_they_are_used() -> None:
    def items() -> Generator[int]:
        yield 0
        raise ValueError("damaged")

    prefetched = prefetch(items())
    assert next(prefetched) == 0
    with pytest.raises(ValueError, match="damaged"):
        next(prefetched)


def test_closing_closes_the_items() -> None:
    is_closed = threading.Event()

    def items() -> Generator[int]:
        try:
            yield from range(10)
        finally:
            is_closed.set()

    prefetched = prefetch(items())
    next(prefetched)
    prefetched.close()
    assert is_closed.is_set()
