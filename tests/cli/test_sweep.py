"""`render sweep`: what it prints, its JSON, its exit status."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from render.dream.ascent import dream
from render.errors import MissingError
from render.jobs.driver import Driver, Observer
from render.jobs.folder import JobFolder
from render.jobs.run import require_success
from tests.cli.program import Call
from tests.jobs.parts import FakeExecutor
from tests.sweep.sweeps import perform_here

pytestmark = pytest.mark.usefixtures("performed_here")
VARY = ("--vary", "seed=1,2", "--vary", "dream.steps=0,1")


@pytest.fixture
def performed_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Performs all steps in this process, which knows the network already."""

    def run_here(folder: JobFolder, observer: Observer, **options: object) -> None:
        driver = Driver(folder, FakeExecutor(perform_here), observer)
        require_success(driver.job, driver.run())

    monkeypatch.setenv("RENDER_JOBS", str(tmp_path_factory.mktemp("jobs")))
    monkeypatch.setattr("render.jobs.run.run_job", run_here)


def test_the_command_of_each_film_is_printed_and_makes_it(call: Call, folder: Path) -> None:
    ended = call("sweep", "s.yaml", *VARY, "--scale", "2", "--precision", "float32", "--set", "camera.zoom=1.1")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert lines[0] == "s.sweep.png: 4 frames, rendered in 0 s"
    assert lines[1].split() == ["0", "seed=1,", "dream.steps=0"]
    assert lines[2].strip() == (
        "render film s.yaml --set camera.zoom=1.1 --set seed=1 --set dream.steps=0 --scale 2 --precision float32 "
        "--output s.sweep.0000.mp4"
    )
    assert lines[-2:] == [
        "s.sweep.png: 4 cells, 8 frames dreamed",
        "s.sweep.cells/index.json: what each cell is",
    ]
    assert (folder / "s.sweep.png").exists()
    assert call(*shlex.split(lines[8])[1:]).status == 0
    assert (folder / "s.sweep.0003.mp4").exists()


def test_json_has_an_event_for_each_cell(call: Call) -> None:
    events = call("sweep", "s.yaml", *VARY, "--json", "--films", "--frame", "1", "-o", "x.png").events
    assert {"job", "task", "frame"} == {event["event"] for event in events[:-5]}
    assert [event["event"] for event in events[-5:]] == ["cell"] * 4 + ["sweep"]
    second = events[-4]
    assert second["values"] == {"seed": 2, "dream.steps": 0}
    assert (second["number"], second["state"]) == (1, "SUCCEEDED")
    assert (second["still"], second["film"]) == ("0001.png", "0001.mp4")
    expected = {"sheets": ["x.png"], "index": "x.cells/index.json", "cells": 4, "frames": 8, "frames_alone": 8}
    assert events[-1] == {"event": "sweep", **expected}


def test_quiet_prints_nothing(call: Call) -> None:
    ended = call("sweep", "s.yaml", "--vary", "seed=1,2", "--quiet", "--frame", "0")
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_failed_cells_are_told_at_the_end_with_their_status(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **options: Any) -> Any:
        if options["seed"][0] == 2:
            raise MissingError("not enough memory")
        return dream(*arguments, **options)

    monkeypatch.setattr("render.pipeline.loop.dream", failing)
    ended = call("sweep", "s.yaml", "--vary", "seed=1:3", "--frame", "0")
    assert ended.status == 3
    assert ended.err.endswith("  s.yaml: status 3: 1 of 3 cells are missing; seed=2: not enough memory\n")
    assert "seed=2   failed" in ended.out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["--vary", "dream.stepsize=1,2"],
            2,
            "unknown key 'stepsize'; did you mean 'step_size'?\n    1 | dream.stepsize=1",
        ),
        (["--vary", "seed=4:1"], 2, "the range '4:1' is empty"),
        (["--vary", "seed=1:1000000"], 2, "1000000 cells; a sweep has at most 400"),
        (["--vary", "source.image=none.png,p.png"], 4, "none.png"),
        (["--vary", "seed=1,2", "--frame", "9"], 2, "--frame '9' is after the last frame, 2"),
        (["--vary", "seed=1,2", "--output", "a.gif"], 2, "a sheet's path ends in"),
        (["--vary", "seed=1,2", "--output", "none/a.png"], 4, "there is no folder none"),
        ([], 2, "--vary"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_made(
    arguments: list[str], status: int, message: str, call: Call, folder: Path
) -> None:
    ended = call("sweep", "s.yaml", *arguments)
    assert ended.status == status
    assert message in ended.err
    assert sorted(path.name for path in folder.iterdir()) == ["s.yaml"]
