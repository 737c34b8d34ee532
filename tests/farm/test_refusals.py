"""What is wrong with a cluster is a sentence with its exit status, and Ray is imported by nothing but the bridge."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from render.errors import MissingError, RenderError, StorageError, UsageError
from render.farm import executor as farm_executor
from render.farm import placement as farm_placement
from render.farm.executor import RayExecutor
from render.farm.facts import difference, versions
from render.farm.files import MAX_SENT, Cache, FileRecord, SceneFile, require_sendable, scene_file
from render.farm.messages import Settings
from render.farm.placement import Cluster
from render.farm.worker import FOLDER, _remove_abandoned_folders
from render.film.checkpoint import Checkpoint, OtherMachineError
from render.jobs.messages import DoneEvent, FailedEvent, Step
from render.jobs.perform import perform
from tests.farm.nodes import Nodes
from tests.farm.test_cluster import STILL
from tests.jobs.parts import begin, made_job


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--cluster", "farm"), 2, "--cluster is local, auto, ray://HOST:PORT or HOST:PORT, not 'farm'"),
        (("--cluster", "local", "--cpus", "0"), 2, "--cpus is above 0 and at most 1024, not 0"),
        (("--cluster", "local", "--gpus", "1.5"), 2, "--gpus is from 0 to 1, or a whole number up to 16, not 1.5"),
        (("--gpus", "1"), 2, "--gpus is of workers on a cluster, and needs --cluster"),
        (("--cluster", "ray://127.0.0.1:1"), 3, "the cluster ray://127.0.0.1:1 cannot be reached: Connection refused"),
    ],
)
def test_a_wrong_cluster_is_a_sentence(workspace: Path, options: tuple[str, ...], status: int, message: str) -> None:
    batch = begin("batch", "a.yaml", *options)
    out, err = batch.communicate()
    assert (batch.returncode, out) == (status, "")
    assert err.startswith(f"render: {message}")
    assert err.count("\n") == 1


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm_placement, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'render-dreams\[farm\]'"):
        Cluster("auto")


def test_ray_is_not_imported_by_the_driver(workspace: Path) -> None:
    script = (
        "import sys; from render.cli.main import main; sys.argv = ['render', *sys.argv[1:]]\n"
        "try: main()\nfinally: print('ray' in sys.modules)"
    )
    for options in ((), ("--cluster", "ray://127.0.0.1:1")):
        ended = subprocess.run(
            [sys.executable, "-c", script, "batch", "a.yaml", "--set", "duration=1", "--quiet", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stdout == "False\n", ended.stderr


def connect(workspace: Path, address: str, **settings: float) -> RenderError:
    """The error of a connection, or of the first look at what happens there."""
    with (
        pytest.raises(RenderError) as raised,
        closing(RayExecutor(Settings.model_validate({"address": address, **settings}), workspace)) as executor,
    ):
        while True:
            list(executor.events(1))
    return raised.value


def test_a_machine_of_no_cluster_is_a_sentence(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "import ray\ndef init(**options): raise ConnectionError('no instance')\nray.init = init\n"
    monkeypatch.setattr(farm_executor, "BOOT", nowhere + farm_executor.BOOT)
    error = connect(workspace, "auto")
    assert error.status == 3
    assert str(error).startswith("this machine is part of no Ray cluster; --cluster ray://HOST:PORT names one")


def test_a_cluster_of_another_version_is_a_sentence(
    workspace: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_executor, "BOOT", f"import ray; ray.__version__ = '2.0.0'; {farm_executor.BOOT}")
    error = connect(workspace, nodes.address)
    assert error.status == 3
    assert str(error).startswith(f"the cluster {nodes.address} has another version of Ray or Python: ")


def test_a_worker_that_fits_on_no_node_is_a_sentence(workspace: Path, nodes: Nodes) -> None:
    error = connect(workspace, nodes.address, cpus=64.0)
    assert error.status == 3
    assert "has room for a worker, which takes 64 processors, 0 GPUs and 0.0 GB of memory; --cpus and" in str(error)


def test_nodes_with_other_versions_are_refused(workspace: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = "import render.farm.facts as facts; facts.PACKAGES += ('no-such-package',); facts.__version__ = '0.1.0'; "
    monkeypatch.setattr(farm_executor, "BOOT", farm_executor.BOOT.replace("from render", f"{patch}from render", 1))
    settings = Settings(address=nodes.address, cpus=1.0)
    with closing(RayExecutor(settings, workspace)) as executor, pytest.raises(RenderError) as raised:
        executor.expect(3)
        while True:
            list(executor.events(1))
    message = str(raised.value)
    assert raised.value.status == 3
    assert message.startswith("no machine of the cluster can make these films:\n")
    assert message.count(f"it has render {versions()['render']} instead of 0.1.0") == 3


def test_versions_that_differ_are_named() -> None:
    here = {"render": "1", "torch": "2.9"}
    assert difference(here, here) == ""
    assert difference(here, {"render": "1", "torch": "2.8"}) == "torch 2.8 instead of 2.9"
    assert difference(here, {"render": "1"}) == "torch missing instead of 2.9"


def test_a_file_is_found_at_its_path_or_kept_by_its_checksum(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for number in (1, 2):
        (there / f"f{number}.png").write_bytes(b"%d" % number)
    cache = Cache(tmp_path / "cache")
    pattern = scene_file(str(there / "f%d.png"))
    assert [file.name for file in pattern.files] == ["f1.png", "f2.png"]
    assert cache.find(pattern) == there / "f%d.png"
    (there / "f2.png").write_bytes(b"another")
    assert cache.find(pattern) is None
    for name, data in (("f1.png", b"1"), ("f2.png", b"2")):
        cache.append(pattern, name, data)
    copy = cache.finish(pattern)
    assert cache.find(pattern) == copy == tmp_path / "cache" / pattern.key / "f%d.png"
    assert (copy.parent / "f2.png").read_bytes() == b"2"


def test_a_file_that_is_too_large_to_be_sent_is_named() -> None:
    record = FileRecord(name="clip.mp4", size=MAX_SENT + 1, sha256="0" * 64)
    message = (
        r"/clips/clip\.mp4 is missing on node7, and with 4\.29 GB too large to be sent; a folder that all machines"
    )
    with pytest.raises(StorageError, match=message):
        require_sendable(SceneFile(path="/clips/clip.mp4", files=(record,)), "node7")


def test_a_folder_that_no_machine_sees_is_a_sentence(workspace: Path, nodes: Nodes) -> None:
    film = begin("a.yaml", "--output", "/proc/self/cwd/x.mp4", "--cluster", nodes.address, "--quiet")
    out, err = film.communicate()
    assert (film.returncode, out) == (4, "")
    assert " does not see /proc/self/cwd, where the film is written; all machines of a cluster need that" in err


def test_a_worker_removes_what_those_that_were_killed_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned, used, other = (tmp_path / f"{FOLDER}{name}" for name in (f"{2**22 + 1}-a", f"{os.getpid()}-b", "mine"))
    for folder in (abandoned, used, other):
        folder.mkdir()
    _remove_abandoned_folders()
    assert (abandoned.exists(), used.exists(), other.exists()) == (False, True, True)


def test_what_is_sent_cannot_leave_the_cache(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    file = scene_file(str(tmp_path / "a.png"))
    cache = Cache(tmp_path / "cache")
    with pytest.raises(ValueError, match="no file that is expected"):
        cache.append(file, "../b.png", b"2")
    with pytest.raises(ValueError, match="should match pattern"):
        SceneFile.model_validate_json(file.model_dump_json().replace('"a.png"', '"../a.png"'))
    cache.append(file, "a.png", b"damaged")
    with pytest.raises(StorageError, match=r"a\.png has changed while it was sent"):
        cache.finish(file)
    assert not list((tmp_path / "cache").iterdir())


def test_a_machine_that_makes_other_bytes_refuses_a_film_that_was_begun(workspace: Path) -> None:
    task = made_job("a.yaml").job().tasks[0]
    shot = task.model_copy(update={"machine": {"device": "cpu", "threads": 1, "instructions": "a wonder"}})
    end = perform(Step(kind="render", task=shot), lambda event: None)
    assert isinstance(end, FailedEvent)
    assert (end.status, end.is_refused) == (2, True)
    assert 'machine.instructions was "a wonder", is "' in end.message
    identity = {"scene": {"seed": 1}, "machine": {"threads": 1}}
    with Checkpoint(workspace / "x.parts", identity, suffix=".mp4"):
        pass
    with (
        pytest.raises(OtherMachineError),
        Checkpoint(workspace / "x.parts", {**identity, "machine": {}}, suffix=".mp4"),
    ):
        pass
    with pytest.raises(UsageError) as raised, Checkpoint(workspace / "x.parts", {"scene": {}}, suffix=".mp4"):
        pass
    assert not isinstance(raised.value, OtherMachineError)


def test_files_of_a_scene_may_be_elsewhere(workspace: Path) -> None:
    (workspace / "still.yaml").write_text(STILL.replace("/proc/self/cwd/", ""))
    cv2.imwrite("photo.png", np.full((64, 64, 3), 99, np.uint8))
    task = made_job("still.yaml").job().tasks[0]
    assert task.files == {"source.image": str(workspace / "photo.png")}
    Path("photo.png").rename("elsewhere.png")
    missing = perform(Step(kind="render", task=task), lambda event: None)
    assert isinstance(missing, FailedEvent)
    step = Step(kind="render", task=task, files={"source.image": str(workspace / "elsewhere.png")})
    assert isinstance(perform(step, lambda event: None), DoneEvent)
    assert Path("still.png").exists()
