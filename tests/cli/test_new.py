"""`render new`: the scenes that it writes load and render, and nothing is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from render import load
from render.choices import SCENE_KINDS
from render.scene.templates import FOLDER, SOURCES
from tests.cli.program import Call
from tests.media.clips import write_clip

FILES = {"photo": "in/p.png", "footage": "in/c.mp4"}


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    """A picture and a clip, in a folder of their own."""
    (folder / "in").mkdir()
    cv2.imwrite(FILES["photo"], np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    write_clip(Path(FILES["footage"]), np.random.default_rng(0).integers(0, 255, (4, 320, 320, 3), np.uint8))


def test_every_kind_has_a_short_template_with_comments() -> None:
    assert sorted(file.name for file in FOLDER.iterdir()) == sorted(f"{kind}.yaml" for kind in SCENE_KINDS)
    for kind in SCENE_KINDS:
        lines = (FOLDER / f"{kind}.yaml").read_text().splitlines()
        assert 10 <= len(lines) <= 20
        assert lines[0].startswith("# ")
        assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_a_new_scene_is_checked_and_rendered(kind: str, call: Call, folder: Path) -> None:
    source = ("--source", FILES[kind]) if kind in FILES else ()
    ended = call("new", kind, "a.yaml", *source)
    assert (ended.status, ended.out) == (0, "a.yaml: written; `render a.yaml` renders it\n")
    scene = load("a.yaml")
    assert scene.defaults
    assert not scene.warnings
    is_still = kind == "class"
    frames = () if is_still else ("--frames", "0:2")
    quick = ("--scale", "0.1", "--set", "dream={octaves: 1, steps: 1}", "--precision", "float32")
    rendered = call("a.yaml", "--quiet", *quick, *frames)
    assert (rendered.status, rendered.err) == (0, "")
    assert Path("a.x0.1.png" if is_still else "a.x0.1.0-2.mp4").is_file()


@pytest.mark.parametrize("kind", SOURCES)
def test_without_a_source_the_scene_has_an_empty_one_that_set_replaces(kind: str, call: Call, folder: Path) -> None:
    hint = f"--set {SOURCES[kind]}=PATH"
    assert call("new", kind, "a.yaml").out == f"a.yaml: written; `render a.yaml {hint}` renders it\n"
    assert f'""                   # give it with {hint}\n' in Path("a.yaml").read_text()
    assert hint in call("check", "a.yaml").err
    assert call("check", "a.yaml", "--set", f"{SOURCES[kind]}={FILES[kind]}").status == 0


def test_a_source_is_named_relative_to_the_scene_file(call: Call, folder: Path) -> None:
    (folder / "scenes").mkdir()
    (folder / "deep" / "below").mkdir(parents=True)
    (folder / "link").symlink_to("deep/below")
    Path("in/p.png").rename("in/it's # 1: ü.png")
    for target, name in (("scenes/a.yaml", ".."), ("link/a.yaml", "../.."), ("in/a.yaml", ".")):
        for source in ("in/it's # 1: ü.png", str(folder / "in/it's # 1: ü.png")):
            assert call("new", "photo", target, "--overwrite", "--source", source).status == 0
            written = load(target).spec.source.image
            assert written == os.path.normpath(f"{name}/{'' if name == '.' else 'in/'}it's # 1: ü.png")


def test_an_existing_file_is_replaced_only_with_overwrite(call: Call, folder: Path) -> None:
    before = Path("s.yaml").read_text()
    ended = call("new", "zoom", "s.yaml")
    assert (ended.status, ended.err) == (4, "render: s.yaml exists; --overwrite replaces it\n")
    assert Path("s.yaml").read_text() == before
    assert call("new", "zoom", "s.yaml", "--overwrite").status == 0
    assert Path("s.yaml").read_text() == (FOLDER / "zoom.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["zom", "a.yaml"], 2, "there is no kind of scene 'zom'; did you mean 'zoom'?"),
        (["a.yaml", "zoom"], 2, "there is no kind of scene 'a.yaml'; expected one of class, footage, morph"),
        (["zoom", "a.mp4"], 2, "a scene file's name ends in .yaml, not in '.mp4'"),
        (["zoom", "none/a.yaml"], 4, "there is no folder none for a.yaml"),
        (["zoom", "a.yaml", "--source", "in/p.png"], 2, "begins with noise; --source is for photo and footage"),
        (["photo", "a.yaml", "--source", "in/q.png"], 4, "there is no file in/q.png; did you mean 'p.png'?"),
    ],
)
def test_a_mistake_is_a_message_and_writes_nothing(
    arguments: list[str], status: int, message: str, call: Call, folder: Path
) -> None:
    ended = call("new", *arguments)
    assert (ended.status, ended.out) == (status, "")
    assert message in ended.err
    assert sorted(path.name for path in folder.iterdir()) == ["in", "s.yaml"]


def test_the_help_and_the_documents_list_every_kind(call: Call) -> None:
    documents = Path(__file__).parents[2]
    (row,) = [line for line in (documents / "docs" / "cli.md").read_text().splitlines() if "`render new KIND" in line]
    assert all(f"`{kind}`" in row for kind in SCENE_KINDS)
    assert ", ".join(SCENE_KINDS) in call("new", "--help").out
