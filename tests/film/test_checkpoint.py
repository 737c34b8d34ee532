"""The checkpoint folder: complete segments are kept, damaged ones are rendered again."""

from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from render.errors import StorageError, UsageError
from render.film.checkpoint import LATEST_STATES, SPREAD_STATES, Checkpoint

FILM: dict[str, Any] = {"scene": {"camera": {"zoom": 1.03, "pan": [0, 0]}, "seed": 7}, "frames": [0, 20]}


def opened(folder: Path, identity: dict[str, Any] = FILM, restart: bool = False) -> Checkpoint:
    return Checkpoint(folder, identity, suffix=".mp4", restart=restart)


def canvas_after(number: int) -> NDArray[np.float32]:
    """The canvas after a segment."""
    return np.random.default_rng(number).random((1, 3, 8, 12), np.float32)


def make(checkpoint: Checkpoint, *numbers: int) -> None:
    """Writes and commits segments."""
    for number in numbers:
        checkpoint.segment_path(number).write_bytes(b"segment %d " % number * 100)
        checkpoint.commit(number, canvas_after(number))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The path of the checkpoint folder."""
    return tmp_path / "film.mp4.parts"


def complete_segments(checkpoint: Checkpoint, count: int) -> int:
    """The number of complete segments before the first incomplete one."""
    return min(checkpoint.missing(range(count)), default=count)


def test_a_new_folder_has_no_segments_and_starts_at_the_first(folder: Path) -> None:
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(3)) == [0, 1, 2]
        assert checkpoint.nearest_state(0) == checkpoint.nearest_state(2) == (0, None)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_next_run_gets_the_canvas_after_the_last_segment(folder: Path, count: int) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(count))
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(count + 2)) == [count, count + 1]
        start, canvas = checkpoint.nearest_state(count)
        assert start == count
        assert canvas is not None
        assert canvas.dtype == np.float32
        assert np.array_equal(canvas, canvas_after(count - 1))


def test_a_segment_without_a_file_is_complete_by_its_record(folder: Path) -> None:
    with opened(folder) as checkpoint:
        checkpoint.commit(0, canvas_after(0))
        checkpoint.commit(1, canvas_after(1))
        make(checkpoint, 2)
    with opened(folder) as checkpoint:
        assert not checkpoint.missing(range(3))
        assert checkpoint.nearest_state(3)[0] == 3


def test_a_segment_is_complete_only_after_its_commit(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.segment_path(1).write_bytes(b"complete, but the process was killed before the commit")
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(2)) == [1]


def damage(path: Path, kind: str) -> None:
    """Damages a file as disks and people do."""
    data = path.read_bytes()
    middle = len(data) // 2
    match kind:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(data[:middle])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


DAMAGES = ["missing", "truncated", "empty", "flipped"]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("suffix", [".mp4", ".json"])
@pytest.mark.parametrize("number", range(4))
def test_only_a_damaged_segment_is_missing(folder: Path, number: int, suffix: str, kind: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    damage(folder / f"{number:05d}{suffix}", kind)
    with opened(folder) as checkpoint:
        assert checkpoint.missing(range(4)) == [number]
        start, canvas = checkpoint.nearest_state(number)
        assert start == number
        assert (canvas is None) == (number == 0)
        assert canvas is None or np.array_equal(canvas, canvas_after(number - 1))
        make(checkpoint, number)
        assert not checkpoint.missing(range(4))


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_canvas_loses_no_segment_and_the_previous_canvas_is_used(folder: Path, kind: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    damage(folder / "00003.npy", kind)
    with opened(folder) as checkpoint:
        assert not checkpoint.missing(range(4))
        start, canvas = checkpoint.nearest_state(4)
        assert start == 3
        assert canvas is not None
        assert np.array_equal(canvas, canvas_after(2))


@pytest.mark.parametrize("kind", DAMAGES)
def test_without_an_undamaged_canvas_rendering_starts_at_the_first_segment(folder: Path, kind: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    for canvas_file in folder.glob("*.npy"):
        damage(canvas_file, kind)
    with opened(folder) as checkpoint:
        assert checkpoint.nearest_state(4) == (0, None)
        assert not checkpoint.missing(range(4))


@pytest.mark.parametrize("kind", DAMAGES)
def test_without_an_identity_only_segments_of_this_film_are_complete(folder: Path, kind: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0, 1)
    for identity, missing in (({**FILM, "frames": [0, 21]}, [0, 1]), (FILM, [])):
        damage(folder / "film.json", kind)
        with opened(folder, identity) as checkpoint:
            assert checkpoint.missing(range(2)) == missing
            assert (checkpoint.nearest_state(2) == (0, None)) == bool(missing)


def test_a_damaged_note_is_ignored(folder: Path) -> None:
    with opened(folder) as checkpoint:
        checkpoint.commit(0, canvas_after(0), note={"tile": 512})
        assert checkpoint.note(0) == {"tile": 512}
    record = folder / "00000.json"
    record.write_text(record.read_text().replace("512", "256"))
    with opened(folder) as checkpoint:
        assert checkpoint.note(0) == {}
        assert checkpoint.nearest_state(1) == (0, None)


@pytest.mark.parametrize("count", [9, 16, 40, 100])
def test_long_films_keep_the_last_two_canvases_and_a_bounded_number_spread_evenly(folder: Path, count: int) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(count))
        kept = sorted(int(file.stem) for file in folder.glob("*.npy"))
        assert len(kept) <= SPREAD_STATES + LATEST_STATES
        assert kept[-2:] == [count - 2, count - 1]
        assert max(b - a for a, b in pairwise([-1, *kept])) <= 2 * -(-count // SPREAD_STATES)
        make(checkpoint, 5)  # again
        assert sorted(int(file.stem) for file in folder.glob("*.npy")) == kept


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (
            {**FILM, "scene": {"camera": {"zoom": 1.02, "pan": [0, 0]}, "seed": 7}},
            "scene.camera.zoom was 1.03, is 1.02",
        ),
        ({**FILM, "scene": {"camera": {"zoom": 1.03, "pan": [0, 1]}, "seed": 7}}, "scene.camera.pan"),
        ({**FILM, "scene": {"camera": {"zoom": 1.03, "pan": [0, 0]}}}, "scene.seed was 7"),
        ({**FILM, "source": "ab12"}, "source"),
        ({**FILM, "frames": [0, 21]}, "frames was [0, 20], is [0, 21]"),
    ],
)
def test_another_film_is_an_error_with_the_differences(folder: Path, changed: dict[str, Any], difference: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    with pytest.raises(UsageError) as refusal:
        opened(folder, changed)
    assert difference in str(refusal.value)
    assert "--restart" in str(refusal.value)
    assert str(refusal.value).count(" was ") == 1
    with opened(folder) as checkpoint:
        assert complete_segments(checkpoint, 2) == 1


def test_restart_discards_this_film_and_any_other(folder: Path) -> None:
    for identity in (FILM, {**FILM, "frames": [0, 21]}):
        with opened(folder, identity, restart=True) as checkpoint:
            assert complete_segments(checkpoint, 2) == 0
            assert not list(folder.glob("0*"))
            make(checkpoint, 0, 1)
    with opened(folder, {**FILM, "frames": [0, 21]}) as checkpoint:
        assert complete_segments(checkpoint, 3) == 2


def test_temporary_files_of_a_killed_process_are_deleted(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    (folder / f"{'01' * 16}.tmp.mp4").write_bytes(b"half")
    (folder / f"{'2f' * 16}.tmp.npy").write_bytes(b"half")
    opened(folder).close()
    assert not list(folder.glob("*.tmp*"))


def test_discard_deletes_the_folder(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.discard()
    assert not list(folder.parent.iterdir())


def test_an_open_folder_is_locked_until_it_is_closed(folder: Path) -> None:
    with opened(folder):
        for restart in (False, True):
            with pytest.raises(StorageError, match="in use by another render"):
                opened(folder, restart=restart)
    opened(folder).close()


def test_an_error_on_opening_releases_the_lock(folder: Path) -> None:
    opened(folder).close()
    with pytest.raises(UsageError):
        opened(folder, {})
    opened(folder).close()


def test_a_canvas_that_does_not_fit_on_the_disk_is_a_storage_error_with_a_reason(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.segment_path(1).write_bytes(b"segment")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            with pytest.raises(StorageError, match=r"cannot write .*00001\.npy") as failure:
                checkpoint.commit(1, np.zeros((1, 3, 64, 64), np.float32))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert complete_segments(checkpoint, 2) == 1
        assert not list(folder.glob("*.tmp*"))
    assert not str(failure.value).endswith("None")


def test_a_folder_of_the_file_system_inside_is_ignored(folder: Path) -> None:
    opened(folder).close()
    (folder / "@eaDir").mkdir()
    with opened(folder, restart=True) as checkpoint:
        make(checkpoint, 0)
        assert complete_segments(checkpoint, 2) == 1
