"""The program in this process, in a folder with a scene."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from render.cli.main import main
from tests.cli.program import SCENE, Call, Ended


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scene `s.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The program in this process; an exception that would be a traceback in a shell fails the test."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["render", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run
