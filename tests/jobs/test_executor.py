"""Worker processes that end, that are stopped, and what a step does in a process."""

from __future__ import annotations

import os
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import psutil
import pytest
import torch

from render.film.lock import InUseError
from render.jobs.executor import LocalExecutor, gpu_variables
from render.jobs.messages import DoneEvent, EndEvent, Event, FailedEvent, FrameEvent, Step, StoppedEvent, WarningEvent
from render.jobs.perform import perform
from render.media import ffmpeg
from render.pipeline import job
from tests.jobs.parts import FRAMES, SCENE, TIMEOUT, made_job


def step_of(name: str = "a.yaml") -> Step:
    """A step that renders a scene of the current folder."""
    return Step(kind="render", task=made_job(name).job().tasks[0])


def end_of(executor: LocalExecutor) -> EndEvent:
    """Waits for the end of a step."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        for happened in executor.events(0.1):
            if isinstance(happened.event, EndEvent):
                return happened.event
    pytest.fail("the step does not end")


def test_a_worker_that_is_killed_is_an_end_that_may_pass(workspace: Path) -> None:
    with closing(LocalExecutor(1, workspace)) as executor:
        os.kill(executor.start(step_of()), 9)
        end = end_of(executor)
        assert isinstance(end, FailedEvent)
        assert (end.status, end.may_pass) == (3, True)
        assert end.message.startswith("its worker process was killed by signal 9 (SIGKILL)")
        assert executor.free == 1


def test_a_worker_that_cannot_start_says_why(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.jobs.executor.BOOT", "import sys; print('no such thing', file=sys.stderr); sys.exit(7)")
    with closing(LocalExecutor(1, workspace)) as executor:
        executor.start(step_of())
        end = end_of(executor)
    assert isinstance(end, FailedEvent)
    assert (end.message, end.detail) == ("its worker process ended with status 7", "no such thing\n")


def test_a_stopped_step_ends_within_two_seconds_even_while_torch_is_imported(workspace: Path) -> None:
    with closing(LocalExecutor(1, workspace)) as executor:
        pid = executor.start(step_of())
        start = time.monotonic()
        executor.stop("1")
        executor.stop("1")
        assert isinstance(end_of(executor), StoppedEvent)
        assert time.monotonic() - start < 2
        assert not list(workspace.glob("*.parts"))
    assert not psutil.pid_exists(pid)


def test_a_closed_executor_leaves_no_process(workspace: Path) -> None:
    executor = LocalExecutor(2, workspace)
    first = executor.start(step_of())
    second = executor.start(step_of("b.yaml"))
    assert first != second
    assert executor.free == 0
    executor.close()
    assert not psutil.pid_exists(first)
    assert not psutil.pid_exists(second)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("", [{}, {}]), ("3", [{}, {}]), ("1,3", [{"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "3"}])],
)
def test_workers_see_one_gpu_each(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[dict[str, str]]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu_variables(number) for number in (1, 2)] == expected
    assert gpu_variables(3) == expected[0]


def test_a_step_reports_its_first_and_last_frame_and_its_film(workspace: Path) -> None:
    events: list[Event] = []
    end = perform(step_of(), events.append)
    assert isinstance(end, DoneEvent)
    assert (end.path, end.frames, end.is_new) == (str(workspace / "a.mp4"), FRAMES, True)
    frames = [event.frame for event in events if isinstance(event, FrameEvent)]
    assert (frames[0], frames[-1]) == (0, FRAMES - 1)
    again = perform(step_of(), events.append)
    assert isinstance(again, DoneEvent)
    assert not again.is_new


def test_a_step_reports_what_is_hardly_meant_in_its_scene(workspace: Path) -> None:
    (workspace / "a.yaml").write_text(SCENE.replace("duration: 16", "duration: 2"))
    events: list[Event] = []
    perform(step_of(), events.append)
    (warning,) = [event for event in events if isinstance(event, WarningEvent)]
    assert "a.yaml:2:11: 2 frames are 0.083" in warning.message


def test_the_scene_is_that_of_the_job_even_if_the_file_has_changed(workspace: Path) -> None:
    step = step_of()
    (workspace / "a.yaml").write_text("nothing: 1")
    assert isinstance(perform(step, lambda event: None), DoneEvent)


def test_a_film_of_another_number_of_threads_changes_nothing_for_the_next_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.jobs.perform._threads", 1)  # as in a process that begins with one
    torch.set_num_threads(3)
    assert isinstance(perform(step_of(), lambda event: None), DoneEvent)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), StoppedEvent()),
        (ffmpeg.KilledError("killed"), FailedEvent(status=4, message="killed", may_pass=True)),
        (
            MemoryError(),
            FailedEvent(status=3, message="not enough memory; a smaller scale renders a smaller film", is_refused=True),
        ),
    ],
)
def test_an_error_is_the_end_of_a_step(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: EndEvent
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(job, "render", fail)
    assert perform(step_of(), lambda event: None) == expected


def test_an_error_that_nobody_expects_has_its_traceback_in_the_log(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "render", lambda *arguments: 1 / 0)
    end = perform(step_of(), lambda event: None)
    assert isinstance(end, FailedEvent)
    assert (end.status, end.message, end.may_pass) == (1, "ZeroDivisionError: division by zero", False)
    assert "Traceback" in end.detail


def test_a_folder_that_is_gone_is_a_sentence(workspace: Path) -> None:
    task = step_of().task.model_copy(update={"folder": str(workspace / "gone")})
    end = perform(Step(kind="render", task=task), lambda event: None)
    assert isinstance(end, FailedEvent)
    assert (end.status, end.message) == (4, f"cannot work in {workspace / 'gone'}: No such file or directory")


def test_a_film_that_another_process_leaves_soon_is_waited_for(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the worker does whose driver died before it noted it."""
    step = step_of()
    monkeypatch.setattr("render.jobs.perform.IN_USE_INTERVAL", 0.01)
    errors = iter([InUseError("in use"), InUseError("in use")])
    made = job.Film(workspace / "a.mp4", 16, fps=Fraction(24), size=(64, 64), made=True)

    def begin(*arguments: object) -> job.Film:
        for error in errors:
            raise error
        return made

    monkeypatch.setattr(job, "render", begin)
    assert isinstance(perform(step, lambda event: None), DoneEvent)
    monkeypatch.setattr("render.jobs.perform.IN_USE_SECONDS", 0.0)
    errors = iter([InUseError("in use by another render")])
    end = perform(step, lambda event: None)
    assert isinstance(end, FailedEvent)
    assert (end.status, end.message) == (4, "in use by another render")


