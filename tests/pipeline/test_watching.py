"""A film that is being made can be watched in its working folder, and its bytes do not depend on that."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import Callbacks, load, render
from render.film import preview
from render.film.preview import Preview, read_preview
from render.pipeline.pace import MEASURED_FRAMES, Pace
from render.pipeline.segments import FrameProgress
from render.system.checksum import sha256

SCENE = """
size: [64, 48]
duration: 12
source: {noise: {grain: 8}}
camera: {zoom: 1.05}
objectives: [{layer: blocks.1}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {segment_frames: 3, path: film.mp4}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scene in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.yaml").write_text(SCENE)
    return tmp_path


def test_a_film_can_be_watched_and_its_bytes_are_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "INTERVAL", 0.0)
    monkeypatch.setattr(preview, "MAX_SHARE", 1e9)
    seen: list[tuple[FrameProgress, Preview | None]] = []
    parts = folder / "film.mp4.parts"
    film = render(
        load("scene.yaml"), callbacks=Callbacks(on_frame=lambda each: seen.append((each, read_preview(parts))))
    )
    assert [progress.index for progress, _ in seen] == list(range(12))
    for progress, found in seen:
        assert found is not None
        assert (found.frame, found.first, found.last) == (progress.index, 0, 12)
        assert (found.objective, found.rate, found.eta_s) == (progress.objective, progress.rate, progress.eta_s)
    assert seen[-1][0].rate is not None
    assert not parts.exists()
    watched = sha256(film.path)
    film.path.unlink()
    monkeypatch.setattr(preview, "small_jpeg", lambda planes: (_ for _ in ()).throw(MemoryError))
    assert sha256(render(load("scene.yaml")).path) == watched


def test_a_pace_is_measured_from_the_first_frame_on() -> None:
    times = iter([100.0, 100.5, 101.0, 101.5, 102.0])
    pace = Pace(clock=times.__next__)
    measured = [pace.measure(frame, 20) for frame in range(8, 13)]
    assert measured[:MEASURED_FRAMES] == [(None, None)] * MEASURED_FRAMES
    assert measured[MEASURED_FRAMES:] == [(2.0, 4.0), (2.0, 3.5)]
