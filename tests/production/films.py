"""The tiny film of these tests, dreamed on one core, so that two renders run side by side."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from render import load, render
from render.film.files import sha256
from render.production import Film, Progress

SCENE = """
size: [64, 64]
duration: 20
seed: 3
source: {noise: {grain: 16}}
camera: {zoom: 1.02, rotate: 0.4}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 2, jitter: 2}
output: {segment: 4}
"""
FRAMES, SEGMENT = 20, 4
FILM = "film.mp4"
SEQUENCE = "frames/%03d.png"
DEEP = ("--output", SEQUENCE, "--set", "output.depth=16")
"""Arguments for a PNG sequence of 16 bits."""

Process = subprocess.Popen[str]
Moment = Callable[[Process, Path], object]


def make(
    *settings: str,
    span: tuple[int, int] | None = None,
    overwrite: bool = False,
    fresh: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> Film:
    """The film of the scene here, in this process."""
    pairs = [setting.partition("=") for setting in settings]
    scene = load("film.yaml", [("--set", key, value) for key, _, value in pairs])
    return render(scene, span=span, overwrite=overwrite, fresh=fresh, watch=watch)


def stopping_at(frame: int) -> Callable[[Progress], None]:
    """Ctrl-C when a frame is done."""

    def watch(progress: Progress) -> None:
        if progress.index == frame:
            raise KeyboardInterrupt

    return watch


def contents(folder: Path) -> dict[str, str]:
    """The checksums of everything in a folder but the scene, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "film.yaml")
    return {str(path.relative_to(folder)): sha256(path) for path in files}
