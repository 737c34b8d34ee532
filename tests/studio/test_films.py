"""Films of a folder: the queue, what others make, and what survives the end of any of the processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from render import load, render
from render.errors import StorageError, UsageError
from render.film.lock import is_locked, lock_folder
from render.film.naming import work_folder
from render.jobs.folder import Request, find
from render.jobs.model import TaskState
from render.studio import films as films_module
from render.studio.films import FilmOptions, Films, FilmState
from render.system.checksum import sha256
from tests.jobs.parts import wait_until
from tests.production.processes import Run

SCENE = """\
size: [64, 64]
duration: 16
source: {noise: {grain: 16}}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 8, transforms: {jitter: 2}}
output: {segment_frames: 4}
"""
REPOSITORY = Path(__file__).parents[2]
START = """
import sys
from pathlib import Path
from render.studio.films import Films
films = Films(Path.cwd())
for scene in sys.argv[1:]:
    films.start(Path(scene))
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scenes a.yaml, b.yaml and c.yaml; jobs are beside it, and the current folder is another."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENDER_JOBS", str(tmp_path / "jobs"))
    for seed, name in enumerate("abc"):
        (work / f"{name}.yaml").write_text(f"seed: {seed}\n{SCENE}")
    return work


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver is started."""
    monkeypatch.setattr(films_module, "start_detached", lambda job, placement: None)


def by_name(films: Films) -> dict[str, FilmState]:
    """The films by name, in their order."""
    return {film.name: film for film in films.look()}


def stages(films: Films) -> dict[str, str]:
    """The stages of the films, in their order."""
    return {name: film.stage for name, film in by_name(films).items()}


def job_of(films: Films) -> str:
    """The name of the queue's job."""
    return films._job


def wait_for(films: Films, name: str, stage: str, *, frame: int = -1) -> FilmState:
    """Waits until a film has a stage, and a frame is finished."""

    def is_there() -> bool:
        film = by_name(films).get(name)
        has_frame = film is not None and (frame < 0 or (film.preview is not None and film.preview.frame >= frame))
        return film is not None and film.stage == stage and has_frame

    wait_until(is_there)
    return by_name(films)[name]


@pytest.mark.usefixtures("idle")
def test_films_wait_in_the_order_in_which_they_were_added_and_can_be_put_into_another(folder: Path) -> None:
    films = Films(folder)
    assert films.look() == []
    for name in "abc":
        assert films.start(Path(f"{name}.yaml")) == folder / f"{name}.mp4"
    assert stages(films) == dict.fromkeys(["a.mp4", "b.mp4", "c.mp4"], "stopped")  # nobody works on the queue
    assert by_name(films)["b.mp4"].scene == "b.yaml"
    films.order([folder / "c.mp4", folder / "a.mp4", folder / "b.mp4"])
    assert list(stages(films)) == ["c.mp4", "a.mp4", "b.mp4"]
    films.sooner(folder / "b.mp4")
    assert list(stages(films)) == ["c.mp4", "b.mp4", "a.mp4"]
    films.sooner(folder / "c.mp4")
    films.forget(folder / "a.mp4")
    assert list(stages(films)) == ["c.mp4", "b.mp4"]
    with pytest.raises(UsageError, match=r"a\.mp4 is not in the queue"):
        films.stop(folder / "a.mp4")


@pytest.mark.usefixtures("idle")
def test_a_scene_that_is_added_again_is_made_as_it_is_now(folder: Path) -> None:
    films = Films(folder)
    films.start(Path("a.yaml"))
    films.start(Path("b.yaml"))
    (folder / "a.yaml").write_text(f"seed: 9\n{SCENE}")
    films.start(Path("a.yaml"), FilmOptions(scale=1.0, overwrite=True))
    job = find(job_of(films)).job()
    assert [Path(task.output).name for task in job.tasks] == ["b.mp4", "a.mp4"]
    assert (job.tasks[1].text or "").startswith("seed: 9")
    assert job.tasks[1].overwrite
    films.start(Path("a.yaml"), FilmOptions(scale=0.5, frames=(0, 4)))
    assert list(stages(films)) == ["b.mp4", "a.mp4", "a.x0.5.0-4.mp4"]


@pytest.mark.usefixtures("idle")
def test_a_wrong_scene_and_a_film_outside_the_folder_are_not_added(folder: Path) -> None:
    films = Films(folder)
    (folder / "wrong.yaml").write_text("zoom: 1\n")
    with pytest.raises(UsageError, match=r"wrong.yaml:1:1: "):
        films.start(Path("wrong.yaml"))
    (folder / "out.yaml").write_text(SCENE.replace("output: {", "output: {path: ../out.mp4, "))
    with pytest.raises(UsageError, match=r"leads out of the folder"):
        films.start(Path("out.yaml"))
    with pytest.raises(UsageError):
        films.start(Path("none.yaml"))
    assert films.look() == []


@pytest.mark.usefixtures("idle")
def test_a_film_is_stopped_resumed_and_says_why_it_failed(folder: Path) -> None:
    films = Films(folder)
    film = films.start(Path("a.yaml"))
    films.stop(film)
    assert stages(films) == {"a.mp4": "stopped"}
    job = find(job_of(films))
    assert job.states(job.job())["1"].state == "CANCELLED"
    films.resume(film)
    assert job.states(job.job())["1"].state == "WAITING"
    with job.locked():
        job.write_state("1", TaskState(state="DEAD", status=4, message="the disk is full"))
    assert by_name(films)["a.mp4"].stage == "failed"
    assert by_name(films)["a.mp4"].message == "the disk is full"
    films.resume(film)
    assert by_name(films)["a.mp4"].message == ""


