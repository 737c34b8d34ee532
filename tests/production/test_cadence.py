"""Resuming a film whose cadence leaves out frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import Callbacks, load, render
from render.errors import Interrupted
from tests.production.films import interrupt_at

SCENE = """
size: [64, 48]
duration: 11
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}, cadence: 4}
output: {segment_frames: 3}
"""


@pytest.mark.parametrize("frame", [2, 4, 5, 7, 9])
def test_an_interrupted_film_with_cadence_resumes_to_the_same_bytes(frame: int, tmp_path: Path) -> None:
    """Segments end between dreamed frames: the saved canvas is the dreamed frame before."""
    (tmp_path / "s.yaml").write_text(SCENE)
    uninterrupted, interrupted = (
        load(tmp_path / "s.yaml", [("--set", "output.path", f'"{tmp_path / name}.mp4"')]) for name in "ab"
    )
    with pytest.raises(Interrupted):
        render(interrupted, callbacks=Callbacks(on_frame=interrupt_at(frame)))
    assert render(interrupted).path.read_bytes() == render(uninterrupted).path.read_bytes()
