"""From a scene to the arguments of the dream: objectives, and the settings of the ascent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from render.dream import gradients, objectives
from render.dream.ascent import AscentSettings
from render.dream.gradients import Conditioner
from render.dream.objectives import Objective, mean_square
from render.dream.statistics import ChannelTarget, statistics
from render.dream.transforms import TransformRange
from render.media.image import load_fitted, load_image, load_mask
from render.media.noise import noise
from render.models.network import Network
from render.models.registry import layer_map
from render.pipeline.catalogue import objective_layers
from render.pipeline.memo import Memo
from render.pipeline.scene import Scene
from render.pipeline.sources import file_identities
from render.scene.dream import Gaussian, Gradient, Laplacian, Natural
from render.scene.model import SceneSpec
from render.scene.objectives import ObjectiveSpec
from render.scene.params import FrameParams

CLASS_BALANCE = 6.0
"""Strength of natural statistics beside a class of weight one."""
LAYER_BALANCE = 1.1
"""The same beside a layer whose mean square is one for the reference picture."""
FIRST_NORM_WEIGHT = 16.0
"""Weight of the first norm among natural statistics: it sees brightness, contrast and colours, which else drift."""
CONTENT_STRENGTH = 4.0
"""Strength of content beside a style, both of weight one."""
REFERENCE_SIDE = 224
"""Pixels of the reference picture, noise."""


@dataclass(frozen=True)
class BuiltObjective:
    """An objective of weight one, and how strong statistics are beside it; None for statistics.

    With `of_source`, it is another one for each source, 1x3xHxW.
    """

    objective: Objective
    balance: float | None
    of_source: Callable[[Tensor], Objective] | None = None


@dataclass(frozen=True)
class Features:
    """Activations of a network for whole pictures, each computed once as long as the memo has room."""

    scene: Scene
    network: Network
    memo: Memo

    def activations(self, file: Path, layers: Collection[str]) -> Mapping[str, Tensor]:
        """The activations of layers for a whole picture, at most as large as the film before `--scale`.

        For a network that sees pictures of one size only, the picture is cropped to it.
        """
        side = layer_map(self.network.name, self.scene.spec.network.weights).input_side
        limit = self.scene.reference_side if side is None else side
        key = (*self._network_key, "picture", file, tuple(file_identities(file).items()), limit, tuple(layers))

        def compute() -> Mapping[str, Tensor]:
            picture = load_fitted(file, limit) if side is None else load_image(file, (side, side))
            with torch.no_grad():
                return self.network.activations(picture.to(self.network.device), layers)

        return self.memo.get(key, compute)

    def natural_mean_square(self, layer: str) -> float:
        """The mean square of a layer's activation for a picture of noise: the unit in which layers are compared."""
        side = layer_map(self.network.name).input_side or REFERENCE_SIDE

        def compute() -> float:
            reference = noise((side, side), grain=64, contrast=0.2, color=1, seed=0).to(self.network.device)
            with torch.no_grad():
                return float(mean_square(self.network.activations(reference, [layer])[layer]))

        return self.memo.get((*self._network_key, "noise", layer), compute)

    @property
    def _network_key(self) -> tuple[Hashable, ...]:
        """What the activations of a network depend on besides the picture."""
        network = self.network
        return network.name, network.sha256, self.scene.spec.network.weights, network.dtype, network.device


def build_objectives(scene: Scene, network: Network, *, memo: Memo | None = None) -> list[BuiltObjective]:
    """Builds an objective for every weight of the scene, in the scene's order.

    The features of guides are computed here, once; `memo` keeps them for other scenes. Objectives with the same mask
    share its tensor, and so a gradient.
    Raises StorageError when a picture cannot be read.
    """
    files = {scene.paths[keys] for keys in scene.paths if keys[0] == "objectives" and keys[-1] == "mask"}
    masks = {file: load_mask(file, scene.size).to(network.device) for file in sorted(files)}
    has_statistics = any(spec.is_relative for spec in scene.spec.objectives)
    features = Features(scene, network, memo or Memo())
    built: list[BuiltObjective] = []
    for i, spec in enumerate(scene.spec.objectives):
        mask = scene.paths.get(("objectives", i, "mask"))
        if spec.statistics == "source":
            layers = objective_layers(spec, scene.spec.network)
            of_source = partial(_source_statistics, layers, network, mask=None if mask is None else masks[mask])
            built.append(BuiltObjective(Objective(), None, of_source))
            continue
        unmasked = _unmasked(scene, i, spec, features=features)
        masked = unmasked if mask is None else [objective.masked(masks[mask]) for objective in unmasked]
        balance = _balance(spec, features) if has_statistics else 0.0
        built += [BuiltObjective(objective, balance) for objective in masked]
    return built


