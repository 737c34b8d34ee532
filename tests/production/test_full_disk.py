"""A disk that is too small, or becomes full: a sentence with the folder and the bytes, and on from there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.production.films import FILM, SCENE
from tests.production.processes import Run, rendered

DISK = 2**21
NOISE = "source.noise={grain: 1, contrast: 0.5, color: 1}"
GRADE = "grade={strength: 1, contrast: 0.4}"
LARGE = [
    f"--set={value}"
    for value in ("output.crf=1", "output.segment=20", "camera={rotate: 40}", "dream.steps=0", NOISE, GRADE)
]
"""One segment, twice as large as is usual at this crf, and as the canvas after it."""
FULL = re.compile(
    rf"render: the disk of {FILM}\.parts is full; about (\d+) bytes \([0-9.]+ .B\) more are needed there; "
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, with the scene on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    try:
        (folder / "film.yaml").write_text(SCENE)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Something else that takes the room, but for so many bytes."""
    (disk / "filler").unlink(missing_ok=True)
    state = os.statvfs(disk)
    (disk / "filler").write_bytes(b"x" * (state.f_bavail * state.f_frsize - leave))
    return disk / "filler"


def finished(disk: Path, *arguments: str) -> bytes:
    """The film of a disk with room enough."""
    ended = rendered(disk, "film.yaml", *arguments)
    assert ended.status == 0, ended
    film = (disk / FILM).read_bytes()
    (disk / FILM).unlink()
    return film


def goes_on(disk: Path, run: Run, *arguments: str) -> bytes:
    """The film of a run that the full disk stops, and that goes on after room is made."""
    ended = run.ended()
    assert ended.status == 4, ended
    *_, last = ended.err.strip().splitlines()
    told = FULL.match(last)
    assert told is not None, last
    assert 10_000 < int(told[1]) < DISK
    assert last.endswith("make room, then the same command goes on")
    assert not (disk / FILM).exists()
    assert not list(disk.rglob("*.tmp*"))
    (disk / "filler").unlink()
    return finished(disk, *arguments)


def test_full_while_a_state_is_saved(disk: Path) -> None:
    right = finished(disk)
    fill(disk, leave=250_000)  # room for four canvases of 49 kB, and not for five
    run = Run(disk, "film.yaml")
    assert goes_on(disk, run) == right
    assert "about 264 kB" in run.output().err  # told before the first frame
    assert "while the film is made" in run.output().err


def test_what_was_made_before_the_disk_was_full_is_not_made_again(disk: Path) -> None:
    fill(disk, leave=250_000)
    assert rendered(disk, "film.yaml").status == 4
    assert (disk / f"{FILM}.parts" / "00001.json").exists()
    (disk / "filler").unlink()
    ended = rendered(disk, "film.yaml")
    assert ended.status == 0
    assert re.match(r"going on at frame (8|12|16)\n", ended.err)


def test_full_while_a_segment_is_encoded(disk: Path) -> None:
    right = finished(disk, *LARGE)
    fill(disk, leave=len(right) * 7 // 8)
    assert goes_on(disk, Run(disk, "film.yaml", *LARGE), *LARGE) == right


def test_full_while_the_film_is_joined(disk: Path) -> None:
    right = finished(disk, *LARGE)
    canvas, records = 49_280, 20_000
    fill(disk, leave=len(right) + canvas + records + len(right) // 2)
    assert goes_on(disk, Run(disk, "film.yaml", *LARGE), *LARGE) == right


@pytest.mark.parametrize("kind", ["film", "sequence"])
def test_a_disk_that_is_surely_too_small_is_told_before_the_first_frame(disk: Path, kind: str) -> None:
    arguments = () if kind == "film" else ("--output", "frames/%03d.png")
    fill(disk, leave=70_000)
    ended = rendered(disk, "film.yaml", "--json", *arguments)
    assert ended.status == 4
    assert [event["event"] for event in ended.events] == ["error"]
    message = ended.events[0]["message"]
    parts = "frames/%03d.png.parts" if arguments else f"{FILM}.parts"
    assert re.match(rf"about [0-9.]+ .B are needed in {parts} while the film is made, [0-9.]+ .B are free; ", message)
    assert sorted(path.name for path in disk.iterdir()) == ["filler", "film.yaml"]


def test_a_full_disk_under_pictures_that_are_written_is_gone_on_with_too(disk: Path) -> None:
    arguments = ("--output", "frames/%03d.png")
    assert rendered(disk, "film.yaml", *arguments).status == 0
    right = {path.name: path.read_bytes() for path in (disk / "frames").iterdir()}
    for path in (disk / "frames").iterdir():
        path.unlink()
    size = sum(map(len, right.values()))
    fill(disk, leave=size + 5 * 53_000 + size // 2)
    ended = rendered(disk, "film.yaml", *arguments)
    assert ended.status == 4
    assert "more are needed there; make room, then the same command goes on" in ended.err
    (disk / "filler").unlink()
    assert rendered(disk, "film.yaml", *arguments).status == 0
    assert {path.name: path.read_bytes() for path in (disk / "frames").iterdir()} == right
