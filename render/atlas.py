"""What each layer of a network dreams, or each channel of a layer, side by side: how an artist chooses one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from render import api, loop, machine, sheet
from render.api import NETWORKS
from render.dream.anatomy import anatomy
from render.errors import UsageError, shown
from render.film import source
from render.scene.faults import Fault
from render.scene.layers import Layer
from render.scene.layers import Network as NetworkName
from render.scene.model import Scene
from render.sheet import Cell

SIDE = 192
"""Pixels of a picture on the sheet, along its longer side."""
MOST = 400
"""Pictures on a sheet."""

GRADIENT = {"natural": {"power": 0.35, "color": 0.85}}
FROM_NOISE: dict[str, Any] = {"octaves": 3, "steps": (24, 24, 24), "step_size": 0.01, "gradient": GRADIENT}
FROM_PICTURE: dict[str, Any] = {"octaves": 4, "steps": (8, 8, 8, 8), "step_size": 0.012, "gradient": GRADIENT}
# A channel has one thing to draw, and is given the time and the views to find it.
OF_A_CHANNEL: dict[str, Any] = {
    "octaves": 3,
    "steps": (24, 24, 24),
    "step_size": 0.012,
    "last_step": 0.3,
    "scale": (0.9, 1.2),
    "rotate": 10,
    "momentum": 0.5,
    "total_variation": 0.3,
    "gradient": {"natural": {"power": 0.5, "color": 0.9, "lowest": 2}},
}


def atlas(
    network: str,
    target: Path,
    image: Path | None = None,
    layers: Sequence[str] | None = None,
    channels: str | None = None,
    weights: Path | None = None,
    side: int = SIDE,
    device: str = "auto",
    precision: str = "auto",
    overwrite: bool = False,
    watch: Callable[[int, int], None] | None = None,
    quiet: bool = False,
) -> int:
    """Writes a labelled sheet, .png or .jpg, of what the layers of a network dream, and returns how many there are.

    The layers are the network's blocks, or those named; `channels`, `"blocks.7:0-31"`, takes channels of one layer
    instead. They dream of noise, or of an `image`, with `side` pixels along the longer side; a network that sees
    pictures of one size only decides itself. `watch` hears of each picture: how many are done, of how many.
    Raises UsageError for what the network does not have, and what `render` raises.
    """
    sheet.check_target(target, overwrite)
    if not 32 <= side <= 1024:
        raise UsageError(f"a picture on a sheet has from 32 to 1024 pixels a side, not {side}")
    asked = (
        _channels(channels)
        if channels is not None
        else [{"layer": name} for name in layers or anatomy(network).outline]
    )
    if len(asked) > MOST:
        raise UsageError(f"{len(asked)} pictures; a sheet has at most {MOST}")
    how = OF_A_CHANNEL if channels is not None else FROM_NOISE
    scenes = [_scene(network, each, how if image is None else FROM_PICTURE, image, weights, side) for each in asked]
    if told := next((told for scene in scenes if (told := api.unseen_octave(scene))), None):
        raise UsageError(f"{told}; --side makes the pictures larger")
    loaded = api.network(scenes[0], machine.choose(device, precision), quiet)
    cells: list[Cell] = []
    for scene in scenes:
        _, frame, _ = next(loop.frames(scene, loaded))
        cells.append(sheet.cell(frame, *_label(network, scene.layers[0])))
        if watch is not None:
            watch(len(cells), len(scenes))
    sheet.save(cells, target)
    return len(cells)


def _scene(
    network: str, asked: dict[str, Any], how: dict[str, Any], image: Path | None, weights: Path | None, side: int
) -> Scene:
    """The still that dreams what is asked for. Raises UsageError."""
    try:
        chosen = NetworkName(name=network, weights=None if weights is None else str(weights))
        if fault := chosen.fault(NETWORKS):
            raise fault
        Layer.model_validate(asked).checked(network, NETWORKS[network])
    except Fault as fault:
        raise UsageError(str(fault)) from None
    size = (side, side)
    alone = anatomy(network).side
    if alone is not None:  # a transformer, that sees pictures of one size
        size, how = (alone, alone), how | {"octaves": 1, "steps": (sum(how["steps"]),)}
    elif image is not None:
        width, height = source.picture_size(image)
        shrink = side / max(width, height)
        size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    parts = {
        "size": size,
        "duration": 1,
        "source": {"noise": {"grain": 48, "contrast": 0.15}} if image is None else {"image": str(image)},
        "network": chosen,
        "layers": [asked],
        "dream": how,
        "output": {"codec": "png"},
    }
    return Scene.model_validate(parts)


def _channels(text: str) -> list[dict[str, Any]]:
    """`blocks.7:0-31`, or `blocks.7:3,17`: a channel each."""
    found = re.fullmatch(r"(.+):([0-9]{1,6}(?:[-,][0-9]{1,6})*)", text)
    if found is None:
        raise UsageError(
            f"--channels needs a layer and its channels, blocks.7:0-31 or blocks.7:3,17, not {shown(text)}"
        )
    return [{"layer": found[1], "channels": [index]} for index in _numbers(found[2])]


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, *last = (int(number) for number in part.split("-"))
        if len(last) > 1 or (last and last[0] < first):
            raise UsageError(f"{shown(part)} is not a range of channels, 0-31")
        yield from range(first, min(last[0], first + MOST) + 1 if last else first + 1)


def _label(network: str, asked: Layer) -> tuple[str, str]:
    """A name, and what else there is to know."""
    assert asked.layer is not None
    layer = anatomy(network).layers[asked.layer]
    if asked.channels is not None:
        return f"{asked.layer}:{asked.channels[0]}", ""
    return asked.layer, f"{layer.channels} channels" + (f", stride {layer.stride}" if layer.stride else "")
