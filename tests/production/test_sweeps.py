"""Sweeps as processes: with two workers, killed and gone on, the bytes are those of one process."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import pytest

from render import Options
from render.jobs.folder import JobFolder, all_jobs
from render.jobs.model import State
from render.jobs.sweeps import submit_sweep
from render.sweep.cells import SweepScene
from render.sweep.model import SweepOptions
from render.system.checksum import sha256
from tests.jobs import parts
from tests.production.films import SCENE
from tests.production.forked_workers import fork_workers
from tests.production.processes import Run, run_render, running_processes
from tests.sweep.sweeps import perform_here

LATE = "camera.rotate={0: 0.4, 12: 0.4, 14: 1},{0: 0.4, 12: 0.4, 14: 2},0.4"
ARGUMENTS = ("sweep", "film.yaml", "--vary", LATE, "--vary", "seed=1,2", "--films", "--frame", "end")
OPTIONS = ("--output", "a.png", "--json", "--precision", "float32")


def checksums(folder: Path) -> dict[str, str]:
    """The checksums of what a sweep is for."""
    return {path.name: sha256(path) for path in [*(folder / "a.cells").glob("0*"), folder / "a.png"]}


@pytest.fixture
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of the sweep, made in this process."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "film.yaml").write_text(SCENE)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patched:
        patched.setenv("RENDER_JOBS", str(folder / "jobs"))
        choice = SweepOptions((LATE, "seed=1,2"), frame="end", films=True)
        options = Options(precision="float32")
        job = submit_sweep(SweepScene(Path("film.yaml")), Path("a.png"), choice, options=options)
        parts.run(job, parts.FakeExecutor(perform_here))
    return checksums(folder)


def the_job() -> JobFolder:
    """The one job."""
    (job,) = all_jobs()
    return job


def cells_in(state: State) -> list[str]:
    """The ids of the cells in a state."""
    with contextlib.suppress(ValueError):
        job = the_job()
        states = parts.states(job) if job.has_job else {}
        return [task for task, each in states.items() if each == state and "." in task]
    return []


def test_a_sweep_whose_workers_and_driver_are_killed_is_that_of_one_worker(
    workspace: Path, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENDER_JOBS", str(workspace / "jobs"))
    run = Run(workspace, *ARGUMENTS, *OPTIONS, "--workers", "2", preexec=fork_workers)
    run.wait_until(lambda: len(cells_in("RUNNING")) == 2)
    states = the_job().states(the_job().job())
    pids = {state.pid for state in states.values() if state.state == "RUNNING"}
    psutil.Process(next(pid for pid in pids if pid is not None)).kill()
    run.wait_until(lambda: len(cells_in("SUCCEEDED")) > 1).kill()
    assert not (workspace / "a.png").exists()
    result = run_render(workspace, *ARGUMENTS, *OPTIONS, preexec=fork_workers)
    assert result.status == 0, result.err
    assert not running_processes(workspace)
    assert result.events[-1]["frames"] < 2 * (13 + 3 * 7)
    assert checksums(workspace) == expected
