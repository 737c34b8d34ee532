"""What exists at the output path: this film, an earlier version of it, another film, or an obstacle."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from render.errors import Interrupted, SceneError, StorageError, UsageError
from render.film.metadata import read_metadata
from render.models.registry import model_spec
from render.models.weights_file import read_weights
from render.pipeline.job import Film
from render.pipeline.segments import FrameProgress
from render.system.checksum import sha256
from tests.production.films import (
    FILM,
    FRAMES,
    PARTS,
    SEQUENCE,
    append_index,
    checksums,
    copy_of_parts,
    interrupt_at,
    make,
    must_not_dream,
)

OTHER = "another program's file"


def test_a_finished_film_is_reported_frame_by_frame_and_embeds_its_provenance(
    workspace: Path, reference: dict[str, str]
) -> None:
    reports: list[FrameProgress] = []
    film = make(on_frame=reports.append)
    assert film == Film(Path(FILM), FRAMES, fps=Fraction(24), size=(64, 64), made=True)
    assert [progress.index for progress in reports] == list(range(FRAMES))
    assert {(progress.first, progress.last) for progress in reports} == {(0, FRAMES)}
    assert all(progress.objective is not None and progress.objective > 0 for progress in reports)
    metadata = read_metadata(workspace / FILM)
    assert metadata is not None
    assert {"scene", "weights", "machine", "versions"} <= metadata.keys()
    assert checksums(workspace) == {FILM: reference[FILM]}


@pytest.mark.parametrize(
    "settings", [(), (f"output.path={SEQUENCE}",), ("output.path=frames/%03d.PNG",), ("output.path=film.mov",)]
)
def test_a_finished_film_is_not_made_again(workspace: Path, settings: tuple[str, ...]) -> None:
    settings = ("duration=3", *settings)
    assert make(*settings).made
    before, times = checksums(workspace), modification_times(workspace)
    assert not make(*settings, on_frame=must_not_dream).made
    assert checksums(workspace) == before
    assert modification_times(workspace) == times
    assert not list(workspace.rglob("*.parts"))


def modification_times(folder: Path) -> dict[Path, int]:
    """Nanoseconds, by file."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_overwrite_makes_a_finished_film_again(workspace: Path) -> None:
    make("duration=3")
    before, times = checksums(workspace), modification_times(workspace)
    assert make("duration=3", overwrite=True).made
    assert checksums(workspace) == before
    assert modification_times(workspace)[workspace / FILM] > times[workspace / FILM]


def test_requested_frames_of_a_sequence_are_those_of_the_whole_sequence(
    workspace: Path, reference: dict[str, str]
) -> None:
    film = make(f"output.path={SEQUENCE}", "output.bit_depth=16", frames=(5, 9))
    assert film.frames == 4
    assert checksums(workspace) == {f"frames/{n:03d}.png": reference[f"frames/{n:03d}.png"] for n in range(5, 9)}


def test_existing_frames_of_a_sequence_do_not_hinder_the_whole_sequence(
    workspace: Path, reference: dict[str, str]
) -> None:
    settings = (f"output.path={SEQUENCE}", "output.bit_depth=16")
    make(*settings, frames=(0, 2))
    with pytest.raises(Interrupted, match=r"8 of 20"):
        make(*settings, on_frame=interrupt_at(10))
    make(*settings)
    assert checksums(workspace) == {name: data for name, data in reference.items() if name.endswith(".png")}


def test_an_interrupted_range_of_frames_resumes(workspace: Path) -> None:
    indices: list[int] = []

    def on_frame(progress: FrameProgress) -> None:
        indices.append(progress.index)
        interrupt_at(13)(progress)

    make(frames=(6, 15))
    before = checksums(workspace)
    (workspace / FILM).unlink()
    with pytest.raises(Interrupted):
        make(frames=(6, 15), on_frame=on_frame)
    assert indices == list(range(14))
    indices.clear()
    assert make(frames=(6, 15), on_frame=append_index(indices)).frames == 9
    assert indices == list(range(12, 15))
    assert checksums(workspace) == before


@pytest.mark.parametrize("frames", [(5, 5), (9, 5), (-1, 3), (0, 21), (20, 21)])
def test_frames_outside_the_film_are_refused(workspace: Path, frames: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="not within the film, 0:20"):
        make(frames=frames)
    assert not checksums(workspace)


def test_a_changed_scene_is_refused_with_the_change_until_a_restart(workspace: Path) -> None:
    with pytest.raises(Interrupted):
        make("duration=6", on_frame=interrupt_at(4))
    with pytest.raises(UsageError, match=r"scene\.seed was 3, is 9\n--restart starts over"):
        make("duration=6", "seed=9")
    with pytest.raises(UsageError, match=r"camera\.zoom was 1\.02, is \{"):
        make("duration=6", "camera.zoom={0: 1, end: 1.1}")
    indices: list[int] = []
    make("duration=6", "seed=9", restart=True, on_frame=append_index(indices))
    assert indices == list(range(6))
    restarted = checksums(workspace)
    (workspace / FILM).unlink()
    make("duration=6", "seed=9")
    assert checksums(workspace) == restarted


def test_an_interrupted_restart_resumes_without_the_option(workspace: Path) -> None:
    with pytest.raises(Interrupted, match=r"4 of 6 .*; the same command without --restart resumes there"):
        make("duration=6", restart=True, on_frame=interrupt_at(4))
    indices: list[int] = []
    make("duration=6", on_frame=append_index(indices))
    assert indices == [4, 5]


