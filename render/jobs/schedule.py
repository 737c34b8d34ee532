"""Which task of a job is looked at next: those that wait, in their order, and who waits for whom."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping

from render.jobs.model import Job, Task, TaskState, shots_by_film, task_number


class Schedule:
    """The waiting tasks of a job. A task that cannot begin is looked at again when what it waits for has ended."""

    def __init__(self, job: Job, states: Mapping[str, TaskState]) -> None:
        self.parts = shots_by_film(job)
        self._tasks = {task.id: task for task in job.tasks}
        self._followers: dict[str, list[str]] = defaultdict(list)
        for task in job.tasks:
            for leader in task.after:
                self._followers[leader].append(task.id)
            if task.film is not None:
                self._followers[task.id].append(task.film)
        self._waiting = [
            (task_number(task_id), task_id) for task_id in self._tasks if states[task_id].state == "WAITING"
        ]
        heapq.heapify(self._waiting)

    def consider(self, task_id: str) -> None:
        """Looks at a task again: it waits now."""
        heapq.heappush(self._waiting, (task_number(task_id), task_id))

    def consider_followers(self, task_id: str) -> None:
        """Looks again at the tasks that wait for one, which has ended."""
        for follower in self._followers[task_id]:
            self.consider(follower)

    def __len__(self) -> int:
        """How many tasks there are to look at, some of them perhaps twice."""
        return len(self._waiting)

    def first(self, is_wanted: Callable[[Task], bool]) -> Task | None:
        """Returns the first task to look at, and discards those before it that are not wanted any more."""
        while self._waiting:
            task = self._tasks[self._waiting[0][1]]
            if is_wanted(task):
                return task
            heapq.heappop(self._waiting)
        return None

    def pop(self) -> None:
        """Discards the first task, which has been looked at."""
        heapq.heappop(self._waiting)
