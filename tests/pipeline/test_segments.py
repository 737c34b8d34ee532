"""Segments: how a film is split, and when each is committed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from render.film.atomic import TEMPORARY_SUFFIX
from render.film.checkpoint import Checkpoint
from render.film.encoder import OutputFormat
from render.media.clip import probe_clip
from render.pipeline.loop import Frame, State
from render.pipeline.segments import Segment, SegmentSink, split_frames

FORMAT = OutputFormat("h264", Fraction(24), size=(256, 256), crf=20)
OWN_FILES = {"film.json", "lock", "made-by-render"}
"""What the folder holds before the first segment."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Checkpoint]:
    """A new folder of segments."""
    with Checkpoint(tmp_path / "film.mp4.parts", {}, suffix=".mp4") as opened:
        yield opened


def frame(index: int) -> Frame:
    """A grey frame, whose canvas is brighter than its picture."""
    picture = torch.full((1, 3, 256, 256), index / 10)
    return Frame(index, picture, State(picture + 0.05))


def files(checkpoint: Checkpoint) -> set[str]:
    """The names of the files of segments."""
    return {path.name for path in checkpoint.folder.iterdir()} - OWN_FILES


def interrupt_in_second_segment(checkpoint: Checkpoint) -> None:
    """Writes three frames of segments of two, and raises once the encoder has opened the second segment's file."""
    with SegmentSink(split_frames(range(4), 2), checkpoint, FORMAT) as sink:
        for index in range(3):
            sink.write((frame(index), None))
        deadline = time.monotonic() + 20
        while not any(TEMPORARY_SUFFIX in name for name in files(checkpoint)):
            assert time.monotonic() < deadline, "the encoder opened no file"
            time.sleep(0.01)
        raise KeyboardInterrupt


def test_frames_are_split_into_segments_and_the_frames_before_them_are_not_encoded() -> None:
    assert split_frames(range(5), 2) == [
        Segment(0, range(2), True),
        Segment(1, range(2, 4), True),
        Segment(2, range(4, 5), True),
    ]
    assert split_frames(range(5, 9), 3) == [
        Segment(0, range(3), False),
        Segment(1, range(3, 5), False),
        Segment(2, range(5, 6), True),
        Segment(3, range(6, 9), True),
    ]


def test_segments_begin_at_cuts_and_a_part_has_those_of_the_film() -> None:
    shots = frozenset([0, 4, 9, 11, 20])
    film = split_frames(range(24), 6, shots)
    assert [segment.frames.start for segment in film] == [0, 4, 6, 9, 11, 12, 18, 20]
    for first, last in ((0, 4), (4, 11), (9, 24), (12, 20), (6, 9)):
        part = [segment.frames for segment in split_frames(range(first, last), 6, shots) if segment.is_encoded]
        assert part == [segment.frames for segment in film if first <= segment.frames.start < last]
    (lead, *_) = split_frames(range(12, 20), 6, shots)
    assert lead == Segment(0, range(11, 12), False)


def test_a_segment_is_committed_after_its_last_frame(checkpoint: Checkpoint) -> None:
    with SegmentSink(split_frames(range(4), 2), checkpoint, FORMAT) as sink:
        sink.write((frame(0), None))
        assert checkpoint.missing([0]) == [0]
        assert not checkpoint.segment_path(0).exists()
        sink.write((frame(1), 160))
        assert checkpoint.missing([0, 1]) == [1]
        assert checkpoint.note(0) == {"tile": 160}
        number, canvas = checkpoint.nearest_state(1)
        assert number == 1
        assert canvas is not None
        assert np.array_equal(canvas, frame(1).state.to_array())
        sink.write((frame(2), 160))
        sink.write((frame(3), 160))
    assert checkpoint.missing([0, 1]) == []
    assert round(probe_clip(checkpoint.segment_path(1)).duration * 24) == 2


def test_an_unfinished_segment_leaves_no_file_after_an_exception(checkpoint: Checkpoint) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_in_second_segment(checkpoint)
    assert files(checkpoint) == {"00000.mp4", "00000.npy", "00000.json"}
    assert checkpoint.missing([0, 1]) == [1]


def test_of_a_segment_that_is_not_encoded_the_canvas_is_saved(checkpoint: Checkpoint) -> None:
    with SegmentSink(split_frames(range(2, 4), 2), checkpoint, FORMAT) as sink:
        for index in range(4):
            sink.write((frame(index), None))
    assert files(checkpoint) == {"00000.npy", "00000.json", "00001.mp4", "00001.npy", "00001.json"}
    number, canvas = checkpoint.nearest_state(1)
    assert number == 1
    assert canvas is not None
    assert np.array_equal(canvas, frame(1).state.to_array())
