"""The graph of a network: its operations by name, cut after the deepest layer in use, with batch norms folded.

torchvision's feature extraction traces a network and names each operation after the module it is in.
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

from render.models.efficientnet_lite import SameConv2d


@dataclass(frozen=True)
class TracedModel:
    """A network and its graph; `operations` are its nodes by name (`layer1.0.conv1`, `layer1.0.add`), in order."""

    model: nn.Module
    graph: fx.Graph
    operations: dict[str, fx.Node]


def trace(model: nn.Module) -> TracedModel:
    """Returns the graph of a network in evaluation mode; its input is not among the operations."""
    tracer = NodePathTracer(
        leaf_modules=[SameConv2d, torchvision.ops.StochasticDepth], autowrap_modules=(math, torchvision.ops)
    )
    graph = tracer.trace(model.eval())
    nodes = {name: node for node, name in tracer.node_to_qualname.items() if node.op != "placeholder"}
    return TracedModel(model, graph, nodes)


def extract(traced: TracedModel, operations: Iterable[str]) -> fx.GraphModule:
    """Returns the part of the network from its input to some operations; it maps a picture to their outputs by name.

    Nothing else is computed. The parameters are shared with the network.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copies)
    graph.output({name: copies[traced.operations[name]] for name in operations})
    module = fx.GraphModule(traced.model, graph)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def optimize(module: fx.GraphModule) -> fx.GraphModule:
    """Folds batch norms into the convolutions before them and saves memory, in place; the outputs stay the same.

    A convolution that is an output itself is not folded, and in-place operations do not overwrite outputs.
    """
    _clone_reused_outputs(module)
    _fold_batch_norms(module)
    _replace_relu6(module)
    module.delete_all_unused_submodules()
    module.graph.lint()
    module.recompile()
    return module


class InPlaceReLU6(nn.Module):
    """ReLU6 in place, without the copy of its input that torch's own keeps for the gradient.

    With `reuses_gradient`, the backward pass writes its result over the incoming gradient.
    """

    def __init__(self, *, reuses_gradient: bool) -> None:
        super().__init__()
        self.reuses_gradient = reuses_gradient

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _ReLU6.apply(x, self.reuses_gradient)
        return y


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, reuses_gradient: bool) -> Tensor:
        ctx.mark_dirty(x.clamp_(0, 6))
        ctx.save_for_backward(x)
        ctx.reuses_gradient = reuses_gradient
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors  # 0 or 6 exactly where the input was clamped
        result = gradient if ctx.reuses_gradient else torch.empty_like(gradient)
        torch.ops.aten.hardtanh_backward.grad_input(gradient, y, 0, 6, grad_input=result)
        return result, None


def _replace_relu6(module: fx.GraphModule) -> None:
    """Replaces every in-place ReLU6; if its only reader is a convolution, no one else holds its incoming gradient."""
    modules = dict(module.named_modules())
    uses = [node.target for node in module.graph.nodes if node.op == "call_module"]
    for node in module.graph.nodes:
        relu = modules.get(node.target) if node.op == "call_module" else None
        if isinstance(relu, nn.ReLU6) and relu.inplace:
            readers = [modules.get(reader.target) if reader.op == "call_module" else None for reader in node.users]
            reuses_gradient = len(readers) == uses.count(node.target) == 1 and isinstance(readers[0], nn.Conv2d)
            module.set_submodule(node.target, InPlaceReLU6(reuses_gradient=reuses_gradient))


def _clone_reused_outputs(module: fx.GraphModule) -> None:
    """Makes copies of the outputs that later operations read, because an in-place operation may overwrite them."""
    output: Any = module.graph.output_node()
    nodes: dict[str, fx.Node] = dict(output.args[0])
    for name, node in nodes.items():
        if len(node.users) > 1:
            with module.graph.inserting_after(node):
                nodes[name] = module.graph.call_function(torch.clone, (node,))
    output.args = (nodes,)


def _fold_batch_norms(module: fx.GraphModule) -> None:
    """Folds each batch norm into the convolution before it, if nothing else reads that."""
    modules = dict(module.named_modules())
    uses = [node.target for node in module.graph.nodes if node.op == "call_module"]
    for node in list(module.graph.nodes):
        norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        source = node.args[0]
        convolution = modules.get(source.target) if source.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(source.users) == 1 and uses.count(source.target) == 1:
            module.set_submodule(source.target, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)
