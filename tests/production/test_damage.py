"""Damage to the folder of an unfinished film is detected, and only the damaged part is made again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from render.errors import Interrupted, StorageError
from render.film.checkpoint import Checkpoint
from render.pipeline.segments import FrameProgress
from tests.conftest import covering
from tests.film.test_checkpoint import DAMAGES, damage
from tests.production.films import (
    FILM,
    FRAMES,
    PARTS,
    SEGMENT_FRAMES,
    append_index,
    checksums,
    copy_of_parts,
    interrupt_at,
    make,
)


@pytest.fixture(scope="module")
def saved_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test saves a folder with all segments; it is copied into each test's workspace."""
    return tmp_path_factory.mktemp("parts") / "parts"


@pytest.fixture
def parts(workspace: Path, saved_parts: Path) -> Path:
    """The folder of a film all of whose segments exist, and which is not concatenated yet."""
    if not saved_parts.exists():
        shutil.copytree(copy_of_parts(workspace), saved_parts)
        (workspace / FILM).unlink()
        shutil.rmtree(workspace / "copy")
    shutil.copytree(saved_parts, workspace / PARTS)
    return workspace / PARTS


def resume() -> tuple[list[int], list[str]]:
    """Resumes the film; returns the indices of the frames that are dreamed, and the warnings."""
    indices: list[int] = []
    warnings: list[str] = []
    make(on_frame=append_index(indices), on_warning=warnings.append)
    return indices, warnings


@pytest.mark.parametrize(
    ("name", "kind"), covering([f"{n:05d}{suffix}" for suffix in (".mp4", ".json") for n in (0, 2, 4)], DAMAGES)
)
def test_a_damaged_segment_is_made_again_and_no_other(
    parts: Path, reference: dict[str, str], name: str, kind: str
) -> None:
    damage(parts / name, kind)
    indices, warnings = resume()
    number = int(name[:5])
    first = number * SEGMENT_FRAMES
    assert indices == list(range(first, first + SEGMENT_FRAMES))
    is_last = number == FRAMES // SEGMENT_FRAMES - 1  # as if it had not been made yet
    message = f"frames {first} to {first + SEGMENT_FRAMES - 1} in {PARTS} are missing or damaged; they are made again"
    assert warnings == ([] if is_last else [message])
    assert checksums(parts.parent) == {FILM: reference[FILM]}


@pytest.mark.parametrize(("kind", "name"), covering(DAMAGES, ["00002.npy", "film.json"]))
def test_damage_to_files_that_are_not_needed_has_no_effect(
    parts: Path, reference: dict[str, str], name: str, kind: str
) -> None:
    """A saved canvas whose segment exists; the film's identity, which each segment records as well."""
    damage(parts / name, kind)
    assert resume() == ([], [])
    assert checksums(parts.parent) == {FILM: reference[FILM]}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_segment_whose_saved_canvas_is_damaged_too_is_dreamed_from_an_earlier_one(
    parts: Path, reference: dict[str, str], kind: str
) -> None:
    damage(parts / "00003.mp4", kind)
    damage(parts / "00002.npy", kind)
    indices, warnings = resume()
    assert indices == list(range(2 * SEGMENT_FRAMES, 4 * SEGMENT_FRAMES))
    assert len(warnings) == 1
    assert warnings[0].startswith(f"frames {3 * SEGMENT_FRAMES} to {4 * SEGMENT_FRAMES - 1} ")
    assert checksums(parts.parent) == {FILM: reference[FILM]}


def test_several_damaged_segments_are_all_made_again(parts: Path, reference: dict[str, str]) -> None:
    damage(parts / "00000.mp4", "flipped")
    damage(parts / "00001.json", "truncated")
    damage(parts / "00003.mp4", "missing")
    indices, warnings = resume()
    assert indices == [*range(2 * SEGMENT_FRAMES), *range(3 * SEGMENT_FRAMES, 4 * SEGMENT_FRAMES)]
    assert len(warnings) == 2
    assert checksums(parts.parent) == {FILM: reference[FILM]}


def test_a_segment_that_is_damaged_during_the_run_does_not_reach_the_film(
    workspace: Path, reference: dict[str, str]
) -> None:
    damaged: list[Path] = []
    warnings: list[str] = []

    def on_frame(progress: FrameProgress) -> None:
        if (workspace / PARTS / "00001.json").exists() and not damaged:
            damaged.append(workspace / PARTS / "00001.mp4")
            damage(damaged[0], "flipped")

    make(on_frame=on_frame, on_warning=warnings.append)
    assert damaged
    assert warnings == [f"frames 4 to 7 in {PARTS} are missing or damaged; they are made again"]
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_a_disk_that_damages_everything_written_is_reported(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Checkpoint.commit

    def commit(checkpoint: Checkpoint, number: int, *arguments: Any, **keywords: Any) -> None:
        real(checkpoint, number, *arguments, **keywords)
        if number == 1:
            damage(checkpoint.segment_path(1), "flipped")

    monkeypatch.setattr(Checkpoint, "commit", commit)
    with pytest.raises(StorageError, match=rf"segments written to {PARTS} read back damaged; check its disk"):
        make()
    assert not (workspace / FILM).exists()


def test_a_film_whose_folder_was_deleted_starts_over(workspace: Path, reference: dict[str, str]) -> None:
    with pytest.raises(Interrupted):
        make(on_frame=interrupt_at(9))
    shutil.rmtree(workspace / PARTS)
    assert resume() == (list(range(FRAMES)), [])
    assert checksums(workspace) == {FILM: reference[FILM]}
