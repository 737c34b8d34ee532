"""From scenes to a job: what is refused, what is kept, and where files are."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from render.errors import RenderError, SceneError, StorageError, UsageError
from render.jobs.batch_list import entries_of
from render.jobs.folder import JobFolder, all_jobs, find
from render.jobs.model import TaskState
from render.jobs.submit import Entry, check_name, make_tasks, open_job
from tests.jobs.parts import SCENE, FakeExecutor, made_job, run, states

COMMON = Entry(scene=Path())


def batch(text: str) -> list[Entry]:
    """The entries of a list."""
    Path("list.yaml").write_text(text)
    return entries_of(["list.yaml"], COMMON)


def test_files_patterns_and_films_become_entries_in_order(workspace: Path) -> None:
    (workspace / "old.mp4").write_bytes(b"")
    entries = entries_of(["c.yaml", "[ab].yaml", "old.mp4"], COMMON)
    assert [str(entry.scene) for entry in entries] == ["c.yaml", "a.yaml", "b.yaml", "old.mp4"]


def test_a_list_has_options_for_all_and_for_each(workspace: Path) -> None:
    (workspace / "lists").mkdir()
    (workspace / "a.yaml").rename(workspace / "lists" / "a.yaml")
    (workspace / "lists" / "l.yaml").write_text(
        "set: {dream.steps: 1}\nscale: 0.5\nscenes:\n"
        "  - a.yaml\n"
        "  - {scene: ../b.yaml, set: {seed: 7, objectives: [{layer: blocks.1}]}, output: x.mp4, frames: 0:8,"
        " scale: 1}\n"
    )
    first, second = entries_of(["lists/l.yaml"], COMMON)
    assert (first.scene, first.scale) == (Path("lists/a.yaml"), 0.5)
    assert first.overrides == (("--set", "dream.steps", "1"),)
    assert second.overrides[1:] == (("--set", "seed", "7"), ("--set", "objectives", '[{"layer": "blocks.1"}]'))
    assert (second.output, second.frames, second.scale) == ("x.mp4", (0, 8), 1)
    tasks = make_tasks([first, second]).tasks
    assert [task.output for task in tasks] == [str(workspace / "a.x0.5.mp4"), str(workspace / "x.mp4")]


def test_the_list_of_the_documentation_is_one(workspace: Path) -> None:
    (workspace / "zoom.yaml").write_text(SCENE)
    (workspace / "class.yaml").write_text(SCENE)
    (workspace / "shots").mkdir()
    text = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")
    _, example, *_ = text.split("```")
    assert [str(entry.scene) for entry in batch(example)] == ["zoom.yaml", "class.yaml", "zoom.yaml"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("scenes: [a.yaml]\nsett: {}", r"list\.yaml:2:1: unknown key 'sett'; did you mean 'set'\?"),
        ("scenes: [b.yml]", r"list\.yaml:1:10: there is no scene file b\.yml; did you mean 'b\.yaml'\?"),
        ("scenes: [nothing-*.yaml]", r"list\.yaml:1:10: no file matches 'nothing-\*\.yaml'"),
        ("scenes:\n- {scene: a.yaml, frames: 8}", r"list\.yaml:2:27: frames are A:B"),
        ("scenes:\n- {scene: a.yaml, scale: 0}", r"list\.yaml:2:26: a scale is above 0 and at most 8, not '0'"),
        ("scenes:\n- {scene: a.yaml, device: gpu}", r"list\.yaml:2:27: unknown device 'gpu'"),
        ("scenes:\n- {output: a.mp4}", r"list\.yaml:2:3: the key 'scene' is missing"),
        ("scenes:\n- {scene: '*.yaml', output: a.mp4}", r"list\.yaml:2:29: \d scenes match, and one output"),
        ("scenes: []", r"list\.yaml:1:9: 'scenes' must be a list"),
        ("scenes: [a.yaml", r"list\.yaml:"),
        ("scenes: [[a.yaml]]", r"list\.yaml:1:10: expected the path of a scene"),
    ],
)
def test_a_mistake_in_a_list_has_its_position(workspace: Path, text: str, problem: str) -> None:
    with pytest.raises(SceneError, match=problem):
        batch(text)


@pytest.mark.parametrize(
    ("name", "error", "problem"),
    [
        ("d.yaml", StorageError, "there is no scene file d.yaml"),
        ("x*.yaml", StorageError, "no file matches"),
        (".", StorageError, r"is a folder, not a scene; '\./\*\.yaml' names"),
    ],
)
def test_what_names_no_scene_is_refused(workspace: Path, name: str, error: type[RenderError], problem: str) -> None:
    with pytest.raises(error, match=problem):
        entries_of([name], COMMON)


@pytest.mark.parametrize(
    "text",
    [
        "scenes: [a.yaml, {scene: b.yaml, output: a.mp4}]",
        "scenes: [a.yaml, {scene: a.yaml, set: {seed: 3}}]",
        "scenes: [{scene: a.yaml, output: '%d.png'}, {scene: b.yaml, output: '%01d.png'}]",
    ],
)
def test_two_tasks_for_one_film_are_refused(workspace: Path, text: str) -> None:
    with pytest.raises(UsageError, match="make the same film"):
        make_tasks(batch(text))


def test_a_link_to_a_film_is_that_film(workspace: Path) -> None:
    (workspace / "link.mp4").symlink_to("a.mp4")
    with pytest.raises(UsageError, match=r"a\.yaml and b\.yaml make the same film"):
        make_tasks(batch("scenes: [a.yaml, {scene: b.yaml, output: link.mp4}]"))


def test_a_scene_that_is_wrong_is_a_task_that_failed(workspace: Path) -> None:
    (workspace / "b.yaml").write_text("objectives: [{layer: blocks.4}]\ncamera: {zom: 1}\n")
    made = make_tasks(entries_of(["a.yaml", "b.yaml"], COMMON))
    state = made.failed["2"]
    assert (state.state, state.status) == ("DEAD", 2)
    assert "b.yaml:2:10: unknown key 'zom'; did you mean 'zoom'?" in state.message


def test_the_same_list_is_the_same_job_and_finished_films_stay_finished(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    run(folder, FakeExecutor())
    assert states(made_job("a.yaml", "b.yaml")) == {"1": "SUCCEEDED", "2": "SUCCEEDED"}
    (workspace / "b.mp4").unlink()
    assert states(made_job("a.yaml", "b.yaml")) == {"1": "SUCCEEDED", "2": "WAITING"}
    (workspace / "a.yaml").write_text(f"seed: 9\n{SCENE}")
    assert states(made_job("a.yaml", "b.yaml")) == {"1": "WAITING", "2": "WAITING"}
    assert [each.name for each in all_jobs()] == [folder.name]
    assert made_job("a.yaml").name != folder.name


def test_a_film_that_another_job_is_making_is_refused(workspace: Path) -> None:
    folder = made_job("a.yaml", "b.yaml")
    with folder.locked(), pytest.raises(UsageError, match=rf"job {folder.name} is making .*b\.mp4 already"):
        made_job("b.yaml")
    assert states(made_job("b.yaml")) == {"1": "WAITING"}


def test_a_job_has_one_driver(workspace: Path) -> None:
    folder = made_job("a.yaml")
    with folder.locked():
        assert folder.is_running()
        with (
            pytest.raises(StorageError, match=rf"job {folder.name} is running already, in process \d+"),
            folder.locked(),
        ):
            pass
    assert not folder.is_running()


def test_a_job_is_found_by_the_start_of_its_name(workspace: Path) -> None:
    folder = made_job("a.yaml")
    assert find("a").name == folder.name
    made_job("a.yaml", "b.yaml")
    with pytest.raises(UsageError, match="several jobs begin with 'a'"):
        find("a")
    with pytest.raises(UsageError, match="there is no job 'zoom'; `render jobs list` lists all"):
        find("zoom")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../a", "-a", "a b", "a\n", "a" * 81])
def test_a_name_that_could_leave_the_folder_of_jobs_is_refused(workspace: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a job's name has up to 80 letters"):
        check_name(name)


def test_a_scene_of_any_name_makes_a_job_within_the_folder_of_jobs(workspace: Path) -> None:
    for name in ("...yaml", "-x.yaml", "ä ö.yaml", "%d.yaml"):
        (workspace / name).write_text(SCENE)
        folder = made_job(name)
        assert folder.path.parent == Path(workspace.parent / "jobs")
        run(folder, FakeExecutor())
    inside = {path.name for path in folder.path.rglob("*")}
    assert inside <= {"made-by-render", "lock", "job.json", "progress.json", "tasks", "requests", "logs", "parts"} | {
        "1.json",
        "1.txt",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"format": 2},
        {"tasks": [{"id": "../1"}]},
        {"tasks": "x"},
        {"more": 1},
    ],
)
def test_a_job_file_of_other_content_is_an_error_message(workspace: Path, change: dict[str, object]) -> None:
    folder = made_job("a.yaml")
    file = folder.path / "job.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(StorageError, match=r"job\.json is damaged, or of another version"):
        folder.job()


def test_a_folder_that_is_no_job_is_not_taken_for_one(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs" / "mine").mkdir(parents=True)
    (tmp_path / "jobs" / "mine" / "job.json").write_text("{}")
    assert not all_jobs()
    with pytest.raises(StorageError, match="is not the folder of a job"):
        JobFolder(tmp_path / "jobs" / "mine")


def test_a_state_is_written_and_read(workspace: Path) -> None:
    folder = made_job("a.yaml")
    state = TaskState(state="DEAD", status=3, message="no memory", made=((3, 4),), seconds=1.5)
    folder.write_state("1", state)
    assert folder.state(folder.job().tasks[0]) == state


def test_names_that_are_no_text_are_refused(workspace: Path) -> None:
    name = os.fsdecode(b"\xff.yaml")
    (workspace / name).write_text(SCENE)
    with pytest.raises(UsageError, match="is not UTF-8, and cannot be part of a job"):
        make_tasks(entries_of([name], COMMON))


def test_a_job_that_was_being_made_or_removed_when_all_ended_is_made_again(workspace: Path) -> None:
    folder = made_job("a.yaml")
    folder.remove()
    assert not folder.path.exists()
    folder.path.mkdir()
    (folder.path / f"{'0' * 32}.tmp").touch()  # of the file that marks the folder
    assert states(made_job("a.yaml")) == {"1": "WAITING"}
    (folder.path / "job.json").unlink()
    assert states(made_job("a.yaml")) == {"1": "WAITING"}


def test_a_link_in_the_folder_of_jobs_is_not_written_to(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is not the folder of a job"):
        open_job("mine")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_scenes_of_one_name_and_films_of_one_name_have_labels_of_their_own(workspace: Path) -> None:
    films = ("x/f.mp4", "y/f.mp4", "g.mp4")
    made = make_tasks([Entry(Path("a.yaml"), output=film) for film in films])
    assert [task.label for task in made.tasks] == [
        f"a.yaml {workspace}/x/f.mp4", f"a.yaml {workspace}/y/f.mp4", "a.yaml g.mp4"
    ]  # fmt: skip


def test_a_look_at_a_job_does_not_keep_a_driver_from_it(workspace: Path) -> None:
    folder = made_job("a.yaml")
    look = FileLock(folder.path / "lock", thread_local=False)
    look.acquire()
    threading.Timer(0.05, look.release).start()
    with folder.locked():
        assert folder.is_running()
