"""Finished films, as a job remembers them: a task whose film was removed or replaced is rendered again."""

from __future__ import annotations

import os
from pathlib import Path

from render.film.naming import numbered_path
from render.jobs.model import Task, TaskState


def film_files(task: Task, frames: int) -> tuple[tuple[int, int], ...]:
    """Returns (bytes, time of modification in nanoseconds) of a film, or of the first and last picture of a sequence.

    Empty when one is missing.
    """
    first = task.frames[0] if task.frames else 0
    paths = sorted({numbered_path(Path(task.output), number) for number in (first, first + frames - 1)})
    try:
        return tuple((status.st_size, status.st_mtime_ns) for status in map(os.stat, paths))
    except OSError:
        return ()


def is_there(task: Task, state: TaskState) -> bool:
    """Whether the film of a task that has succeeded is still there, as it was made."""
    return bool(state.made) and film_files(task, state.frames) == state.made
