"""The atlas of a scene's network: its layers, their channels and its classes, as objectives with pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.analysis.atlas import still
from render.errors import UsageError
from render.models.registry import layer_map, model_spec
from render.pipeline.identity import portable_scene
from render.pipeline.scene import Scene
from render.scene.objectives import NetworkSpec
from render.scene.yaml_tree import parse_yaml
from render.studio.child import pictures_folder
from render.studio.key_edits import Edits, append_value, set_value
from render.studio.text_edit import NAME

SIDES = (112, 224, 448)
"""Pixels of a picture's side: the first at which the network can see it."""
STEPS = 12
"""Of each of three octaves: about a second of one core for a picture of the default network."""
VERSION = 1
"""Of how pictures are made; another one makes them again."""
PAGE = 48
"""Pictures that are displayed at a time."""
KEPT = ("weight", "mask")
"""What a replaced objective leaves to the one in its place."""


@dataclass(frozen=True)
class Tile:
    """A picture of the atlas, and the objective that choosing it puts into the scene.

    `layer` is the layer whose channels may be looked at next, None for a channel and a class.
    """

    name: str
    note: str
    objective: Mapping[str, Any]
    layer: str | None = None


def located_network(scene: Scene) -> NetworkSpec:
    """Returns the network of a scene, with the path of its weights as it is."""
    network, file = scene.spec.network, scene.paths.get(("network", "weights_file"))
    return network if file is None else network.model_copy(update={"weights_file": str(file.absolute())})


def layer_tiles(network: NetworkSpec, search: str = "") -> list[Tile]:
    """Returns the blocks of a network; with a search, all layers whose names have its words."""
    layers = layer_map(network.name, network.weights)
    names = _matching(layers.layers, search) if search.strip() else layers.blocks
    infos = [layers.layers[name] for name in names]
    return [Tile(info.name, f"{info.channels} channels", {"layer": info.name}, layer=info.name) for info in infos]


def channel_tiles(network: NetworkSpec, layer: str, search: str = "") -> list[Tile]:
    """Returns the channels of a layer; with a search, those whose number is one of its words."""
    wanted = search.split()
    numbers = range(layer_map(network.name, network.weights).layers[layer].channels)
    return [
        Tile(f"{layer}:{number}", "", {"layer": layer, "channels": [number]})
        for number in numbers
        if not wanted or str(number) in wanted
    ]


def class_tiles(network: NetworkSpec, search: str = "") -> list[Tile]:
    """Returns the classes of a network whose names have all words of a search, those that begin with it first."""
    names = model_spec(network.name, network.weights).classes
    numbers = {name: number for number, name in reversed(list(enumerate(names)))}  # of equal names the first
    start = search.strip().casefold()
    found = sorted(_matching(numbers, search), key=lambda name: (not name.casefold().startswith(start), numbers[name]))
    return [Tile(name, f"class {numbers[name]}", {"class": name}) for name in found]


def page_of(tiles: Sequence[Tile], number: int) -> Sequence[Tile]:
    """Returns a page of tiles, counted from 0."""
    return tiles[number * PAGE : (number + 1) * PAGE]


def _matching(names: Iterable[str], search: str) -> Iterator[str]:
    words = search.casefold().split()
    return (name for name in names if all(word in name.casefold() for word in words))


def objective_edits(text: str, objective: Mapping[str, Any], *, is_replacing: bool = False) -> Edits:
    """Returns the edits that append an objective to a scene's, or that put it in the place of the only one.

    The weight and the mask of a replaced one stay. Raises UsageError when there are several to replace, and as
    `key_edits.set_values`.
    """
    new = dict(objective)
    if not is_replacing:
        return append_value(text, "objectives", new)
    scene: Any = parse_yaml(text, NAME).plain()
    written = scene.get("objectives") if isinstance(scene, dict) else None
    if isinstance(written, list) and len(written) > 1:
        raise UsageError(f"the scene has {len(written)} objectives, and only one can be replaced; add it instead")
    old = written[0] if isinstance(written, list) and written and isinstance(written[0], dict) else {}
    kept = {key: old[key] for key in KEPT if key in old and not isinstance(old[key], list)}
    return set_value(text, "objectives", [{**new, **kept}])


def picture_scene(network: NetworkSpec, objective: Mapping[str, Any]) -> Scene:
    """Returns the scene whose first frame is the picture of an objective. Raises UsageError."""
    for side in SIDES[:-1]:
        try:
            return still(network, objective, side=side, steps=STEPS)
        except UsageError:  # the network does not see pictures that are so small
            continue
    return still(network, objective, side=SIDES[-1], steps=STEPS)


def picture_file(scene: Scene, weights: str) -> Path:
    """Returns where the picture of a scene is cached, which was made with weights of that checksum.

    Raises StorageError when the user has no folder of caches.
    """
    recipe = {"version": VERSION, "weights": weights, "scene": portable_scene(scene)}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return pictures_folder() / "atlas" / key[:2] / f"{key}.jpg"
