"""The scene's `network` and `objectives`, and their checks against the available networks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import cycle, islice
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import ConfigDict, Field, PlainValidator, PrivateAttr, WithJsonSchema, model_validator

from render.scene.clock import Clock, Time
from render.scene.field_errors import FieldError, Loc, collect
from render.scene.fields import (
    FileField,
    ImagePath,
    OneOrMany,
    Section,
    Seed,
    ShortForm,
    UnitFloat,
    Weight,
    track_field,
)
from render.scene.times import Span
from render.scene.tour import MIN_THINGS, Thing, Turn, shuffled, turns
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

    @property
    def is_single(self) -> bool:
        """Whether its activation is one vector of the whole picture, without positions or tokens."""


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


class NetworkSpec(ShortForm):
    """The network whose activations are maximised: its name, or `{name: googlenet, weights_file: my.pth}`."""

    alone: ClassVar[str] = "name"

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
    "tour": ("classes", "layer", "channels", "hold", "fade", "order", "seed"),
    "content": ("layer",),
    "layer": ("channels", "position", "guide"),
    "class": (),
    "statistics": ("depth",),
    "style": ("depth", "layers"),
}
"""The keys of which an objective has one, and those that go with each. The first that is present says what it is."""
FIELDS = {"class": "classes", "classes": "toured_classes"}
"""The names of the fields whose keys are others."""
DEPTHS = {"natural": (0.1, 0.4), "source": (0.0, 0.05), "style": (0.0, 0.5)}
"""Of the layers whose statistics count; the finest take most of the time, and say little about photographs."""
DEFAULT_HOLD, DEFAULT_FADE = Time(Fraction(2), "s"), Time(Fraction(1), "s")


class ObjectiveSpec(Section):
    """An objective: a layer, some of its channels, a class, the similarity to a guide picture, the statistics of
    photographs, or the style of a picture; or a tour of classes or channels; with a weight."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [kind]} for kind in KINDS]})

    layer: str | None = None
    """The layer's name; `render layers NETWORK` lists the blocks, `render layers NETWORK --all` every layer."""
    channels: Annotated[tuple[Channel, ...], OneOrMany()] | None = None
    """Channels of the layer, counted from 0: a number or a list; default: all."""
    position: tuple[UnitFloat, UnitFloat] | None = Field(default=None, strict=False)
    """With one channel: the position in the picture, as x and y from the top left; default: every position."""
    classes: Annotated[tuple[ClassName, ...], OneOrMany()] | None = Field(default=None, alias="class")
    """A class, by name or index, instead of a layer, or a list of classes; `render classes` lists them."""
    statistics: Literal["natural", "source", "none"] | None = None
    """`natural` instead of a layer: the statistics of photographs, which the batch norms of the network have learned.
    `source`: those of the picture, or of the clip at each frame, so that the dream keeps its colours and contrast.
    The weight is relative to that of the other objectives: 1 is right. A scene without statistics, a style or a
    mask has `natural` by default, where the network has batch norms; `none` leaves it out."""
    depth: tuple[UnitFloat, UnitFloat] | None = Field(default=None, strict=False)
    """With `statistics` or `style`: which of the batch norms count (in a network without any, which blocks), where 0 is
    the first and 1 the last; default: [0.1, 0.4] with `natural`, [0, 0.05] with `source`, [0, 0.5] with `style`. With
    `statistics`, the first counts in any case."""
    style: ImagePath = Field(default=None, min_length=1)
    """Path of a picture instead of a layer: takes on its style. The weight is relative, as that of `statistics`."""
    layers: Annotated[tuple[str, ...], OneOrMany()] | None = None
    """With `style`: the layers whose statistics are those of the picture, instead of `depth`."""
    guide: ImagePath = Field(default=None, min_length=1)
    """Path of a picture: maximises the similarity of the layer's features to those of the picture."""
    content: Literal["source"] | None = None
    """`source`: holds the features of the source at `layer`, so that it stays legible. The weight is relative, as that
    of `statistics`."""
    tour: Literal["classes", "channels"] | None = None
    """`classes`, or `channels` with a `layer`: one after the other, cross-faded, each once before any comes again."""
    toured_classes: Annotated[tuple[ClassName, ...], OneOrMany()] | None = Field(default=None, alias="classes")
    """With `tour: classes`: a list of the classes, by name or index; default: all of the network."""
    hold: Span | None = None
    """With `tour`: how long each has the whole weight, `2s` or a number of frames; default: 2s."""
    fade: Span | None = None
    """With `tour`: how long it then fades out while the next fades in; 0 is a cut; default: 1s."""
    order: Literal["random", "listed"] | None = None
    """With `tour`: `listed` repeats the list in its order, `random` takes a new order each time; default: `listed` with
    a list of classes or channels, else `random`."""
    seed: Seed | None = None
    """With `tour`: seed of the random order; default: that of the scene."""
    mask: ImagePath = Field(default=None, min_length=1)
    """Path of a picture: restricts the objective to where the picture is white."""
    weight: Weight = track_field(1.0)
    """Weight in the sum of objectives: 0 costs no time, a negative weight minimises. With several classes it may be a
    list of one weight per class."""
    _things: tuple[Thing, ...] = PrivateAttr(())
    """What a tour goes through; known once it is `resolved`."""

    @model_validator(mode="after")
    def _is_consistent(self) -> ObjectiveSpec:
        given = [kind for kind in KINDS if self._has(kind)]
        if not given and self._has("classes"):
            raise FieldError("'classes' needs 'tour: classes'; without a tour it is 'class'", ("classes",), at_key=True)
        if not given:
            raise FieldError("an objective needs a 'layer', a 'class', 'statistics', a 'style', 'content' or a 'tour'")
        if self.tour is not None:
            self._check_tour(self.tour)
        kind = given[0]
        misplaced = {*KINDS, *(key for keys in KINDS.values() for key in keys)} - {kind, *KINDS[kind]}
        for key in sorted(misplaced):
            if self._has(key):
                raise FieldError(f"'{key}' cannot be combined with '{kind}'", (key,), at_key=True)
        if self.content is not None and self.layer is None:
            raise FieldError("'content' needs the layer that is held: layer: blocks.7", ("content",), at_key=True)
        if self.layers is not None and self.depth is not None:
            raise FieldError("'depth' cannot be combined with 'layers'", ("depth",), at_key=True)
        if self.depth is not None and not self.depth[0] < self.depth[1]:
            raise FieldError("the smaller depth comes first", ("depth",))
        if self.guide is not None and self.channels is not None:
            raise FieldError("a guide is compared on all channels of the layer", ("channels",), at_key=True)
        if self.position is not None and len(self.channels or ()) != 1:
            raise FieldError("a position needs exactly one channel: channels: [17]", ("position",), at_key=True)
        count = len(self.classes or ("",))
        if isinstance(self.weight, tuple) and len(self.weight) != count:
            target = f"{count} class{'' if count == 1 else 'es'}" if kind == "class" else f"1 {kind}"
            raise FieldError(f"{len(self.weight)} weights for {target}", ("weight",))
        return self

    def _has(self, key: str) -> bool:
        return getattr(self, FIELDS.get(key, key)) is not None

    def _check_tour(self, tour: str) -> None:
        if self.classes is not None:
            raise FieldError("the list of a tour is 'classes', not 'class'", ("class",), at_key=True)
        for key in ("layer", "channels") if tour == "classes" else ("classes",):
            if self._has(key):
                raise FieldError(f"'{key}' cannot be combined with 'tour: {tour}'", (key,), at_key=True)
        if tour == "channels" and self.layer is None:
            raise FieldError("'tour: channels' needs their layer: layer: blocks.12", ("tour",), at_key=True)
        if self.seed is not None and not self._is_random:
            raise FieldError("a listed order has no seed; order: random has one", ("seed",), at_key=True)

    @property
    def _listed(self) -> Sequence[Thing] | None:
        """The classes or channels that a tour lists; None for all."""
        return self.toured_classes if self.tour == "classes" else self.channels

    @property
    def _is_random(self) -> bool:
        """Whether the order of a tour is random."""
        return (self.order or ("random" if self._listed is None else "listed")) == "random"

    @property
    def weights(self) -> tuple[Track, ...]:
        """One weight for each class, or for the layer."""
        return self.weight if isinstance(self.weight, tuple) else (self.weight,) * len(self.classes or ("",))

    @property
    def statistics_depth(self) -> tuple[float, float]:
        """Of the layers whose statistics count, with `statistics` or `style`."""
        return self.depth or DEPTHS[self.statistics or "style"]

    @property
    def is_relative(self) -> bool:
        """Whether the weight is relative to those of the objectives for which this is false."""
        return self.statistics is not None or self.style is not None or self.content is not None

    def resolved(self, network: str, info: ModelInfo) -> ObjectiveSpec:
        """Returns the objective with full class names. Raises FieldError when the network lacks what it names."""
        if self.statistics == "natural" and not info.has_norms:
            raise FieldError(f"{network} has no batch norms, and so no statistics of photographs", ("statistics",))
        if self.layer is not None:
            self._check_layer(self.layer, ("layer",), network=network, info=info)
        for i, name in enumerate(self.layers or ()):
            self._check_layer(name, ("layers", i), network=network, info=info)
            if info.layers[name].is_single:
                raise FieldError(f"{name} has no positions, and so no statistics", ("layers", i))
        names: dict[str, tuple[str, ...]] = {}
        if self.classes is not None:
            names["classes"] = _class_names(self.classes, "class", network=network, info=info)
        if self.toured_classes is not None:
            names["toured_classes"] = _class_names(self.toured_classes, "classes", network=network, info=info)
        spec = self.model_copy(update=names)
        spec._things = spec._toured(info)
        return spec

    def tour_times(self, clock: Clock) -> tuple[Fraction, Fraction]:
        """Returns how long a thing of a tour has the whole weight, and how long a cross-fade is, in frames, exact."""
        return (self.hold or DEFAULT_HOLD).span(clock), (self.fade or DEFAULT_FADE).span(clock)

    def turns(self, clock: Clock, seed: int, *, repeats: bool = False) -> Iterator[Turn]:
        """Yields the turns of a tour that come within the film; `seed` is that of the scene.

        In a film that `repeats`, whose length is a whole number of turns, the first one follows the last one.
        """
        hold, fade = self.hold or DEFAULT_HOLD, self.fade or DEFAULT_FADE
        seed = seed if self.seed is None else self.seed
        things = shuffled(self._things, seed) if self._is_random else cycle(self._things)
        if repeats:
            things = cycle(islice(things, round(clock.length / sum(self.tour_times(clock)))))
            clock = replace(clock, length=clock.length + 1)  # the frame after the last one is that of the first turn
        return turns(things, clock, hold=hold, fade=fade)

    def at(self, turn: Turn) -> ObjectiveSpec:
        """Returns one turn of a tour as an objective: a class or a channel whose weight is the turn's share."""
        part = {"class": turn.thing} if self.layer is None else {"layer": self.layer, "channels": turn.thing}
        return ObjectiveSpec.model_validate({**part, "mask": self.mask}).model_copy(update={"weight": turn.share})

    def _toured(self, info: ModelInfo) -> tuple[Thing, ...]:
        """Returns what a tour goes through, of a network that has it; nothing for other objectives."""
        if self.tour is None:
            return ()
        listed = self._listed or ()
        for i, thing in enumerate(listed):
            if thing in listed[:i]:
                raise FieldError(f"{quote(thing)} is listed twice", (self.tour, i))
        whole = dict.fromkeys(info.classes) if self.layer is None else range(info.layers[self.layer].channels)
        things = tuple(listed or whole)
        if len(things) < MIN_THINGS:
            raise FieldError(f"a tour needs at least {MIN_THINGS} {self.tour}", (self.tour,))
        return things

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


def _class_names(classes: Sequence[str | int], key: str, *, network: str, info: ModelInfo) -> tuple[str, ...]:
    """Returns the full names of the classes that are listed at a key. Raises FieldErrors."""
    items = (((key, i), name) for i, name in enumerate(classes))
    return tuple(collect(items, lambda name: _class_name(name, network=network, info=info)).values())


def _class_name(key: str | int, *, network: str, info: ModelInfo) -> str:
    """Returns the full name of a class written as an index or as a name in any case."""
    if isinstance(key, int):
        if not 0 <= key < len(info.classes):
            raise FieldError(f"no class {key}: {network} has {len(info.classes)}, from 0")
        return info.classes[key]
    folded = key.casefold().replace("_", " ").strip()
    if folded in info.classes_by_key:
        return info.classes_by_key[folded]
    hint = did_you_mean(key, info.classes, "`render classes` lists them")
    raise FieldError(f"{network} has no class {quote(key)}{hint}")
