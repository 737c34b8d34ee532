"""What is asked for, and of which network: the scene's `network` and `layers`, checked against what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, Field, model_validator

from render.errors import did_you_mean, shown
from render.scene.faults import Fault
from render.scene.fields import Fractional, Named, NamesFile, OneOrMore, Part, Picture, Weight, parsed
from render.scene.tracks import Track


class KnownLayer(Protocol):
    """A layer that there is."""

    @property
    def channels(self) -> int:
        """How many it has."""

    @property
    def stride(self) -> int | None:
        """Pixels between its places, None when it has no places."""


@dataclass(frozen=True)
class Known:
    """What a scene may name of a network."""

    layers: Mapping[str, KnownLayer]
    classes: Sequence[str]
    trainings: Sequence[str]

    @cached_property
    def plain(self) -> Mapping[str, str]:
        """The classes by their names in small letters; of classes of one name the first."""
        return {name.casefold(): name for name in reversed(self.classes)}


Catalogue = Mapping[str, Known]
"""Every network there is, by name."""


class Network(Named):
    """The network that dreams: its name, or `{name: googlenet, weights: my.pth}`."""

    name: str = "efficientnet_lite0"
    """`render networks` lists them."""
    weights: Annotated[str | None, NamesFile("weights")] = None
    """A state dict of your own, instead of the published weights; it is given pictures as those are."""
    training: str | None = None
    """Which of the published weights, where there are several: IMAGENET1K_V1; default: the most accurate."""

    @model_validator(mode="after")
    def _one_source(self) -> Network:
        if self.weights is not None and self.training is not None:
            raise Fault("either weights of your own or a published training, not both", ("training",), at_key=True)
        return self

    def fault(self, catalogue: Catalogue) -> Fault | None:
        """What is wrong with it, in view of the networks there are."""
        if self.name not in catalogue:
            hint = did_you_mean(self.name, catalogue, "`render networks` lists them")
            return Fault(f"unknown network {shown(self.name)}{hint}", ("name",))
        trainings = catalogue[self.name].trainings
        if self.training is not None and self.training not in trainings:
            what = f"{self.name} has no training {shown(self.training)}"
            return Fault(f"{what}{did_you_mean(self.training, trainings)}", ("training",))
        return None


def _channel(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise Fault(f"a channel is a number from 0 on, not {shown(raw)}")
    return raw


def _class(raw: Any) -> str | int:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise Fault(f"a class is a name, or its index, not {shown(raw)}")
    return raw


class Layer(Part):
    """More of something: of what a layer sees, of some of its channels, of a class, of what is in another picture."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["layer"]}, {"required": ["class"]}]})

    layer: str | None = None
    """The layer's name; `render layers NETWORK` lists the blocks, with `--all` every one."""
    channels: Annotated[tuple[int, ...] | None, OneOrMore(_channel, {"type": "integer", "minimum": 0})] = None
    """Only these channels of the layer, counted from 0."""
    neuron: tuple[Fractional, Fractional] | None = Field(default=None, strict=False)
    """With one channel: only at this place of the picture, in widths and heights from the top left."""
    classes: Annotated[tuple[str | int, ...] | None, OneOrMore(_class, {"type": ["string", "integer"]})] = Field(
        default=None, alias="class"
    )
    """A class, by name or index, instead of a layer, or a list of them; `render classes` lists them."""
    guide: Picture = Field(default=None, min_length=1)
    """A picture's path: more of what the layer sees in it."""
    mask: Picture = Field(default=None, min_length=1)
    """A picture's path: only where it is white."""
    weight: Weight = parsed(1.0)
    """How much it counts; zero costs nothing, below zero asks for less. For several classes it may be a list."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Layer:
        if self.layer is None and self.classes is None:
            raise Fault("a layer or a class is needed, to say what is asked for")
        for key in ("channels", "neuron", "guide") if self.layer is None else ("classes",):
            if getattr(self, key) is not None:
                raise Fault("a class is asked for as a whole, without a layer", (_alias(key),), at_key=True)
        if self.guide is not None and self.channels is not None:
            raise Fault("a guide is matched on all channels of the layer", ("channels",), at_key=True)
        if self.neuron is not None and len(self.channels or ()) != 1:
            raise Fault("a neuron is a place in one channel: channels: [17]", ("neuron",), at_key=True)
        asked = len(self.classes or ("",))
        if isinstance(self.weight, tuple) and len(self.weight) != asked:
            raise Fault(f"{len(self.weight)} weights for {asked}", ("weight",))
        return self

    @property
    def weights(self) -> tuple[Track, ...]:
        """One for each class, or for the layer."""
        return self.weight if isinstance(self.weight, tuple) else (self.weight,) * len(self.classes or ("",))

    def checked(self, network: str, known: Known) -> Layer:
        """The same with classes by their full names, in view of what the network has. Raises Fault."""
        if self.layer is not None:
            self._check_layer(network, known)
        if self.classes is None:
            return self
        named = tuple(_named(each, i, network, known) for i, each in enumerate(self.classes))
        return self.model_copy(update={"classes": named})

    def _check_layer(self, network: str, known: Known) -> None:
        assert self.layer is not None
        layer = known.layers.get(self.layer)
        if layer is None:
            hint = did_you_mean(self.layer, known.layers, f"`render layers {network} --all` lists them")
            raise Fault(f"{network} has no layer {shown(self.layer)}{hint}", ("layer",))
        for i, channel in enumerate(self.channels or ()):
            if channel >= layer.channels:
                most = f"{self.layer} has {layer.channels} channels, from 0 to {layer.channels - 1}"
                raise Fault(f"no channel {channel}: {most}", ("channels", i))
        if self.neuron is not None and layer.stride is None:
            raise Fault(f"{self.layer} has no places to choose from; leave the neuron out", ("neuron",))


def _alias(field: str) -> str:
    return Layer.model_fields[field].alias or field


def _named(asked: str | int, position: int, network: str, known: Known) -> str:
    """The full name of a class given by index, or by name in any case."""
    if isinstance(asked, int):
        if not 0 <= asked < len(known.classes):
            raise Fault(f"no class {asked}: {network} knows {len(known.classes)}, from 0", ("class", position))
        return known.classes[asked]
    plain = asked.casefold().replace("_", " ").strip()
    if plain in known.plain:
        return known.plain[plain]
    hint = did_you_mean(asked, known.classes, "`render classes` lists them")
    raise Fault(f"{network} knows no class {shown(asked)}{hint}", ("class", position))
