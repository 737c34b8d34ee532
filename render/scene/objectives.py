"""The scene's `network` and `objectives`, and their checks against the available networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from render.scene.field_errors import FieldError, Loc
from render.scene.fields import FileField, ImagePath, Named, OneOrMany, Section, UnitFloat, Weight, track_field
from render.scene.tracks import Track
from render.text import did_you_mean, quote


class LayerProperties(Protocol):
    """What the scene needs to know about a layer."""

    @property
    def channels(self) -> int:
        """The number of channels."""

    @property
    def stride(self) -> int | None:
        """Pixels between neighbouring positions; None for a layer without positions."""


@dataclass(frozen=True)
class ModelInfo:
    """The names that a scene may use of a network, and whether it has batch norms."""

    layers: Mapping[str, LayerProperties]
    classes: Sequence[str]
    weights: Sequence[str]
    has_norms: bool = False

    @cached_property
    def classes_by_key(self) -> Mapping[str, str]:
        """The classes by case-folded name; of classes with equal names the first."""
        return {name.casefold(): name for name in reversed(self.classes)}


class Catalogue(Mapping[str, ModelInfo]):
    """The available networks by name."""

    def downloaded(self) -> Collection[str]:
        """Returns the names of those that need no download."""
        return ()


class NetworkSpec(Named):
    """The network whose activations are maximised: its name, or `{name: googlenet, weights_file: my.pth}`."""

    name: str = "efficientnet_lite0"
    """The network's name; `render networks` lists them."""
    weights_file: Annotated[str | None, FileField("weights")] = None
    """Path of a state dict (.pth, .safetensors) that replaces the published weights, normalised as for those."""
    weights: str | None = None
    """Name of published weights, where a network has several: `IMAGENET1K_V1`; default: the most accurate."""

    @model_validator(mode="after")
    def _one_source(self) -> NetworkSpec:
        if self.weights_file is not None and self.weights is not None:
            raise FieldError("'weights' cannot be combined with 'weights_file'", ("weights",), at_key=True)
        return self

    def error(self, catalogue: Mapping[str, ModelInfo]) -> FieldError | None:
        """Returns why the catalogue does not have this network or these weights; None when it does."""
        if self.name not in catalogue:
            first = catalogue.downloaded() if isinstance(catalogue, Catalogue) else ()
            hint = did_you_mean(self.name, catalogue, "`render networks` lists them", first=first)
            return FieldError(f"unknown network {quote(self.name)}{hint}", ("name",))
        names = catalogue[self.name].weights
        if self.weights is not None and self.weights not in names:
            hint = did_you_mean(self.weights, names)
            return FieldError(f"{self.name} has no weights {quote(self.weights)}{hint}", ("weights",))
        return None


def _parse_class(raw: Any) -> str | int:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise FieldError(f"a class is a name or an index, not {quote(raw)}")
    return raw


Channel = Annotated[int, Field(ge=0)]
ClassName = Annotated[str | int, PlainValidator(_parse_class), WithJsonSchema({"type": ["string", "integer"]})]


KINDS = {
    "layer": ("channels", "position", "guide"),
    "class": (),
    "statistics": ("depth",),
    "style": ("depth", "layers"),
    "content": ("layer",),
}
"""The keys of which an objective has one, and those that go with each."""
DEFAULT_DEPTH = 0.5
"""Of the layers whose statistics count."""


