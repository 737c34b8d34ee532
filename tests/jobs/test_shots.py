"""A film of footage as shots, side by side: the bytes of the serial film, and what becomes of failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import Callbacks, Options, load, render
from render.film.metadata import read_metadata
from render.jobs.control import request
from render.jobs.driver import Driver, Observer
from render.jobs.folder import Request
from render.jobs.messages import DoneEvent, Event, FailedEvent, Step
from render.jobs.model import Task, TaskState
from render.jobs.perform import perform
from render.jobs.run import exit_status
from render.jobs.shots import group_shots, shots_of
from render.media import ffmpeg
from render.system.checksum import sha256
from tests.conftest import photo_tensor
from tests.footage import clip_of
from tests.jobs.parts import FakeExecutor, finish, made_job, run, states
from tests.media.clips import write_clip
from tests.production.forked_workers import fork_workers
from tests.production.processes import run_render

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "cat")
SHOTS = [0, 9, 17, 26, 37]
LENGTH = 45
SCENE = """\
source: {video: clip.mp4}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 1, cadence: 2, transforms: {jitter: 2}}
camera: {rotate: 0.2}
output: {segment_frames: 4}
"""


def write_shots(folder: Path) -> None:
    """Writes a clip of five shots with sound, each of a photo that moves, and a scene of it."""
    pictures = []
    for name, first, last in zip(PHOTOS, SHOTS, [*SHOTS[1:], LENGTH], strict=True):
        photo = photo_tensor(name, 160, 64)
        pictures += [clip_of(photo[..., 2 * i : 2 * i + 64]) for i in range(last - first)]
    silent = write_clip(folder / "silent.mp4", np.concatenate(pictures), "-c:v", "libx264", "-qp", "12")
    tone = ("-f", "lavfi", "-i", "sine=frequency=330:duration=1.8", "-c:v", "copy", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(silent), *tone, str(folder / "clip.mp4"))
    silent.unlink()
    (folder / "footage.yaml").write_text(SCENE)


def split(step: Step) -> list[Event]:
    """The events of a step, where a split finds three shots."""
    if step.kind == "split":
        return [DoneEvent(shots=(0, 8, 16, 24), machine={"threads": 1})]
    return finish(step)


def test_two_workers_make_the_bytes_of_the_serial_film(workspace: Path) -> None:
    write_shots(workspace)
    serial = render(load("footage.yaml", [("--output", "output.path", "serial.mp4")]), Options(precision="float32"))
    options = ("--split-shots", "--workers", "2", "--precision", "float32", "--name", "job", "--json")
    batch = run_render(workspace, "batch", "footage.yaml", *options, preexec=fork_workers)
    assert (batch.status, batch.err) == (0, ""), batch.out
    assert batch.out.count('"kind": "shot"') >= 5
    assert sha256(workspace / "footage.mp4") == sha256(serial.path)
    assert not list((workspace.parent / "jobs/job/parts").iterdir())
    assert sorted(path.name for path in workspace.iterdir()) == [
        "a.yaml", "b.yaml", "c.yaml", "clip.mp4", "footage.mp4", "footage.yaml", "serial.mp4"
    ]  # fmt: skip


def test_frames_from_a_cut_on_are_dreamed_without_those_before_it(workspace: Path) -> None:
    write_shots(workspace)
    indices: list[int] = []
    options = Options(frames=(SHOTS[2] + 2, SHOTS[3]))
    render(load("footage.yaml"), options, Callbacks(on_frame=lambda progress: indices.append(progress.index)))
    assert indices == list(range(SHOTS[2], SHOTS[3]))
    assert (read_metadata(workspace / "footage.mp4") or {})["frames"] == [SHOTS[2] + 2, SHOTS[3]]


def test_shots_are_tasks_of_their_own_and_their_film_is_joined_last(workspace: Path) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", "a.yaml", is_split=True)
    executor = FakeExecutor(split, slots=2)
    run(folder, executor)
    assert states(folder) == dict.fromkeys(("1", "1.1", "1.2", "1.3", "2"), "SUCCEEDED")
    kinds = [(step.task.id, step.kind) for step in executor.steps]
    assert kinds[0] == ("1", "split")
    assert kinds.index(("1", "join")) > max(kinds.index((f"1.{i}", "render")) for i in (1, 2, 3))
    shot = next(step.task for step in executor.steps if step.task.id == "1.2")
    assert (shot.frames, shot.machine, shot.output) == ((8, 16), {"threads": 1}, str(folder.parts("1") / "8-16.mp4"))
    assert not folder.parts("1").exists()


def test_a_shot_that_fails_is_the_failure_of_its_film_and_the_others_are_kept(workspace: Path) -> None:
    write_shots(workspace)
    fails = True

    def perform(step: Step) -> list[Event]:
        return [FailedEvent(status=4, message="no room")] if fails and step.task.id == "1.2" else split(step)

    folder = made_job("footage.yaml", is_split=True)
    after = run(folder, FakeExecutor(perform))
    assert states(folder) == {"1": "DEAD", "1.1": "SUCCEEDED", "1.2": "DEAD", "1.3": "SUCCEEDED"}
    assert (after["1"].status, after["1"].message) == (4, "1 of 3 shots are missing; footage.yaml 8:16: no room")
    fails = False
    request(folder, Request(action="retry", tasks=("1",)))
    executor = FakeExecutor(perform)
    run(folder, executor)
    assert [(step.task.id, step.kind) for step in executor.steps] == [("1.2", "render"), ("1", "join")]
    assert states(made_job("footage.yaml", is_split=True))["1"] == "SUCCEEDED"


@pytest.mark.parametrize(("action", "state", "status"), [("cancel", "CANCELLED", 130), ("eat", "EATEN", 0)])
def test_a_film_without_a_shot_that_the_user_gave_up_is_given_up(
    workspace: Path, action: str, state: str, status: int
) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", is_split=True)
    run(
        folder,
        FakeExecutor(lambda step: [*split(step)] if step.task.id != "1.2" else [FailedEvent(status=4, message="x")]),
    )
    request(folder, Request(action="retry"))
    request(folder, Request.model_validate({"action": action, "tasks": ("1.2",)}))
    after = run(folder, FakeExecutor(split))
    assert states(folder) == {"1": state, "1.1": "SUCCEEDED", "1.2": state, "1.3": "SUCCEEDED"}
    assert exit_status(folder.job(), after) == status


def test_a_film_that_is_cancelled_while_its_shots_are_found_is_cancelled(workspace: Path) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", is_split=True)

    class Cancel(Observer):
        def state(self, task: Task, state: TaskState) -> None:
            if state.state == "RUNNING":
                driver.obey(Request(action="cancel"))

    with folder.locked():
        driver = Driver(folder, FakeExecutor(split), Cancel())
        driver.run()
    assert states(folder) == {"1": "CANCELLED"}


def test_a_shot_that_is_gone_is_rendered_again_before_its_film_is_joined(workspace: Path) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", is_split=True)
    run(folder, FakeExecutor(lambda step: [FailedEvent(status=4, message="x")] if step.kind == "join" else split(step)))
    (folder.parts("1") / "8-16.mp4").unlink()
    request(folder, Request(action="retry"))
    executor = FakeExecutor(split)
    run(folder, executor)
    assert [(step.task.id, step.kind) for step in executor.steps] == [("1.2", "render"), ("1", "join")]


def test_a_split_film_that_is_gone_begins_anew(workspace: Path) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", is_split=True)
    run(folder, FakeExecutor(split))
    (workspace / "footage.mp4").unlink()
    assert states(made_job("footage.yaml", is_split=True)) == {"1": "WAITING"}
    assert not list((folder.path / "tasks").glob("1.*.json"))


def test_shots_share_tasks_where_a_job_would_have_too_many(workspace: Path) -> None:
    task = made_job("a.yaml").job().tasks[0]
    found = DoneEvent(shots=(0, 8, 16, 24, 30))
    frames = [[part.frames for part in shots_of(task, found, workspace, at_most=most)] for most in (9, 2, 0)]
    assert frames == [[(0, 8), (8, 16), (16, 24), (24, 30)], [(0, 16), (16, 30)], [(0, 30)]]


def test_a_shot_that_is_damaged_is_removed_and_the_join_tried_again(workspace: Path) -> None:
    write_shots(workspace)
    task = made_job("footage.yaml", is_split=True).job().tasks[0]
    part = render(load("footage.yaml", [("--output", "output.path", "part.mp4")]), Options(frames=(0, 4))).path
    part.write_bytes(part.read_bytes()[:-900])
    end = perform(Step(kind="join", task=task, parts=(str(part),)), lambda event: None)
    assert isinstance(end, FailedEvent)
    assert (end.may_pass, end.message) == (True, f"{part} is damaged")
    assert not part.exists()


def test_a_film_with_one_shot_is_rendered_at_once(workspace: Path) -> None:
    write_shots(workspace)
    folder = made_job("footage.yaml", is_split=True)
    run(folder, FakeExecutor())
    assert states(folder) == {"1": "SUCCEEDED"}


def test_a_film_that_follows_no_clip_is_not_split(workspace: Path) -> None:
    assert not made_job("a.yaml", is_split=True).job().tasks[0].is_split


@pytest.mark.parametrize(
    ("starts", "length", "at_least", "expected"),
    [
        ([0, 10, 20], 30, 10, [0, 10, 20]),
        ([0, 4, 8, 12], 30, 10, [0, 12]),
        ([0, 10, 28], 30, 10, [0, 10]),
        ([0], 5, 48, [0]),
        ([0, 3], 5, 48, [0]),
    ],
)
def test_short_shots_share_a_task(starts: list[int], length: int, at_least: int, expected: list[int]) -> None:
    assert group_shots(starts, length, at_least=at_least) == expected
