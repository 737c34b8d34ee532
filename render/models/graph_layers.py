"""Reads the layers of a network off its graph, without weights: on torch's meta device.

`python -m render.models.graph_layers` prints those of the default network, which the package holds as data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

from render.models import trace
from render.models.architectures import build
from render.models.layers import LayerInfo, LayerMap, Size

PROBE_SIDES = (224, 288)
"""Pixels; the sides of two pictures whose activations distinguish channels from positions. Every stride divides the
difference."""

# In the names of graph operations whose values depend on the whole picture; networks have many kinds of attention.
UNBOUNDED_OPERATIONS = (
    "adaptive", "attention", "einsum", "flatten", "interpolate", "matmul", "mean", "roll", "softmax",
)  # fmt: skip
KERNEL_MODULES = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)

Shapes = dict[str, tuple[int, ...]]
"""The shapes of activations by the name of their operation."""


def read_layers(model: nn.Module, trained_side: int) -> LayerMap:
    """Returns the layers of a network on the meta device that was trained on pictures of `trained_side` pixels."""
    traced = trace.trace(model)
    graph = trace.extract(traced, traced.operations)
    large = (PROBE_SIDES[1], PROBE_SIDES[1])
    at_any_size = _activation_shapes(graph, large)
    is_any_size = at_any_size.keys() >= _activation_shapes(graph, (trained_side, trained_side)).keys()
    sides = PROBE_SIDES if is_any_size else (trained_side,)
    shapes = [_activation_shapes(graph, (side, side)) for side in sides]
    axes = {operation: _channel_axis_and_stride(sides, [each[operation] for each in shapes]) for operation in shapes[0]}
    receptive_fields = _receptive_fields(traced, {operation: stride for operation, (_, stride) in axes.items()})
    modules = dict(traced.model.named_modules())
    heights, widths = _smallest_sizes(graph)
    layers = {}
    for layer, operation in _layer_operations(traced.operations):
        if operation in axes:
            axis, stride = axes[operation]
            layers[layer] = LayerInfo(
                name=layer,
                kind=_kind(layer, modules),
                channels=shapes[0][operation][axis],
                stride=stride,
                receptive_field=receptive_fields[operation],
                axis=axis,
                operation=operation,
                smallest=(heights.get(operation, 1), widths.get(operation, 1)),
                only_size=None if operation in at_any_size else (trained_side, trained_side),
            )
    blocks = tuple(name for name in _block_names(traced.model) if name in layers and not layers[name].is_single)
    return LayerMap(layers, blocks, logits=list(traced.operations)[-1], input_side=None if is_any_size else sides[0])


class _ShapeReader(fx.Interpreter):
    """Runs a graph on the meta device as far as the size of the picture allows: not every operation takes any.

    `shapes` are those of the nodes that depend on the picture, which requires a gradient, unlike the parameters.
    `unsupported` are the nodes that cannot be computed. Where an assertion fails, none can.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self._nodes = list(graph.graph.nodes)
        self.unsupported: set[fx.Node] = set()
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "output" or any(each in self.unsupported for each in n.all_input_nodes):
            self.unsupported.add(n)
            return None
        try:
            value = super().run_node(n)
        except (RuntimeError, AssertionError):
            self.unsupported.update(self._nodes if n.is_impure() else [n])
            return None
        if isinstance(value, Tensor) and value.requires_grad and 2 <= value.dim() <= 4:
            self.shapes[n] = tuple(value.shape)
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a module; a normalisation, which changes no shape and takes most of the time, is left out."""
        if isinstance(self.fetch_attr(target), (nn.BatchNorm2d, nn.LayerNorm)):
            return args[0]
        return super().call_module(target, args, kwargs)


def _activation_shapes(graph: fx.GraphModule, size: Size) -> Shapes:
    """Returns the shapes of the activations that can be computed for a picture of (height, width)."""
    reader = _ShapeReader(graph)
    with torch.enable_grad():
        reader.run(torch.empty(1, 3, *size, device="meta", requires_grad=True))
    output: Any = graph.graph.output_node()
    nodes = output.args[0].items()
    return {name: reader.shapes[node] for name, node in nodes if node in reader.shapes.keys() - reader.unsupported}


def _smallest_sizes(graph: fx.GraphModule) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the smallest height, and the smallest width, at which each operation can be computed."""

    @cache
    def at_height(side: int) -> set[str]:
        return set(_activation_shapes(graph, (side, PROBE_SIDES[1])))

    @cache
    def at_width(side: int) -> set[str]:
        return set(_activation_shapes(graph, (PROBE_SIDES[1], side)))

    heights = _smallest_sides(at_height)
    limits = {limit for side in heights.values() for limit in (side - 1, side)}
    is_symmetric = all(at_height(side) == at_width(side) for side in {1, *limits})
    return heights, heights if is_symmetric else _smallest_sides(at_width)


