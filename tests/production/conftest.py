"""A folder to work in, and the film of an uninterrupted run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.production.films import CLIP, FOLLOWED, SCENE, SEQUENCE, contents, footage_in, make


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread here as in the processes, because a film's bytes depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scene in it, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> dict[str, str]:
    """The film, the sequence and the film that follows a clip, of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "film.yaml").write_text(SCENE)
    with contextlib.chdir(folder):
        make()
        make(f"output.path={SEQUENCE}", "output.depth=16")
        footage_in(folder)
        make(f"output.path={FOLLOWED}", f"source.video={CLIP}", "source.start=20")
    return contents(folder)
