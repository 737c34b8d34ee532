"""A tiny scene, an executor that performs what a test says, and short ways to make and run jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from render.jobs.batch_list import entries_of
from render.jobs.driver import Driver, Observer
from render.jobs.executor import StepEvent
from render.jobs.folder import JobFolder
from render.jobs.messages import DoneEvent, EndEvent, Event, FrameEvent, Step, StoppedEvent
from render.jobs.model import State, TaskState
from render.jobs.submit import Entry, job_name, make_tasks, open_job, submit

SCENE = """\
size: [64, 64]
duration: 16
source: {noise: {grain: 16}}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 2, transforms: {jitter: 2}}
output: {segment_frames: 4}
"""
FRAMES = 16
TIMEOUT = 180.0
"""Seconds after which what does not happen is a failure."""
REPOSITORY = Path(__file__).parents[2]


def made_job(*names: str, is_split: bool = False) -> JobFolder:
    """Makes the job of some scenes of the current folder, or opens it and keeps what it has done."""
    entries = entries_of(names, Entry(scene=Path(), is_split=is_split))
    folder = open_job(job_name(entries))
    with folder.locked():
        submit(folder, make_tasks(entries))
    return folder


def states(folder: JobFolder) -> dict[str, State]:
    """The states of a job's tasks by id."""
    return {task_id: state.state for task_id, state in folder.states(folder.job()).items()}


def run(folder: JobFolder, executor: FakeExecutor, observer: Observer | None = None) -> dict[str, TaskState]:
    """Runs a job in this process; returns the states of its tasks."""
    with folder.locked():
        return Driver(folder, executor, observer or Observer()).run()


class FakeExecutor:
    """Performs steps at once, in this process: `perform` returns the events of a step, in order.

    A step without an end runs until it is stopped.
    """

    def __init__(self, perform: Callable[[Step], list[Event]] | None = None, *, slots: int = 1) -> None:
        self.perform = perform or finish
        self.slots = slots
        self.steps: list[Step] = []
        self.running: list[str] = []
        self._events: list[StepEvent] = []

    @property
    def free(self) -> int:
        """See Executor."""
        return self.slots - len(self.running)

    def expect(self, steps: int) -> None:
        """See Executor."""

    def start(self, step: Step) -> None:
        """See Executor."""
        self.steps.append(step)
        self.running.append(step.task.id)
        self._events += [StepEvent(step.task.id, event) for event in self.perform(step)]

    def stop(self, task: str) -> None:
        """See Executor."""
        if not any(event.task == task for event in self._events):
            self._events.append(StepEvent(task, StoppedEvent()))

    def events(self, timeout: float) -> Iterator[StepEvent]:
        """See Executor."""
        time.sleep(0 if self._events else min(timeout, 0.005))
        events, self._events = self._events, []
        for event in events:
            if isinstance(event.event, EndEvent):
                self.running.remove(event.task)
            yield event

    def close(self) -> None:
        """See Executor."""


def finish(step: Step) -> list[Event]:
    """The events of a step that makes a film of two frames."""
    Path(step.task.output).parent.mkdir(parents=True, exist_ok=True)
    Path(step.task.output).write_text(step.task.label)
    return [FrameEvent(frame=0, first=0, last=2), DoneEvent(path=step.task.output, frames=2)]


def begin(*arguments: str) -> subprocess.Popen[str]:
    """Starts `render ARGUMENTS` in the current folder, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "render", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "the condition does not become true"
        time.sleep(0.005)
