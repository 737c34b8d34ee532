"""The folder of a film in the making: what is whole is gone on from, what is damaged is done again, one at a time."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from render.errors import RenderError, StorageError, UsageError
from render.film.checkpoint import LATEST, SPREAD, Checkpoint

FILM: dict[str, Any] = {"scene": {"camera": {"zoom": 1.03, "pan": [0, 0]}, "seed": 7}, "frames": [0, 20]}


def opened(folder: Path, identity: dict[str, Any] = FILM, fresh: bool = False) -> Checkpoint:
    """The folder, open."""
    return Checkpoint(folder, identity, ".mp4", fresh)


def state(number: int) -> NDArray[np.float32]:
    """The canvas after a segment."""
    return np.random.default_rng(number).random((1, 3, 8, 12), np.float32)


def make(checkpoint: Checkpoint, *numbers: int) -> None:
    """Segments made and kept."""
    for number in numbers:
        checkpoint.segment(number).write_bytes(b"segment %d " % number * 100)
        checkpoint.keep(number, state(number))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the folder of the film is to be."""
    return tmp_path / "film.mp4.parts"


def standing(checkpoint: Checkpoint, count: int) -> int:
    """How many of the first segments are whole."""
    return min(checkpoint.lost(range(count)), default=count)


def test_a_new_folder_begins_at_the_beginning(folder: Path) -> None:
    with opened(folder) as checkpoint:
        assert checkpoint.lost(range(3)) == [0, 1, 2]
        assert checkpoint.before(0) == checkpoint.before(2) == (0, None)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_next_run_gets_the_canvas_after_the_last_segment(folder: Path, count: int) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(count))
    with opened(folder) as checkpoint:
        assert checkpoint.lost(range(count + 2)) == [count, count + 1]
        start, canvas = checkpoint.before(count)
        assert start == count
        assert canvas is not None
        assert canvas.dtype == np.float32
        assert np.array_equal(canvas, state(count - 1))


def test_frames_that_only_lead_up_need_no_segment(folder: Path) -> None:
    with opened(folder) as checkpoint:
        checkpoint.keep(0, state(0))
        checkpoint.keep(1, state(1))
        make(checkpoint, 2)
    with opened(folder) as checkpoint:
        assert not checkpoint.lost(range(3))
        assert checkpoint.before(3)[0] == 3


