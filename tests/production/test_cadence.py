"""Resuming a film whose cadence leaves out frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import Callbacks, load, render
from render.errors import Interrupted
from render.pipeline.scene import Scene
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


def scene_of(folder: Path) -> Scene:
    """The scene of a film in a folder."""
    (folder / "s.yaml").write_text(SCENE)
    return load(folder / "s.yaml", [("--set", "output.path", f'"{folder}/film.mp4"')])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The film that is made in one run."""
    return render(scene_of(tmp_path_factory.mktemp("film"))).path.read_bytes()


@pytest.mark.parametrize("frame", [2, 4, 5, 7, 9])
def test_an_interrupted_film_with_cadence_resumes_to_the_same_bytes(
    frame: int, uninterrupted: bytes, tmp_path: Path
) -> None:
    """Segments end between dreamed frames: the saved canvas is the dreamed frame before."""
    scene = scene_of(tmp_path)
    with pytest.raises(Interrupted):
        render(scene, callbacks=Callbacks(on_frame=interrupt_at(frame)))
    assert render(scene).path.read_bytes() == uninterrupted
