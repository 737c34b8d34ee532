"""A workspace with the scene in it, and the checksums of the films of uninterrupted runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.production.films import CLIP, FOLLOWED, SCENE, SEQUENCE, checksums, make, write_clip


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread in this process as in those that tests start, because a film's bytes depend on the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scene in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture(scope="package")
def reference(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> dict[str, str]:
    """The checksums of the film, the sequence and the film that follows a clip, of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "film.yaml").write_text(SCENE)
    with contextlib.chdir(folder):
        make()
        make(f"output.path={SEQUENCE}", "output.bit_depth=16")
        write_clip(folder)
        make(f"output.path={FOLLOWED}", f"source.video={CLIP}", "source.start=20")
    return checksums(folder)
