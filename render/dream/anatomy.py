"""The layers of a network: names, kinds, channels, strides and receptive fields, read off its graph without weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx, nn

from render.dream import graph, registry

PICTURES = (224, 288)
"""Pixels; the sides of two pictures whose activations tell channels from places. The difference is divisible by every
stride."""

# What makes a value depend on places all over the picture, by its name in the graph; nets have many kinds of attention.
UNBOUNDED = ("adaptive", "attention", "einsum", "flatten", "interpolate", "matmul", "mean", "roll", "softmax")
KERNELS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Layer:
    """A layer that can be asked for, in pixels of the network's input.

    `stride` is None when its activation has no places (logits, tokens), `receptive_field` when it is not bounded: it
    sees the whole picture. `axis` is that of the channels; `operation` the last one in the layer, whose output it is.
    """

    name: str
    kind: str
    channels: int
    stride: int | None
    receptive_field: int | None
    axis: int
    operation: str


@dataclass(frozen=True)
class Anatomy:
    """A network's layers by name, in order of depth, modules after the last of what is in them.

    `outline` names those that an artist tries first: the blocks the network is a chain of. `logits` is the last layer.
    A transformer may see only square pictures of so many pixels a `side`.
    """

    layers: Mapping[str, Layer]
    outline: tuple[str, ...]
    logits: str
    side: int | None


@lru_cache
def anatomy(name: str, training: str | None = None) -> Anatomy:
    """The layers of the network called `name`. Raises UsageError for an unknown one."""
    traced = _traced(name, training)
    model = traced.model
    cut = graph.cut(traced, traced.operations)
    sides = PICTURES if _sees(cut, (PICTURES[1],) * 2) else (registry.blueprint(name, training).side,)
    shapes = [_shapes(cut, (side, side)) for side in sides]
    places = {name: _places(sides, [of_one[name] for of_one in shapes]) for name in shapes[0]}
    reaches = _reaches(traced, places)
    modules = dict(model.named_modules())
    layers = {}
    for layer, operation in _named(traced.operations):
        if operation in places:
            kind = type(modules[layer]).__name__ if layer in modules else layer.rpartition(".")[2].rstrip("_0123456789")
            axis, stride = places[operation]
            channels = shapes[0][operation][axis]
            layers[layer] = Layer(layer, kind, channels, stride, reaches[operation], axis, operation)
    outline = tuple(
        name for name in _outline(model) if name in layers and (layers[name].stride or layers[name].axis == 2)
    )
    return Anatomy(layers, outline, list(traced.operations)[-1], None if len(sides) > 1 else sides[0])


def unseen(
    name: str, training: str | None, layers: Collection[str], sizes: Iterable[tuple[int, int]]
) -> tuple[int, int] | None:
    """The first of some pictures' (height, width) that the network cannot see as far as these layers.

    Convolutions may need more pixels, and transformers may see only pictures as large as those they were trained on.
    """
    known = anatomy(name, training).layers
    cut = graph.cut(_traced(name, training), {known[layer].operation for layer in layers})
    return next((size for size in sizes if not _sees(cut, size)), None)


@lru_cache(maxsize=4)
def _traced(name: str, training: str | None) -> graph.Traced:
    return graph.traced(registry.blueprint(name, training).build())


def _sees(cut: fx.GraphModule, size: tuple[int, int]) -> bool:
    try:
        _shapes(cut, size)
    except (RuntimeError, AssertionError):
        return False
    return True


def _shapes(cut: fx.GraphModule, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of all activations for a picture of (height, width)."""
    found = fx.Interpreter(cut).run(torch.empty(1, 3, *size, device="meta"))
    return {
        name: tuple(value.shape)
        for name, value in found.items()
        if isinstance(value, Tensor) and value.is_floating_point() and 2 <= value.dim() <= 4
    }


def _places(sides: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> tuple[int, int | None]:
    """The axis of the channels, and the pixels between neighbouring places: axes that grow with the picture are places.

    With one picture to go by, places are those of a square.
    """
    shape = shapes[0]
    if len(shape) == 4 and shapes[-1] != shape:
        (axis,) = (axis for axis in (1, 2, 3) if shapes[-1][axis] == shape[axis])
        height = 2 if axis == 1 else 1
        return axis, (sides[-1] - sides[0]) // (shapes[-1][height] - shape[height])
    if len(shape) == 4 and len(shapes) == 1 and shape[2] == shape[3] > 1:
        return 1, sides[0] // shape[2]
    return (2 if len(shape) == 3 else 1), None


def _reaches(traced: graph.Traced, places: Mapping[str, tuple[int, int | None]]) -> dict[str, int | None]:
    """The receptive field of every operation, by r += dilation·(k - 1)·stride (Araujo et al. 2019, Distill)."""
    modules = dict(traced.model.named_modules())
    names = {node: name for name, node in traced.operations.items()}
    found: dict[fx.Node, int | None] = {}
    for node in traced.graph.nodes:
        before = [n for n in node.all_input_nodes if n.op != "get_attr"]
        reaches = [found[n] for n in before]
        module = modules.get(node.target) if node.op == "call_module" else None
        what = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
        if None in reaches or any(word in what.lower() for word in UNBOUNDED):
            found[node] = None
            continue
        reach = max((r for r in reaches if r is not None), default=1)
        kernel = _kernel(node, module)
        if kernel > 1:
            stride = 1 if before[0].op == "placeholder" else places[names[before[0]]][1]
            found[node] = None if stride is None else reach + (kernel - 1) * stride
        else:
            found[node] = reach
    return {name: found[node] for node, name in names.items()}


def _kernel(node: fx.Node, module: nn.Module | None) -> int:
    """How many neighbouring places of its input an operation joins, along a side."""
    if isinstance(module, KERNELS):
        return _extent(module.kernel_size, getattr(module, "dilation", 1))
    if node.op == "call_function" and "pool2d" in getattr(node.target, "__name__", ""):
        return _extent(node.kwargs.get("kernel_size", node.args[1] if len(node.args) > 1 else 1))
    return 1


def _extent(kernel: Any, dilation: Any = 1) -> int:
    sides, gaps = (value if isinstance(value, tuple) else (value, value) for value in (kernel, dilation))
    return max(int(gap) * (int(side) - 1) + 1 for side, gap in zip(sides, gaps, strict=True))


def _named(operations: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every layer's name and its last operation: each operation is one, and each module that holds some."""
    last: dict[str, str] = {}
    for operation in operations:
        parts = operation.split(".")
        for depth in range(len(parts), 0, -1):
            name = ".".join(parts[:depth])
            last.pop(name, None)
            last[name] = operation
    yield from last.items()


def _outline(model: nn.Module, path: str = "") -> Iterator[str]:
    """The modules that run one after the other: lists are entered, blocks are not, be they lists themselves."""
    for name, child in model.named_children():
        here = f"{path}{name}"
        of_blocks = all(any(True for _ in each.children()) for each in child.children())
        if type(child) is nn.Sequential or (isinstance(child, (nn.Sequential, nn.ModuleList)) and of_blocks):
            yield from _outline(child, f"{here}.")
        else:
            yield here
