from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import pytest

from render.threads import BEHIND, Behind, ahead


def test_items_are_taken_in_order_by_another_thread() -> None:
    taken: list[tuple[int, int]] = []

    def take(items: Iterator[int]) -> None:
        taken.extend((item, threading.get_ident()) for item in items)

    with Behind(take) as behind:
        for item in range(50):
            behind.give(item)
    assert [item for item, _ in taken] == list(range(50))
    assert {thread for _, thread in taken}.isdisjoint([threading.get_ident()])


def given(take: Callable[[Iterator[int]], None], count: int, then: BaseException | None = None) -> None:
    with Behind(take) as behind:
        for item in range(count):
            behind.give(item)
        if then is not None:
            raise then


@pytest.mark.parametrize("count", [1, 3, 100 * BEHIND])
def test_an_error_is_raised_where_the_items_come_from_and_nobody_waits_for_room(count: int) -> None:
    def take(items: Iterator[int]) -> None:
        list(islice(items, 3))
        raise ValueError("no more room")

    with pytest.raises(ValueError, match="no more room"):
        given(take, count)


def test_when_the_block_fails_what_was_given_is_taken_and_nothing_is_finished() -> None:
    taken: list[int] = []
    finished = threading.Event()

    def take(items: Iterator[int]) -> None:
        taken.extend(item for item in items)
        finished.set()

    with pytest.raises(KeyboardInterrupt):
        given(take, 3, KeyboardInterrupt())
    assert not finished.is_set()


def test_what_is_finished_before_the_block_fails_stays_so() -> None:
    pieces: list[list[int]] = []

    def take(items: Iterator[int]) -> None:
        while piece := list(islice(items, 2)):
            pieces.append(piece)

    with pytest.raises(KeyboardInterrupt):
        given(take, 5, KeyboardInterrupt())
    assert pieces == [[0, 1], [2, 3]]


def test_ctrl_c_while_it_waits_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    join, interrupted = threading.Thread.join, threading.Event()

    def once(thread: threading.Thread, timeout: float | None = None) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    def take(items: Iterator[int]) -> None:
        for item in items:
            taken.append(item)
            interrupted.wait()

    before = threading.active_count()
    monkeypatch.setattr(threading.Thread, "join", once)
    with pytest.raises(KeyboardInterrupt):
        given(take, 2)
    assert threading.active_count() == before
    assert taken == [0]


@pytest.mark.parametrize("depth", [1, 4])
def test_items_are_made_ahead_by_as_many_as_are_asked_for(depth: int) -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Generator[int]:
        for item in range(10):
            made.append(item)
            if item == depth:
                enough.set()
            yield item

    coming = ahead(items(), depth)
    assert next(coming) == 0
    assert enough.wait(10)
    assert len(made) == depth + 1
    coming.close()
