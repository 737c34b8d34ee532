"""What needs no network does not wait for torch, nor a film for torchvision; each takes seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from render.models import registry
from tests.cli.program import SCENE
from tests.media.clips import write_clip

RUN = """
import sys
from render.cli.main import main

for arguments in {commands}:
    sys.argv = ["render", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(arguments, ended.code, *(name in sys.modules for name in ("torch", "torchvision")), file=sys.__stderr__)
"""


def run_in_one_process(commands: list[list[str]]) -> list[str]:
    """Runs commands one after the other; returns a line for each.

    It has the arguments, the exit status, and whether torch and torchvision are imported.
    """
    process = subprocess.run(
        [sys.executable, "-c", RUN.format(commands=commands)], capture_output=True, text=True, check=True, timeout=120
    )
    return [line for line in process.stderr.splitlines() if line.startswith("[")]


@pytest.fixture
def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture, a clip and a sheet."""
    monkeypatch.setenv("RENDER_JOBS", str(folder / "jobs"))
    cv2.imwrite("p.png", np.full((64, 48, 3), 99, np.uint8))
    write_clip(Path("c.mp4"), np.zeros((4, 48, 64, 3), np.uint8))
    Path("atlas.png").write_bytes(b"")


@pytest.mark.usefixtures("files")
def test_what_dreams_nothing_does_not_import_torch_and_the_default_network_not_torchvision() -> None:
    for known in (registry._torchvision_table, registry.model_spec, registry.layer_map):
        known.cache_clear()
    registry.layer_map("squeezenet1_1")  # into the cache, which the processes share
    commands = {
        ("check", "s.yaml"): 0,
        ("check", "s.yaml", "--set", "source={image: p.png}"): 0,
        ("check", "s.yaml", "--set", "source={video: c.mp4}"): 0,
        ("check", "s.yaml", "--set", "network=squeezenet1_1", "--set", "objectives=[{class: tench}]"): 0,
        ("check", "s.yaml", "--set", "camera.zom=1"): 2,
        ("s.yaml", "--device", "none"): 2,
        ("s.yaml", "--set", "camera.zoom=x"): 2,
        ("s.yaml", "--set", "source={image: q.png}"): 4,
        ("new", "zoom", "zoom.yaml"): 0,
        ("foo",): 4,
        ("layers", "squeezenet1_1"): 0,
        ("layers", "efficientnet_lite0"): 0,
        ("classes", "efficientnet_lite0"): 0,
        ("networks",): 0,
        ("atlas", "efficientnet_lite0", "--output", "atlas.png"): 4,
        ("atlas", "efficientnet_lite0", "--layers", "none"): 2,
        ("sweep", "s.yaml", "--vary", "seed=1:4", "--vary", "camera.zom=1"): 2,
        ("sweep", "s.yaml", "--vary", "seed=1:1000000"): 2,
        ("score", "none.mp4"): 4,
        ("inspect", "none.mp4"): 4,
        ("batch", "none.yaml"): 4,
        ("batch", "s.yaml", "s.yaml"): 2,
        ("jobs", "list"): 0,
        ("jobs", "watch", "none"): 2,
    }
    *lines, film = run_in_one_process([*map(list, commands), ["s.yaml", "--quiet"]])
    assert lines == [f"{list(arguments)} {status} False False" for arguments, status in commands.items()]
    assert film == "['s.yaml', '--quiet'] 0 True False"


def test_the_default_network_needs_no_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "empty"))
    assert SCENE.count("network") == 0
    assert run_in_one_process([["check", "s.yaml"]]) == ["['check', 's.yaml'] 0 False False"]
