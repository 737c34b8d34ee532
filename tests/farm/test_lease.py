"""A worker of a cluster from which nobody fetches events ends, and its worker process with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.jobs.parts import REPOSITORY, wait_until

LEASE_SECONDS = 1.0
WORKER = """
import sys, time
from render.farm import worker
from render.farm.messages import Settings
from render.jobs.messages import Step
from render.jobs.model import Task

worker.LEASE_SECONDS = float(sys.argv[2])
boot = "import sys, time; sys.stdin.readline(); time.sleep(60)"
made = worker.FarmWorker(Settings(address="-", boot=boot).model_dump_json().encode(), 0.0)
task = Task(id="1", label="a", scene="-", folder=sys.argv[1], output=sys.argv[1] + "/a.mp4")
made.start(Step(kind="render", task=task).model_dump_json().encode())
while True:
    if sys.argv[3] == "fetched":
        made.fetch(0.1)
    time.sleep(0.1)
"""
"""A worker as Ray makes it, in a process, with a step that takes a minute."""


@pytest.mark.parametrize("how", ["fetched", "not fetched"])
def test_a_worker_ends_with_its_process_when_its_events_are_not_fetched(tmp_path: Path, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path), str(LEASE_SECONDS), how],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
    )
    try:
        worker = psutil.Process(process.pid)
        wait_until(lambda: bool(worker.children()) or process.poll() is not None)
        children = worker.children()
        assert children
        if how == "fetched":
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3 * LEASE_SECONDS)
        else:
            assert process.wait(60) == 0
            assert not psutil.wait_procs(children, timeout=5)[1]
            assert not list(tmp_path.iterdir())
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()
        process.wait()
