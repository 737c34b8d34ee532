"""A folder with the scenes of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from tests.sweep.sweeps import CLIP, SCENE


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two scenes and a picture; jobs are beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RENDER_JOBS", str(tmp_path / "jobs"))
    (folder / "s.yaml").write_text(SCENE)
    (folder / "clip.yaml").write_text(CLIP)
    photo = skimage.data.astronaut()
    Image.fromarray(photo).resize((64, 48)).save(folder / "p.png")
    return folder
