"""The tiny film of these tests, dreamed on one core, so that two renders run side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from render import load, render
from render.errors import StorageError
from render.film import ffmpeg
from render.film.files import sha256
from render.pieces import Progress
from render.production import Film
from tests.film import clips

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
CLIP, FOLLOWED = "clip.mp4", "followed.mp4"
FOLLOWING = ("--output", FOLLOWED, "--set", f"source.video={CLIP}", "--set", "source.start=20")
"""Arguments for a film that follows the clip, past a cut, with its sound and under a moving camera."""


def make(
    *settings: str,
    span: tuple[int, int] | None = None,
    overwrite: bool = False,
    fresh: bool = False,
    watch: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Film:
    """The film of the scene here, in this process."""
    pairs = [setting.partition("=") for setting in settings]
    scene = load("film.yaml", [("--set", key, value) for key, _, value in pairs])
    return render(scene, span=span, overwrite=overwrite, fresh=fresh, watch=watch, warn=warn)


def stopping_at(frame: int) -> Callable[[Progress], None]:
    """Ctrl-C when a frame is done."""

    def watch(progress: Progress) -> None:
        if progress.index == frame:
            raise KeyboardInterrupt

    return watch


def kept_parts(here: Path, *settings: str) -> Path:
    """A copy of the whole folder of parts, as it is just before the clean-up; the film is made and the folder gone."""
    parts, copy = here / f"{FILM}.parts", here / "copy"

    def obstruct(progress: Progress) -> None:
        if progress.index == progress.last - 1:
            (here / FILM).mkdir()  # the join fails: all segments are there, the film is not

    with pytest.raises(StorageError, match="Is a directory"):
        make(*settings, watch=obstruct)
    shutil.copytree(parts, copy)
    (here / FILM).rmdir()
    make(*settings, watch=stopping_at(0))  # joins, dreams nothing
    assert (here / FILM).is_file()
    assert not parts.exists()
    return copy


def footage_in(folder: Path) -> None:
    """Puts a real clip into a folder, with a sound."""
    tone = ("-f", "lavfi", "-i", "sine=frequency=330:duration=2")
    how = ("-t", "2", "-c:v", "copy", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(clips.footage("bikes.mp4")), *tone, *how, str(folder / CLIP))


def contents(folder: Path) -> dict[str, str]:
    """The checksums of everything in a folder but the scene and the clip, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("film.yaml", CLIP))
    return {str(path.relative_to(folder)): sha256(path) for path in files}
