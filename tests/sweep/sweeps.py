"""Sweeps of two small scenes, and the films that their cells are frames of."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render import Options, frames, load
from render.errors import RenderError
from render.film.encoder import quantize
from render.jobs.folder import JobFolder
from render.jobs.messages import Event, Step, StoppedEvent
from render.jobs.perform import perform
from render.jobs.sweeps import Sheet, sheet_of, submit_sweep
from render.scene.document import Override
from render.sweep.cells import SweepScene
from render.sweep.model import SweepOptions
from tests.jobs.parts import FakeExecutor, run

SCENE = """
size: [32, 32]
duration: 8
seed: 3
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
objectives: [{layer: blocks.1}, {layer: blocks.1, channels: [3], weight: {0: 0, 4: 0, 5: 1}}, {statistics: none}]
dream: {octaves: 1, steps: 1, step_size: {0: 0.01, 3: 0.01, 4: 0.02}, transforms: {jitter: 4}}
output: {segment_frames: 3}
"""
CLIP = """
size: [48, 32]
duration: 6
source: {video: c.mp4}
objectives: [{layer: blocks.1}, {statistics: none}]
camera: {rotate: 2}
dream: {octaves: 1, steps: 1, step_size: 0.01, transforms: {jitter: 4}}
follow: {cuts: auto, persistence: {0: 0.5, 2: 0.5, 3: 0.9}}
output: {segment_frames: 4, audio: none}
"""
FLOAT32 = Options(precision="float32")
LATE = "dream.step_size.4=0.02,0.04"
LATE_TOO = "objectives.1.channels=[3],[4]"
Cell = Mapping[str, Any]
"""A cell as the index has it."""


def perform_here(step: Step) -> list[Event]:
    """Performs a step in this process; a step that Ctrl-C stops raises KeyboardInterrupt, as it reaches the driver."""
    events: list[Event] = []
    end = perform(step, events.append)
    if isinstance(end, StoppedEvent):
        raise KeyboardInterrupt
    return [*events, end]


def begin(
    *vary: str, scene: str = "s.yaml", sets: tuple[Override, ...] = (), options: Options = FLOAT32, **choice: Any
) -> JobFolder:
    """Makes the job of the sweep a.png of a scene."""
    chosen = SweepOptions(vary, **({"frame": "end"} | choice))
    return submit_sweep(SweepScene(Path(scene), sets), Path("a.png"), chosen, options=options)


def make(
    *vary: str,
    scene: str = "s.yaml",
    sets: tuple[Override, ...] = (),
    options: Options = FLOAT32,
    **choice: Any,
) -> Sheet:
    """Makes the sweep a.png of a scene, in this process. Raises RenderError when there is no sheet."""
    folder = begin(*vary, scene=scene, sets=sets, options=options, **choice)
    states = run(folder, FakeExecutor(perform_here))
    sheet = sheet_of(folder)
    if sheet is None:
        raise RenderError(states["1"].message)
    return sheet


def still(cell: Cell) -> Path:
    """The still of a cell."""
    return Path("a.cells") / str(cell["still"])


def arguments_of(command: str) -> tuple[str, list[Override], str]:
    """The scene, the settings, and the output of a printed command."""
    program, film, scene, *words = shlex.split(command)
    assert (program, film) == ("render", "film")
    pairs = list(zip(words[::2], words[1::2], strict=True))
    sets = [("--set", *value.split("=", 1)) for option, value in pairs if option == "--set"]
    assert ("--precision", "float32") in pairs
    return scene, [(option, key, value) for option, key, value in sets], dict(pairs)["--output"]


def film_frames(cell: Cell) -> list[NDArray[Any]]:
    """All frames, in 8 bits, of the film that a cell's command makes."""
    scene, sets, _ = arguments_of(cell["command"])
    return [quantize(frame, 8) for _, frame in frames(load(scene, sets), FLOAT32)]


def pixels(file: Path) -> NDArray[np.uint8]:
    """The pixels of a picture."""
    return np.asarray(Image.open(file).convert("RGB"))


def check_stills(cells: Sequence[Cell]) -> None:
    """Fails when a still is not the frame of its cell's film."""
    for cell in cells:
        assert np.array_equal(pixels(still(cell)), film_frames(cell)[cell["frame"]]), cell["command"]
