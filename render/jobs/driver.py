"""The driver: runs the tasks of a job on an executor, and keeps their states, until none waits or runs.

It is the one process that writes states. Whatever it has not written when it is killed is found again: by the films'
own working folders, and by their finished films.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass

from render.errors import Interrupted, RenderError
from render.jobs import cells, shots
from render.jobs.executor import Executor, StepEvent, end_process, start_time
from render.jobs.folder import JobFolder, Request
from render.jobs.messages import DoneEvent, EndEvent, FailedEvent, FrameEvent, Step, StoppedEvent, WarningEvent
from render.jobs.model import MAX_WITH_SHOTS, UNFINISHED, Job, Progress, State, Task, TaskState
from render.jobs.results import film_files, is_there
from render.jobs.schedule import Schedule

MAX_ATTEMPTS = 3
"""Workers that may end during a task, one after the other without a new frame; then it is DEAD."""
POLL_SECONDS = 0.2
"""Between looks at the requests of `render jobs`."""
PROGRESS_SECONDS = 0.5
"""Between writes of the progress for those who watch."""
ORPHAN_SECONDS = 3.0
"""In which the workers of a driver that has died end by themselves."""


class Observer:
    """Watches a job run; does nothing. Its methods are for the subclasses to override."""

    def job(self, job: Job, states: dict[str, TaskState]) -> None:
        """The tasks and their states, at the start and when shots are added."""

    def state(self, task: Task, state: TaskState) -> None:
        """A task has another state."""

    def progress(self, task: Task, progress: Progress) -> None:
        """A task has finished a frame."""

    def warning(self, task: Task, message: str) -> None:
        """A task has a warning."""

    def tick(self) -> None:
        """Some time has passed."""


@dataclass
class _Running:
    """A step that is performed, since when, and what becomes of the task if it is stopped."""

    step: Step
    began: float
    stopped_as: State | None = None


class Driver:
    """Runs a job whose folder this process has locked."""

    def __init__(
        self, folder: JobFolder, executor: Executor, observer: Observer, *, only: Collection[str] | None = None
    ) -> None:
        """`only` are the ids of the tasks that run, with those that are retried meanwhile; others stay as they are."""
        self.folder, self.executor, self.observer = folder, executor, observer
        self._only = None if only is None else set(only)
        self.job = folder.job()
        self.states = folder.states(self.job)
        self._schedule = Schedule(self.job, self.states)
        self._running: dict[str, _Running] = {}
        self._progress: dict[str, Progress] = {}
        self._next_progress = self._next_look = 0.0
        self._is_pausing = False

    def run(self) -> dict[str, TaskState]:
        """Runs the job; returns the states of its tasks.

        Raises Interrupted on Ctrl-C or when it was paused: all steps have stopped, and their tasks wait.
        """
        self.recover()
        self.observer.job(self.job, self.states)
        try:
            while self._advance():
                self._look()
                for event in self.executor.events(POLL_SECONDS):
                    self._handle(event)
                self._publish()
                self.observer.tick()
        except KeyboardInterrupt:
            self._stop_all()
            raise Interrupted(f"stopped; {self._summary()}") from None
        except BaseException:  # a disk that is full, or a reader of standard output that has ended
            self.observer = Observer()
            with contextlib.suppress(RenderError):
                self._stop_all()
            raise
        finally:
            self.folder.write_progress({})
        if self._is_pausing:
            raise Interrupted(f"paused; {self._summary()}")
        return self.states

    def _summary(self) -> str:
        listed = [task for task in self.job.tasks if task.id not in self._schedule.parts]
        done = sum(self.states[task.id].state == "SUCCEEDED" for task in listed)
        name = self.job.name
        return (
            f"{done} of {len(listed)} tasks have succeeded; the same command, or `render jobs resume {name}`, goes on"
        )

    def recover(self) -> None:
        """Lets the tasks wait that a driver left running when it died, once its workers have ended."""
        self.folder.remove_temporary_files()
        for task in self.job.tasks:
            state = self.states[task.id]
            if state.state == "RUNNING":
                if state.pid is not None and state.started is not None:
                    end_process(state.pid, state.started, timeout=ORPHAN_SECONDS)
                self._set(task, state="WAITING", pid=None, started=None)

    def _advance(self) -> bool:
        """Starts what can be started; returns whether anything runs, or waits for a worker."""
        while (task := self._schedule.first(self._is_wanted)) and not self._is_pausing and self.executor.free:
            self._schedule.pop()
            step = self._next_step(task)
            if step is not None:
                self._start(step)
        self.executor.expect(len(self._running) + len(self._schedule))
        return bool(self._running) or (bool(self._schedule) and not self._is_pausing)

    def _is_wanted(self, task: Task) -> bool:
        is_listed = self._only is None or task.id in self._only or task.film in self._only
        return is_listed and self.states[task.id].state == "WAITING"

    def _next_step(self, task: Task) -> Step | None:
        """What is to be done for a waiting task; None while it waits for others, and when it cannot be done."""
        if any(self.states[other].state in UNFINISHED for other in task.after):
            return None
        if not task.is_split:
            return Step(kind="render", task=task)
        parts = self._schedule.parts.get(task.id, [])
        if not parts:
            return Step(kind="split", task=task)
        if any(self.states[part.id].state in UNFINISHED for part in reversed(parts)):  # the last ones begin last
            return None
        if task.sweep is not None:
            return Step(kind="join", task=task, cells=cells.outcomes(parts, self.states))
        failed = self._failed_parts(task)
        if failed:
            self._fail(task, shots.failure(failed, len(parts)), shots.given_up(failed))
            return None
        gone = [part for part in parts if self.states[part.id].made and not is_there(part, self.states[part.id])]
        for part in gone:
            self.folder.log(part.id, f"{part.output} is missing, or another file; it is rendered again")
            self._set(part, state="WAITING")
        return None if gone else Step(kind="join", task=task, parts=tuple(part.output for part in parts))

    def _failed_parts(self, task: Task) -> list[tuple[Task, TaskState]]:
        """The parts without which a film cannot be joined, or that are missing on a sheet and were not given up."""
        enough = ("SUCCEEDED",) if task.sweep is None else ("SUCCEEDED", "EATEN")
        parts = self._schedule.parts.get(task.id, [])
        return [(part, self.states[part.id]) for part in parts if self.states[part.id].state not in enough]

    def _start(self, step: Step) -> None:
        task = step.task
        pid = self.executor.start(step)
        started = None if pid is None else start_time(pid)
        self._running[task.id] = _Running(step, time.monotonic())
        self._set(task, state="RUNNING", pid=pid, started=started, status=0, message="")
        self.folder.log(task.id, f"{step.kind}: begun by process {pid}")

    def _handle(self, happened: StepEvent) -> None:
        running = self._running.get(happened.task)
        if running is None:
            return
        task, event = running.step.task, happened.event
        match event:
            case FrameEvent():
                self._count(running, event)
            case WarningEvent(message=message):
                self.folder.log(task.id, f"warning: {message}")
                self.observer.warning(task, message)
            case _:
                del self._running[task.id]
                progress = self._progress.pop(task.id, None)
                self._end(running, event, last_frame=-1 if progress is None else progress.frame)

    def _count(self, running: _Running, event: FrameEvent) -> None:
        """Notes a frame, in memory and for those who watch."""
        task = running.step.task
        if task.id not in self._progress:
            self.folder.log(task.id, f"begins at frame {event.frame} of {event.first} to {event.last - 1}")
        self._progress[task.id] = Progress(**event.model_dump(exclude={"event"}))
        self.observer.progress(task, self._progress[task.id])

    def _end(self, running: _Running, event: EndEvent, *, last_frame: int) -> None:
        task, seconds = running.step.task, round(time.monotonic() - running.began, 1)
        state = self.states[task.id]
        attempts = 1 if last_frame > state.last_frame else state.attempts + 1
        idle = {"pid": None, "started": None, "seconds": round(state.seconds + seconds, 1)}
        idle["last_frame"] = max(last_frame, state.last_frame)
        match event:
            case DoneEvent(shots=(_, *_)) | DoneEvent(cells=(_, *_)):
                self._set(task, state=running.stopped_as or "WAITING", **idle)
                if running.stopped_as is None:
                    self._add_shots(task, event)
            case DoneEvent() if failed := self._failed_parts(task):  # a sheet with gaps
                self._set(task, attempts=0, **idle)
                self._fail(task, shots.failure(failed, len(self._schedule.parts[task.id])), shots.given_up(failed))
            case DoneEvent():
                self.folder.log(task.id, f"{event.path}: {event.frames} frames in {seconds} s")
                made = film_files(task, event.frames)
                self._set(task, state="SUCCEEDED", frames=event.frames, made=made, attempts=0, **idle)
                if task.is_split:
                    self.folder.remove_parts(task.id)
            case StoppedEvent():
                self.folder.log(task.id, "stopped")
                self._set(task, state=running.stopped_as or "WAITING", **idle)
            case FailedEvent(may_pass=True) if attempts < MAX_ATTEMPTS:
                self.folder.log(task.id, f"{event.message}; it is tried again\n{event.detail}")
                self._set(task, state=running.stopped_as or "WAITING", attempts=attempts, **idle)
            case FailedEvent():
                again = f", {MAX_ATTEMPTS} times" if event.may_pass else ""
                last = event.model_copy(update={"message": f"{event.message}{again}"})
                if running.step.kind == "join" and event.status == 2:  # the shots are of another film by now
                    self._discard_shots(task)
                self._set(task, attempts=0, **idle)
                self._fail(task, last, running.stopped_as)

    def _fail(self, task: Task, event: FailedEvent, stopped_as: State | None = None) -> None:
        self.folder.log(task.id, f"status {event.status}: {event.message}\n{event.detail}")
        status = event.status if stopped_as is None else 0
        self._set(task, state=stopped_as or "DEAD", status=status, message=event.message)

    def _add_shots(self, task: Task, event: DoneEvent) -> None:
        folder = self.folder.parts(task.id)
        if event.cells:
            parts = cells.cells_of(task, event, folder)
        else:
            others = len(self.job.tasks) - len(self._schedule.parts.get(task.id, []))
            parts = shots.shots_of(task, event, folder, at_most=MAX_WITH_SHOTS - others)
        self._change(self.job.with_shots(task.id, parts))
        self.folder.log(task.id, f"{len(parts)} tasks")

    def _discard_shots(self, task: Task) -> None:
        self.folder.remove_parts(task.id)
        for part in self._schedule.parts.get(task.id, []):
            self.folder.forget(part.id)
        self._change(self.job.with_shots(task.id, []))

    def _change(self, job: Job) -> None:
        self.folder.write_job(job)
        self.job = job
        self.states = {part.id: self.states.get(part.id, TaskState()) for part in job.tasks}
        self._schedule = Schedule(self.job, self.states)
        self.observer.job(self.job, self.states)

    def _set(self, task: Task, **values: object) -> None:
        before = self.states[task.id]
        after = before.model_copy(update=values)
        if after != before:
            self.folder.write_state(task.id, after)
            self.states[task.id] = after
            if after.state == "WAITING":
                self._schedule.consider(task.id)
            if after.state not in UNFINISHED:
                self._schedule.consider_followers(task.id)
            if after.state != before.state:
                self.observer.state(task, after)

    def _publish(self) -> None:
        now = time.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + PROGRESS_SECONDS
            self.folder.write_progress(self._progress)

    def _look(self) -> None:
        """Deals with what `render jobs` requests."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + POLL_SECONDS
        for request in self.folder.requests():
            self.obey(request)

    def obey(self, request: Request) -> None:
        """Deals with a request: stops steps, and sets states."""
        if request.action == "pause":
            self._is_pausing = True
            for task_id in self._running:
                self.executor.stop(task_id)
            return
        if request.action == "edit":
            self._edit(request)
            return
        named = set(request.tasks)
        for task in self.job.tasks:
            has_named_shot = request.action == "retry" and any(
                shot.id in named for shot in self._schedule.parts.get(task.id, [])
            )
            if named and task.id not in named and task.film not in named and not has_named_shot:
                continue
            match request.action, self.states[task.id].state:
                case "retry", "EATEN" if not named:
                    pass
                case "retry", "RUNNING" if task.id in self._running:  # which may be about to stop
                    self._running[task.id].stopped_as = None
                case "retry", "DEAD" | "CANCELLED" | "EATEN":
                    self._set(task, state="WAITING", attempts=0, status=0, message="")
                    if self._only is not None:
                        self._only.add(task.id)
                case "cancel", "WAITING" | "RUNNING":
                    self._give_up(task, "CANCELLED")
                case "eat", "WAITING" | "RUNNING" | "DEAD":
                    self._give_up(task, "EATEN")

    def _edit(self, request: Request) -> None:
        """Removes tasks that do not run, with their shots, and adds others."""
        busy = {running.step.task.film or task_id for task_id, running in self._running.items()}
        named = set(request.tasks) - busy
        removed = {task.id for task in self.job.tasks if task.id in named or task.film in named}
        added = [task for task in request.added if task.id not in self.states]
        for task in added:
            self.folder.forget(task.id)  # a driver may have died before it removed the state of another one
        kept = [task for task in self.job.tasks if task.id not in removed]
        self._change(self.job.model_copy(update={"tasks": (*kept, *added)}))
        for task_id in removed:
            self.folder.forget(task_id)
        if self._only is not None:
            self._only |= {task.id for task in added}

    def _give_up(self, task: Task, state: State) -> None:
        running = self._running.get(task.id)
        if running is None:
            self._set(task, state=state)
            return
        running.stopped_as = state
        self.executor.stop(task.id)

    def _stop_all(self) -> None:
        for task_id in self._running:
            self.executor.stop(task_id)
        until = time.monotonic() + ORPHAN_SECONDS  # the signal may have come while an end was being dealt with
        while self._running and time.monotonic() < until:
            for event in self.executor.events(POLL_SECONDS):
                self._handle(event)
