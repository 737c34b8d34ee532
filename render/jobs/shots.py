"""A film as shots: which ranges of its frames are tasks of their own, and what their failures mean for the film."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from render.jobs.messages import DoneEvent, FailedEvent
from render.jobs.model import State, Task, TaskState

MAX_SHOTS = 9999
"""Tasks of a film; more shots are rendered several in a task."""


def group_shots(starts: Sequence[int], length: int, *, at_least: int) -> list[int]:
    """Returns those of the starts at which a task begins, so that each but the last has `at_least` frames."""
    at_least = max(at_least, -(-length // MAX_SHOTS))
    chosen = [starts[0]]
    for start in starts[1:]:
        if start - chosen[-1] >= at_least:
            chosen.append(start)
    if len(chosen) > 1 and length - chosen[-1] < at_least:
        chosen.pop()
    return chosen


def shots_of(film: Task, split: DoneEvent, folder: Path, *, at_most: int) -> list[Task]:
    """Returns a task for each range of a split film, all made as the film would be; `folder` is for their films.

    Where they are more than `at_most`, which is at least 1, some have several ranges.
    """
    suffix = Path(film.output).suffix
    starts, last = split.shots[:-1], split.shots[-1]
    cuts = (*starts[:: -(-len(starts) // max(at_most, 1))], last)
    return [
        film.model_copy(
            update={
                "id": f"{film.id}.{number}",
                "label": f"{film.label} {first}:{last}",
                "kind": "shot",
                "film": film.id,
                "frames": (first, last),
                "output": str(folder / f"{first}-{last}{suffix}"),
                "overwrite": False,
                "is_split": False,
                "machine": split.machine,
            }
        )
        for number, (first, last) in enumerate(pairwise(cuts), 1)
    ]


def given_up(failed: Sequence[tuple[Task, TaskState]]) -> State | None:
    """What a film is with its shots that the user cancelled or gave up, None where one of them failed by itself."""
    states = {state.state for _, state in failed}
    return None if "DEAD" in states else "CANCELLED" if "CANCELLED" in states else "EATEN"


def failure(failed: Sequence[tuple[Task, TaskState]], count: int) -> FailedEvent:
    """What a film, or a sheet, fails with when some of its parts did not succeed, with the status of the first."""
    task, state = failed[0]
    reason = state.message or state.state.lower()
    message = f"{len(failed)} of {count} {task.kind}s are missing; {task.label}: {reason}"
    return FailedEvent(status=state.status or 1, message=message)
