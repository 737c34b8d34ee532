"""Files that are replaced while a film is made: sources, the film's own path, parts of a join."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from render import Callbacks, load, render
from render.analysis.join import join
from render.errors import RenderError, StorageError
from render.media import ffmpeg
from render.pipeline.segments import FrameProgress
from render.system.checksum import sha256
from tests.production.films import (
    CLIP,
    FILM,
    PARTS,
    SEQUENCE,
    OnFrame,
    append_index,
    checksums,
    make,
    must_not_dream,
    write_clip,
)


def at_frame(number: int, change: Callable[[], object]) -> OnFrame:
    """Returns a callback that changes something when a frame is finished."""

    def on_frame(progress: FrameProgress) -> None:
        if progress.index == number:
            change()

    return on_frame


def replace(path: Path) -> None:
    """Replaces a clip or a sound by another one, under its name."""
    other = path.with_name(f"other{path.suffix}")
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x64:r=24:d=2")
    ffmpeg.run(*ffmpeg.QUIET, *picture, "-f", "lavfi", "-i", "sine=frequency=900:duration=2", str(other))
    other.replace(path)


def overwrite(path: Path) -> None:
    """Writes into a file; its length and times stay."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("clip", replace, id="clip-replaced"),
        pytest.param("clip", overwrite, id="clip-overwritten", marks=pytest.mark.slow),
        pytest.param("clip", Path.unlink, id="clip-removed", marks=pytest.mark.slow),
        pytest.param("sound", replace, id="sound-replaced", marks=pytest.mark.slow),
        pytest.param("sound", overwrite, id="sound-overwritten"),
        pytest.param("sound", Path.unlink, id="sound-removed"),
    ],
)
def test_a_source_that_changes_stops_the_film_which_resumes_when_it_is_back(
    workspace: Path, kind: str, change: Callable[[Path], None]
) -> None:
    write_clip(workspace)
    source = workspace / CLIP if kind == "clip" else workspace / "song.mp4"
    setting = f"source.video={CLIP}" if kind == "clip" else "output.audio=song.mp4"
    shutil.copy(workspace / CLIP, workspace / "song.mp4")
    shutil.copy(source, workspace / "keep.mp4")
    settings = (setting, "duration=10")
    expected = sha256(make(*settings, "output.path=expected.mp4").path)
    with pytest.raises(StorageError, match=f"{source.name} has been replaced or changed since the film was begun"):
        make(*settings, on_frame=at_frame(6, lambda: change(source)))
    assert not (workspace / FILM).exists()
    if kind == "clip":
        with pytest.raises(RenderError):
            make(*settings, on_frame=must_not_dream)
    shutil.copy(workspace / "keep.mp4", source)
    indices: list[int] = []
    make(*settings, on_frame=append_index(indices))
    assert indices[0] >= 4
    assert sha256(workspace / FILM) == expected


def test_a_picture_of_a_clip_that_changes_stops_the_film(workspace: Path) -> None:
    (workspace / "shots").mkdir()
    for number in range(20):
        cv2.imwrite(f"shots/{number:02d}.png", np.full((64, 64, 3), 10 * number, np.uint8))
    changed = workspace / "shots" / "19.png"
    with pytest.raises(StorageError, match=r"%02d\.png has been replaced or changed"):
        make("source.video=shots/%02d.png", on_frame=at_frame(6, lambda: shutil.copy("shots/00.png", changed)))
    assert not (workspace / FILM).exists()


def test_new_times_and_a_copy_in_its_place_are_no_change(workspace: Path) -> None:
    write_clip(workspace)

    def touch_and_copy() -> None:
        shutil.copy(CLIP, "copy.mp4")
        Path("copy.mp4").replace(CLIP)
        os.utime(CLIP)

    make(f"source.video={CLIP}", "duration=10", on_frame=at_frame(6, touch_and_copy))


def test_a_picture_that_is_read_once_may_change_afterwards(workspace: Path, reference: dict[str, str]) -> None:
    cv2.imwrite("p.png", np.full((64, 64, 3), 90, np.uint8))
    change = at_frame(6, lambda: cv2.imwrite("p.png", np.zeros((64, 64, 3), np.uint8)))
    assert make("source.image=p.png", on_frame=change).made


