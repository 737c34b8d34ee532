"""The driver: the order of tasks, failures, attempts, requests, and what remains of a driver that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from render.errors import Interrupted, StorageError
from render.jobs.control import request
from render.jobs.driver import MAX_ATTEMPTS, Driver, Observer
from render.jobs.folder import Request
from render.jobs.messages import DoneEvent, Event, FailedEvent, FrameEvent, Step, WarningEvent
from render.jobs.model import Job, Progress, Task, TaskState
from render.jobs.run import TasksFailed, exit_status, require_success, watch
from render.jobs.submit import Entry, make_tasks, open_job, submit
from tests.jobs.parts import FakeExecutor, finish, made_job, run, states

LOST = FailedEvent(status=3, message="its worker process was killed by signal 9", may_pass=True)


def frame(index: int) -> FrameEvent:
    """A finished frame of a film of 100."""
    return FrameEvent(frame=index, first=0, last=100)


class Watcher(Observer):
    """Notes what it observes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def state(self, task: Task, state: TaskState) -> None:
        """Notes a state."""
        self.seen.append((task.label, state.state))

    def progress(self, task: Task, progress: Progress) -> None:
        """Notes a frame."""
        self.seen.append((task.label, progress.frame))

    def warning(self, task: Task, message: str) -> None:
        """Notes a warning."""
        self.seen.append((task.label, message))


def test_tasks_run_in_order_and_are_observed(workspace: Path) -> None:
    observer = Watcher()
    run(made_job("a.yaml", "b.yaml"), FakeExecutor(), observer)
    expected = [[(name, "RUNNING"), (name, 0), (name, "SUCCEEDED")] for name in ("a.yaml", "b.yaml")]
    assert observer.seen == [*expected[0], *expected[1]]


def test_a_failure_stops_nothing_and_is_reported_at_the_end(workspace: Path) -> None:
    def perform(step: Step) -> list[Event]:
        return [FailedEvent(status=4, message="no room")] if step.task.id == "1" else finish(step)

    folder = made_job("a.yaml", "b.yaml", "c.yaml")
    after = run(folder, FakeExecutor(perform))
    assert states(folder) == {"1": "DEAD", "2": "SUCCEEDED", "3": "SUCCEEDED"}
    with pytest.raises(TasksFailed, match=r"1 of 3 tasks failed; .*\n  a\.yaml: status 4: no room") as raised:
        require_success(folder.job(), after)
    assert raised.value.status == 4


def test_a_worker_that_ends_costs_an_attempt_and_then_the_task_is_dead(workspace: Path) -> None:
    folder = made_job("a.yaml")
    executor = FakeExecutor(lambda step: [LOST])
    after = run(folder, executor)
    assert len(executor.steps) == MAX_ATTEMPTS
    assert (after["1"].state, after["1"].status) == ("DEAD", 3)
    assert after["1"].message == f"{LOST.message}, {MAX_ATTEMPTS} times"
    assert folder.log_path("1").read_text().count("it is tried again") == MAX_ATTEMPTS - 1


def test_a_task_that_comes_on_has_all_its_attempts_again(workspace: Path) -> None:
    reached = iter([7, 7, 15, 15, 23, 23, None, 20])
    executor = FakeExecutor(lambda step: [*([] if (last := next(reached)) is None else [frame(last)]), LOST])
    after = run(made_job("a.yaml"), executor)
    assert (after["1"].state, after["1"].last_frame) == ("DEAD", 23)
    assert len(executor.steps) == 7  # three of them ended without a frame after 23


def test_a_task_that_fails_once_by_itself_is_not_tried_again(workspace: Path) -> None:
    executor = FakeExecutor(lambda step: [FailedEvent(status=2, message="a wrong scene")])
    run(made_job("a.yaml"), executor)
    assert len(executor.steps) == 1


def test_as_many_tasks_run_as_the_executor_takes(workspace: Path) -> None:
    executor = FakeExecutor(lambda step: [frame(0)], slots=2)
    folder = made_job("a.yaml", "b.yaml", "c.yaml")
    running: list[list[str]] = []

    class Pause(Observer):
        def tick(self) -> None:
            running.append(list(executor.running))
            folder.send(Request(action="pause"))

    with pytest.raises(
        Interrupted, match="paused; 0 of 3 tasks have succeeded; the same command, or `render jobs resume"
    ):
        run(folder, executor, Pause())
    assert running[0] == ["1", "2"]
    assert states(folder) == {"1": "WAITING", "2": "WAITING", "3": "WAITING"}


