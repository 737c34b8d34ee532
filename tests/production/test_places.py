"""Wherever one works: folders that cannot be written, odd names, links, no home, no terminal, any clock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from render.film.files import sha256
from tests.production.films import FILM, SCENE, contents
from tests.production.processes import ONE_THREAD, Run, rendered

ODD = ['it\'s "quoted" and spaced', "-dash 🎬 é", "new\nline", "100%d a:b|c,d;e=f", "[x]{y}$z`w` a\\b"]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checksum of the film in float32, whatever this machine would choose."""
    folder = tmp_path_factory.mktemp("exact")
    (folder / "film.yaml").write_text(SCENE)
    assert rendered(folder, "film.yaml", "--precision", "float32").status == 0
    return sha256(folder / FILM)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that cannot be written, not even by root."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    for how in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
        if subprocess.run(["mount", *how], check=False).returncode:
            pytest.skip("this machine does not let root mount")
    yield
    subprocess.run(["umount", "--lazy", folder], check=True)


def refused(folder: Path, *arguments: str) -> str:
    """The sentence with which a film is refused, before its first frame."""
    ended = rendered(folder, *arguments, "--json")
    assert ended.status == 4, ended
    assert [event["event"] for event in ended.events] == ["error"]
    assert not ended.err
    return str(ended.events[0]["message"])


@pytest.mark.parametrize(("output", "folder"), [("out/film.mp4", "out"), ("out/new/film.mp4", "out")])
def test_a_folder_that_cannot_be_written_is_refused_before_the_first_frame(
    here: Path, output: str, folder: str
) -> None:
    (here / folder).mkdir()
    with read_only(here / folder):
        told = refused(here, "film.yaml", "--output", output)
    assert told == f"cannot write in {folder}: it is not ours, or read-only; --output names another path"
    assert not list((here / folder).iterdir())


def test_a_folder_of_parts_that_cannot_be_written_is_refused_too(here: Path) -> None:
    (here / f"{FILM}.parts").mkdir()
    with read_only(here / f"{FILM}.parts"):
        assert refused(here, "film.yaml").startswith(f"cannot write in {FILM}.parts: ")


def test_what_is_no_file_in_the_films_place_is_refused(here: Path) -> None:
    (here / FILM).mkdir()
    assert refused(here, "film.yaml") == f"{FILM} is a folder, the film cannot be written there"
    (here / FILM).rmdir()
    os.mkfifo(here / FILM)
    for arguments in ((), ("--overwrite",)):
        assert refused(here, "film.yaml", *arguments) == f"{FILM} is no file, the film cannot be written there"