def _smallest_sides(supported: Callable[[int], set[str]]) -> dict[str, int]:
    """Returns the smallest side, up to the larger probe, at which each operation can be computed.

    An operation that can be computed at a side can be at every larger one.
    """
    smallest: dict[str, int] = {}

    def search(low: int, high: int, *, at_low: set[str], at_high: set[str]) -> None:
        if at_low >= at_high:
            return
        if high - low == 1:
            smallest.update(dict.fromkeys(at_high - at_low, high))
            return
        middle = (low + high) // 2
        at_middle = supported(middle)
        search(low, middle, at_low=at_low, at_high=at_middle)
        search(middle, high, at_low=at_middle, at_high=at_high)

    search(1, PROBE_SIDES[1], at_low=supported(1), at_high=supported(PROBE_SIDES[1]))
    return smallest


def _kind(layer: str, modules: Mapping[str, nn.Module]) -> str:
    """Returns the class of a module, or the name of an operation without its number."""
    return type(modules[layer]).__name__ if layer in modules else layer.rpartition(".")[2].rstrip("_0123456789")


def _channel_axis_and_stride(sides: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> tuple[int, int | None]:
    """Returns the channel axis and the stride: axes that grow with the picture are spatial.

    `shapes` are those for square pictures of `sides`. With a single one, a square activation is taken to be spatial.
    """
    shape = shapes[0]
    if len(shape) == 4 and shapes[-1] != shape:
        (axis,) = (axis for axis in (1, 2, 3) if shapes[-1][axis] == shape[axis])
        height = 2 if axis == 1 else 1
        return axis, (sides[-1] - sides[0]) // (shapes[-1][height] - shape[height])
    if len(shape) == 4 and len(shapes) == 1 and shape[2] == shape[3] > 1:
        return 1, sides[0] // shape[2]
    return (2 if len(shape) == 3 else 1), None


def _receptive_fields(traced: trace.TracedModel, strides: Mapping[str, int | None]) -> dict[str, int | None]:
    """Returns the receptive field of every operation, by r += dilation·(k - 1)·stride (Araujo et al. 2019, Distill)."""
    modules = dict(traced.model.named_modules())
    names = {node: name for name, node in traced.operations.items()}
    fields: dict[fx.Node, int | None] = {}
    for node in traced.graph.nodes:
        inputs = [each for each in node.all_input_nodes if each.op != "get_attr"]
        input_fields = [fields[each] for each in inputs]
        bounded = [each for each in input_fields if each is not None]
        module = modules.get(node.target) if node.op == "call_module" else None
        if len(bounded) < len(input_fields) or _is_unbounded(node, module):
            fields[node] = None
            continue
        field = max(bounded, default=1)
        kernel = _kernel_extent(node, module)
        if kernel > 1:
            stride = 1 if inputs[0].op == "placeholder" else strides[names[inputs[0]]]
            fields[node] = None if stride is None else field + (kernel - 1) * stride
        else:
            fields[node] = field
    return {name: fields[node] for node, name in names.items()}


def _is_unbounded(node: fx.Node, module: nn.Module | None) -> bool:
    """Returns whether the output of an operation depends on all positions of its input."""
    name = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
    return any(part in name.lower() for part in UNBOUNDED_OPERATIONS)


def _kernel_extent(node: fx.Node, module: nn.Module | None) -> int:
    """Returns how many neighbouring positions of its input an operation combines, along a side."""
    if isinstance(module, KERNEL_MODULES):
        return _extent(module.kernel_size, getattr(module, "dilation", 1))
    if node.op == "call_function" and "pool2d" in getattr(node.target, "__name__", ""):
        return _extent(node.kwargs.get("kernel_size", node.args[1] if len(node.args) > 1 else 1))
    return 1


def _extent(kernel_size: Any, dilation: Any = 1) -> int:
    sides, dilations = (value if isinstance(value, tuple) else (value, value) for value in (kernel_size, dilation))
    return max(int(step) * (int(side) - 1) + 1 for side, step in zip(sides, dilations, strict=True))


def _layer_operations(operations: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields every layer with its last operation: each operation is a layer, and each module that contains some."""
    last: dict[str, str] = {}
    for operation in operations:
        parts = operation.split(".")
        for depth in range(len(parts), 0, -1):
            name = ".".join(parts[:depth])
            last.pop(name, None)
            last[name] = operation
    yield from last.items()


def _block_names(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yields the modules that run one after the other: lists are entered, blocks are not, even if they are lists."""
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        contains_blocks = all(any(True for _ in each.children()) for each in child.children())
        if type(child) is nn.Sequential or (isinstance(child, (nn.Sequential, nn.ModuleList)) and contains_blocks):
            yield from _block_names(child, f"{path}.")
        else:
            yield path


if __name__ == "__main__":
    print(json.dumps(read_layers(build("efficientnet_lite0"), 224).as_json()))
