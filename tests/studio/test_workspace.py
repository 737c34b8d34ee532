"""The studio's folder: nothing leads out of it, and what is uploaded is checked."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import load
from render.errors import RenderError, StorageError, UsageError
from render.studio.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.yaml").write_text("size: [64, 64]\n")
    return Workspace.of(folder)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../secret.yaml",
        "sub/../../secret.yaml",
        "sub/..",
        ".",
        "a\\b",
        "a\0b",
        "a\nb",
        "sub//a",
        "link/secret.yaml",
        "file.yaml",
    ],
)
def test_no_name_leads_out(workspace: Workspace, name: str) -> None:
    (workspace.folder / "link").symlink_to("..")
    (workspace.folder / "file.yaml").symlink_to("../secret.yaml")
    with pytest.raises(UsageError):
        workspace.path(name)
    assert workspace.scenes() == []


@given(st.text())
def test_any_name_stays_inside_or_is_refused(name: str) -> None:
    workspace = Workspace(Path("/nowhere"))
    try:
        path = workspace.path(name)
    except RenderError:
        return
    assert Path(os.path.realpath(path)).is_relative_to("/nowhere")


def test_scenes_are_listed_by_name_without_hidden_ones(workspace: Workspace) -> None:
    for name in ("b.yaml", "a.YML", ".hidden.yaml", "sub/c.yaml", "note.txt"):
        (workspace.folder / name).write_text("")
    (workspace.folder / "inside.yaml").symlink_to("b.yaml")
    assert workspace.scenes() == ["a.YML", "b.yaml", "inside.yaml", "sub/c.yaml"]
    assert workspace.path("sub/c.yaml") == workspace.folder / "sub" / "c.yaml"


def test_a_scene_that_reads_or_writes_elsewhere_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    for file in (workspace.folder / "in.png", tmp_path / "out.png"):
        assert cv2.imwrite(str(file), picture)
    base = {"size": [64, 64], "duration": 1, "objectives": [{"layer": "blocks.4"}]}

    def scene(image: Path, output: Path) -> None:
        workspace.require_inside(load({**base, "source": {"image": str(image)}, "output": {"path": str(output)}}))

    scene(workspace.folder / "in.png", workspace.folder / "film.mp4")
    with pytest.raises(UsageError, match=r"source\.image leads out"):
        scene(tmp_path / "out.png", workspace.folder / "film.mp4")
    with pytest.raises(UsageError, match=r"output\.path leads out"):
        scene(workspace.folder / "in.png", tmp_path / "film.mp4")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cat.png", "cat.png"),
        ("../../c a\nt.PNG", "c-a-t.png"),
        ("C:\\x\\%05d.png", "05d.png"),
        (".png.png", "png.png"),
        ("a" * 500 + ".png", "a" * 120 + ".png"),
    ],
)
def test_an_upload_gets_a_plain_name_and_replaces_nothing(
    workspace: Workspace, tmp_path: Path, name: str, written: str
) -> None:
    source = tmp_path / "upload"
    source.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    assert workspace.upload(name, source) == written
    again = workspace.upload(name, source)
    assert again == written.replace(".png", "-2.png")
    assert (workspace.folder / again).read_bytes() == source.read_bytes()
    assert len(list(workspace.folder.iterdir())) == 3


def test_what_no_scene_can_use_is_not_kept(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(b"GIF89a no picture")
    for name in ("a.png", "a.mp4", "a.wav", "a.csv"):
        with pytest.raises(StorageError):
            workspace.upload(name, source)
    for name in ("a.yaml", "a.sh", "a", "", "png"):
        with pytest.raises(UsageError):
            workspace.upload(name, source)
    assert [path.name for path in workspace.folder.iterdir()] == ["sub"]


def test_a_picture_of_a_billion_pixels_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    data = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    data[16:24] = (60000).to_bytes(4) * 2
    (tmp_path / "bomb").write_bytes(data)
    with pytest.raises(StorageError):
        workspace.upload("bomb.png", tmp_path / "bomb")


def test_an_upload_has_a_limit(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.studio.workspace.MAX_UPLOAD", 10)
    (tmp_path / "long").write_bytes(b"a" * 11)
    with pytest.raises(StorageError, match="more than 10 bytes"):
        workspace.upload("long.csv", tmp_path / "long")
