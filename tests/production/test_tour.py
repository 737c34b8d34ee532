"""Resuming a film within a tour, and rendering it again from itself."""

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
objectives: [{tour: classes, hold: 2, fade: 2}, {statistics: natural, depth: [0, 0.1]}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {segment_frames: 3}
"""


def test_an_interrupted_tour_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """It stops within a cross-fade."""
    (tmp_path / "s.yaml").write_text(SCENE)
    uninterrupted, interrupted = (
        load(tmp_path / "s.yaml", [("--set", "output.path", f'"{tmp_path / name}.mp4"')]) for name in "ab"
    )
    with pytest.raises(Interrupted):
        render(interrupted, callbacks=Callbacks(on_frame=interrupt_at(7)))
    whole = render(uninterrupted).path
    assert render(interrupted).path.read_bytes() == whole.read_bytes()
    again = load(whole, [("--output", "output.path", f'"{tmp_path}/c.mp4"')])
    assert render(again).path.read_bytes() == whole.read_bytes()
