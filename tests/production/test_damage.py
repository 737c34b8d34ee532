"""What disks and people do to the folder of a film in the making: noticed, and that part alone is made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from render.errors import Interrupted, StorageError
from render.film.checkpoint import Checkpoint
from tests.film.test_checkpoint import DAMAGES, damage
from tests.production.films import FILM, FRAMES, SEGMENT, contents, kept_parts, make, stopping_at

PARTS = f"{FILM}.parts"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of parts of a film that is whole but for the join; in it film.yaml is to be found beside it."""
    return tmp_path_factory.mktemp("parts") / "parts"


def gone_on(here: Path) -> tuple[list[int], list[str]]:
    """The frames that are made, and what is told, when the same command goes on."""
    seen: list[int] = []
    told: list[str] = []
    make(watch=lambda progress: seen.append(progress.index), warn=told.append)
    return seen, told


@pytest.fixture
def begun(here: Path, parts: Path) -> Path:
    """All segments are there, the film is not."""
    if not parts.exists():
        shutil.copytree(kept_parts(here), parts)
        (here / FILM).unlink()
        shutil.rmtree(here / "copy")
    shutil.copytree(parts, here / PARTS)
    return here / PARTS


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("suffix", [".mp4", ".json"])
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_damaged_segment_is_made_again_and_no_other(
    here: Path, begun: Path, whole: dict[str, str], number: int, suffix: str, how: str
) -> None:
    damage(begun / f"{number:05d}{suffix}", how)
    seen, told = gone_on(here)
    first = number * SEGMENT
    assert seen == list(range(first, first + SEGMENT))
    last = number == FRAMES // SEGMENT - 1  # might as well not have been made yet
    frames = f"frames {first} to {first + SEGMENT - 1} in {PARTS} are missing or damaged; they are made again"
    assert told == ([] if last else [frames])
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["00002.npy", "film.json"])
def test_what_is_not_needed_to_finish_may_be_damaged(
    here: Path, begun: Path, whole: dict[str, str], name: str, how: str
) -> None:
    """A state, while its segment is there; what the folder says of the film, while each segment says it too."""
    damage(begun / name, how)
    assert gone_on(here) == ([], [])
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_segment_whose_state_before_is_damaged_too_is_led_up_to(
    here: Path, begun: Path, whole: dict[str, str], how: str
) -> None:
    damage(begun / "00003.mp4", how)
    damage(begun / "00002.npy", how)
    seen, told = gone_on(here)
    assert seen == list(range(2 * SEGMENT, 4 * SEGMENT))
    assert len(told) == 1
    assert told[0].startswith(f"frames {3 * SEGMENT} to {4 * SEGMENT - 1} ")
    assert contents(here) == {FILM: whole[FILM]}


def test_several_damages_at_once_are_all_mended(here: Path, begun: Path, whole: dict[str, str]) -> None:
    damage(begun / "00000.mp4", "flipped")
    damage(begun / "00001.json", "truncated")
    damage(begun / "00003.mp4", "missing")
    seen, told = gone_on(here)
    assert seen == [*range(2 * SEGMENT), *range(3 * SEGMENT, 4 * SEGMENT)]
    assert len(told) == 2
    assert contents(here) == {FILM: whole[FILM]}


def test_what_is_damaged_while_the_film_is_made_does_not_come_into_it(here: Path, whole: dict[str, str]) -> None:
    def watch(progress: object) -> None:
        if (here / PARTS / "00001.json").exists() and not told:
            told.append("damaged")
            damage(here / PARTS / "00001.mp4", "flipped")

    told: list[str] = []
    make(watch=watch, warn=told.append)
    assert told == ["damaged", f"frames 4 to 7 in {PARTS} are missing or damaged; they are made again"]
    assert contents(here) == {FILM: whole[FILM]}


def test_a_disk_that_damages_whatever_is_written_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Checkpoint.keep

    def failing(self: Checkpoint, number: int, *others: object) -> None:
        real(self, number, *others)  # type: ignore[arg-type]  # passed on
        if number == 1:
            damage(self.segment(1), "flipped")

    monkeypatch.setattr(Checkpoint, "keep", failing)
    with pytest.raises(StorageError, match="comes back damaged; see to its disk"):
        make()
    assert not (here / FILM).exists()


def test_the_folder_may_be_taken_away_altogether(here: Path, whole: dict[str, str]) -> None:
    with pytest.raises(Interrupted):
        make(watch=stopping_at(9))
    shutil.rmtree(here / PARTS)
    seen, told = gone_on(here)
    assert (seen, told) == (list(range(FRAMES)), [])
    assert contents(here) == {FILM: whole[FILM]}
