from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render import load, render
from render.dream import ascent
from render.errors import Interrupted
from render.pieces import Progress

SCENE = """
size: [320, 256]
duration: 6
source: {noise: {grain: 8}}
camera: {zoom: 1.05}
layers: [{layer: blocks.2}]
dream: {octaves: 1, steps: 1, jitter: 4, first: {steps: 1}}
output: {segment: 2}
"""


def test_a_film_whose_tiles_were_halved_goes_on_with_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out once, in the fourth frame; what is made after that is the same, stopped or not."""
    (tmp_path / "s.yaml").write_text(SCENE)
    real: Callable[..., Any] = ascent._in_tiles
    sides: list[int | None] = []

    def scarce(x: Any, network: Any, *others: Any) -> Any:
        sides.append(network.tile)
        if len(sides) == 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(x, network, *others)

    def stop(progress: Progress) -> None:
        if progress.index == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(ascent, "_in_tiles", scarce)
    whole, stopped = (
        load(tmp_path / "s.yaml", [("--set", "output.path", f'"{tmp_path / name}.mp4"')]) for name in "ab"
    )
    film = render(whole, precision="float32").path.read_bytes()
    assert sides == [None] * 4 + [160] * 3
    sides.clear()
    with pytest.raises(Interrupted):
        render(stopped, precision="float32", watch=stop)
    again = len(sides)
    assert render(stopped, precision="float32").path.read_bytes() == film
    assert sides[again:] == [160] * 2
