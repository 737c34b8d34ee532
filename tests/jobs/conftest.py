"""A folder with scenes, and a folder of jobs of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.jobs.parts import SCENE


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread in this process and in those that tests start, because a film's bytes depend on the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_NUM_THREADS", "1")
        patched.setenv("OMP_WAIT_POLICY", "PASSIVE")
        yield
    torch.set_num_threads(before)


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
