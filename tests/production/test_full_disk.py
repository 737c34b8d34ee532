"""A disk that is too small, or becomes full: a message with the folder and the bytes, and a film that resumes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.production.films import FILM, PARTS, SCENE
from tests.production.messages import DISK_FULL, RESUMING
from tests.production.processes import Run, run_render

DISK_BYTES = 2**21
NOISE = "source.noise={grain: 1, contrast: 0.5, color: 1}"
GRADE = "grade={strength: 1, contrast: 0.4}"
LARGE = [
    f"--set={value}"
    for value in ("output.crf=1", "output.segment_frames=20", "camera={rotate: 40}", "dream.steps=0", NOISE, GRADE)
]
"""Arguments for one segment, twice as large as usual at this crf, and as the canvas after it."""
CANVAS_BYTES = 49_280
"""Of a saved canvas, 64x64x3 float32 and its header."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, with the scene on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
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


def fill(disk: Path, *, free: int) -> None:
    """Writes a file that leaves this many bytes free."""
    (disk / "filler").unlink(missing_ok=True)
    state = os.statvfs(disk)
    (disk / "filler").write_bytes(b"x" * (state.f_bavail * state.f_frsize - free))


def make_film(disk: Path, *arguments: str) -> bytes:
    """Renders on a disk with enough room; returns the film, and removes it."""
    result = run_render(disk, "film.yaml", *arguments)
    assert result.status == 0, result
    film = (disk / FILM).read_bytes()
    (disk / FILM).unlink()
    return film


def resume_after_full_disk(disk: Path, run: Run, *arguments: str) -> bytes:
    """Returns the film of a run that the full disk stops, and that resumes after room is made."""
    result = run.wait()
    assert result.status == 4, result
    *_, last = result.err.strip().splitlines()
    message = re.fullmatch(DISK_FULL, last)
    assert message is not None, last
    assert 10_000 < int(message[1]) < DISK_BYTES
    assert not (disk / FILM).exists()
    assert not list(disk.rglob("*.tmp*"))
    (disk / "filler").unlink()
    return make_film(disk, *arguments)


def test_a_film_resumes_after_the_disk_became_full_while_a_canvas_was_saved(disk: Path) -> None:
    expected = make_film(disk)
    fill(disk, free=250_000)  # room for four canvases, and not for five
    run = Run(disk, "film.yaml")
    assert resume_after_full_disk(disk, run) == expected
    first, *_ = run.result().err.splitlines()  # the warning before the first frame
    assert re.match(rf"render: about 264 kB are needed in {PARTS} while the film is made, [0-9.]+ kB are free", first)


def test_segments_from_before_the_disk_became_full_are_kept(disk: Path) -> None:
    fill(disk, free=250_000)
    assert run_render(disk, "film.yaml").status == 4
    assert (disk / PARTS / "00001.json").exists()
    (disk / "filler").unlink()
    result = run_render(disk, "film.yaml")
    assert result.status == 0
    resuming = re.fullmatch(RESUMING, result.err)
    assert resuming is not None, result.err
    assert int(resuming[1]) in (8, 12, 16)


def test_a_film_resumes_after_the_disk_became_full_while_a_segment_was_encoded(disk: Path) -> None:
    expected = make_film(disk, *LARGE)
    fill(disk, free=len(expected) * 7 // 8)
    assert resume_after_full_disk(disk, Run(disk, "film.yaml", *LARGE), *LARGE) == expected


def test_a_film_resumes_after_the_disk_became_full_while_segments_were_concatenated(disk: Path) -> None:
    expected = make_film(disk, *LARGE)
    records = 20_000
    fill(disk, free=len(expected) + CANVAS_BYTES + records + len(expected) // 2)
    assert resume_after_full_disk(disk, Run(disk, "film.yaml", *LARGE), *LARGE) == expected


@pytest.mark.parametrize("output", [FILM, "frames/%03d.png"])
def test_a_disk_that_is_certainly_too_small_is_refused_before_the_first_frame(disk: Path, output: str) -> None:
    fill(disk, free=70_000)
    result = run_render(disk, "film.yaml", "--json", "--output", output)
    assert result.status == 4
    assert [event["event"] for event in result.events] == ["error"]
    message = rf"about [0-9.]+ .B are needed in {output}\.parts while the film is made, [0-9.]+ .B are free; "
    assert re.match(message, result.events[0]["message"])
    assert sorted(path.name for path in disk.iterdir()) == ["filler", "film.yaml"]


def test_a_sequence_resumes_after_the_disk_became_full_while_pictures_were_written(disk: Path) -> None:
    arguments = ("--output", "frames/%03d.png")
    assert run_render(disk, "film.yaml", *arguments).status == 0
    expected = {path.name: path.read_bytes() for path in (disk / "frames").iterdir()}
    for path in (disk / "frames").iterdir():
        path.unlink()
    size = sum(map(len, expected.values()))
    fill(disk, free=size + 5 * 53_000 + size // 2)
    result = run_render(disk, "film.yaml", *arguments)
    assert result.status == 4
    assert re.search(r"more are needed there; make room, then run the same command to resume\n$", result.err)
    (disk / "filler").unlink()
    assert run_render(disk, "film.yaml", *arguments).status == 0
    assert {path.name: path.read_bytes() for path in (disk / "frames").iterdir()} == expected
