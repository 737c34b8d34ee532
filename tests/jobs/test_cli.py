"""`render batch` and `render jobs` in this process: options, refusals and lists; nothing is rendered."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from render.cli.main import main
from render.jobs.driver import Driver, Observer
from render.jobs.folder import find
from render.jobs.model import TaskState
from tests.cli.program import Ended
from tests.jobs.parts import FakeExecutor, made_job, run, states

Call = Callable[..., Ended]


@pytest.fixture
def call(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The program in this process, whose executor makes films of text."""

    class Executor(FakeExecutor):
        def __init__(self, workers: int, logs: Path) -> None:
            super().__init__(slots=workers)

    monkeypatch.setattr("render.jobs.placement.LocalExecutor", Executor)

    def run_program(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["render", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run_program


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("batch", "none.yaml"), 4, "there is no scene file none.yaml"),
        (("batch", "a.yaml", "a.yaml"), 2, "a.yaml and a.yaml make the same film, "),
        (("batch", "a.yaml", "--workers", "0"), 2, "--workers is from 1 to 4096, not 0"),
        (("batch", "a.yaml", "--only", "faild"), 2, "--only is 'failed', not 'faild'; did you mean 'failed'?"),
        (("batch", "a.yaml", "--name", "../x"), 2, "a job's name has up to 80 letters"),
        (("jobs", "lst"), 2, "render jobs has no command 'lst'; did you mean 'list'?"),
        (("jobs", "watch", "x"), 2, "there is no job 'x'"),
    ],
)
def test_what_is_wrong_is_a_sentence(call: Call, arguments: tuple[str, ...], status: int, message: str) -> None:
    ended = call(*arguments)
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith(f"render: {message}")
    assert not (Path.cwd().parent / "jobs").exists()


def test_a_batch_prints_its_films_and_is_listed(call: Call) -> None:
    ended = call("batch", "a.yaml", "b.yaml", "--name", "job")
    assert (ended.status, ended.out.splitlines()[0]) == (0, "a.mp4: 2 frames, rendered in 0 s")
    assert call("jobs").out.splitlines()[1].split()[:1] == ["job"]
    (listed,) = json.loads(call("jobs", "list", "--json").out)
    assert (listed["name"], listed["is_running"], listed["tasks"]) == ("job", False, {"SUCCEEDED": 2})
    tasks = call("jobs", "list", "job")
    assert (tasks.status, "b.yaml  SUCCEEDED" in tasks.out) == (0, True)


def test_failed_tasks_are_tried_again_when_that_is_requested(call: Call) -> None:
    call("batch", "a.yaml", "b.yaml", "--name", "job")
    folder = find("job")
    state = folder.state(folder.job().tasks[0])
    folder.write_state("1", state.model_copy(update={"state": "DEAD", "status": 4, "message": "no room"}))
    ended = call("batch", "a.yaml", "b.yaml", "--name", "job")
    assert (ended.status, states(folder)["1"]) == (4, "DEAD")
    assert (
        "1 of 2 tasks failed; --retry, or `render jobs retry job`, tries them again\n  a.yaml: status 4:" in ended.err
    )
    assert call("jobs", "list", "job").status == 4
    assert call("batch", "a.yaml", "b.yaml", "--name", "job", "--retry").status == 0
    assert states(folder)["1"] == "SUCCEEDED"


def test_only_failed_runs_no_other_task(call: Call) -> None:
    folder = made_job("a.yaml", "b.yaml")
    ended = call("batch", "a.yaml", "b.yaml", "--only", "failed")
    assert (ended.status, ended.err) == (0, f"render: no task of job {folder.name} has failed\n")
    state = folder.state(folder.job().tasks[1])
    folder.write_state("2", state.model_copy(update={"state": "DEAD", "status": 4, "message": "no room"}))
    assert call("batch", "a.yaml", "b.yaml", "--only", "failed").status == 0
    assert states(folder) == {"1": "WAITING", "2": "SUCCEEDED"}


def test_jobs_are_steered(call: Call) -> None:
    folder = made_job("a.yaml", "b.yaml")
    name = folder.name
    assert call("jobs", "cancel", name, "b.yaml").out == f"job {name} cancelled: 1 waiting, 1 cancelled\n"
    event = json.loads(call("jobs", "eat", name, "1", "--json").out)
    assert event == {"event": "eaten", "name": name, "tasks": {"EATEN": 1, "CANCELLED": 1}}
    assert call("jobs", "list", name).status == 130
    assert call("jobs", "retry", name).status == 0
    assert states(folder) == {"1": "EATEN", "2": "SUCCEEDED"}
    assert call("jobs", "watch", name).status == 0
    assert "b.mp4: 2 frames in " in call("jobs", "log", name, "2").out
    assert call("jobs", "log", name).out == "nothing has happened yet\n"
    missing = call("jobs", "log", name, "c.yaml")
    assert (missing.status, "has no task 'c.yaml'" in missing.err) == (2, True)
    assert call("jobs", "remove", name).out == f"job {name} is removed; its films are kept\n"
    assert not folder.path.exists()
    assert Path("b.mp4").exists()


def test_some_tasks_are_resumed(call: Call) -> None:
    folder = made_job("a.yaml", "b.yaml")
    assert call("jobs", "resume", folder.name, "b.yaml").status == 0
    assert states(folder) == {"1": "WAITING", "2": "SUCCEEDED"}


def test_a_damaged_job_does_not_hide_the_others(call: Call) -> None:
    folder = made_job("a.yaml")
    run(made_job("b.yaml"), FakeExecutor())
    (folder.path / "job.json").write_text("{")
    ended = call("jobs", "list")
    assert ended.status == 0
    assert f"`render jobs remove {folder.name}` removes the job, and no film" in ended.err
    assert "1 succeeded" in ended.out
    assert call("jobs", "remove", folder.name).status == 0


def test_every_command_prints_json(call: Call) -> None:
    name = made_job("a.yaml").name
    assert json.loads(call("jobs", "--json").out)[0]["name"] == name
    assert json.loads(call("jobs", "list", name, "--json").out)[0]["state"] == "WAITING"
    assert json.loads(call("jobs", "pause", name, "--json").out)["event"] == "paused"
    assert json.loads(call("jobs", "log", name, "--json").out) == {"event": "log", "name": name, "lines": []}
    last = call("jobs", "retry", name, "--json").out.splitlines()[-1]
    assert json.loads(last)["state"] == "SUCCEEDED"
    assert json.loads(call("jobs", "remove", name, "--json").out) == {"event": "removed", "name": name}


def test_a_retry_of_a_job_that_runs_says_so(call: Call) -> None:
    folder = made_job("a.yaml")
    folder.write_state("1", TaskState(state="CANCELLED"))
    begun = threading.Event()

    def drive() -> None:
        with folder.locked():
            driver = Driver(folder, FakeExecutor(), Observer())
            begun.set()
            while list((folder.path / "requests").iterdir()) or driver.states["1"].state == "CANCELLED":
                driver._look()
                time.sleep(0.01)
            time.sleep(0.3)

    thread = threading.Thread(target=drive)
    thread.start()
    begun.wait()
    assert call("jobs", "retry", folder.name).out == f"job {folder.name} retried: 1 waiting\n"
    thread.join()
