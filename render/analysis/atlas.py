"""The atlas: a labelled sheet of what each layer of a network dreams, or each channel of a layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.analysis.contact_sheet import Cell, check_target, save_sheet
from render.errors import UsageError
from render.film.encoder import quantize
from render.media.image import image_size
from render.models.registry import layer_map
from render.pipeline.catalogue import MODELS, unsupported_octave
from render.pipeline.plan import Options, plan
from render.pipeline.scene import Scene, complete
from render.scene.field_errors import FieldError
from render.scene.model import SceneSpec
from render.scene.objectives import NetworkSpec, ObjectiveSpec
from render.text import quote

DEFAULT_SIDE = 192
"""Pixels of a picture on the sheet, along its longer side."""
MIN_SIDE, MAX_SIDE = 32, 1024
MAX_PICTURES = 400
"""Pictures on a sheet."""

GRADIENT = {"natural": {"decay_power": 0.35, "color_correlation": 0.85}}
FROM_NOISE: dict[str, Any] = {"octaves": 3, "steps": (24, 24, 24), "step_size": 0.01, "gradient": GRADIENT}
FROM_PICTURE: dict[str, Any] = {"octaves": 4, "steps": (8, 8, 8, 8), "step_size": 0.012, "gradient": GRADIENT}
# A channel or a class has one thing to draw, and gets the steps and the transforms to find it.
OF_A_CHANNEL: dict[str, Any] = {
    "octaves": 3,
    "steps": (24, 24, 24),
    "step_size": 0.012,
    "final_step_scale": 0.3,
    "transforms": {"scale": (0.9, 1.2), "rotate": 10},
    "momentum": 0.5,
    "total_variation": 0.3,
    "gradient": {"natural": {"decay_power": 0.5, "color_correlation": 0.9, "min_frequency": 2}},
}


@dataclass(frozen=True)
class AtlasOptions:
    """What an atlas draws.

    `layers` are the named ones, or the network's blocks; `channels`, `"blocks.7:0-31"`, takes channels of one layer
    instead. They dream from noise, or from an `image`, with `side` pixels along the longer side; a network that sees
    pictures of one size only decides itself. `weights` is a state dict of the user's.
    """

    image: Path | None = None
    layers: Sequence[str] | None = None
    channels: str | None = None
    weights: Path | None = None
    side: int = DEFAULT_SIDE


def atlas(
    network: str,
    target: Path,
    *,
    choice: AtlasOptions = AtlasOptions(),
    options: Options = Options(),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes a labelled sheet, .png or .jpg, of what the layers of a network dream; returns the number of pictures.

    Of the options, `device`, `precision`, `overwrite` and `quiet` apply. `on_progress` is called with the number of
    pictures done, and of all. Raises UsageError for what the network does not have, and what `render` raises.
    """
    check_target(target, overwrite=options.overwrite)
    scenes = _scenes(network, choice)
    cells: list[Cell] = []
    for scene in scenes:
        name, note = _label(network, scene.spec.objectives[0])
        cells.append(Cell(picture(scene, options), name, note))
        on_progress(len(cells), len(scenes))
    save_sheet(cells, target)
    return len(cells)


