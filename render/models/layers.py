"""The layers of a network: names, kinds, channels, strides, receptive fields, and the pictures that they can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer that an objective can name; lengths are in pixels of the network's input.

    `stride` is None when the activation has no spatial positions (logits, tokens), `receptive_field` when it is
    unbounded: the layer depends on the whole picture. `axis` is that of the channels. `operation` is the last graph
    operation in the layer, whose output is its activation. It can be computed for pictures of at least `smallest`
    (height, width), or for those of `only_size`, when that is set.
    """

    name: str
    kind: str
    channels: int
    stride: int | None
    receptive_field: int | None
    axis: int
    operation: str
    smallest: Size = (1, 1)
    only_size: Size | None = None

    @property
    def is_single(self) -> bool:
        """Whether the activation is one vector of the whole picture, without spatial positions or tokens."""
        return self.stride is None and self.axis != 2

    def sees(self, size: Size) -> bool:
        """Returns whether the layer can be computed for a picture of (height, width)."""
        if self.only_size is not None:
            return size == self.only_size
        return size[0] >= self.smallest[0] and size[1] >= self.smallest[1]


@dataclass(frozen=True)
class LayerMap:
    """A network's layers by name, in order of depth; a module comes after the last of the layers in it.

    `blocks` names the layers to try first: the modules that the network is a chain of. `logits` is the last layer.
    `input_side` is the side in pixels of the square pictures that a transformer is limited to, None for any size.
    """

    layers: Mapping[str, LayerInfo]
    blocks: tuple[str, ...]
    logits: str
    input_side: int | None

    @property
    def norms(self) -> tuple[str, ...]:
        """The batch norms, in order of depth."""
        return tuple(name for name, layer in self.layers.items() if layer.kind == "BatchNorm2d")

    def as_json(self) -> dict[str, Any]:
        """Returns the map as plain JSON."""
        return asdict(self) | {"layers": [asdict(layer) for layer in self.layers.values()]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> LayerMap:
        """Returns the map that `as_json` describes."""
        layers = [LayerInfo(**{key: _frozen(item) for key, item in layer.items()}) for layer in value["layers"]]
        return LayerMap(
            {layer.name: layer for layer in layers},
            tuple(value["blocks"]),
            logits=value["logits"],
            input_side=value["input_side"],
        )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