def test_overwrite_replaces_another_film_and_makes_no_film_again(workspace: Path) -> None:
    step = step_of("a.yaml")
    task = step.task.model_copy(update={"overwrite": True})
    (workspace / "a.mp4").write_bytes(b"another film")
    assert getattr(perform(Step(kind="render", task=task), lambda event: None), "is_new", None) is True
    assert getattr(perform(Step(kind="render", task=task), lambda event: None), "is_new", None) is False


def test_a_film_is_written_in_a_folder_and_at_a_name_of_any_characters(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace / "take%d \x1b[31m"
    folder.mkdir()
    (folder / "50%d\n\x1b[1mred.yaml").write_text(SCENE)
    monkeypatch.chdir(folder)
    step = step_of("50%d\n\x1b[1mred.yaml")
    assert "\x1b" not in step.task.label
    assert "\n" not in step.task.label
    events: list[Event] = []
    assert isinstance(perform(step, events.append), DoneEvent)
    assert [path.name for path in folder.glob("*.mp4")] == ["50_d\n\x1b[1mred.mp4"]


def test_a_scene_that_was_wrong_is_read_again_by_the_batch_alone(workspace: Path) -> None:
    (workspace / "a.yaml").write_text("zoom: 1")
    step = step_of()
    first = perform(step, lambda event: None)
    (workspace / "a.yaml").write_text(f"{SCENE}".replace("output: {", "output: {path: other.mp4, "))
    second = perform(step, lambda event: None)
    assert isinstance(first, FailedEvent)
    assert isinstance(second, FailedEvent)
    assert "a.yaml:1:1: unknown key 'zoom'" in first.message
    assert second.message.endswith("a.yaml was wrong when the job was made; the same `render batch` reads it again")
    assert not list(workspace.glob("*.mp4"))


def test_a_worker_that_cannot_read_a_step_ends(workspace: Path) -> None:
    with closing(LocalExecutor(1, workspace)) as executor:
        os.kill(executor.start(step_of().model_copy(update={"kind": "dance"})), 0)
        end = end_of(executor)
    assert isinstance(end, FailedEvent)
    assert end.message == "its worker process ended with status 1"
    assert "dance" in end.detail
