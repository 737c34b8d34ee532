"""Warnings that are ignored: in one thread at a time, because Python's filters are those of the process."""

from __future__ import annotations

import threading
import warnings

import pytest

from render.system.quiet import ignored_warnings


def test_only_warnings_of_the_category_are_ignored() -> None:
    with ignored_warnings(UserWarning):
        warnings.warn("ignored", UserWarning, stacklevel=1)
        with pytest.raises(FutureWarning):
            warnings.warn("not ignored", FutureWarning, stacklevel=1)


def test_blocks_of_two_threads_that_overlap_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    is_inside, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with ignored_warnings():
            is_inside.set()
            may_end.wait(5)

    thread = threading.Thread(target=other)
    with ignored_warnings():
        thread.start()
        is_inside.wait(0.2)
    is_inside.wait(5)
    may_end.set()
    thread.join()
    assert list(warnings.filters) == before
