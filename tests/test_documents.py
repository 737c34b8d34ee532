"""The documents agree with the code: commands parse, scenes load, the Python example runs, named files exist."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage
import torch
import torchvision
import typer.main

from render import load
from render.cli.main import app
from render.media import ffmpeg
from render.sweep.cells import SweepScene, find_cells
from render.sweep.model import SweepOptions
from tests.media.clips import write_clip
from tests.sound.made import made_music, write_sound

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
COMMAND = re.compile(r"(render|python -m render|\.venv/bin/python -m \S+|\./scripts/\w+)( |$)")
PLACEHOLDERS = {"$seed": "1", "dream.cadence=N": "dream.cadence=2"}
SOURCES = {
    "photo": ("source.image", "me.jpg"),
    "cloud": ("source.image", "me.jpg"),
    "paint": ("source.image", "me.jpg"),
    "stylize": ("source.video", "clip.mp4"),
    "dreamscape": ("source.video", "clip.mp4"),
    "music": ("output.audio", "song.mp3"),
}
"""Settings without which a scene has no source, or no song."""


def blocks(document: Path) -> Iterator[tuple[int, str, str]]:
    """Yields the code blocks of a document: number of the first line, language ("" for indented ones), and text."""
    language: str | None = None
    lines: list[str] = []
    for number, line in enumerate([*document.read_text(encoding="utf-8").splitlines(), ""], 1):
        is_indented = language is None and line.startswith("    ")
        if line.startswith("```") or not (is_indented or language is not None):
            if lines:
                yield number - len(lines), language or "", "\n".join(lines)
            lines = []
        else:
            lines.append(line)
        if line.startswith("```"):
            language = line.removeprefix("```") if language is None else None


def place(document: Path, number: int) -> str:
    """Returns the document's path and a line number, as in `docs/cli.md:5`."""
    return f"{document.relative_to(ROOT)}:{number}"


def commands() -> Iterator[Any]:
    """Yields the lines of code blocks that run something of this project."""
    for document in DOCUMENTS:
        for number, language, text in blocks(document):
            if language in ("", "sh", "bash"):
                for line in text.replace("\\\n", " ").splitlines():
                    if COMMAND.match(line.strip()):
                        yield pytest.param(line.strip(), id=f"{place(document, number)} {line.strip()}")


def scenes() -> Iterator[Any]:
    """Yields the scenes in code blocks."""
    for document in DOCUMENTS:
        for number, language, text in blocks(document):
            if language == "yaml":
                yield pytest.param(text, id=place(document, number))


COMMANDS, SCENES = list(commands()), list(scenes())


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents name."""
    folder = tmp_path_factory.mktemp("samples")
    photos = Path(skimage.__file__).parent / "data"
    for name in ("me.jpg", "clouds.jpg", "flowers.jpg", "flowers.png", "painting.jpg", "mosaic.jpg"):
        shutil.copy(photos / "rocket.jpg", folder / name)
    cv2.imwrite(str(folder / "sky.png"), np.full((40, 60), 255, np.uint8))
    write_clip(folder / "clip.mp4", np.full((75, 48, 64, 3), 90, np.uint8), fps="1")
    (folder / "shots").mkdir()
    for number in range(3):
        shutil.copy(folder / "sky.png", folder / "shots" / f"{number:04d}.png")
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(folder / "song.m4a"))
    write_sound(folder / "song.mp3", made_music(128, 10, pattern="four"), "-c:a", "libmp3lame")
    network = torchvision.models.googlenet(weights=None, init_weights=False)
    torch.save(network.state_dict(), folder / "my.pth")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


def test_the_documents_contain_commands_and_scenes() -> None:
    assert len(COMMANDS) > 40
    assert len(SCENES) > 30


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_scene_loads_and_names_its_schema(
    config: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(samples)
    assert config.read_text().startswith("# yaml-language-server: $schema=scene.schema.json\n")
    assert load(config, overrides(config, [])).length >= 1


@pytest.mark.parametrize("text", SCENES)
def test_a_scene_in_a_document_loads(text: str, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples)
    Path("scene.yaml").write_text(text, encoding="utf-8")
    assert load("scene.yaml").length >= 1


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_in_a_document_is_accepted(line: str, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for placeholder, value in PLACEHOLDERS.items():
        line = line.replace(placeholder, value)
    program, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
    if program in ("python", ".venv/bin/python"):
        _, program, *arguments = arguments
        assert program == "render" or (ROOT / f"{program.replace('.', '/')}.py").is_file()
    if program.startswith("./scripts/"):
        assert os.access(ROOT / program, os.X_OK)
    if program in ("render", "./scripts/render"):
        monkeypatch.chdir(samples)
        check_arguments(arguments)


def check_arguments(arguments: list[str]) -> None:
    """Parses a command line, and loads its scene if that is a shipped one."""
    group = typer.main.get_command(app)
    parsed: list[dict[str, Any]] = []
    for command in commands_of(group):
        command.callback = lambda **values: parsed.append(values)
    group.main(arguments, standalone_mode=False)
    is_subcommand = arguments[0] == "jobs" and len(arguments) > 1
    assert len(parsed) == 1 + is_subcommand or "--help" in arguments
    scene = next((Path(argument) for argument in arguments if argument.startswith("configs/")), None)
    if scene is not None:
        options = list(pairwise(arguments))
        settings = [value for option, value in options if option == "--set"]
        settings += [f"output.path={value}" for option, value in options if option == "--output"]
        assert load(scene, overrides(scene, settings)).length >= 1
        if arguments[0] == "sweep":
            vary = tuple(value for option, value in options if option == "--vary")
            find_cells(SweepScene(scene), SweepOptions(vary, random=16 if "--random" in arguments else None))


def commands_of(group: Any) -> Iterator[Any]:
    """Yields the commands of a group, and those of its groups after them."""
    for command in group.commands.values():
        yield command
        if hasattr(command, "commands"):
            yield from commands_of(command)


def overrides(scene: Path, settings: list[str]) -> list[tuple[str, str, str]]:
    """Returns the overrides of KEY=VALUE settings, and a source or a song for a scene that has none."""
    pairs = dict([SOURCES[scene.stem]] if scene.stem in SOURCES else [])
    pairs |= {key: value for key, _, value in (setting.partition("=") for setting in settings)}
    return [("--set", key, value) for key, value in pairs.items()]


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, *_ = [text for _, language, text in blocks(ROOT / "docs" / "python.md") if language == "python"]
    (tmp_path / "example.py").write_text(example)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    assert capsys.readouterr().out.splitlines()[-1] == "tiny.mp4 3 (96, 96)"
    assert (tmp_path / "tiny.mp4").stat().st_size > 1000


def test_every_guarantee_names_existing_tests() -> None:
    lines = (ROOT / "docs" / "guarantees.md").read_text().splitlines()
    rows = [line.split("|")[3] for line in lines if line.startswith("| ")]
    header, _, *named = rows
    assert header.strip() == "test"
    assert len(named) > 10
    for row in named:
        folder = "tests/production"
        names = re.findall(r"`([\w./]*test_\w+\.py)`", row)
        assert names, row
        for name in names:  # a file without a directory is in that of the one before it
            folder = str(Path(name).parent) if "/" in name else folder
            assert (ROOT / folder / Path(name).name).is_file(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_pictures_and_scripts_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert "://" in target or (document.parent / target).exists(), target
    for script in re.findall(r"\./scripts/(\w+)", text):
        assert (ROOT / "scripts" / script).is_file(), script
