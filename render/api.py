"""The scene's way into the renderer: `load` a file, iterate over its `frames`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from render import loop, machine
from render.dream import networks
from render.dream.ascent import OnStep
from render.errors import StorageError, UsageError
from render.film import source
from render.scene import document
from render.scene.document import Override
from render.scene.model import Scene

DEFAULT_SIZE = (512, 512)


def load(path: str | Path, overrides: Sequence[Override] = (), scale: float = 1.0) -> Scene:
    """The scene of a YAML file, checked and complete: size and output are written out.

    `overrides` are (option, dotted key, YAML text), such as ("--set", "camera.zoom", "1.02"). `scale` shrinks size,
    jitter and grain together. Raises SceneError with everything that is wrong, StorageError for a missing file.
    """
    if not 0 < scale <= 8:
        raise UsageError(f"a scale is above 0 and at most 8, not {scale:g}")
    written = document.read(Path(path), overrides)
    scene = document.validate(written, networks.layer_names())
    try:
        natural_size = _natural_size(scene)
    except StorageError as error:
        raise StorageError(str(written.problem(str(error), ("source", "image")))) from None
    return scene.concrete(scene.size or natural_size, Path(path).stem, scale)


def frames(
    scene: Scene, device: str = "auto", precision: str = "auto", on_step: OnStep | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Every frame of a scene, without a file being written: (index, 1x3xHxW float32 RGB in [0, 1] on the device).

    `device` is auto, cpu, cuda or mps; `precision` auto, float32 or bfloat16. `on_step` is called with the octave,
    the step and the objective after each step of ascent. Raises MissingError for what the machine lacks.
    """
    chosen = machine.choose(device, precision)
    network = networks.load(scene.network, chosen.device, chosen.dtype)
    yield from loop.frames(scene, network, on_step=on_step)


def _natural_size(scene: Scene) -> tuple[int, int]:
    """The picture's size, made even for the codecs, or the default."""
    picture = loop.picture(scene)
    if picture is None:
        return DEFAULT_SIZE
    width, height = source.picture_size(picture)
    return width // 2 * 2, height // 2 * 2
