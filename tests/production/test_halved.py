"""Resuming a film whose tile size was halved when memory ran out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render import Callbacks, Options, load, render
from render.dream.tiled import TiledNetwork
from render.errors import Interrupted
from tests.production.films import interrupt_at

SCENE = """
size: [320, 256]
duration: 6
source: {noise: {grain: 8}}
camera: {zoom: 1.05}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}, first_frame: {steps: 1}}
output: {segment_frames: 2}
"""


def test_a_film_whose_tile_size_was_halved_resumes_with_that_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out once, in the fourth frame; the frames after that are the same, interrupted or not."""
    (tmp_path / "s.yaml").write_text(SCENE)
    real: Callable[..., Any] = TiledNetwork._gradients
    tile_sizes: list[int | None] = []

    def fail_once(network: TiledNetwork, x: Any, **arguments: Any) -> Any:
        tile_sizes.append(network.tile_size)
        if len(tile_sizes) == 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(network, x, **arguments)

    monkeypatch.setattr(TiledNetwork, "_gradients", fail_once)
    uninterrupted, interrupted = (
        load(tmp_path / "s.yaml", [("--set", "output.path", f'"{tmp_path / name}.mp4"')]) for name in "ab"
    )
    options = Options(precision="float32")
    film = render(uninterrupted, options).path.read_bytes()
    assert tile_sizes == [None] * 4 + [160] * 3
    tile_sizes.clear()
    with pytest.raises(Interrupted):
        render(interrupted, options, Callbacks(on_frame=interrupt_at(4)))
    count = len(tile_sizes)
    assert render(interrupted, options).path.read_bytes() == film
    assert tile_sizes[count:] == [160] * 2
