"""The tiny film of these tests, dreamed on one core, so that two renders run side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from render import Callbacks, Options, load, render
from render.errors import StorageError
from render.media import ffmpeg
from render.pipeline.job import Film
from render.pipeline.segments import FrameProgress
from render.system.checksum import sha256
from tests.media import clips

SCENE = """
size: [64, 64]
duration: 20
seed: 3
source: {noise: {grain: 16}}
camera: {zoom: 1.02, rotate: 0.4}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 2}}
output: {segment_frames: 4}
"""
FRAMES, SEGMENT_FRAMES = 20, 4
FILM = "film.mp4"
PARTS = f"{FILM}.parts"
"""The folder of the film's segments while it is unfinished."""
SEQUENCE = "frames/%03d.png"
SEQUENCE_ARGUMENTS = ("--output", SEQUENCE, "--set", "output.bit_depth=16")
"""Arguments for a PNG sequence of 16 bits."""
CLIP, FOLLOWED = "clip.mp4", "followed.mp4"
FOLLOWED_ARGUMENTS = ("--output", FOLLOWED, "--set", f"source.video={CLIP}", "--set", "source.start=20")
"""Arguments for a film that follows the clip, across a cut, with its sound and under a moving camera."""

OnFrame = Callable[[FrameProgress], None]


def make(
    *settings: str,
    frames: tuple[int, int] | None = None,
    overwrite: bool = False,
    restart: bool = False,
    on_frame: OnFrame = lambda progress: None,
    on_warning: Callable[[str], None] = lambda message: None,
) -> Film:
    """Renders the scene of the current folder in this process, with settings such as "seed=4"."""
    pairs = [setting.partition("=") for setting in settings]
    scene = load("film.yaml", [("--set", key, value) for key, _, value in pairs])
    options = Options(frames=frames, overwrite=overwrite, restart=restart)
    return render(scene, options, Callbacks(on_frame=on_frame, on_warning=on_warning))


def interrupt_at(frame: int) -> OnFrame:
    """Returns a callback that acts as Ctrl-C when a frame is finished."""

    def on_frame(progress: FrameProgress) -> None:
        if progress.index == frame:
            raise KeyboardInterrupt

    return on_frame


def must_not_dream(progress: FrameProgress) -> None:
    """A callback for runs that must not dream any frame."""
    pytest.fail(f"frame {progress.index} was dreamed")


def append_index(indices: list[int]) -> OnFrame:
    """Returns a callback that appends the index of each finished frame."""
    return lambda progress: indices.append(progress.index)


def copy_of_parts(workspace: Path, *settings: str) -> Path:
    """Makes the film; returns a copy of its folder of segments as it is just before it is removed."""
    parts, copy = workspace / PARTS, workspace / "copy"

    def obstruct(progress: FrameProgress) -> None:
        if progress.index == progress.last - 1:
            (workspace / FILM).mkdir()  # the concatenation fails: every segment exists, the film does not

    with pytest.raises(StorageError, match="exists since this run began"):
        make(*settings, on_frame=obstruct)
    shutil.copytree(parts, copy)
    (workspace / FILM).rmdir()
    make(*settings, on_frame=must_not_dream)
    assert (workspace / FILM).is_file()
    assert not parts.exists()
    return copy


def write_clip(folder: Path) -> None:
    """Writes a real clip into a folder, with a sound."""
    tone = ("-f", "lavfi", "-i", "sine=frequency=330:duration=2")
    encoding = ("-t", "2", "-c:v", "copy", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(clips.footage("bikes.mp4")), *tone, *encoding, str(folder / CLIP))


def checksums(folder: Path) -> dict[str, str]:
    """The checksums of every file in a folder but the scene and the clip, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("film.yaml", CLIP))
    return {str(path.relative_to(folder)): sha256(path) for path in files}