def test_a_job_without_workers_ends_when_nothing_waits_for_one(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    executor = FakeExecutor(slots=0)

    class Cancel(Observer):
        def tick(self) -> None:
            folder.send(Request(action="cancel"))
            self.tick = Observer().tick  # type: ignore[method-assign]  # once

    run(folder, executor, Cancel())
    assert states(folder) == {"1": "CANCELLED", "2": "CANCELLED"}


@pytest.mark.parametrize(("action", "state"), [("cancel", "CANCELLED"), ("eat", "EATEN")])
def test_a_task_is_cancelled_or_eaten_and_the_job_goes_on(workspace: Path, action: str, state: str) -> None:
    folder = made_job("a.yaml", "b.yaml")
    executor = FakeExecutor(lambda step: [frame(0)] if step.task.id == "1" else finish(step))

    class Once(Observer):
        def tick(self) -> None:
            if executor.running == ["1"] and not list((folder.path / "requests").iterdir()):
                folder.send(Request.model_validate({"action": action, "tasks": ("1",)}))
                self.tick = Observer().tick  # type: ignore[method-assign]  # once

    after = run(folder, executor, Once())
    assert states(folder) == {"1": state, "2": "SUCCEEDED"}
    assert exit_status(folder.job(), after) == (130 if action == "cancel" else 0)


def test_requests_are_dealt_with_at_once_where_no_driver_runs(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    request(folder, Request(action="cancel"))
    assert states(folder) == {"1": "CANCELLED", "2": "CANCELLED"}
    request(folder, Request(action="retry", tasks=("2",)))
    assert states(folder) == {"1": "CANCELLED", "2": "WAITING"}
    request(folder, Request(action="eat", tasks=("2",)))
    request(folder, Request(action="retry"))
    assert states(folder) == {"1": "WAITING", "2": "EATEN"}
    request(folder, Request(action="retry", tasks=("2",)))
    assert states(folder)["2"] == "WAITING"


def test_only_some_tasks_run_where_these_are_named(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    with folder.locked():
        Driver(folder, FakeExecutor(), Observer(), only=["2"]).run()
    assert states(folder) == {"1": "WAITING", "2": "SUCCEEDED"}


def test_ctrl_c_stops_the_tasks_and_they_wait(workspace: Path) -> None:
    class Stop(Observer):
        def progress(self, task: Task, progress: Progress) -> None:
            raise KeyboardInterrupt

    folder = made_job("a.yaml", "b.yaml")
    with pytest.raises(Interrupted, match="stopped; 0 of 2 tasks have succeeded"):
        run(folder, FakeExecutor(lambda step: [frame(0)]), Stop())
    assert states(folder) == {"1": "WAITING", "2": "WAITING"}
    assert run(folder, FakeExecutor())["2"].state == "SUCCEEDED"


def test_what_a_driver_that_died_left_running_waits_again_and_its_worker_is_gone(workspace: Path) -> None:
    folder = made_job("a.yaml")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as orphan:
        started = psutil.Process(orphan.pid).create_time()
        folder.write_state("1", TaskState(state="RUNNING", pid=orphan.pid, started=started, attempts=1))
        os.kill(orphan.pid, signal.SIGSTOP)  # it does not even notice that its driver died
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("render.jobs.driver.ORPHAN_SECONDS", 0.1)
            run(folder, FakeExecutor())
        assert orphan.poll() is not None
    assert states(folder) == {"1": "SUCCEEDED"}


def test_a_process_that_only_has_the_id_of_a_worker_is_left_alone(workspace: Path) -> None:
    folder = made_job("a.yaml")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        folder.write_state("1", TaskState(state="RUNNING", pid=other.pid, started=1.0))
        run(folder, FakeExecutor())
        assert other.poll() is None
        other.kill()


def test_a_program_runs_a_job(workspace: Path) -> None:
    """As the package's docstring says."""
    seeds = [("--set", "seed", "1"), ("--set", "seed", "2")]
    entries = [Entry(Path("a.yaml"), overrides=(seed,), output=f"{seed[2]}.mp4") for seed in seeds]
    folder = open_job("seeds")
    with folder.locked():
        job = submit(folder, make_tasks(entries))
        Driver(folder, FakeExecutor(), Observer()).run()
    assert [task.label for task in job.tasks] == ["a.yaml 1.mp4", "a.yaml 2.mp4"]
    assert sorted(path.name for path in workspace.glob("*.mp4")) == ["1.mp4", "2.mp4"]


def test_warnings_are_logged_and_observed(workspace: Path) -> None:
    observer = Watcher()
    folder = made_job("a.yaml")
    run(folder, FakeExecutor(lambda step: [WarningEvent(message="a small disk"), *finish(step)]), observer)
    assert ("a.yaml", "a small disk") in observer.seen
    assert "warning: a small disk" in folder.log_path("1").read_text()


def test_a_job_is_watched_from_its_files(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    run(folder, FakeExecutor(lambda step: [DoneEvent(path=step.task.output, frames=2)]))
    observer = Watcher()
    watch(folder, observer)
    folder.write_state("2", TaskState(state="DEAD", status=4, message="x"))
    with pytest.raises(TasksFailed):
        watch(folder, observer)


def test_a_task_retried_before_it_has_stopped_goes_on(workspace: Path) -> None:
    folder = made_job("a.yaml")
    executor = FakeExecutor(lambda step: finish(step) if len(executor.steps) > 1 else [frame(0)])

    class CancelAndRetry(Observer):
        def progress(self, task: Task, progress: Progress) -> None:
            if len(executor.steps) == 1:
                driver.obey(Request(action="cancel"))
                driver.obey(Request(action="retry"))

    with folder.locked():
        driver = Driver(folder, executor, CancelAndRetry())
        driver.run()
    assert states(folder) == {"1": "SUCCEEDED"}
    assert len(executor.steps) == 2


def test_a_state_that_is_damaged_costs_its_task_one_more_run(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    run(folder, FakeExecutor())
    (folder.path / "tasks" / "1.json").write_bytes(b"")
    assert "1.json is damaged" in folder.state(folder.job().tasks[0]).message
    executor = FakeExecutor()
    run(folder, executor)
    assert [step.task.id for step in executor.steps] == ["1"]
    assert states(folder) == {"1": "SUCCEEDED", "2": "SUCCEEDED"}


def test_requests_that_are_damaged_old_or_being_written_end_no_job(workspace: Path) -> None:
    folder = made_job("a.yaml")
    requests = folder.path / "requests"
    damaged, old = requests / f"{1:020d}-{'0' * 32}.json", folder.send(Request(action="cancel"))
    damaged.write_text("{")
    os.utime(old, (1, 1))
    unfinished = requests / f"{'0' * 32}.tmp.json"
    unfinished.write_text('{"action": "cancel"')
    run(folder, FakeExecutor())
    assert states(folder) == {"1": "SUCCEEDED"}
    assert list(requests.iterdir()) == [unfinished]


def test_an_error_of_the_driver_stops_the_tasks_and_they_wait(workspace: Path) -> None:
    class Closed(Observer):
        def progress(self, task: Task, progress: Progress) -> None:
            raise StorageError("standard output is closed")

    folder = made_job("a.yaml", "b.yaml")
    with pytest.raises(StorageError, match="closed"):
        run(folder, FakeExecutor(lambda step: [frame(0)], slots=2), Closed())
    assert states(folder) == {"1": "WAITING", "2": "WAITING"}


def test_a_driver_that_died_left_no_task_running_for_those_who_look(workspace: Path) -> None:
    folder = made_job("a.yaml")
    folder.write_state("1", TaskState(state="RUNNING", pid=1, started=1.0))
    assert folder.states_for_display(folder.job(), is_running=True)["1"].state == "RUNNING"
    assert folder.states_for_display(folder.job(), is_running=False)["1"].state == "WAITING"


def test_the_driver_looks_at_each_of_many_tasks_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made_job("a.yaml").job().tasks[0]
    folder = open_job("many")
    count = 50
    tasks = [task.model_copy(update={"id": str(n), "output": f"{task.output}.{n}"}) for n in range(1, count + 1)]
    folder.write_job(Job(name="many", created=0.0, tasks=tuple(tasks)))
    looks: list[str] = []
    next_step = Driver._next_step

    def look(driver: Driver, task: Task) -> Step | None:
        looks.append(task.id)
        return next_step(driver, task)

    monkeypatch.setattr(Driver, "_next_step", look)
    executor = FakeExecutor(lambda step: [DoneEvent(path=step.task.output, frames=2)], slots=4)
    run(folder, executor)
    assert looks == [step.task.id for step in executor.steps] == [str(n) for n in range(1, count + 1)]
