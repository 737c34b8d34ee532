"""What a cluster costs for each task, and how it scales, with tasks that sleep: `./scripts/farm scale`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from render.farm.executor import RayExecutor
from render.farm.messages import Settings
from render.jobs.driver import Driver, Observer
from render.jobs.model import Job, Task
from render.jobs.submit import open_job
from tests.farm.nodes import Nodes

pytestmark = pytest.mark.slow
WORKERS = 8
SECONDS = 1.0
ROUNDS = 8
TINY = 500
SLEEP = """
import json, sys, time
for line in sys.stdin.buffer:
    task = json.loads(line)["task"]
    time.sleep(float(task["label"]))
    print(json.dumps({"event": "done", "path": task["output"], "frames": 1}), flush=True)
"""
"""A worker process whose steps sleep."""


@pytest.fixture(scope="module")
def gpus() -> Iterator[Nodes]:
    """Two nodes with four GPUs each, in name only."""
    with Nodes({"CPU": 2, "GPU": 4}, {"CPU": 2, "GPU": 4}) as made:
        yield made


def seconds(workspace: Path, nodes: Nodes, *, workers: int, tasks: int, sleep: float) -> float:
    """How long a job of sleeping tasks takes once its workers are warm."""
    folder = open_job(f"sleep-{workers}-{tasks}")
    listed = tuple(
        Task(id=str(i), label=str(sleep), scene="-", folder=str(workspace), output=str(workspace / f"{i}.mp4"))
        for i in range(1, tasks + 1)
    )
    settings = Settings(address=nodes.address, workers=workers, cpus=0.1, gpus=1.0, boot=SLEEP)
    with folder.locked(), closing(RayExecutor(settings, workspace)) as executor:
        folder.write_job(Job(name=folder.name, created=0.0, tasks=listed))
        executor.expect(tasks)
        while executor.free < workers:
            list(executor.events(0.1))
        start = time.monotonic()
        after = Driver(folder, executor, Observer()).run()
        taken = time.monotonic() - start
    assert {state.state for state in after.values()} == {"SUCCEEDED"}
    return taken


def test_eight_gpus_do_at_least_nine_tenths_of_eight_times_the_work_of_one(workspace: Path, gpus: Nodes) -> None:
    one = seconds(workspace, gpus, workers=1, tasks=ROUNDS, sleep=SECONDS)
    all_ = seconds(workspace, gpus, workers=WORKERS, tasks=ROUNDS * WORKERS, sleep=SECONDS)
    print(f"\n{ROUNDS} tasks of {SECONDS} s on 1 GPU: {one:.2f} s, {one / ROUNDS - SECONDS:.3f} s more for each")
    print(f"{ROUNDS * WORKERS} on {WORKERS}: {all_:.2f} s, {one / all_ * WORKERS:.2f} times the throughput")
    assert one / ROUNDS - SECONDS < 0.5
    assert one / all_ >= 0.9


def test_five_hundred_tiny_tasks(workspace: Path, gpus: Nodes) -> None:
    taken = seconds(workspace, gpus, workers=WORKERS, tasks=TINY, sleep=0.0)
    print(f"\n{TINY} tasks of 0 s on {WORKERS} GPUs: {taken:.1f} s, {taken / TINY:.3f} s for each")
    assert taken / TINY < 0.5
