"""The segment writer: which segments are made again, and from which canvas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from render import load
from render.film.checkpoint import Checkpoint
from render.models.network import Network
from render.pipeline import loop
from render.pipeline.engine import Engine
from render.pipeline.plan import Options
from render.pipeline.segments import Callbacks, SegmentWriter, split_frames
from tests.conftest import engine_of

SCENE = """
size: [64, 48]
duration: 8
source: {noise: {grain: 8}}
camera: {zoom: 1.05}
objectives: [{layer: blocks.1}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {segment_frames: 3, path: film.mp4}
"""


@pytest.fixture
def engine(tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine for SCENE, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.yaml").write_text(SCENE)
    return engine_of(load("scene.yaml"), network, Options(device="cpu", precision="float32"))


def open_checkpoint(engine: Engine) -> Checkpoint:
    """Opens the folder of the engine's film."""
    return Checkpoint(engine.plan.folder, {"film": "a"}, suffix=engine.plan.format.suffix)


def segments_of(engine: Engine) -> dict[str, bytes]:
    """Returns the bytes of the segments by name; unfinished ones would be among them."""
    return {path.name: path.read_bytes() for path in engine.plan.folder.glob("*.mp4")}


def is_state(checkpoint: Checkpoint, number: int, *, canvas: Tensor) -> bool:
    """Returns whether the state before a segment is saved, and equals a canvas."""
    nearest, state = checkpoint.nearest_state(number)
    return nearest == number and state is not None and np.array_equal(state, canvas.cpu().numpy())


def run(engine: Engine, checkpoint: Checkpoint, frames: range, *, warnings: list[str]) -> list[int]:
    """Makes the missing segments of some frames; returns the indices of the frames that were dreamed."""
    segments = split_frames(frames, 3)
    writer = SegmentWriter(engine, segments, checkpoint, callbacks=Callbacks(on_warning=warnings.append))
    return [progress.index for progress in writer.run()]


def test_only_missing_segments_are_made(engine: Engine) -> None:
    warnings: list[str] = []
    with open_checkpoint(engine) as checkpoint:
        assert run(engine, checkpoint, range(8), warnings=warnings) == list(range(8))
        complete = segments_of(engine)
        assert sorted(complete) == ["00000.mp4", "00001.mp4", "00002.mp4"]
        assert run(engine, checkpoint, range(8), warnings=warnings) == []
        assert warnings == []
        checkpoint.segment_path(1).unlink()
        assert run(engine, checkpoint, range(8), warnings=warnings) == [3, 4, 5]
        (warning,) = warnings
        assert warning.startswith("frames 3 to 5 in film.mp4.parts are missing or damaged")
        assert segments_of(engine) == complete


def test_without_a_saved_canvas_the_frames_before_a_segment_are_dreamed_again_and_not_encoded(engine: Engine) -> None:
    with open_checkpoint(engine) as checkpoint:
        run(engine, checkpoint, range(8), warnings=[])
        checkpoint.segment_path(2).write_bytes(b"damaged")
        for state in engine.plan.folder.glob("*.npy"):
            state.unlink()
        modified = {number: checkpoint.segment_path(number).stat().st_mtime_ns for number in (0, 1)}
        assert run(engine, checkpoint, range(8), warnings=[]) == list(range(8))
        assert modified == {number: checkpoint.segment_path(number).stat().st_mtime_ns for number in (0, 1)}


def test_requested_frames_have_the_canvas_of_the_whole_film(engine: Engine) -> None:
    with open_checkpoint(engine) as checkpoint:
        assert run(engine, checkpoint, range(4, 8), warnings=[]) == list(range(8))
        assert sorted(segments_of(engine)) == ["00002.mp4", "00003.mp4"]
        assert is_state(checkpoint, 4, canvas=list(loop.frames(engine))[7].state.canvas)
