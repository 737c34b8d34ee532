"""A folder with scenes, and a folder of jobs of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.jobs.parts import SCENE


@pytest.fixture(autouse=True)
def still_one_thread() -> None:
    """One thread also after a test in which a film was made with others."""
    torch.set_num_threads(1)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scenes a.yaml, b.yaml and c.yaml in it; jobs are beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RENDER_JOBS", str(tmp_path / "jobs"))
    for seed, name in enumerate("abc"):
        (folder / f"{name}.yaml").write_text(f"seed: {seed}\n{SCENE}")
    return folder