def still(
    network: NetworkSpec,
    objective: Mapping[str, Any],
    *,
    image: Path | None = None,
    side: int = DEFAULT_SIDE,
    steps: int | None = None,
) -> Scene:
    """Returns the scene of what a network dreams of one objective, from noise or from an image.

    `steps` are those of each octave, None those of an atlas. Raises UsageError for what the network does not have, and
    for a side at which it cannot see the picture.
    """
    try:
        if error := network.error(MODELS):
            raise error
        wanted = ObjectiveSpec.model_validate(objective).resolved(network.name, MODELS[network.name])
    except FieldError as error:
        raise UsageError(str(error)) from None
    source: dict[str, Any] = {"noise": {"grain": 48, "contrast": 0.15}}
    dream = FROM_NOISE if wanted.channels is None and wanted.classes is None else OF_A_CHANNEL
    if image is not None:
        source, dream = {"image": str(image)}, FROM_PICTURE
    if steps is not None:
        dream = dream | {"steps": (steps,) * dream["octaves"]}
    size = (side, side)
    only_side = layer_map(network.name, network.weights).input_side
    if only_side is not None:  # a transformer, which sees pictures of one size
        size, dream = (only_side, only_side), dream | {"octaves": 1, "steps": (sum(dream["steps"]),)}
    elif image is not None:
        width, height = image_size(image)
        scale = side / max(width, height)
        size = (max(16, round(width * scale)), max(16, round(height * scale)))
    spec = SceneSpec.model_validate(
        {
            "size": size,
            "duration": 1,
            "source": source,
            "network": network,
            "objectives": [wanted, {"statistics": "natural" if MODELS[network.name].has_norms else "none"}],
            "dream": dream,
            "output": {"codec": "png"},
        }
    )
    scene = complete(spec, paths={keys: Path(name) for keys, name, _ in spec.files()}, stem="atlas")
    if message := unsupported_octave(scene.spec, scene.size):
        raise UsageError(f"{message}; --side makes the pictures larger")
    return scene


def picture(scene: Scene, options: Options = Options()) -> NDArray[np.uint8]:
    """Returns the first frame of a scene, HxWx3; its network stays loaded for the next one. Raises as `render`."""
    from render.pipeline import loop  # imports torch
    from render.pipeline.engine import open_engine

    planned = plan(scene, replace(options, overwrite=True, restart=True))  # no film is written
    with closing(loop.frames(open_engine(planned, autotune=False))) as frames:
        return quantize(next(frames).picture, 8).astype(np.uint8)


def _scenes(network: str, choice: AtlasOptions) -> list[Scene]:
    """A still for each picture of the sheet. Raises UsageError."""
    if not MIN_SIDE <= choice.side <= MAX_SIDE:
        raise UsageError(f"a picture on a sheet has from {MIN_SIDE} to {MAX_SIDE} pixels a side, not {choice.side}")
    if choice.channels is not None:
        objectives = _channels(choice.channels)
    else:
        objectives = [{"layer": name} for name in choice.layers or layer_map(network).blocks]
    if len(objectives) > MAX_PICTURES:
        raise UsageError(f"{len(objectives)} pictures; a sheet has at most {MAX_PICTURES}")
    chosen = NetworkSpec(name=network, weights_file=None if choice.weights is None else str(choice.weights))
    return [still(chosen, objective, image=choice.image, side=choice.side) for objective in objectives]


def _channels(text: str) -> list[dict[str, Any]]:
    """An objective for each channel of `blocks.7:0-31` or `blocks.7:3,17`. Raises UsageError."""
    match = re.fullmatch(r"(.+):([0-9]{1,6}(?:[-,][0-9]{1,6})*)", text)
    if match is None:
        raise UsageError(
            f"--channels needs a layer and its channels, blocks.7:0-31 or blocks.7:3,17, not {quote(text)}"
        )
    return [{"layer": match[1], "channels": [index]} for index in _indices(match[2])]


def _indices(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, *last = (int(number) for number in part.split("-"))
        if len(last) > 1 or (last and last[0] < first):
            raise UsageError(f"{quote(part)} is not a range of channels, 0-31")
        yield from range(first, min(last[0], first + MAX_PICTURES) + 1 if last else first + 1)


def _label(network: str, objective: ObjectiveSpec) -> tuple[str, str]:
    """The name of a picture, and a note below it."""
    layer = layer_map(network).layers[str(objective.layer)]
    if objective.channels is not None:
        return f"{layer.name}:{objective.channels[0]}", ""
    return layer.name, f"{layer.channels} channels" + (f", stride {layer.stride}" if layer.stride else "")
