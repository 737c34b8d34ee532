"""What is at the film's place already: finished, changed, another film, or in the way."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from render.dream import registry, weights
from render.errors import Interrupted, RenderError, SceneError, StorageError, UsageError
from render.film import encoder
from render.film.files import sha256
from render.pieces import Progress
from render.production import Film
from tests.production.films import (
    FILM,
    FRAMES,
    SEQUENCE,
    contents,
    kept_parts,
    make,
    stopping_at,
)


def test_a_finished_film_is_what_was_asked_for(here: Path, whole: dict[str, str]) -> None:
    heard: list[Progress] = []
    film = make(watch=heard.append)
    assert film == Film(Path(FILM), FRAMES, Fraction(24), (64, 64), made=True)
    assert [progress.index for progress in heard] == list(range(FRAMES))
    assert {(progress.first, progress.last) for progress in heard} == {(0, FRAMES)}
    assert all(progress.objective is not None and progress.objective > 0 for progress in heard)
    carried = encoder.carried(here / FILM)
    assert carried is not None
    assert {"scene", "weights", "machine", "versions"} <= carried.keys()
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize(
    "settings", [(), (f"output.path={SEQUENCE}",), ("output.path=frames/%03d.PNG",), ("output.path=film.mov",)]
)
def test_a_finished_film_is_left_alone(here: Path, settings: tuple[str, ...]) -> None:
    settings = ("duration=3", *settings)
    assert make(*settings).made
    before = contents(here)
    times = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    assert not make(*settings, watch=stopping_at(0)).made
    assert contents(here) == before
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()} == times
    assert not list(here.rglob("*.parts"))


def test_a_finished_film_is_made_again_when_asked_for(here: Path) -> None:
    make("duration=3")
    before = contents(here)
    assert make("duration=3", overwrite=True).made
    assert contents(here) == before


def test_frames_of_a_sequence_are_those_of_the_whole(here: Path, whole: dict[str, str]) -> None:
    film = make(f"output.path={SEQUENCE}", "output.depth=16", span=(5, 9))
    assert film.frames == 4
    assert contents(here) == {f"frames/{n:03d}.png": whole[f"frames/{n:03d}.png"] for n in range(5, 9)}


def test_frames_already_there_are_kept_when_the_whole_is_made(here: Path, whole: dict[str, str]) -> None:
    settings = (f"output.path={SEQUENCE}", "output.depth=16")
    make(*settings, span=(0, 2))
    with pytest.raises(Interrupted, match=r"8 of 20"):
        make(*settings, watch=stopping_at(10))
    make(*settings)
    assert contents(here) == {name: data for name, data in whole.items() if name.endswith(".png")}


def test_part_of_a_film_goes_on_too(here: Path) -> None:
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        seen.append(progress.index)
        stopping_at(11)(progress)

    make(span=(6, 15))
    before = contents(here)
    (here / FILM).unlink()
    with pytest.raises(Interrupted):
        make(span=(6, 15), watch=watch)
    assert seen == list(range(12))
    seen.clear()
    assert make(span=(6, 15), watch=lambda progress: seen.append(progress.index)).frames == 9
    assert seen == list(range(10, 15))
    assert contents(here) == before


@pytest.mark.parametrize("span", [(5, 5), (9, 5), (-1, 3), (0, 21), (20, 21)])
def test_frames_outside_the_film_are_refused(here: Path, span: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="not within the film, 0:20"):
        make(span=span)
    assert not contents(here)


def test_a_changed_scene_is_refused_and_the_change_named_until_fresh_is_asked_for(here: Path) -> None:
    with pytest.raises(Interrupted):
        make("duration=6", watch=stopping_at(4))
    with pytest.raises(UsageError) as refusal:
        make("duration=6", "seed=9")
    assert "scene.seed was 3, is 9" in str(refusal.value)
    assert "--fresh" in str(refusal.value)
    with pytest.raises(UsageError, match=r"camera\.zoom was 1\.02, is \{"):
        make("duration=6", "camera.zoom={0: 1, end: 1.1}")
    seen: list[int] = []
    make("duration=6", "seed=9", fresh=True, watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(6))
    fresh = contents(here)
    (here / FILM).unlink()
    make("duration=6", "seed=9")
    assert contents(here) == fresh


def test_a_changed_source_picture_is_refused(here: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite("p.png", picture)
    settings = ("duration=6", "source={image: p.png}", "output.path=zoom.mp4")
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(4))
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(UsageError, match="source"):
        make(*settings)
    cv2.imwrite("p.png", picture)
    seen: list[int] = []
    make(*settings, watch=lambda progress: seen.append(progress.index))
    assert seen == [4, 5]
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(StorageError, match="another film"):
        make(*settings)


def test_changed_weights_are_refused_and_fresh_starts_over(here: Path) -> None:
    source = registry.blueprint("efficientnet_lite0").source
    state = dict(weights.read(source.fetched(quiet=True)))
    torch.save(state, "mine.pth")
    settings = ("duration=6", "network={name: efficientnet_lite0, weights: mine.pth}")
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(4))
    first = next(iter(state))
    torch.save({**state, first: state[first] * 1.01}, "mine.pth")
    with pytest.raises(UsageError) as refusal:
        make(*settings, watch=stopping_at(0))
    assert re.search(r'  weights was "[0-9a-f]{64}", is "[0-9a-f]{64}"\n', str(refusal.value))
    assert "files.network.weights was" in str(refusal.value)
    assert "--fresh starts over" in str(refusal.value)
    seen: list[int] = []
    make(*settings, fresh=True, watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(6))


def test_another_film_is_never_overwritten_unasked(here: Path) -> None:
    (here / FILM).write_text("somebody else's")
    with pytest.raises(StorageError, match=r"film\.mp4 exists and is another film; --overwrite"):
        make("duration=3", watch=stopping_at(0))
    assert (here / FILM).read_text() == "somebody else's"
    make("duration=3", overwrite=True)
    mine = contents(here)
    with pytest.raises(StorageError, match="another film"):
        make("duration=3", "seed=4", watch=stopping_at(0))
    assert contents(here) == mine


def test_a_picture_of_another_sequence_is_never_overwritten_unasked(here: Path) -> None:
    settings = ("duration=3", f"output.path={SEQUENCE}")
    make(*settings)
    (here / "frames" / "001.png").write_text("somebody else's")
    with pytest.raises(StorageError, match=r"001\.png exists and is another film"):
        make(*settings, watch=stopping_at(0))
    (here / "frames" / "001.png").unlink()
    assert make(*settings).made
    assert len(contents(here)) == 3


def test_an_old_film_stands_until_the_new_one_is_whole(here: Path) -> None:
    (here / FILM).write_text("old")
    with pytest.raises(Interrupted):
        make("duration=6", overwrite=True, watch=stopping_at(5))
    assert (here / FILM).read_text() == "old"
    make("duration=6", overwrite=True)
    assert encoder.carried(here / FILM) is not None


def test_a_film_killed_between_join_and_clean_up_is_finished_and_cleaned_up(here: Path) -> None:
    copy = kept_parts(here, "duration=6")
    film = sha256(here / FILM)
    copy.rename(here / f"{FILM}.parts")
    assert not make("duration=6", watch=stopping_at(0)).made
    assert contents(here) == {FILM: film}
    assert not list(here.glob("*.parts"))


@pytest.mark.parametrize("removed", ["film.json", "00000.*", "*.json"])
def test_a_film_killed_amid_the_clean_up_is_finished_and_cleaned_up(here: Path, removed: str) -> None:
    copy = kept_parts(here, "duration=6")
    film = sha256(here / FILM)
    copy.rename(here / f"{FILM}.parts")
    for file in (here / f"{FILM}.parts").glob(removed):
        file.unlink()
    assert not make("duration=6", watch=stopping_at(0)).made
    assert contents(here) == {FILM: film}
    assert not list(here.glob("*.parts"))


def test_a_finished_film_is_finished_whatever_lies_beside_it(here: Path) -> None:
    make("duration=6")
    with pytest.raises(Interrupted):
        make("duration=6", "seed=9", overwrite=True, watch=stopping_at(4))
    assert not make("duration=6", watch=stopping_at(0)).made


def test_a_second_render_of_the_same_film_is_refused(here: Path) -> None:
    refusals: list[str] = []

    def watch(progress: Progress) -> None:
        if progress.index == 1:
            with pytest.raises(StorageError) as refusal:
                make("duration=3")
            refusals.append(str(refusal.value))

    make("duration=3", watch=watch)
    assert refusals == [f"{FILM}.parts is in use by another render, process {os.getpid()}"]


@pytest.mark.parametrize("mishap", [BrokenPipeError(32, "Broken pipe"), ValueError("mine"), OSError("mine")])
def test_what_the_watcher_raises_comes_out_as_it_is(here: Path, mishap: Exception) -> None:
    def watch(progress: Progress) -> None:
        raise mishap

    with pytest.raises(type(mishap)) as raised:
        make("duration=3", watch=watch)
    assert raised.value is mishap
    make("duration=3")
    assert list(contents(here)) == [FILM]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_the_films_place_is_noticed_before_the_dream(here: Path, overwrite: bool) -> None:
    (here / FILM).mkdir()
    seen: list[int] = []
    with pytest.raises(StorageError, match=r"folder|directory"):
        make("duration=3", overwrite=overwrite, watch=lambda progress: seen.append(progress.index))
    assert not seen


def test_a_number_in_a_folders_name_is_not_dreamed_in_vain(here: Path) -> None:
    seen: list[int] = []
    try:
        make("duration=3", "output.path=take%02d/dream.png", watch=lambda progress: seen.append(progress.index))
    except (RenderError, SceneError):
        assert not seen
    else:
        assert (here / "take02" / "dream.png").exists()


def test_a_film_that_cannot_be_written_is_refused_before_the_dream(here: Path) -> None:
    (here / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write in file"):
        make("output.path=file/film.mp4", watch=stopping_at(0))