def test_a_file_that_has_vanished_is_named_where_the_scene_names_it(here: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite("p.png", picture)
    settings = ("--set", "source.image=p.png")
    Run(here, "film.yaml", *settings, "--json").until_frame(9).kill()
    (here / "p.png").rename(here / "q.png")
    told = refused(here, "film.yaml", *settings)
    assert told.startswith(
        "--set:1:14: cannot read the picture p.png: No such file or directory; did you mean 'q.png'?"
    )
    (here / "q.png").rename(here / "p.png")
    ended = rendered(here, "film.yaml", *settings)
    assert ended.status == 0
    assert ended.err.startswith("going on at frame ")


@pytest.mark.parametrize("name", ODD)
def test_every_path_may_have_any_name(here: Path, whole: dict[str, str], name: str) -> None:
    (here / name).mkdir()
    scene = here / name / f"{name}.yaml"
    scene.write_text(SCENE)
    target = Path(name) / f"{name.replace('%', '')}.mp4"
    Run(here, f"./{name}/{name}.yaml", f"--output={target}", "--json").until_frame(9).kill()
    ended = rendered(here, f"./{name}/{name}.yaml", f"--output={target}")
    assert ended.status == 0, ended
    assert sha256(target) == whole[FILM]
    assert not list(here.rglob("*.parts"))


def test_a_name_that_begins_with_a_dash_is_a_name_after_two_dashes(here: Path, whole: dict[str, str]) -> None:
    (here / "-s.yaml").write_text(SCENE)
    ended = rendered(here, "--output=-f.mp4", "--", "-s.yaml")
    assert ended.status == 0, ended
    assert sha256(here / "-f.mp4") == whole[FILM]


def test_a_name_that_is_not_even_text_is_a_sentence(here: Path) -> None:
    ended = rendered(here, "film.yaml", "--output", os.fsdecode(b"caf\xe9.mp4"))
    assert ended.status == 2
    assert "a character that YAML does not allow" in ended.err


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_films_place_is_followed_and_stays(here: Path, whole: dict[str, str], there: bool) -> None:
    large = here / "large disk"
    large.mkdir()
    if there:
        (large / "old.mp4").write_text("another film")
    (here / FILM).symlink_to(large / "old.mp4")
    Run(here, "film.yaml", "--overwrite", "--json").until_frame(9).kill()
    assert (large / "old.mp4.parts").is_dir()
    ended = rendered(here, "film.yaml", "--overwrite")
    assert ended.status == 0, ended
    assert (here / FILM).is_symlink()
    assert sha256(large / "old.mp4") == whole[FILM]
    assert sorted(path.name for path in large.iterdir()) == ["old.mp4"]


def test_a_link_to_a_name_that_no_film_has_is_refused_before_the_first_frame(here: Path) -> None:
    (here / "store").mkdir()
    (here / FILM).symlink_to(here / "store" / "abc")
    assert (
        refused(here, "film.yaml") == f"{FILM} is a link to {here / 'store' / 'abc'}, whose name does not end in .mp4"
    )


def test_whatever_lies_in_the_folder_of_parts_is_no_obstacle(here: Path, whole: dict[str, str]) -> None:
    parts = here / f"{FILM}.parts"
    parts.mkdir()
    (parts / "00000.mp4").symlink_to("/nowhere")
    (parts / "film.json").write_text("[]")
    ended = rendered(here, "film.yaml")
    assert (ended.status, ended.err) == (0, "")
    assert contents(here) == {FILM: whole[FILM]}


def test_links_in_a_circle_are_a_sentence(here: Path) -> None:
    (here / FILM).symlink_to(here / "b.mp4")
    (here / "b.mp4").symlink_to(here / FILM)
    assert refused(here, "film.yaml").startswith(f"cannot write {FILM}: ")


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
def test_the_surroundings_change_nothing(here: Path, exact: str, environment: dict[str, str | None]) -> None:
    target = here / "é 🎬.mp4"
    ended = rendered(here, "film.yaml", "--precision", "float32", "--output", str(target), environment=environment)
    assert ended.status == 0, ended
    assert not ended.err
    assert sha256(target) == exact


def test_a_machine_that_speaks_ascii_only_finds_every_file(here: Path, exact: str) -> None:
    """A process from its very start, as Python decides then how names are written."""
    (here / "é 🎬.yaml").write_text(SCENE)
    plain = {"LANG": "C", "LC_ALL": "C", "PATH": os.environ["PATH"], **ONE_THREAD}
    command = [sys.executable, "-m", "render", "é 🎬.yaml", "--output", "ü.mp4", "--precision", "float32"]
    ended = subprocess.run(command, env={**plain, "HOME": str(here)}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("ü.mp4: 20 frames")
    assert sha256(here / "ü.mp4") == exact


def of_1970() -> None:
    """A machine whose clock has lost its battery."""
    for name, real in (("time", time.time), ("time_ns", time.time_ns)):
        setattr(time, name, lambda real=real: real() % 1000)


def test_a_clock_that_is_set_back_is_no_obstacle(here: Path, whole: dict[str, str]) -> None:
    Run(here, "film.yaml", "--json").until_frame(13).kill()
    future = time.time() + 10 * 365 * 86400
    for file in (here, *here.rglob("*")):
        os.utime(file, (future, future))
    ended = rendered(here, "film.yaml", before=of_1970)
    assert ended.status == 0, ended
    assert ended.err.startswith("going on at frame ")
    assert contents(here) == {FILM: whole[FILM]}


def test_no_standard_input_output_or_error_is_no_obstacle(here: Path, whole: dict[str, str]) -> None:
    """As a service of the system may be started."""
    shell = ["sh", "-c", 'exec "$0" -m render film.yaml <&- >&- 2>&-', sys.executable]
    assert subprocess.run(shell, env={**os.environ, **ONE_THREAD}, check=False).returncode == 0
    assert contents(here) == {FILM: whole[FILM]}


def test_nothing_is_written_but_beside_the_film_and_in_the_cache(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    around = tmp_path_factory.mktemp("around")
    for name in ("home", "tmp", "cache", "scene", "films", "here"):
        (around / name).mkdir()
    (around / "scene" / "film.yaml").write_text(SCENE)
    cv2.imwrite(str(around / "scene" / "p.png"), np.full((64, 64, 3), 99, np.uint8))
    environment = {"HOME": str(around / "home"), "TMPDIR": str(around / "tmp"), "XDG_CACHE_HOME": str(around / "cache")}
    before = listed(around)
    arguments = ("../scene/film.yaml", "--set", "source.image=../scene/p.png", "--output", "../films/a.mp4")
    Run(around / "here", *arguments, "--json", environment=environment).until_frame(9).kill()
    assert rendered(around / "here", *arguments, environment=environment).status == 0
    new = {path for path in listed(around) - before if not path.startswith("here.")}
    assert new == {"films/a.mp4", "cache/render", "cache/render/precision.json"}


def listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
