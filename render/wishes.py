"""A scene in the words of the dream: what is asked for, its pictures seen by the network once; how to ascend."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from render.dream import gradients, objectives
from render.dream.ascent import Ascent
from render.dream.gradients import Conditioner
from render.dream.networks import Network
from render.dream.objectives import Objective
from render.film import source
from render.scene.dream import Gaussian, Gradient, Laplacian, Natural
from render.scene.layers import Layer
from render.scene.model import Now, Scene

Wishes = Sequence[Objective]
"""One for every weight of the scene, in its order, each of weight one."""


def wishes(scene: Scene, network: Network) -> Wishes:
    """What each layer and class of a scene asks for. Raises StorageError when a picture cannot be read."""
    masks: dict[Path, Tensor] = {}  # layers with the same mask share a gradient
    return [wish for i, layer in enumerate(scene.layers) for wish in _wishes(scene, i, layer, network, masks)]


def objective(asked: Wishes, now: Now) -> Objective:
    """What a frame is asked for more of."""
    weights = chain.from_iterable(now.weights)
    return sum((weight * wish for weight, wish in zip(weights, asked, strict=True)), Objective())


def ascent(scene: Scene, now: Now) -> Ascent:
    """How a frame is dreamed."""
    how = scene.dream
    return Ascent(
        octave_scale=how.octave_scale,
        steps=now.steps,
        step_size=now.step_size,
        last_step=how.last_step,
        jitter=now.jitter,
        scale=how.scale,
        rotate=how.rotate,
        momentum=how.momentum,
        total_variation=how.total_variation,
        condition=conditioner(how.gradient),
    )


def conditioner(gradient: Gradient) -> Conditioner:
    """The conditioner that the scene names."""
    match gradient.chosen:
        case Natural(power=power, color=color, lowest=lowest):
            return gradients.natural(power, color, lowest)
        case Gaussian(sigma=sigma):
            return gradients.gaussian(sigma)
        case Laplacian(levels=levels):
            return gradients.laplacian(levels)
    return gradients.raw()


def _wishes(scene: Scene, index: int, asked: Layer, network: Network, masks: dict[Path, Tensor]) -> list[Objective]:
    found = [objectives.logit(network.logits, network.classes.index(str(name))) for name in asked.classes or ()]
    if asked.layer is not None:
        found = [_of_layer(scene, index, asked.layer, asked, network)]
    if asked.mask is None:
        return found
    assert scene.size is not None, "a loaded scene knows its size"
    file = scene.locate(asked.mask, ("layers", index, "mask"))
    if file not in masks:
        masks[file] = source.mask(file, scene.size).to(network.device)
    return [wish.within(masks[file]) for wish in found]


def _of_layer(scene: Scene, index: int, name: str, asked: Layer, network: Network) -> Objective:
    if asked.guide is not None:
        return objectives.guide(name, _features(scene, index, name, asked.guide, network))
    if asked.channels is None:
        return objectives.layer(name)
    if asked.neuron is None:
        return objectives.channels(name, asked.channels)
    return objectives.neuron(name, asked.channels[0], asked.neuron, network.layers[name].receptive_field)


def _features(scene: Scene, index: int, name: str, guide: str, network: Network) -> Tensor:
    """What the layer sees in a guide, which is as large as the film, along its longer side."""
    assert scene.size is not None, "a loaded scene knows its size"
    picture = source.fitted(scene.locate(guide, ("layers", index, "guide")), max(scene.size))
    with torch.no_grad():
        return network.activations(picture.to(network.device), [name])[name]
