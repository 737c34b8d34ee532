"""Sweeps as processes: killed and stopped, the same command goes on, and the stills are those of an undisturbed run."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from render import Options
from render.sweep.cells import SweepOptions, SweepScene
from render.sweep.sweep import sweep
from render.system.checksum import sha256
from tests.production.films import SCENE
from tests.production.processes import Run, run_render, running_processes

LATE = "camera.rotate={0: 0.4, 12: 0.4, 14: 1},{0: 0.4, 12: 0.4, 14: 2},0.4"
ARGUMENTS = (
    "sweep",
    "film.yaml",
    "--vary",
    LATE,
    "--frame",
    "end",
    "--output",
    "a.png",
    "--json",
    "--precision",
    "float32",
)


def checksums(folder: Path) -> dict[str, str]:
    """The checksums of what a sweep is for."""
    return {path.name: sha256(path) for path in [*(folder / "a.cells").glob("0*"), folder / "a.png"]}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> dict[bool, dict[str, str]]:
    """The checksums of an undisturbed sweep, without and with films."""
    results = {}
    for films in (False, True):
        folder = tmp_path_factory.mktemp("sweep")
        (folder / "film.yaml").write_text(SCENE)
        with contextlib.chdir(folder):
            choice = SweepOptions([LATE], frame="end", films=films)
            sweep(SweepScene(Path("film.yaml")), Path("a.png"), choice=choice, options=Options(precision="float32"))
        results[films] = checksums(folder)
    return results


@pytest.mark.parametrize("films", [False, True])
def test_a_killed_sweep_goes_on(workspace: Path, expected: dict[bool, dict[str, str]], films: bool) -> None:
    arguments = (*ARGUMENTS, *(["--films"] if films else []))
    cells = workspace / "a.cells"
    Run(workspace, *arguments).wait_until(lambda: len(list(cells.glob("*.npy"))) > 1).kill()
    assert not list(cells.glob("0001.*"))
    Run(workspace, *arguments).wait_for_file("a.cells/0001.png").kill()
    assert not (workspace / "a.png").exists()
    result = run_render(workspace, *arguments)
    assert result.status == 0, result.err
    assert result.events[-1]["frames"] < 20
    assert checksums(workspace) == expected[films]
    assert run_render(workspace, *arguments).events[-1]["frames"] == 0


def test_an_interrupted_sweep_says_so(workspace: Path, expected: dict[bool, dict[str, str]]) -> None:
    run = Run(workspace, *ARGUMENTS).wait_for_file("a.cells/0000.png")
    result = run.send_signal(signal.SIGINT).wait()
    assert result.status == 130
    assert "of 3 cells are finished in a.cells; the same command makes the others" in result.events[-1]["message"]
    assert not running_processes(workspace)
    assert run_render(workspace, *ARGUMENTS).status == 0
    assert checksums(workspace) == expected[False]
