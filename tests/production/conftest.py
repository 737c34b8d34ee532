"""A workspace with the scene in it, and the checksums of the films of uninterrupted runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.production.films import CLIP, FOLLOWED, SCENE, SEQUENCE, checksums, make, write_clip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scene in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture(scope="package")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of the film, the sequence and the film that follows a clip, of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "film.yaml").write_text(SCENE)
    with contextlib.chdir(folder):
        make()
        make(f"output.path={SEQUENCE}", "output.bit_depth=16")
        write_clip(folder)
        make(f"output.path={FOLLOWED}", f"source.video={CLIP}", "source.start=20")
    return checksums(folder)
