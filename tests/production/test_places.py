"""Environments: read-only folders, unusual names, links, no home folder, no terminal, any clock."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from render.system.checksum import sha256
from tests.production.films import FILM, PARTS, SCENE, checksums
from tests.production.messages import RESUMING
from tests.production.processes import Run, run_render

SHORT = ("--precision", "float32", "--set", "duration=0.25s")
"""Arguments for a film of two segments, in float32, whichever precision is faster on this machine."""
UNUSUAL_NAMES = ['it\'s "quoted" and spaced', "-dash 🎬 é", "new\nline", "100%d a:b|c,d;e=f", "[x]{y}$z`w` a\\b"]


@pytest.fixture(scope="module")
def short_checksum(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checksum of the short film."""
    folder = tmp_path_factory.mktemp("short")
    (folder / "film.yaml").write_text(SCENE)
    assert run_render(folder, "film.yaml", *SHORT).status == 0
    return sha256(folder / FILM)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Makes a folder read-only in the block, even for root."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    for arguments in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
        if subprocess.run(["mount", *arguments], check=False).returncode:
            pytest.skip("this machine does not let root mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def refusal(folder: Path, *arguments: str) -> str:
    """The error message of a render that ends before its first frame because of a file."""
    result = run_render(folder, *arguments, "--json")
    assert result.status == 4, result
    assert [event["event"] for event in result.events] == ["error"]
    assert not result.err
    return str(result.events[0]["message"])


@pytest.mark.parametrize(("output", "folder"), [("out/film.mp4", "out"), ("out/new/film.mp4", "out")])
def test_a_read_only_folder_is_refused_before_the_first_frame(workspace: Path, output: str, folder: str) -> None:
    (workspace / folder).mkdir()
    with read_only(workspace / folder):
        message = refusal(workspace, "film.yaml", "--output", output)
    assert message == f"cannot write in {folder}: it is not ours, or read-only; --output names another path"
    assert not list((workspace / folder).iterdir())


def test_a_read_only_folder_of_segments_is_refused_before_the_first_frame(workspace: Path) -> None:
    (workspace / PARTS).mkdir()
    with read_only(workspace / PARTS):
        assert refusal(workspace, "film.yaml").startswith(f"cannot write in {PARTS}: ")


@pytest.mark.parametrize("arguments", [(), ("--overwrite",)])
def test_a_folder_or_a_pipe_at_the_output_path_is_refused(workspace: Path, arguments: tuple[str, ...]) -> None:
    (workspace / FILM).mkdir()
    assert refusal(workspace, "film.yaml", *arguments) == f"{FILM} is a folder, the film cannot be written there"
    (workspace / FILM).rmdir()
    os.mkfifo(workspace / FILM)
    assert refusal(workspace, "film.yaml", *arguments) == f"{FILM} is no file, the film cannot be written there"


def test_a_missing_source_is_reported_at_its_position_and_the_film_resumes_when_it_exists(workspace: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite("p.png", picture)
    settings = ("--set", "source.image=p.png")
    Run(workspace, "film.yaml", *settings, "--json").wait_for_frame(9).kill()
    (workspace / "p.png").rename(workspace / "q.png")
    message = refusal(workspace, "film.yaml", *settings)
    assert message.startswith(
        "--set:1:14: cannot read the picture p.png: No such file or directory; did you mean 'q.png'?"
    )
    (workspace / "q.png").rename(workspace / "p.png")
    result = run_render(workspace, "film.yaml", *settings)
    assert result.status == 0
    assert re.fullmatch(RESUMING, result.err)


@pytest.mark.parametrize("name", UNUSUAL_NAMES)
def test_a_film_with_an_unusual_name_resumes(workspace: Path, reference: dict[str, str], name: str) -> None:
    (workspace / name).mkdir()
    (workspace / name / f"{name}.yaml").write_text(SCENE)
    target = Path(name) / f"{name.replace('%', '')}.mp4"
    Run(workspace, f"./{name}/{name}.yaml", f"--output={target}", "--json").wait_for_frame(9).kill()
    result = run_render(workspace, f"./{name}/{name}.yaml", f"--output={target}")
    assert result.status == 0, result
    assert re.fullmatch(RESUMING, result.err)
    assert sha256(target) == reference[FILM]
    assert not list(workspace.rglob("*.parts"))


def test_a_name_that_begins_with_a_dash_follows_two_dashes(workspace: Path, reference: dict[str, str]) -> None:
    (workspace / "-s.yaml").write_text(SCENE)
    result = run_render(workspace, "--output=-f.mp4", "--", "-s.yaml")
    assert result.status == 0, result
    assert sha256(workspace / "-f.mp4") == reference[FILM]


def test_a_name_that_is_not_unicode_is_an_error_message(workspace: Path) -> None:
    result = run_render(workspace, "film.yaml", "--output", os.fsdecode(b"caf\xe9.mp4"))
    assert result.status == 2
    assert "a character that YAML does not allow" in result.err


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_at_the_output_path_is_followed_and_kept(
    workspace: Path, reference: dict[str, str], exists: bool
) -> None:
    large = workspace / "large disk"
    large.mkdir()
    if exists:
        (large / "old.mp4").write_text("another film")
    (workspace / FILM).symlink_to(large / "old.mp4")
    Run(workspace, "film.yaml", "--overwrite", "--json").wait_for_frame(9).kill()
    assert (large / "old.mp4.parts").is_dir()
    result = run_render(workspace, "film.yaml", "--overwrite")
    assert result.status == 0, result
    assert (workspace / FILM).is_symlink()
    assert sha256(large / "old.mp4") == reference[FILM]
    assert sorted(path.name for path in large.iterdir()) == ["old.mp4"]


def test_a_link_to_a_name_without_the_suffix_is_refused_before_the_first_frame(workspace: Path) -> None:
    target = workspace / "store" / "abc"
    target.parent.mkdir()
    (workspace / FILM).symlink_to(target)
    assert refusal(workspace, "film.yaml") == f"{FILM} is a link to {target}, whose name does not end in .mp4"


def test_a_cycle_of_links_is_an_error_message(workspace: Path) -> None:
    (workspace / FILM).symlink_to(workspace / "b.mp4")
    (workspace / "b.mp4").symlink_to(workspace / FILM)
    assert refusal(workspace, "film.yaml").startswith(f"cannot write {FILM}: ")


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None, "XDG_CACHE_HOME": None, "USER": None, "LOGNAME": None},
        {"HOME": "/proc/nobody", "XDG_CACHE_HOME": None},
        {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache"},
        {"TMPDIR": "/proc/nowhere"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"TERM": None, "COLUMNS": "1", "LINES": "1"},
        {"TZ": "Pacific/Kiritimati"},
        {"PATH": ""},
    ],
    ids=str,
)
def test_environment_variables_do_not_change_the_film(
    workspace: Path, short_checksum: str, environment: dict[str, str | None]
) -> None:
    target = workspace / "é 🎬.mp4"
    result = run_render(workspace, "film.yaml", *SHORT, "--output", str(target), environment=environment)
    assert result.status == 0, result
    assert not result.err
    assert sha256(target) == short_checksum