@pytest.mark.usefixtures("idle")
def test_a_film_that_somebody_makes_is_not_added(folder: Path) -> None:
    films = Films(folder)
    parts = work_folder(folder / "a.mp4")
    parts.mkdir()
    assert not is_locked(parts)
    lock = lock_folder(parts)
    assert is_locked(parts)
    with pytest.raises(UsageError, match=rf"a\.mp4 is being made already, by process {os.getpid()}"):
        films.start(Path("a.yaml"))
    lock.release()
    assert not is_locked(parts)
    films.start(Path("a.yaml"))


@pytest.mark.usefixtures("idle")
def test_an_edit_of_a_job_forgets_states_and_ignores_what_is_no_task(folder: Path) -> None:
    films = Films(folder)
    films.start(Path("a.yaml"))
    job = find(job_of(films))
    with job.locked():
        job.write_state("1", TaskState(state="CANCELLED"))
    job.send(Request(action="edit", tasks=("1", "../../job", "7")))
    (job.path / "tasks" / "2.json").write_text(TaskState(state="SUCCEEDED").model_dump_json())  # of a driver that died
    films.start(Path("b.yaml"))
    listed = job.job()
    assert {task.id: job.state(task).state for task in listed.tasks} == {"1": "CANCELLED", "2": "WAITING"}
    films.forget(folder / "a.mp4")
    assert not (job.path / "tasks" / "1.json").exists()
    assert (job.path / "job.json").exists()


def test_a_film_of_the_command_line_is_watched_until_it_is_finished(folder: Path) -> None:
    films = Films(folder)
    command = Run(folder, "a.yaml", "--quiet")
    making = wait_for(films, "a.mp4", "making", frame=0)
    assert (making.is_own, making.maker) == (False, str(command.pid))
    assert making.preview is not None
    assert making.preview.rss > 2**26
    assert making.parts == folder / "a.mp4.parts"
    assert all((making.parts / picture.name).is_file() for picture in making.preview.pictures)
    command.kill()
    assert wait_for(films, "a.mp4", "stopped").preview is not None
    again = Run(folder, "a.yaml", "--quiet").wait()
    assert (again.status, again.err) == (0, "")
    film = wait_for(films, "a.mp4", "finished")
    assert film.finished is not None
    assert (film.finished.frames, film.finished.seconds) == (16, 16 / 24)
    assert film.finished.size == (folder / "a.mp4").stat().st_size
    assert not list(folder.glob("*.parts"))


def test_films_survive_the_end_of_studio_worker_and_driver_and_are_those_of_the_command_line(folder: Path) -> None:
    films = Films(folder)
    with subprocess.Popen(
        [sys.executable, "-c", START, "a.yaml", "b.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as studio:
        assert studio.stdout is not None
        assert studio.stdout.readline() == b"started\n"
        studio.kill()
    making = wait_for(films, "a.mp4", "making", frame=1)
    assert making.is_own
    assert stages(films)["b.mp4"] == "queued"
    with pytest.raises(UsageError, match=r"a\.mp4 is being made already"):
        films.start(Path("a.yaml"))
    films.start(Path("c.yaml"))
    films.order([folder / "c.mp4", folder / "b.mp4"])
    assert list(stages(films)) == ["a.mp4", "c.mp4", "b.mp4"]
    job = find(job_of(films))
    (worker,) = [state.pid for state in job.states(job.job()).values() if state.state == "RUNNING"]
    assert worker is not None
    psutil.Process(worker).kill()
    wait_until((folder / "a.mp4").exists)
    assert "killed by signal 9" in films.log(folder / "a.mp4")
    wait_for(films, "c.mp4", "making", frame=1)
    driver = psutil.Process(int(job.driver()))
    driver.kill()
    wait_for(films, "c.mp4", "stopped")
    assert stages(films)["b.mp4"] == "stopped"
    films.resume(folder / "c.mp4")
    wait_for(films, "c.mp4", "making", frame=4)
    films.stop(folder / "c.mp4")
    wait_for(films, "b.mp4", "making")
    assert stages(films)["c.mp4"] == "stopped"
    films.resume(folder / "c.mp4")
    for name in ("b.mp4", "c.mp4"):
        wait_until((folder / name).exists)
    wait_until(lambda: not job.is_running())
    assert set(stages(films).items()) == {(f"{name}.mp4", "finished") for name in "abc"}
    for seed, name in enumerate("abc"):
        own = json.dumps(str(folder / f"own-{name}.mp4"))
        film = render(load(folder / f"{name}.yaml", [("--output", "output.path", own)]))
        assert sha256(folder / f"{name}.mp4") == sha256(film.path), seed


def test_a_queue_whose_driver_cannot_be_started_is_an_error_and_keeps_its_films(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = Films(folder)
    monkeypatch.setattr("render.jobs.run.BOOT", "import sys; sys.exit('no python here')")
    with pytest.raises(StorageError, match="the job ended at once: no python here"):
        films.start(Path("a.yaml"))
    assert stages(films) == {"a.mp4": "stopped"}