def frame_objective(
    built: Sequence[BuiltObjective], params: FrameParams, *, source: Callable[[], Tensor] | None = None
) -> Objective:
    """Weighs the objectives as a frame's parameters say, and adds them up.

    The weight of statistics and styles is relative to the sum of all others, whatever their units are. `source` returns
    the frame's source; without it, what compares it is left out.
    """
    weighted = [
        (weight, part) for weight, part in zip(chain.from_iterable(params.weights), built, strict=True) if weight
    ]
    balance = sum(abs(weight) * part.balance for weight, part in weighted if part.balance is not None) or 1.0
    total = Objective()
    for weight, part in weighted:
        objective = part.of_source(source()) if part.of_source is not None and source is not None else part.objective
        total += (weight * balance if part.balance is None else weight) * objective
    return total if source is None or not total.compares_source else total.of_source(source())


def _source_statistics(layers: Collection[str], network: Network, source: Tensor, *, mask: Tensor | None) -> Objective:
    """The statistics of a source, 1x3xHxW on the network's device, at layers."""
    with torch.no_grad():
        activations = network.activations(source, layers)
    objective = statistics({layer: ChannelTarget.of(activations[layer]) for layer in layers})
    return objective if mask is None else objective.masked(mask)


def _balance(spec: ObjectiveSpec, features: Features) -> float | None:
    """The strength at which statistics balance an objective of weight one; None for statistics."""
    if spec.is_relative:
        return None
    if spec.layer is None:
        return CLASS_BALANCE
    return LAYER_BALANCE * features.natural_mean_square(spec.layer)


def ascent_settings(spec: SceneSpec, params: FrameParams) -> AscentSettings:
    """The settings of a frame's ascent."""
    dream = spec.dream
    return AscentSettings(
        octave_scale=dream.octave_scale,
        steps=params.steps,
        reference_side=dream.reference_side,
        step_size=params.step_size,
        final_step_scale=dream.final_step_scale,
        transforms=TransformRange(
            params.jitter,
            dream.transforms.scale,
            rotate=dream.transforms.rotate,
            flip=dream.transforms.flip,
            border=dream.transforms.border,
        ),
        momentum=dream.momentum,
        total_variation=dream.total_variation,
        conditioner=conditioner(dream.gradient),
    )


def conditioner(gradient: Gradient) -> Conditioner:
    """The gradient conditioner that a scene names."""
    match gradient.chosen:
        case Natural(decay_power=decay_power, color_correlation=color_correlation, min_frequency=min_frequency):
            return gradients.natural(decay_power, color_correlation, min_frequency=min_frequency)
        case Gaussian(sigma=sigma):
            return gradients.gaussian(sigma)
        case Laplacian(levels=levels):
            return gradients.laplacian(levels)
    return gradients.raw()


def _unmasked(scene: Scene, index: int, spec: ObjectiveSpec, *, features: Features) -> list[Objective]:
    """The objectives of one entry of the scene: one for its layers, or one for each of its classes or turns."""
    network = features.network
    if spec.tour is not None:
        turns = (spec.at(turn) for turn in scene.spec.tours[index])
        return [objective for turn in turns for objective in _unmasked(scene, index, turn, features=features)]
    layers = objective_layers(spec, scene.spec.network)
    if spec.statistics == "none":
        return [Objective()]
    if spec.statistics is not None:
        targets = {layer: ChannelTarget.natural(network.norm_statistics(layer)) for layer in layers}
        return [statistics(targets, first_weight=FIRST_NORM_WEIGHT)]
    style = scene.paths.get(("objectives", index, "style"))
    if style is not None:
        activations = features.activations(style, layers)
        return [statistics({layer: ChannelTarget.of(activations[layer]) for layer in layers})]
    if spec.content is not None:
        return [objectives.content(layers[0], scale=features.natural_mean_square(layers[0]) / CONTENT_STRENGTH)]
    if spec.layer is None:
        return [objectives.named_class(network.logits, network.classes.index(str(name))) for name in spec.classes or ()]
    guide = scene.paths.get(("objectives", index, "guide"))
    if guide is not None:
        return [objectives.guide(spec.layer, features.activations(guide, layers)[spec.layer])]
    if spec.channels is None:
        return [objectives.layer(spec.layer)]
    if spec.position is None:
        return [objectives.channels(spec.layer, spec.channels)]
    receptive_field = network.layers[spec.layer].receptive_field
    return [objectives.position(spec.layer, spec.channels[0], point=spec.position, receptive_field=receptive_field)]
