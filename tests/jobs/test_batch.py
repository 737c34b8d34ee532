"""`render batch` and `render jobs` with real workers: films, failures, kills, Ctrl-C, and jobs in the background."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from render import Callbacks, load, render
from render.jobs.folder import JobFolder, find
from render.system.checksum import sha256
from tests.jobs.parts import FRAMES, SCENE, begin, states, wait_until

MAX_STOP_SECONDS = 5.0
"""In which all workers of a stopped job have ended: two, and what a machine with other work takes."""
SLOW = ("--set", "dream.steps=8")
"""Settings of a film that takes seconds."""
ENDLESS = ("--set", "dream.steps=20", "--set", "duration=500")
"""Settings of a film that takes longer than any command that stops it."""


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of the films of a.yaml, and of a.yaml with SLOW, rendered one after the other in this process."""
    folder = tmp_path_factory.mktemp("serial")
    (folder / "a.yaml").write_text(f"seed: 0\n{SCENE}")
    films = {"plain": (), "slow": (("--set", "dream.steps", "8"),)}
    checksums = {}
    for name, settings in films.items():
        output = ("--output", "output.path", f'"{folder}/{name}.mp4"')
        checksums[name] = sha256(render(load(folder / "a.yaml", [*settings, output])).path)
    return checksums


def job_of(name: str) -> JobFolder:
    """The job of a name, once it has tasks."""
    wait_until((Path(os.environ["RENDER_JOBS"]) / name / "job.json").exists)
    return find(name)


def workers(folder: JobFolder) -> list[psutil.Process]:
    """The worker processes of a job that runs."""
    pids = [state.pid for state in folder.states(folder.job()).values() if state.state == "RUNNING"]
    return [psutil.Process(pid) for pid in pids if pid is not None and psutil.pid_exists(pid)]


def events(output: str) -> list[dict[str, Any]]:
    """The lines of --json."""
    return [json.loads(line) for line in output.splitlines()]


def test_a_batch_renders_all_but_what_is_wrong_and_the_same_command_does_nothing_again(
    workspace: Path, serial: dict[str, str]
) -> None:
    (workspace / "c.yaml").write_text("zoom: 1\n")
    out, err = begin("batch", "*.yaml", "--json").communicate()
    assert not err
    reported = events(out)
    assert [each["state"] for each in reported if each["event"] == "task"] == ["RUNNING", "SUCCEEDED"] * 2
    assert {each["task"] for each in reported if each["event"] == "frame"} == {"1", "2"}
    last = reported[-1]
    assert (last["event"], last["status"]) == ("error", 2)
    assert last["message"].startswith("1 of 3 tasks failed; --retry, or `render jobs retry a-")
    assert sha256(workspace / "a.mp4") == serial["plain"]
    before = (workspace / "b.mp4").stat()
    again = begin("batch", "*.yaml")
    out, err = again.communicate()
    assert (again.returncode, out) == (2, "")
    assert "c.yaml: status 2: c.yaml:1:1: " in err
    assert (workspace / "b.mp4").stat() == before
    assert not list(workspace.glob("*.parts"))


def test_killed_workers_are_replaced_a_killed_driver_leaves_none_and_the_film_is_the_same(
    workspace: Path, serial: dict[str, str]
) -> None:
    command = ("batch", "a.yaml", *SLOW, "--name", "job", "--json")
    batch = begin(*command)
    folder = job_of("job")
    wait_until((workspace / "a.mp4.parts/00000.json").exists)
    (first,) = workers(folder)
    first.kill()
    wait_until((workspace / "a.mp4.parts/00001.json").exists)
    (second,) = workers(folder)
    batch.kill()
    out, err = batch.communicate()
    assert not err
    frames = [json.loads(line)["frame"] for line in out.splitlines() if line.startswith('{"event": "frame"')]
    assert frames.count(0) == 1  # what was finished is not made again
    assert "its worker process was killed by signal 9 (SIGKILL)" in folder.log_path("1").read_text()
    assert second != first
    assert states(folder) == {"1": "RUNNING"}
    again = begin(*command)
    out, err = again.communicate()
    assert (again.returncode, err) == (0, "")
    assert not second.is_running()
    assert min(each["frame"] for each in events(out) if each["event"] == "frame") >= 8
    assert sha256(workspace / "a.mp4") == serial["slow"]


def test_ctrl_c_stops_within_two_seconds_and_render_alone_goes_on(workspace: Path, serial: dict[str, str]) -> None:
    batch = begin("batch", "a.yaml", "b.yaml", *SLOW, "--name", "job")
    folder = job_of("job")
    wait_until((workspace / "a.mp4.parts/00000.json").exists)
    (worker,) = workers(folder)
    start = time.monotonic()
    batch.send_signal(signal.SIGINT)
    out, err = batch.communicate()
    assert time.monotonic() - start < MAX_STOP_SECONDS
    assert batch.returncode == 130
    assert not worker.is_running()
    assert not out
    assert err.endswith(
        "render: stopped; 0 of 2 tasks have succeeded; the same command, or `render jobs resume job`, goes on\n"
    )
    assert states(folder) == {"1": "WAITING", "2": "WAITING"}
    assert not list(workspace.rglob("*.tmp*"))
    first: list[int] = []
    render(
        load("a.yaml", [("--set", "dream.steps", "8")]),
        callbacks=Callbacks(on_frame=lambda progress: first.append(progress.index)),
    )
    assert 4 <= first[0] < FRAMES
    assert sha256(workspace / "a.mp4") == serial["slow"]


def test_a_job_in_the_background_is_cancelled_within_two_seconds(workspace: Path) -> None:
    detached = begin("batch", "a.yaml", *ENDLESS, "--name", "job", "--detach")
    out, err = detached.communicate()
    assert (detached.returncode, err) == (0, "")
    assert out == "job job runs in the background; `render jobs watch job` shows it\n"
    folder = find("job")
    assert folder.is_running()
    wait_until((workspace / "a.mp4.parts/00000.json").exists)
    (worker,) = workers(folder)
    start = time.monotonic()
    cancel = begin("jobs", "cancel", "job")
    assert cancel.communicate() == ("job job cancelled: 1 cancelled\n", "")
    assert time.monotonic() - start < MAX_STOP_SECONDS + 2  # the command starts in a second or two
    wait_until(lambda: not worker.is_running() and not folder.is_running())
    assert states(folder) == {"1": "CANCELLED"}
