"""What a scene may name of each network, and which pictures a scene's network cannot see."""

from __future__ import annotations

import math
from collections.abc import Iterator

from render.dream.octaves import octave_sizes
from render.models.registry import (
    downloaded_models,
    first_unsupported_size,
    is_model,
    layer_map,
    model_names,
    model_spec,
)
from render.scene.model import SceneSpec
from render.scene.objectives import Catalogue, ModelInfo, NetworkSpec, ObjectiveSpec


class _Models(Catalogue):
    """Every network by name; described when it is looked up."""

    def downloaded(self) -> frozenset[str]:
        return downloaded_models()

    def __getitem__(self, name: str) -> ModelInfo:
        if not is_model(name):
            raise KeyError(name)
        spec = model_spec(name)
        layers = layer_map(name)
        return ModelInfo(layers.layers, spec.classes, spec.published_weights, has_norms=bool(layers.norms))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and is_model(name)

    def __iter__(self) -> Iterator[str]:
        return iter(model_names())

    def __len__(self) -> int:
        return len(model_names())


MODELS = _Models()


def requested_layers(spec: SceneSpec) -> set[str]:
    """Returns the layers whose activations the objectives of a scene need."""
    return set().union(*(objective_layers(objective, spec.network) for objective in spec.objectives))


def objective_layers(objective: ObjectiveSpec, network: NetworkSpec) -> tuple[str, ...]:
    """Returns the layers whose activations an objective needs."""
    layers = layer_map(network.name, network.weights)
    if objective.layers is not None:
        return objective.layers
    if objective.statistics == "none":
        return ()
    if objective.statistics is None and objective.style is None:
        return (objective.layer or layers.logits,)
    names = layers.norms or layers.blocks
    first, last = objective.statistics_depth
    chosen = names[math.floor(first * len(names)) : math.ceil(last * len(names))]
    if objective.statistics is not None and names[0] not in chosen:
        return (names[0], *chosen)  # it sees brightness, contrast and colours
    return chosen


def unsupported_octave(spec: SceneSpec, size: tuple[int, int]) -> str | None:
    """Says which octave of a film of (width, height) its network cannot see; None when it sees all.

    An octave may be too small, or not of the only size that a transformer sees.
    """
    name, weights, (width, height) = spec.network.name, spec.network.weights, size
    layers = requested_layers(spec)
    steps = [spec.params(index).steps for index in {0, spec.length - 1}]
    dream = spec.dream
    plans = [
        octave_sizes((height, width), each, octave_scale=dream.octave_scale, reference_side=dream.reference_side)
        for each in steps
    ]
    sizes = sorted({octave for plan in plans for octave, _ in (plan[0], plan[-1])})
    unsupported = first_unsupported_size(name, weights, layers=layers, sizes=sizes)
    if unsupported is None:
        return None
    octave = "" if unsupported == (height, width) else f", an octave of {width}x{height}"
    side = model_spec(name, weights).input_side
    return f"{name} cannot see a picture of {unsupported[1]}x{unsupported[0]}{octave}; it was trained on {side}x{side}"


def unsupported_picture(network: NetworkSpec, objective: ObjectiveSpec, size: tuple[int, int]) -> str | None:
    """Says that a network cannot see the guide or style of an objective, of (width, height); None when it can.

    For a network that sees pictures of one size only, such a picture is cropped to it.
    """
    if layer_map(network.name, network.weights).input_side is not None:
        return None
    (width, height), layers = size, objective_layers(objective, network)
    if first_unsupported_size(network.name, network.weights, layers=set(layers), sizes=[(height, width)]) is None:
        return None
    return f"{network.name} cannot see this picture as far as {layers[-1]}, at {width}x{height} pixels"
