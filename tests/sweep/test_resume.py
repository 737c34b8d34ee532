"""Sweeps that stop, fail in part, or find something in their place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from render import Options
from render.dream.ascent import dream
from render.errors import Interrupted, MissingError, RenderError, StorageError, UsageError
from render.jobs import perform_sweep
from render.jobs.control import request
from render.jobs.folder import Request, all_jobs
from render.jobs.messages import Event, FailedEvent, Step
from render.jobs.sweeps import sheet_of
from render.sweep.files import SweepFiles
from render.system.checksum import sha256
from tests.jobs.parts import FakeExecutor, run
from tests.jobs.parts import states as states_of
from tests.sweep.sweeps import LATE, LATE_TOO, begin, check_stills, make, perform_here, pixels

pytestmark = pytest.mark.usefixtures("workspace")


def test_a_finished_sweep_dreams_nothing_again_and_another_one_is_refused() -> None:
    make("seed=1,2", frame="1")
    times = {path: path.stat().st_mtime_ns for path in Path("a.cells").glob("*.png")}
    again = make("seed=1,2", frame="1")
    assert again.frames == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    with pytest.raises(UsageError, match=r"a\.cells holds the cells of another sweep; --overwrite replaces it"):
        make("seed=1,2,4", frame="1")
    more = make("seed=2,1,4", frame="1", options=Options(precision="float32", overwrite=True))
    assert more.frames == 6


def test_random_cells_that_are_added_leave_the_others() -> None:
    make("seed=1:1000", frame="0", random=2)
    more = make("seed=1:1000", frame="0", random=4, options=Options(precision="float32", overwrite=True))
    assert more.frames == 2
    check_stills(more.cells)


@contextlib.contextmanager
def stopped_after(count: int) -> Iterator[None]:
    """Acts as Ctrl-C when a number of frames was dreamed."""
    remaining = iter(range(count))

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(remaining, None) is None:
            raise KeyboardInterrupt
        return dream(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Interrupted, match=r"of 4 tasks have succeeded"):
        patched.setattr("render.pipeline.loop.dream", counted)
        yield


@pytest.mark.parametrize("films", [False, True])
def test_a_stopped_sweep_goes_on_where_it_was(films: bool, tmp_path: Path) -> None:
    whole = make(LATE, LATE_TOO, films=films, frame="6")
    files = {path.name: sha256(path) for path in Path("a.cells").glob("0*.*")}
    sheet = pixels(Path("a.png"))
    for path in [*Path("a.cells").iterdir(), Path("a.png")]:
        path.unlink()
    with stopped_after(6):
        make(LATE, LATE_TOO, films=films, frame="6")
    (folder,) = all_jobs()
    request(folder, Request(action="cancel"))
    assert {"CANCELLED"} <= set(states_of(folder).values()) <= {"CANCELLED", "SUCCEEDED"}
    assert not Path("a.png").exists()
    states = list((tmp_path / "jobs").glob("*/parts/1/*.npy"))
    assert states
    if not films:  # a damaged one counts as missing
        states[0].write_bytes(states[0].read_bytes()[:-1] + b"x")
    finished = make(LATE, LATE_TOO, films=films, frame="6")
    assert {path.name: sha256(path) for path in Path("a.cells").glob("0*.*")} == files
    assert np.array_equal(pixels(Path("a.png")), sheet)
    assert not films or 6 + finished.frames <= whole.frames + 3  # at most a segment is dreamed again


def test_a_damaged_still_is_made_again() -> None:
    make("seed=1,2", frame="1")
    still = Path("a.cells/0001.png")
    before = still.read_bytes()
    still.write_bytes(before[:-30] + bytes(18) + before[-12:])
    assert make("seed=1,2", frame="1").frames == 2
    assert still.read_bytes() == before


def fail_for(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every frame of a seed fail."""

    def failing(*arguments: Any, **options: Any) -> Any:
        if options["seed"][0] == seed:
            raise MissingError("not enough\nmemory for \x1b[31mthis")
        return dream(*arguments, **options)

    monkeypatch.setattr("render.pipeline.loop.dream", failing)


def test_a_cell_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        fail_for(2, patched)
        finished = make("seed=1:3", frame="1", films=True)
    index = json.loads(finished.index.read_text())["cells"]
    assert [cell["state"] for cell in index] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert "not enough" in index[1]["message"]
    left, top, width, height = index[1]["box"]
    red = pixels(finished.sheets[0])[top : top + height, left : left + width, 0]
    assert np.median(red) == 70
    again = make("seed=1:3", frame="1", films=True)
    assert [cell["state"] for cell in again.cells] == ["SUCCEEDED"] * 3
    assert again.frames == 2
    assert np.median(pixels(again.sheets[0])[top : top + height, left : left + width, 0]) != 70


def test_a_file_of_somebody_in_the_place_of_a_still_fails_that_cell_alone() -> None:
    make("seed=1:3", frame="0")
    Path("a.cells/0001.png").write_text("mine")
    finished = make("seed=1:3", frame="0")
    expected = "a.cells/0001.png exists and is not this cell; --overwrite replaces it"
    assert [cell["message"] for cell in finished.cells] == [None, expected, None]
    assert Path("a.cells/0001.png").read_text() == "mine"


def test_stills_of_other_versions_are_not_mixed_with_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    make("seed=1,2", frame="0")
    Path("a.cells/0001.png").unlink()
    sheet = Path("a.png").read_bytes()
    monkeypatch.setattr("render.pipeline.provenance.__version__", "0.0.1")
    with pytest.raises(RenderError, match=r"0000\.png was made otherwise: versions\.render was .*; --overwrite"):
        make("seed=1,2", frame="0")
    assert Path("a.png").read_bytes() == sheet
    again = make("seed=1,2", frame="0", options=Options(precision="float32", overwrite=True))
    assert again.frames == 2


