"""Warnings of libraries, ignored where they are expected."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()
"""Python's filters of warnings are those of the whole process: a thread that restored them between the two ends of
another thread's block would leave them changed."""


@contextmanager
def ignored_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignores the warnings of a category within the block; one thread at a time."""
    with _LOCK, warnings.catch_warnings(action="ignore", category=category):
        yield