class ObjectiveSpec(Section):
    """An objective: a layer, some of its channels, a class, the similarity to a guide picture, the statistics of
    photographs, or the style of a picture; with a weight."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [kind]} for kind in KINDS]})

    layer: str | None = None
    """The layer's name; `render layers NETWORK` lists the blocks, `render layers NETWORK --all` every layer."""
    channels: Annotated[tuple[Channel, ...], OneOrMany()] | None = None
    """Channels of the layer, counted from 0: a number or a list; default: all."""
    position: tuple[UnitFloat, UnitFloat] | None = Field(default=None, strict=False)
    """With one channel: the position in the picture, as x and y from the top left; default: every position."""
    classes: Annotated[tuple[ClassName, ...], OneOrMany()] | None = Field(default=None, alias="class")
    """A class, by name or index, instead of a layer, or a list of classes; `render classes` lists them."""
    statistics: Literal["natural"] | None = None
    """`natural` instead of a layer: the statistics of photographs, which the batch norms of the network have learned.
    Its weight is relative to that of the other objectives: 1 is right."""
    depth: Annotated[float, Field(gt=0, le=1)] | None = None
    """With `statistics` or `style`: which layers count, as a fraction of the batch norms (in a network without any, of
    the blocks), from the first; default: 0.5."""
    style: ImagePath = Field(default=None, min_length=1)
    """Path of a picture instead of a layer: takes on its style. The weight is relative, as that of `statistics`."""
    layers: Annotated[tuple[str, ...], OneOrMany()] | None = None
    """With `style`: the layers whose statistics are those of the picture, instead of `depth`."""
    guide: ImagePath = Field(default=None, min_length=1)
    """Path of a picture: maximises the similarity of the layer's features to those of the picture."""
    content: Literal["source"] | None = None
    """`source`: holds the features of the source at `layer`, so that it stays legible. The weight is relative, as that
    of `statistics`."""
    mask: ImagePath = Field(default=None, min_length=1)
    """Path of a picture: restricts the objective to where the picture is white."""
    weight: Weight = track_field(1.0)
    """Weight in the sum of objectives: 0 costs no time, a negative weight minimises. With several classes it may be a
    list of one weight per class."""

    @model_validator(mode="after")
    def _is_consistent(self) -> ObjectiveSpec:
        given = [kind for kind in KINDS if getattr(self, _field(kind)) is not None]
        if not given:
            raise FieldError("an objective needs a 'layer', a 'class', 'statistics', a 'style' or 'content'")
        kind, *others = given if self.content is None else ["content", *(kind for kind in given if kind != "content")]
        misplaced = {*others, *(key for keys in KINDS.values() for key in keys)} - {kind, *KINDS[kind]}
        for key in sorted(misplaced):
            if getattr(self, _field(key)) is not None:
                raise FieldError(f"'{key}' cannot be combined with '{kind}'", (key,), at_key=True)
        if self.content is not None and self.layer is None:
            raise FieldError("'content' needs the layer that is held: layer: blocks.7", ("content",), at_key=True)
        if self.layers is not None and self.depth is not None:
            raise FieldError("'depth' cannot be combined with 'layers'", ("depth",), at_key=True)
        if self.guide is not None and self.channels is not None:
            raise FieldError("a guide is compared on all channels of the layer", ("channels",), at_key=True)
        if self.position is not None and len(self.channels or ()) != 1:
            raise FieldError("a position needs exactly one channel: channels: [17]", ("position",), at_key=True)
        count = len(self.classes or ("",))
        if isinstance(self.weight, tuple) and len(self.weight) != count:
            target = f"{count} class{'' if count == 1 else 'es'}" if kind == "class" else f"1 {kind}"
            raise FieldError(f"{len(self.weight)} weights for {target}", ("weight",))
        return self

    @property
    def weights(self) -> tuple[Track, ...]:
        """One weight for each class, or for the layer."""
        return self.weight if isinstance(self.weight, tuple) else (self.weight,) * len(self.classes or ("",))

    @property
    def is_relative(self) -> bool:
        """Whether the weight is relative to those of the objectives for which this is false."""
        return self.statistics is not None or self.style is not None or self.content is not None

    def resolved(self, network: str, info: ModelInfo) -> ObjectiveSpec:
        """Returns the objective with full class names. Raises FieldError when the network lacks what it names."""
        if self.statistics is not None and not info.has_norms:
            raise FieldError(f"{network} has no batch norms, and so no statistics of photographs", ("statistics",))
        if self.layer is not None:
            self._check_layer(self.layer, ("layer",), network=network, info=info)
        for i, name in enumerate(self.layers or ()):
            self._check_layer(name, ("layers", i), network=network, info=info)
        if self.classes is None:
            return self
        names = tuple(_class_name(each, i, network=network, info=info) for i, each in enumerate(self.classes))
        return self.model_copy(update={"classes": names})

    def _check_layer(self, name: str, position: Loc, *, network: str, info: ModelInfo) -> None:
        layer = info.layers.get(name)
        if layer is None:
            hint = did_you_mean(name, info.layers, f"`render layers {network} --all` lists them")
            raise FieldError(f"{network} has no layer {quote(name)}{hint}", position)
        for i, channel in enumerate(self.channels or ()):
            if channel >= layer.channels:
                reason = f"{name} has {layer.channels} channels, from 0 to {layer.channels - 1}"
                raise FieldError(f"no channel {channel}: {reason}", ("channels", i))
        if self.position is not None and layer.stride is None:
            raise FieldError(f"{name} has no positions; remove 'position'", ("position",))


def _field(key: str) -> str:
    """Returns the name of the field of a key."""
    return "classes" if key == "class" else key


def _class_name(key: str | int, position: int, *, network: str, info: ModelInfo) -> str:
    """Returns the full name of a class written as an index or as a name in any case."""
    if isinstance(key, int):
        if not 0 <= key < len(info.classes):
            raise FieldError(f"no class {key}: {network} has {len(info.classes)}, from 0", ("class", position))
        return info.classes[key]
    folded = key.casefold().replace("_", " ").strip()
    if folded in info.classes_by_key:
        return info.classes_by_key[folded]
    hint = did_you_mean(key, info.classes, "`render classes` lists them")
    raise FieldError(f"{network} has no class {quote(key)}{hint}", ("class", position))