def test_a_picture_that_changed_is_noticed(workspace: Path) -> None:
    sets = (("--set", "source.image", "p.png"), ("--set", "grade", "{mean: 0.4, contrast: 0.2, cast: 1}"))
    make("seed=1,2", frame="0", sets=sets)
    Image.new("RGB", (64, 48)).save(workspace / "p.png")
    with pytest.raises(RenderError, match=r'0000\.png was made otherwise: files\.source\.image was "'):
        make("seed=1,2", frame="0", sets=sets)


def test_values_choose_no_file_names(workspace: Path) -> None:
    for name in ("../../out.png", "/tmp/out", "a\nb", "%05d", "x" * 300):
        with pytest.raises(RenderError):
            make(f"source.image={json.dumps(name)},p.png", frame="0")
    (workspace / "p.png").rename(workspace / "it's, $(x) \u202e../p.png".replace("/", ":"))
    value = json.dumps("it's, $(x) \u202e..:p.png")
    finished = make(f"source.image={value}", "camera.zoom={0s: 1, 1s: 1.1},1", frame="0")
    names = {path.relative_to(workspace).as_posix() for path in workspace.rglob("*")}
    assert names == {
        "s.yaml", "clip.yaml", "it's, $(x) \u202e..:p.png", "a.png", "a.cells", "a.cells/0000.png", "a.cells/0001.png",
        "a.cells/index.json", "a.cells/film.json", "a.cells/lock", "a.cells/made-by-render",
    }  # fmt: skip
    assert {path.name for path in workspace.parent.iterdir()} == {"work", "jobs"}
    (job,) = all_jobs()
    assert job.name.startswith("a-")
    check_stills(finished.cells)


def test_a_folder_of_somebody_is_not_written_to(workspace: Path) -> None:
    (workspace / "a.cells").mkdir()
    (workspace / "a.cells" / "0000.png").write_text("mine")
    with pytest.raises(StorageError, match=r"a\.cells is not a folder that render made"):
        make("seed=1,2")
    (workspace / "b").mkdir()
    (workspace / "a.cells").rename(workspace / "c")
    (workspace / "a.cells").symlink_to(workspace / "b")
    with pytest.raises(StorageError, match="is no folder"):
        make("seed=1,2")
    assert list((workspace / "b").iterdir()) == []


def test_a_sheet_of_somebody_is_kept(workspace: Path) -> None:
    (workspace / "a.png").write_text("mine")
    with pytest.raises(StorageError, match=r"a\.png exists; --overwrite replaces it"):
        make("seed=1,2")
    assert (workspace / "a.png").read_text() == "mine"
    assert not (workspace / "a.cells").exists()


@pytest.mark.parametrize("target", ["a.gif", "a%d.png", "none/a.png"])
def test_a_path_that_no_sheet_can_have_is_an_error(target: str) -> None:
    with pytest.raises(RenderError):
        SweepFiles(Path(target))


def test_cells_wait_for_the_one_that_dreams_their_first_frames_and_one_may_be_given_up() -> None:
    folder = begin(LATE, "seed=3,4", frame="4")
    started: list[tuple[str, list[str]]] = []

    def perform(step: Step) -> list[Event]:
        if step.task.cell is not None:
            started.append((step.task.id, list(executor.running)))
        if step.task.id == "1.4":
            return [FailedEvent(status=3, message="not enough memory")]
        return perform_here(step)

    executor = FakeExecutor(perform, slots=3)
    after = run(folder, executor)
    assert started[:2] == [("1.1", ["1.1"]), ("1.3", ["1.1", "1.3"])]
    assert [task for task, _ in started[2:]] == ["1.2", "1.4"]
    assert (after["1"].state, after["1"].status) == ("DEAD", 3)
    request(folder, Request(action="eat", tasks=("1.4",)))
    request(folder, Request(action="retry"))
    assert run(folder, executor)["1"].state == "SUCCEEDED"
    sheet = sheet_of(folder)
    assert sheet is not None
    assert [cell["message"] for cell in sheet.cells] == [None, None, None, "not enough memory"]


def test_a_sweep_that_is_running_is_not_begun_again() -> None:
    make("seed=1,2", frame="0")
    (folder,) = all_jobs()
    with folder.locked(), pytest.raises(StorageError, match="is running already"):
        make("seed=1,2", frame="0")


def test_a_smaller_sweep_leaves_nothing_of_the_one_that_it_replaces(workspace: Path) -> None:
    make("seed=1:3", "camera.rotate=2", "camera.zoom=1,1.1", frame="0", films=True)
    names = ["a.png", "a.2.png", "a.3.png"]
    (workspace / "a.3.png").write_text("mine")
    assert all(Path(name).exists() for name in names)
    make("seed=1,2", frame="0", options=Options(precision="float32", overwrite=True))
    assert [Path(name).exists() for name in names] == [True, False, True]
    assert sorted(path.name for path in Path("a.cells").glob("0*")) == ["0000.png", "0001.png"]


def test_files_that_change_while_a_sweep_runs_are_noticed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(*arguments: Any, **options: Any) -> Any:
        Image.new("RGB", (64, 48)).save(workspace / "p.png")
        perform_sweep._maker.cache_clear()  # as in a worker that begins now
        return dream(*arguments, **options)

    monkeypatch.setattr("render.pipeline.loop.dream", changing)
    finished = make("seed=1,2", frame="0", sets=(("--set", "source.image", "p.png"),))
    assert [cell["state"] for cell in finished.cells] == ["FAILED"] * 2
    assert "the sweep was begun otherwise: files.source.image was" in finished.cells[1]["message"]