def test_an_ascii_locale_finds_every_file(workspace: Path, short_checksum: str) -> None:
    """In a new process, because Python chooses the encoding of names when it starts."""
    (workspace / "é 🎬.yaml").write_text(SCENE)
    locale = {"LANG": "C", "LC_ALL": "C"}
    inherited = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if key in os.environ}
    command = [sys.executable, "-m", "render", "é 🎬.yaml", "--output", "ü.mp4", *SHORT]
    environment = {**locale, **inherited, "HOME": str(workspace)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("ü.mp4: 6 frames")
    assert sha256(workspace / "ü.mp4") == short_checksum


def reset_clock() -> None:
    """Sets the clock of the process to 1970, as on a machine without a battery."""
    for name, real in (("time", time.time), ("time_ns", time.time_ns)):
        setattr(time, name, lambda real=real: real() % 1000)


def test_a_clock_that_is_set_back_is_no_obstacle(workspace: Path, reference: dict[str, str]) -> None:
    Run(workspace, "film.yaml", "--json").wait_for_frame(13).kill()
    future = time.time() + 10 * 365 * 86400
    for file in (workspace, *workspace.rglob("*")):
        os.utime(file, (future, future))
    result = run_render(workspace, "film.yaml", preexec=reset_clock)
    assert result.status == 0, result
    assert re.fullmatch(RESUMING, result.err)
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_files_are_written_only_beside_the_film_and_in_the_cache(tmp_path: Path) -> None:
    for name in ("home", "tmp", "cache", "scene", "films", "current"):
        (tmp_path / name).mkdir()
    (tmp_path / "scene" / "film.yaml").write_text(SCENE)
    cv2.imwrite(str(tmp_path / "scene" / "p.png"), np.full((64, 64, 3), 99, np.uint8))
    variables = {"HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"}
    environment = {key: str(tmp_path / name) for key, name in variables.items()}
    before = relative_paths(tmp_path)
    arguments = ("../scene/film.yaml", "--set", "source.image=../scene/p.png", "--output", "../films/a.mp4")
    Run(tmp_path / "current", *arguments, "--json", environment=environment).wait_for_frame(9).kill()
    assert run_render(tmp_path / "current", *arguments, environment=environment).status == 0
    created = {path for path in relative_paths(tmp_path) - before if not path.startswith("current.")}
    assert created == {"films/a.mp4", "cache/render", "cache/render/precision.json"}


def relative_paths(folder: Path) -> set[str]:
    """The paths of everything in a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
