"""The preview of an unfinished film: a ring of small pictures, written seldom, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from render.film.folder import MARKER, WorkFolder
from render.film.preview import INTERVAL, MAX_SHARE, PICTURES, PREVIEW, SIDE, Preview, PreviewWriter, read_preview


def grey(level: float, height: int = 48, width: int = 64) -> torch.Tensor:
    """A picture of one level."""
    return torch.full((1, 3, height, width), level)


def progress(frame: int) -> Preview:
    """A frame of a film of 100."""
    return Preview(frame=frame, first=0, last=100, objective=1.5, rate=2.0, eta_s=40.0)


def seconds(step: float) -> Iterator[float]:
    """The readings of a clock, two for each frame; frames are `step` seconds apart."""
    return (number // 2 * step + 1 for number in count())


def writer_of(folder: Path, step: float) -> PreviewWriter:
    """A writer of frames that are `step` seconds apart."""
    return PreviewWriter(folder, clock=seconds(step).__next__)


def level_of(file: Path) -> float:
    """The mean of a picture's values, in [0, 1]."""
    return float(np.asarray(cv2.imread(str(file))).mean()) / 255


def test_a_preview_has_the_progress_and_the_last_frames_in_their_order(tmp_path: Path) -> None:
    writer = writer_of(tmp_path, 100)
    for frame in range(11):
        writer.put(grey(frame / 20), progress(frame))
    preview = read_preview(tmp_path)
    assert preview is not None
    assert (preview.frame, preview.last, preview.objective, preview.rate, preview.eta_s) == (10, 100, 1.5, 2.0, 40.0)
    assert preview.rss > 2**20
    assert [picture.frame for picture in preview.pictures] == list(range(11 - PICTURES, 11))
    for picture in preview.pictures:
        assert level_of(tmp_path / picture.name) == pytest.approx(picture.frame / 20, abs=0.01)
    assert len(list(tmp_path.iterdir())) == PICTURES + 1


def test_a_large_frame_is_small_in_the_preview_and_keeps_its_colours(tmp_path: Path) -> None:
    frame = torch.zeros(1, 3, 400, 800)
    frame[:, 0] = 0.8
    writer_of(tmp_path, 100).put(frame, progress(0))
    picture = np.asarray(cv2.imread(str(tmp_path / "preview-0.jpg")))
    assert picture.shape == (SIDE // 2, SIDE, 3)
    assert picture.mean((0, 1)) == pytest.approx([0, 0, 204], abs=3)


def test_previews_are_a_quarter_of_a_second_apart_and_take_a_hundredth_of_the_time(tmp_path: Path) -> None:
    now = [0.0]
    cost = 0.0

    def clock() -> float:
        now[0] += cost
        return now[0]

    writer = PreviewWriter(tmp_path, clock=clock)

    def frames(per_second: int, duration: float) -> list[float]:
        written = []
        until = now[0] + duration
        while now[0] < until:
            before = (tmp_path / PREVIEW).stat().st_mtime_ns if (tmp_path / PREVIEW).exists() else 0
            writer.put(grey(0.5, 16, 16), progress(0))
            if (tmp_path / PREVIEW).stat().st_mtime_ns != before:
                written.append(now[0])
            now[0] += 1 / per_second
        return written

    quick = frames(100, 3)
    assert min(np.diff(quick)) >= INTERVAL
    assert max(np.diff(quick)) <= INTERVAL + 0.02
    cost = 0.02  # each reading of the clock: a preview takes as long
    slow = frames(100, 20)
    assert min(np.diff(slow[1:])) >= cost / MAX_SHARE


def test_what_cannot_be_written_is_no_error_and_the_next_preview_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    writer = writer_of(folder, 100)
    writer.put(grey(0.1), progress(0))
    assert read_preview(folder) is None
    folder.mkdir()
    writer.put(grey(0.2), progress(1))
    preview = read_preview(folder)
    assert preview is not None
    assert [picture.frame for picture in preview.pictures] == [1]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"frame": 1}', '{"frame": 1, "first": 0, "last": 2, "pictures": [{"frame": 1, "name": "../x"}]}'],
)
def test_a_damaged_preview_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / PREVIEW).write_text(text)
    assert read_preview(tmp_path) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    writer_of(tmp_path, 100).put(grey(0.1), progress(0))
    (tmp_path / PREVIEW).rename(tmp_path / "elsewhere.json")
    (tmp_path / PREVIEW).symlink_to(tmp_path / "elsewhere.json")
    assert read_preview(tmp_path) is None


def test_a_preview_is_removed_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4.parts"
    with WorkFolder(path) as folder:
        writer = writer_of(path, 100)
        for frame in range(9):
            writer.put(grey(0.1), progress(frame))
        assert {MARKER, PREVIEW, "preview-7.jpg"} <= set(folder.names())
        assert folder.foreign_names() == []
        assert folder.discard() == []
    assert not path.exists()
