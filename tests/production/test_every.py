from __future__ import annotations

from pathlib import Path

import pytest

from render import load, render
from render.errors import Interrupted
from render.pieces import Progress

SCENE = """
size: [64, 48]
duration: 11
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
layers: [{layer: blocks.2}]
dream: {octaves: 1, steps: 1, jitter: 4, every: 4}
output: {segment: 3}
"""


@pytest.mark.parametrize("stop", [2, 4, 5, 7, 9])
def test_a_film_dreamed_now_and_then_goes_on_to_the_same_bytes(stop: int, tmp_path: Path) -> None:
    """Segments end between dreamed frames: what is saved is the dreamed one before."""
    (tmp_path / "s.yaml").write_text(SCENE)
    whole, stopped = (
        load(tmp_path / "s.yaml", [("--set", "output.path", f'"{tmp_path / name}.mp4"')]) for name in "ab"
    )

    def watch(progress: Progress) -> None:
        if progress.index == stop:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        render(stopped, watch=watch)
    assert render(stopped).path.read_bytes() == render(whole).path.read_bytes()