def test_a_changed_source_picture_is_refused(workspace: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite("p.png", picture)
    settings = ("duration=6", "source={image: p.png}", "output.path=zoom.mp4")
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(4))
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(UsageError, match=r"files\.source\.image was"):
        make(*settings)
    cv2.imwrite("p.png", picture)
    indices: list[int] = []
    make(*settings, on_frame=append_index(indices))
    assert indices == [4, 5]
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(StorageError, match="another film"):
        make(*settings)


def test_changed_weights_are_refused_until_a_restart(workspace: Path) -> None:
    source = model_spec("efficientnet_lite0").weights_source
    state = dict(read_weights(source.ensure(quiet=True)))
    torch.save(state, "mine.pth")
    settings = ("duration=6", "network={name: efficientnet_lite0, weights_file: mine.pth}")
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(4))
    first = next(iter(state))
    torch.save({**state, first: state[first] * 1.01}, "mine.pth")
    with pytest.raises(UsageError) as refusal:
        make(*settings, on_frame=must_not_dream)
    assert re.search(r'  weights was "[0-9a-f]{64}", is "[0-9a-f]{64}"\n', str(refusal.value))
    assert "files.network.weights_file was" in str(refusal.value)
    assert "--restart starts over" in str(refusal.value)
    indices: list[int] = []
    make(*settings, restart=True, on_frame=append_index(indices))
    assert indices == list(range(6))


def test_another_film_is_replaced_only_with_overwrite(workspace: Path) -> None:
    (workspace / FILM).write_text(OTHER)
    with pytest.raises(StorageError, match=r"film\.mp4 exists and is another film; --overwrite"):
        make("duration=3", on_frame=must_not_dream)
    assert (workspace / FILM).read_text() == OTHER
    make("duration=3", overwrite=True)
    made = checksums(workspace)
    with pytest.raises(StorageError, match="another film"):
        make("duration=3", "seed=4", on_frame=must_not_dream)
    assert checksums(workspace) == made


def test_a_picture_of_another_sequence_is_not_replaced(workspace: Path) -> None:
    settings = ("duration=3", f"output.path={SEQUENCE}")
    make(*settings)
    (workspace / "frames" / "001.png").write_text(OTHER)
    with pytest.raises(StorageError, match=r"001\.png exists and is another film"):
        make(*settings, on_frame=must_not_dream)
    assert (workspace / "frames" / "001.png").read_text() == OTHER
    (workspace / "frames" / "001.png").unlink()
    assert make(*settings).made
    assert len(checksums(workspace)) == 3


def test_an_old_film_exists_until_the_new_one_is_complete(workspace: Path) -> None:
    (workspace / FILM).write_text(OTHER)
    with pytest.raises(Interrupted):
        make("duration=6", overwrite=True, on_frame=interrupt_at(5))
    assert (workspace / FILM).read_text() == OTHER
    make("duration=6", overwrite=True)
    assert read_metadata(workspace / FILM) is not None


@pytest.mark.parametrize("removed", [None, "film.json", "00000.*", "*.json"])
def test_the_folder_of_a_finished_film_is_removed_by_the_next_run(workspace: Path, removed: str | None) -> None:
    """As after a kill between the concatenation and the removal, or amid the removal."""
    copy = copy_of_parts(workspace, "duration=6")
    film = sha256(workspace / FILM)
    copy.rename(workspace / PARTS)
    for file in (workspace / PARTS).glob(removed) if removed else ():
        file.unlink()
    assert not make("duration=6", on_frame=must_not_dream).made
    assert checksums(workspace) == {FILM: film}
    assert not list(workspace.glob("*.parts"))


def test_an_unfinished_other_film_does_not_concern_a_finished_one(workspace: Path) -> None:
    make("duration=6")
    with pytest.raises(Interrupted):
        make("duration=6", "seed=9", overwrite=True, on_frame=interrupt_at(4))
    assert not make("duration=6", on_frame=must_not_dream).made
    assert (workspace / PARTS / "00000.mp4").exists()


def test_a_second_render_of_the_same_film_is_refused(workspace: Path) -> None:
    refusals: list[str] = []

    def on_frame(progress: FrameProgress) -> None:
        if progress.index == 1:
            with pytest.raises(StorageError) as refusal:
                make("duration=3")
            refusals.append(str(refusal.value))

    make("duration=3", on_frame=on_frame)
    assert refusals == [f"{PARTS} is in use by another render, process {os.getpid()}"]


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("mine"), OSError("mine")])
def test_an_error_of_a_callback_is_raised_unchanged(workspace: Path, error: Exception) -> None:
    def on_frame(progress: FrameProgress) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        make("duration=3", on_frame=on_frame)
    assert raised.value is error
    make("duration=3")
    assert list(checksums(workspace)) == [FILM]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_at_the_output_path_is_refused_before_the_first_frame(workspace: Path, overwrite: bool) -> None:
    (workspace / FILM).mkdir()
    with pytest.raises(StorageError, match=rf"{FILM} is a folder, the film cannot be written there"):
        make("duration=3", overwrite=overwrite, on_frame=must_not_dream)


def test_a_frame_number_in_a_folders_name_is_refused_before_the_first_frame(workspace: Path) -> None:
    with pytest.raises(SceneError, match=r"a picture sequence has one number, in the file name: frames/%05d\.png"):
        make("duration=3", "output.path=take%02d/dream.png", on_frame=must_not_dream)
    assert not checksums(workspace)


def test_an_output_path_below_a_file_is_refused_before_the_first_frame(workspace: Path) -> None:
    (workspace / "file").write_text(OTHER)
    with pytest.raises(StorageError, match="cannot write in file: it is not a folder"):
        make("output.path=file/film.mp4", on_frame=must_not_dream)
