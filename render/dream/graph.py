"""A network's graph: the names in it, and what is left of it after the deepest layer in use, batch norms folded.

torchvision's feature extraction traces a network and names each operation by the module it is in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision.ops
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval
from torchvision.models.feature_extraction import NodePathTracer

from render.dream.efficientnet_lite import SameConv2d


@dataclass(frozen=True)
class Traced:
    """A network as a graph; `operations` are its nodes by name (`layer1.0.conv1`, `layer1.0.add`), in running order."""

    model: nn.Module
    graph: fx.Graph
    operations: dict[str, fx.Node]


def traced(model: nn.Module) -> Traced:
    """The graph of a network in evaluation mode, whose input is not among its operations."""
    tracer = NodePathTracer(
        leaf_modules=[SameConv2d, torchvision.ops.StochasticDepth], autowrap_modules=(math, torchvision.ops)
    )
    graph = tracer.trace(model.eval())
    nodes = {name: node for node, name in tracer.node_to_qualname.items() if node.op != "placeholder"}
    return Traced(model, graph, nodes)


def cut(network: Traced, wanted: Iterable[str]) -> fx.GraphModule:
    """From the network's input to the outputs of the `wanted` operations, by name; nothing runs that these don't need.

    It shares the network's parameters.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(network.graph, copies)
    graph.output({name: copies[network.operations[name]] for name in wanted})
    module = fx.GraphModule(network.model, graph)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def optimised(module: fx.GraphModule) -> fx.GraphModule:
    """A cut network with the same outputs, where batch norms are folded into the convolutions before them.

    A convolution that is an output itself stays as it is, and operations in place leave outputs alone.
    """
    _keep_outputs(module)
    _fold(module)
    _spare_copies(module)
    module.delete_all_unused_submodules()
    module.graph.lint()
    module.recompile()
    return module


class InPlaceReLU6(nn.Module):
    """ReLU6 in place, without the copy of its input that torch's own keeps to find the gradient by.

    Where it is `free` to, it writes its gradient over the one that comes to it.
    """

    def __init__(self, free: bool) -> None:
        super().__init__()
        self.free = free

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _ReLU6.apply(x, self.free)
        return y


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, free: bool) -> Tensor:
        ctx.mark_dirty(x.clamp_(0, 6))
        ctx.save_for_backward(x)
        ctx.free = free
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors  # at 0 or 6 just where the input was there or beyond
        found = gradient if ctx.free else torch.empty_like(gradient)
        torch.ops.aten.hardtanh_backward.grad_input(gradient, y, 0, 6, grad_input=found)
        return found, None


def _spare_copies(module: fx.GraphModule) -> None:
    """Replaces ReLU6 in place; a convolution that alone reads it gives it a gradient that nobody else holds."""
    modules = dict(module.named_modules())
    uses = [node.target for node in module.graph.nodes if node.op == "call_module"]
    for node in module.graph.nodes:
        relu = modules.get(node.target) if node.op == "call_module" else None
        if isinstance(relu, nn.ReLU6) and relu.inplace:
            readers = [modules.get(reader.target) if reader.op == "call_module" else None for reader in node.users]
            alone = len(readers) == uses.count(node.target) == 1 and isinstance(readers[0], nn.Conv2d)
            module.set_submodule(node.target, InPlaceReLU6(alone))


def _keep_outputs(module: fx.GraphModule) -> None:
    """Returns copies of those outputs that run on into the network, where something may overwrite them."""
    result: Any = module.graph.output_node()
    kept: dict[str, fx.Node] = dict(result.args[0])
    for name, node in kept.items():
        if len(node.users) > 1:
            with module.graph.inserting_after(node):
                kept[name] = module.graph.call_function(torch.clone, (node,))
    result.args = (kept,)


def _fold(module: fx.GraphModule) -> None:
    """Folds each batch norm into the convolution that only it reads."""
    modules = dict(module.named_modules())
    uses = [node.target for node in module.graph.nodes if node.op == "call_module"]
    for node in list(module.graph.nodes):
        norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = modules.get(before.target) if before.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(before.users) == 1 and uses.count(before.target) == 1:
            module.set_submodule(before.target, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            module.graph.erase_node(node)
