"""Films on a Ray cluster of three nodes: the bytes of the serial film, failures of nodes, cancelling."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from render import Callbacks, Options, load, render
from render.film.lock import LOCK
from render.film.metadata import read_metadata
from render.system.checksum import sha256
from tests.conftest import photo_tensor
from tests.farm.nodes import Nodes
from tests.jobs.parts import begin, states, wait_until
from tests.jobs.test_batch import ENDLESS, MAX_STOP_SECONDS, SLOW, events, job_of
from tests.jobs.test_shots import write_shots

HIDDEN = "/proc/self/cwd/photo.png"
"""A path at which the driver finds a picture, and a worker, whose folder is another one, does not."""
STILL = f"""\
size: [64, 64]
duration: 1
source: {{image: {HIDDEN}}}
objectives: [{{layer: blocks.4}}, {{statistics: none}}]
dream: {{octaves: 1, steps: 2}}
output: {{path: still.png}}
"""


def on(nodes: Nodes) -> tuple[str, str]:
    """The options that name the cluster."""
    return "--cluster", nodes.address


def serial(scene: str, *settings: tuple[str, str, str]) -> str:
    """The checksum of the film that this process renders alone."""
    path = f"serial-{Path(scene).stem}{'.png' if scene == 'still.yaml' else '.mp4'}"
    output = ("--output", "output.path", path)
    return sha256(render(load(scene, [*settings, output]), Options(precision="float32")).path)


def test_the_films_of_a_cluster_have_the_bytes_of_the_serial_ones(workspace: Path, nodes: Nodes) -> None:
    write_shots(workspace)
    cv2.imwrite("photo.png", (photo_tensor("chelsea", 64, 64)[0].permute(1, 2, 0) * 255).numpy().astype(np.uint8))
    (workspace / "still.yaml").write_text(STILL)
    names = {"footage.yaml": "footage.mp4", "a.yaml": "a.mp4", "still.yaml": "still.png"}
    batch = begin("batch", *names, "--split-shots", "--precision", "float32", "--name", "job", "--json", *on(nodes))
    out, err = batch.communicate()
    assert (batch.returncode, err) == (0, ""), out
    assert out.count('"kind": "shot"') >= 5
    assert {film: sha256(workspace / film) for film in names.values()} == {
        film: serial(scene) for scene, film in names.items()
    }
    assert (read_metadata(Path("still.png")) or {})["files"].keys() == {"source.image"}
    copies = list((Path(os.environ["XDG_CACHE_HOME"]) / "render/files").glob("*/photo.png"))
    assert [copy.read_bytes() for copy in copies] == [Path("photo.png").read_bytes()]
    assert not nodes.workers()


def test_the_stills_of_a_sweep_have_the_bytes_of_those_that_this_machine_makes(workspace: Path, nodes: Nodes) -> None:
    command = ("sweep", "a.yaml", "--vary", "seed=1,2", "--vary", "dream.steps=1,2", "--frame", "3", "--quiet")
    for name, options in (("here.png", ()), ("there.png", on(nodes))):
        sweep = begin(*command, "--precision", "float32", "--output", name, *options)
        assert (*sweep.communicate(), sweep.returncode) == ("", "", 0)
    stills = {
        folder: {path.name: sha256(path) for path in (workspace / f"{folder}.cells").glob("*.png")}
        for folder in ("here", "there")
    }
    assert len(stills["here"]) == 4
    assert stills["here"] == stills["there"]


def test_one_film_on_a_cluster_of_another_machine(workspace: Path, nodes: Nodes) -> None:
    alone = begin("a.yaml", "--frames", "0:6", "--cluster", nodes.client_address, "--precision", "float32")
    out, err = alone.communicate()
    assert (alone.returncode, out) == (0, "a.0-6.mp4: 6 frames, rendered in " + out.rpartition(" in ")[2]), err
    made = render(
        load("a.yaml", [("--output", "output.path", "b.mp4")]), Options(precision="float32", frames=(0, 6))
    ).path
    assert sha256(workspace / "a.0-6.mp4") == sha256(made)


def test_nodes_and_workers_that_are_killed_cost_no_finished_segment(workspace: Path, nodes: Nodes) -> None:
    extra = nodes.add(CPU=1)
    names = ("a.yaml", "b.yaml", "c.yaml", "d.yaml")
    for seed, name in enumerate(names):
        (workspace / name).write_text((workspace / "a.yaml").read_text().replace("seed: 0", f"seed: {seed}"))
    slow = ("--set", "dream.steps", "40")
    command = ("batch", *names, "--set", "dream.steps=40", "--precision", "float32", "--name", "job", "--json")
    batch = begin(*command, *on(nodes))
    folder = job_of("job")
    victims: dict[int, Callable[[], None]] = {
        0: lambda: os.kill(nodes.workers(0)[0].pid, signal.SIGKILL),  # on a node that remains
        extra: lambda: nodes.kill(extra),
    }

    def kill_those_with_a_segment() -> bool:
        for number in [number for number in victims if _has_segment(nodes, number, workspace)]:
            victims.pop(number)()
        return not victims

    wait_until(kill_those_with_a_segment)
    out, err = batch.communicate()
    assert (batch.returncode, err) == (0, ""), out
    frames = [(each["task"], each["frame"]) for each in events(out) if each["event"] == "frame"]
    assert len([each for each in frames if each[1] == 0]) == len(names)
    log = "".join(folder.log_path(str(number)).read_text() for number in range(1, len(names) + 1))
    assert log.count("it is tried again") >= 2
    assert "its worker process was killed by signal 9 (SIGKILL)" in log
    assert "has failed: " in log
    tried_again = [
        name for number, name in enumerate(names, 1) if "tried again" in folder.log_path(str(number)).read_text()
    ]
    assert [sha256(workspace / f"{Path(name).stem}.mp4") for name in tried_again] == [
        serial(name, slow) for name in tried_again
    ]


def _has_segment(nodes: Nodes, number: int, workspace: Path) -> bool:
    """Whether the worker on a node renders a film of which a segment is finished."""
    workers = {str(worker.pid) for worker in nodes.workers(number)}
    finished = [record.parent / LOCK for record in workspace.glob("*.parts/00000.json")]
    return any(lock.exists() and lock.read_text() in workers for lock in finished)


def test_a_driver_that_is_killed_leaves_no_worker_and_the_same_command_goes_on(workspace: Path, nodes: Nodes) -> None:
    command = ("batch", "a.yaml", *SLOW, "--precision", "float32", "--name", "job", "--json", *on(nodes))
    batch = begin(*command)
    folder = job_of("job")
    wait_until((workspace / "a.mp4.parts/00000.json").exists)
    batch.kill()
    batch.communicate()
    assert states(folder) == {"1": "RUNNING"}
    again = begin(*command)
    out, err = again.communicate()
    assert (again.returncode, err) == (0, "")
    assert min(each["frame"] for each in events(out) if each["event"] == "frame") >= 4
    assert sha256(workspace / "a.mp4") == serial("a.yaml", ("--set", "dream.steps", "8"))
    wait_until(lambda: not nodes.workers())


def test_a_cancelled_job_has_stopped_in_two_seconds_and_render_alone_goes_on(workspace: Path, nodes: Nodes) -> None:
    batch = begin("batch", "a.yaml", "b.yaml", *ENDLESS, "--precision", "float32", "--name", "job", *on(nodes))
    folder = job_of("job")
    wait_until(lambda: len(list(workspace.glob("*.parts/00000.json"))) == 2)
    start = time.monotonic()
    cancel = begin("jobs", "cancel", "job")
    assert cancel.communicate() == ("job job cancelled: 2 cancelled\n", "")
    assert time.monotonic() - start < MAX_STOP_SECONDS + 2
    assert states(folder) == {"1": "CANCELLED", "2": "CANCELLED"}
    _, err = batch.communicate()
    assert batch.returncode == 130, err
    assert not nodes.workers()
    assert not list(workspace.rglob("*.tmp*"))
    first: list[int] = []

    def stop(index: int) -> None:
        first.append(index)
        raise KeyboardInterrupt

    scene = load("a.yaml", [("--set", "dream.steps", "20"), ("--set", "duration", "500")])
    with pytest.raises(Exception, match="frames are safe"):
        render(scene, Options(precision="float32"), Callbacks(on_frame=lambda progress: stop(progress.index)))
    assert 4 <= first[0] < 500