def test_a_file_that_changes_between_loading_and_rendering_is_an_error(workspace: Path) -> None:
    write_clip(workspace)
    scene = load("film.yaml", [("--set", "source.video", CLIP)])
    replace(workspace / CLIP)
    with pytest.raises(StorageError, match=r"clip\.mp4 has changed since the scene was loaded"):
        render(scene, callbacks=Callbacks(on_frame=must_not_dream))


# The film's path.

OTHER = "somebody's only copy"


def write_file(path: Path) -> None:
    """A file of somebody's."""
    path.write_text(OTHER)


def write_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


def write_pipe(path: Path) -> None:
    """A pipe."""
    os.mkfifo(path)


@pytest.mark.parametrize(
    "appear", [write_file, write_link, write_pipe, Path.mkdir], ids=lambda function: function.__name__
)
def test_what_appears_at_the_films_path_is_kept_and_so_are_the_frames(
    workspace: Path, reference: dict[str, str], appear: Callable[[Path], None]
) -> None:
    film = workspace / FILM
    with pytest.raises(StorageError, match=f"all frames are safe in {PARTS}: move that file away and run the same"):
        make(on_frame=at_frame(6, lambda: appear(film)))
    mode = film.lstat().st_mode
    assert not film.is_file() or film.read_text() == OTHER
    film.rename(workspace / "moved")
    assert (workspace / "moved").lstat().st_mode == mode
    make(on_frame=must_not_dream)
    assert checksums(workspace)[FILM] == reference[FILM]


def test_without_hard_links_nothing_is_replaced_either(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk of a camera (exFAT)."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageError, match="exists since this run began"):
        make(on_frame=at_frame(6, lambda: write_file(workspace / FILM)))
    assert (workspace / FILM).read_text() == OTHER
    (workspace / FILM).unlink()
    assert make(on_frame=must_not_dream).made


def test_a_picture_that_appears_in_a_sequence_is_kept(workspace: Path) -> None:
    (workspace / "frames").mkdir()
    settings = (f"output.path={SEQUENCE}", "output.bit_depth=16")
    with pytest.raises(StorageError, match=r"frames/017\.png exists since this run began"):
        make(*settings, on_frame=at_frame(6, lambda: write_file(workspace / "frames" / "017.png")))
    assert (workspace / "frames" / "017.png").read_text() == OTHER
    (workspace / "frames" / "017.png").unlink()
    make(*settings, on_frame=must_not_dream)


def test_two_patterns_of_the_same_pictures_are_one_film_for_the_lock(workspace: Path) -> None:
    refusals: list[str] = []

    def second() -> None:
        with pytest.raises(StorageError) as refusal:
            make("output.path=frames/%3d.png", "duration=3")
        refusals.append(str(refusal.value))

    make("output.path=frames/%03d.png", "duration=3", on_frame=at_frame(1, second))
    assert "in use by another render" in refusals[0]


# Finished films.


@pytest.mark.parametrize(
    "setting", [f"output.path={FILM}", "output.path=frames/%02d.png", "output.path=frames/%02d.jpg"]
)
def test_a_film_that_lost_its_end_is_not_called_finished(workspace: Path, setting: str) -> None:
    make(setting)
    damaged = workspace / FILM if setting.endswith("mp4") else next((workspace / "frames").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-300])
    before = checksums(workspace)
    with pytest.raises(StorageError, match=f"{damaged.name} is this film, but it has lost frames or is damaged"):
        make(setting, on_frame=must_not_dream)
    assert checksums(workspace) == before
    make(setting, overwrite=True)
    assert make(setting, on_frame=must_not_dream).made is False


@pytest.mark.parametrize("damage", [lambda data: data[:-300], lambda data: data[:-500] + bytes(300) + data[-200:]])
def test_a_damaged_part_is_not_joined(workspace: Path, damage: Callable[[bytes], bytes]) -> None:
    parts = [make(f"output.path={name}.mp4", frames=frames).path for name, frames in (("a", (0, 4)), ("b", (4, 12)))]
    parts[1].write_bytes(damage(parts[1].read_bytes()))
    with pytest.raises(StorageError, match=r"b\.mp4 is damaged, or has lost some of its 8 frames"):
        join(parts, Path("joined.mp4"))
    assert not Path("joined.mp4").exists()
