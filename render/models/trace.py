"""The graph of a network: its operations by name, cut after the deepest layer in use, with batch norms folded.

Each operation is named after the module that it is in, by the rules of torchvision's feature extraction.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

from render.models.moments import with_moments

ACTIVATION_FUNCTIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish)
"""Modules that may work in place; without arguments they do not."""
LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm, nn.GELU, nn.MaxPool2d)
"""Modules that do not overwrite their input, nor return a view of it."""
FUNCTIONS = (operator.add, torch.add, torch.cat, with_moments)
"""Functions that do not, either."""
LEAVES = ("SameConv2d", "StochasticDepth")
"""Classes of modules, besides torch's own, that are one operation; by name, since torchvision has the second."""


@dataclass(frozen=True)
class TracedModel:
    """A network and its graph; `operations` are its nodes by name (`layer1.0.conv1`, `layer1.0.add`), in order."""

    model: nn.Module
    graph: fx.Graph
    operations: dict[str, fx.Node]


def trace(model: nn.Module) -> TracedModel:
    """Returns the graph of a network in evaluation mode; its input is not among the operations."""
    tracer = _Tracer()
    graph = tracer.trace(model.eval())
    return TracedModel(model, graph, tracer.operations)


class _Tracer(fx.Tracer):
    """Names every operation; a number follows where its module has several of that name: `add`, `add_1`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, fx.Node] = {}
        self._counts = Counter[str]()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__name__ in LEAVES or super().is_leaf_module(m, module_qualified_name)

    def create_proxy(self, kind: str, target: Any, *arguments: Any, **options: Any) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, *arguments, **options)
        if kind != "placeholder":
            path = target if kind == "call_module" else f"{self.scope.module_path}.{proxy.node.name}".lstrip(".")
            name = re.sub(r"_\d+$", "", path)  # fx numbers operations throughout the network
            self.operations[f"{name}_{self._counts[name]}" if self._counts[name] else name] = proxy.node
            self._counts[name] += 1
        return proxy


def extract(
    traced: TracedModel, operations: Iterable[str], *, measured: Mapping[str, int] | None = None
) -> fx.GraphModule:
    """Returns the part of the network from its input to some operations; it maps a picture to their outputs by name.

    The moments of the operations `measured`, by name and channel axis, are outputs too, named by `moments_of`. Nothing
    else is computed. The parameters are shared with the network.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copies)
    moments: dict[str, fx.Node] = {}
    for name, axis in (measured or {}).items():
        source = copies[traced.operations[name]]
        with graph.inserting_after(source):
            both = graph.call_function(with_moments, (source, axis))
        with graph.inserting_after(both):
            moments[moments_of(name)] = graph.call_function(operator.getitem, (both, 1))
            copies[traced.operations[name]] = value = graph.call_function(operator.getitem, (both, 0))
        source.replace_all_uses_with(value)
        both.args = (source, axis)
    graph.output({name: copies[traced.operations[name]] for name in operations} | moments)
    module = fx.GraphModule(traced.model, graph)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def moments_of(operation: str) -> str:
    """Returns the name of the moments of an operation among the outputs of an extract."""
    return f"{operation}:moments"


def optimize(module: fx.GraphModule) -> fx.GraphModule:
    """Folds batch norms into the convolutions before them and saves memory, in place; the outputs stay the same.

    A convolution that is an output itself is not folded, and in-place operations overwrite neither outputs nor what is
    measured.
    """
    _protect_outputs(module)
    _fold_batch_norms(module)
    _replace_relu6(module)
    _reuse_gradients(module)
    module.delete_all_unused_submodules()
    module.graph.lint()
    module.recompile()
    return module


class ReLU6(nn.Module):
    """ReLU6 that keeps its result for the gradient, as the convolution after it does, instead of its input.

    With `reuses_gradient`, the backward pass writes its result over the incoming gradient.
    """

    def __init__(self, *, inplace: bool, reuses_gradient: bool) -> None:
        super().__init__()
        self.inplace = inplace
        self.reuses_gradient = reuses_gradient

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _ReLU6.apply(x, self.inplace, self.reuses_gradient)
        return y


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, inplace: bool, reuses_gradient: bool) -> Tensor:
        y = x.clamp_(0, 6) if inplace else x.clamp(0, 6)
        if inplace:
            ctx.mark_dirty(y)
        ctx.save_for_backward(y if inplace else x)
        ctx.reuses_gradient = reuses_gradient
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors  # in place: 0 or 6 exactly where the input was clamped
        result = gradient if ctx.reuses_gradient else torch.empty_like(gradient)
        torch.ops.aten.hardtanh_backward.grad_input(gradient, x, 0, 6, grad_input=result)
        return result, None, None


def _replace_relu6(module: fx.GraphModule) -> None:
    for node in module.graph.nodes:
        relu = _module_of(module, node)
        if isinstance(relu, nn.ReLU6):
            owns_gradient = _owns_gradient(module, node) and _is_called_once(module, node)
            module.set_submodule(str(node.target), ReLU6(inplace=relu.inplace, reuses_gradient=owns_gradient))


def _reuse_gradients(module: fx.GraphModule) -> None:
    """Lets the gradient of what is measured be written over the one that comes in, where no one else holds that."""
    for node in module.graph.nodes:
        if node.target is with_moments:
            values = [user for user in node.users if user.args == (node, 0)]  # none where nothing is computed from it
            node.args = (*node.args[:2], any(_owns_gradient(module, value) for value in values))


def _owns_gradient(module: fx.GraphModule, node: fx.Node) -> bool:
    """Returns whether its only reader is an operation that returns its gradient in a tensor that it then lets go."""
    readers = [_module_of(module, reader) for reader in node.users]
    return len(readers) == 1 and isinstance(readers[0], (nn.Conv2d, ReLU6))


def _module_of(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def _is_called_once(module: fx.GraphModule, node: fx.Node) -> bool:
    """Returns whether no other node calls the module of a node."""
    return [each.target for each in module.graph.nodes if each.op == node.op].count(node.target) == 1


def _protect_outputs(module: fx.GraphModule) -> None:
    """Lets no later operation overwrite an output, or what was measured, whose gradient needs it.

    An activation function in place becomes one that is not; other operations that may overwrite it get a copy. As in
    all networks of torchvision, nothing reads what was overwritten, nor overwrites what an output is a view of.
    """
    output: Any = module.graph.output_node()
    measured = {value for node in module.graph.nodes if node.target is with_moments for value in node.users}
    for node in measured.union(output.args[0].values()):
        for reader in [each for each in node.users if each is not output]:
            operation = module.get_submodule(reader.target) if reader.op == "call_module" else reader.target
            if isinstance(operation, ACTIVATION_FUNCTIONS):
                reader.target = f"{reader.name}_out_of_place"
                module.add_submodule(reader.target, type(operation)())
            elif not (isinstance(operation, LAYERS) or operation in FUNCTIONS):
                with module.graph.inserting_before(reader):
                    reader.replace_input_with(node, module.graph.call_function(torch.clone, (node,)))


def _fold_batch_norms(module: fx.GraphModule) -> None:
    """Folds each batch norm into the convolution before it, if nothing else reads that."""
    for node in list(module.graph.nodes):
        norm = _module_of(module, node)
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        source = node.all_input_nodes[0]
        convolution = _module_of(module, source)
        if isinstance(convolution, nn.Conv2d) and len(source.users) == 1 and _is_called_once(module, source):
            module.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)