def test_a_segment_counts_only_once_its_state_is_kept(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.segment(1).write_bytes(b"whole, but the program was killed here")
    with opened(folder) as checkpoint:
        assert checkpoint.lost(range(2)) == [1]


def damage(path: Path, how: str) -> None:
    """Does to a file what disks and people do."""
    data = path.read_bytes()
    middle = len(data) // 2
    match how:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(data[:middle])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


DAMAGES = ["missing", "truncated", "empty", "flipped"]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("suffix", [".mp4", ".json"])
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_segment_is_noticed_and_it_alone_made_again(folder: Path, number: int, suffix: str, how: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    damage(folder / f"{number:05d}{suffix}", how)
    with opened(folder) as checkpoint:
        assert checkpoint.lost(range(4)) == [number]
        start, canvas = checkpoint.before(number)
        assert start == number
        assert (canvas is None) == (number == 0)
        assert canvas is None or np.array_equal(canvas, state(number - 1))
        make(checkpoint, number)
        assert not checkpoint.lost(range(4))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_state_costs_no_segment_and_the_one_before_it_is_begun_from(folder: Path, how: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    damage(folder / "00003.npy", how)
    with opened(folder) as checkpoint:
        assert not checkpoint.lost(range(4))
        start, canvas = checkpoint.before(4)
        assert start == 3
        assert canvas is not None
        assert np.array_equal(canvas, state(2))


@pytest.mark.parametrize("how", DAMAGES)
def test_without_any_whole_state_a_segment_is_made_from_the_films_start(folder: Path, how: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(4))
    for kept in folder.glob("*.npy"):
        damage(kept, how)
    with opened(folder) as checkpoint:
        assert checkpoint.before(4) == (0, None)
        assert not checkpoint.lost(range(4))


@pytest.mark.parametrize("how", DAMAGES)
def test_when_nothing_says_what_the_folder_holds_only_what_is_of_this_film_counts(folder: Path, how: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0, 1)
    for identity, lost in (({**FILM, "frames": [0, 21]}, [0, 1]), (FILM, [])):
        damage(folder / "film.json", how)
        with opened(folder, identity) as checkpoint:
            assert checkpoint.lost(range(2)) == lost
            assert (checkpoint.before(2) == (0, None)) == bool(lost)


def test_a_note_that_is_damaged_is_not_believed(folder: Path) -> None:
    with opened(folder) as checkpoint:
        checkpoint.keep(0, state(0), {"tile": 512})
        assert checkpoint.noted(0) == {"tile": 512}
    record = folder / "00000.json"
    record.write_text(record.read_text().replace("512", "256"))
    with opened(folder) as checkpoint:
        assert checkpoint.noted(0) == {}
        assert checkpoint.before(1) == (0, None)


@pytest.mark.parametrize("count", [9, 16, 40, 100])
def test_long_films_keep_a_bounded_number_of_states_evenly_and_the_last_two(folder: Path, count: int) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, *range(count))
        kept = sorted(int(file.stem) for file in folder.glob("*.npy"))
        assert len(kept) <= SPREAD + LATEST
        assert kept[-2:] == [count - 2, count - 1]
        assert max(b - a for a, b in pairwise([-1, *kept])) <= 2 * -(-count // SPREAD)
        make(checkpoint, 5)  # again
        assert sorted(int(file.stem) for file in folder.glob("*.npy")) == kept


@pytest.mark.parametrize(
    ("now", "difference"),
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
def test_another_film_is_refused_and_what_changed_is_named(folder: Path, now: dict[str, Any], difference: str) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    with pytest.raises(UsageError) as refusal:
        opened(folder, now)
    assert difference in str(refusal.value)
    assert "--fresh" in str(refusal.value)
    assert str(refusal.value).count(" was ") == 1
    with opened(folder) as checkpoint:
        assert standing(checkpoint, 2) == 1


def test_fresh_forgets_this_film_and_any_other(folder: Path) -> None:
    for identity in (FILM, {**FILM, "frames": [0, 21]}):
        with opened(folder, identity, fresh=True) as checkpoint:
            assert standing(checkpoint, 2) == 0
            assert not list(folder.glob("0*"))
            make(checkpoint, 0, 1)
    with opened(folder, {**FILM, "frames": [0, 21]}) as checkpoint:
        assert standing(checkpoint, 3) == 2


def test_what_a_killed_run_was_writing_is_swept_away(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
    (folder / "0123.tmp.mp4").write_bytes(b"half")
    (folder / "4567.tmp.npy").write_bytes(b"half")
    opened(folder).close()
    assert not list(folder.glob("*.tmp*"))


def test_nothing_is_left_of_a_finished_film(folder: Path) -> None:
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.remove()
    assert not list(folder.parent.iterdir())


HOLD = """
import sys
from pathlib import Path
from render.film.checkpoint import LATEST, SPREAD, Checkpoint
with Checkpoint(Path(sys.argv[1]), {}, ".mp4", False):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that has the folder open, until it is killed at the end."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_renderer_is_refused_and_told_of_the_first(folder: Path) -> None:
    with another(folder) as first:
        for fresh in (False, True):
            with pytest.raises(StorageError, match=rf"in use by another render, process {first.pid}$"):
                opened(folder, {}, fresh)


def test_the_lock_of_a_dead_process_is_no_obstacle(folder: Path) -> None:
    with another(folder) as first:
        first.kill()
        first.wait()
        assert (folder / "lock").read_text() == str(first.pid)
        with opened(folder, {}) as checkpoint:
            assert standing(checkpoint, 2) == 0
            with pytest.raises(StorageError, match="in use"):
                opened(folder, {})


def test_a_refused_renderer_holds_nothing(folder: Path) -> None:
    opened(folder).close()
    with pytest.raises(UsageError):
        opened(folder, {})
    opened(folder).close()


def test_two_never_hold_the_folder_at_once_even_while_it_is_removed(folder: Path) -> None:
    inside = 0
    counting = threading.Lock()
    wrong: list[str] = []
    rounds = 0
    end = time.monotonic() + 1.5

    def work() -> None:
        nonlocal inside, rounds
        while time.monotonic() < end:
            try:
                with opened(folder, {}) as checkpoint:
                    with counting:
                        inside += 1
                        rounds += 1
                        if inside > 1:
                            wrong.append("two at once")
                    time.sleep(0.0005)
                    with counting:
                        inside -= 1
                    checkpoint.remove()
            except StorageError as refusal:
                if "in use by another render" not in str(refusal):
                    wrong.append(str(refusal))
            except OSError as error:
                wrong.append(repr(error))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert rounds > 20
    assert not wrong, f"{len(wrong)} times in {rounds}: {sorted(set(wrong))}"


def test_a_state_that_does_not_fit_on_the_disk_is_a_storage_error_with_a_reason(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(folder) as checkpoint:
        make(checkpoint, 0)
        checkpoint.segment(1).write_bytes(b"segment")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            with pytest.raises(StorageError, match=r"cannot write .*00001\.npy") as failure:
                checkpoint.keep(1, np.zeros((1, 3, 64, 64), np.float32))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert standing(checkpoint, 2) == 1
        assert not list(folder.glob("*.tmp*"))
    assert not str(failure.value).endswith("None")


def test_a_file_where_the_folder_belongs_is_named(folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(StorageError, match=rf"{folder.name}\b"):
        opened(folder)


def test_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=rf"cannot write in {tmp_path / 'file' / 'film.mp4.parts'}: Not a directory"):
        opened(tmp_path / "file" / "film.mp4.parts")


def test_a_folder_that_the_system_put_there_is_no_obstacle(folder: Path) -> None:
    (folder / "@eaDir").mkdir(parents=True)
    try:
        with opened(folder, fresh=True) as checkpoint:
            make(checkpoint, 0)
            assert standing(checkpoint, 2) == 1
    except RenderError as refusal:
        pytest.fail(f"refused: {refusal}")
