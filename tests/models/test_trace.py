"""Cutting and folding a network's graph: the same outputs and gradients from less work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.models
from torch import Tensor, fx, nn

from render.models import trace
from tests.models.zoo import initialized_model, random_model, randomize_statistics

FAMILIES = ["resnet18", "googlenet", "shufflenet_v2_x0_5", "mobilenet_v3_small", "densenet121", "vgg11_bn", "swin_t"]


def picture(side: int = 96) -> Tensor:
    """Returns noise, 1x3xHxW, with the statistics of a normalised picture."""
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """A convolution, its batch norm, and operations that overwrite their outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.deeper = nn.Conv2d(4, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        x = self.relu(x)
        x += 1
        y: Tensor = self.deeper(x)
        return y


def plain() -> Plain:
    model = randomize_statistics(Plain())
    assert isinstance(model, Plain)
    return model


def optimized(model: nn.Module, *operations: str) -> fx.GraphModule:
    return trace.optimize(trace.extract(trace.trace(model), operations))


def batch_norms(module: nn.Module) -> int:
    return sum(isinstance(each, nn.BatchNorm2d) for each in module.modules())


class Recorder(fx.Interpreter):
    """Runs a network and records every output before another operation overwrites it."""

    def __init__(self, module: fx.GraphModule, names: dict[fx.Node, str]) -> None:
        super().__init__(module)
        self.names, self.outputs = names, dict[str, Tensor]()

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.names and isinstance(value, Tensor) and value.is_floating_point():
            self.outputs[self.names[n]] = value.clone()
        return value


@pytest.mark.parametrize("name", FAMILIES)
def test_cutting_and_folding_change_no_output(name: str) -> None:
    with torch.no_grad():
        model = random_model(name)
        traced = trace.trace(model)
        whole = Recorder(fx.GraphModule(model, traced.graph), {node: name for name, node in traced.operations.items()})
        assert torch.equal(whole.run(picture()), model(picture()))
        names = [name for name, value in whole.outputs.items() if value.dim() == 4]
        operations = [*names[:: max(1, len(names) // 12)], list(traced.operations)[-1]]
        for subset in (operations, operations[-1:]):
            for operation, value in optimized(model, *subset)(picture()).items():
                expected = whole.outputs[operation]
                assert (value - expected).abs().max() < 1e-4 * expected.abs().max().clamp_min(1), operation


def test_a_batch_norm_after_a_convolution_is_folded() -> None:
    assert batch_norms(plain()) == 1
    assert batch_norms(optimized(plain(), "deeper")) == 0
    assert batch_norms(optimized(randomize_statistics(torchvision.models.resnet18(weights=None)), "fc")) == 0


def test_a_convolution_that_is_an_output_is_not_folded() -> None:
    model = plain()
    outputs = optimized(model, "conv", "norm", "deeper")(picture())
    with torch.no_grad():
        assert torch.allclose(outputs["conv"], model.conv(picture()), atol=1e-6)
        assert torch.allclose(outputs["norm"], model.norm(model.conv(picture())), atol=1e-6)


def test_operations_in_place_do_not_overwrite_outputs() -> None:
    model = plain()
    outputs = optimized(model, "norm", "relu", "add", "deeper")(picture())
    with torch.no_grad():
        norm = model.norm(model.conv(picture()))
    assert torch.allclose(outputs["norm"], norm, atol=1e-5)
    assert outputs["norm"].min() < 0
    assert torch.allclose(outputs["relu"], norm.relu(), atol=1e-5)
    assert torch.allclose(outputs["add"], norm.relu() + 1, atol=1e-5)


def test_modules_deeper_than_the_outputs_are_removed() -> None:
    model = torchvision.models.resnet18(weights=None)
    extract = trace.extract(trace.trace(model), ["layer1.0.relu_1"])
    assert {name for name, _ in extract.named_modules() if "layer" in name} == {
        "layer1", "layer1.0", *(f"layer1.0.{each}" for each in ("conv1", "bn1", "relu", "conv2", "bn2"))
    }  # fmt: skip


def test_the_network_itself_is_not_changed() -> None:
    model = plain()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimized(model, "deeper")
    assert batch_norms(model) == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Clamped(nn.Module):
    """Three ReLU6 in place: one read by a convolution only, one by a sum as well, and one that is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(inputs, 8, 3, padding=1) for inputs in (3, 8, 8))
        self.alone, self.shared, self.last = (nn.ReLU6(inplace=True) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(4 * self.second(self.alone(20 * self.first(x))))
        y: Tensor = self.last(20 * self.third(x) + x)
        return y


def test_relu6_without_copies_has_the_same_gradient_also_when_computed_twice() -> None:
    torch.manual_seed(0)
    model = Clamped().double()
    operations = ["shared", "last"]
    fast = optimized(model, *operations)
    reuses = [inner.reuses_gradient for inner in fast.modules() if isinstance(inner, trace.InPlaceReLU6)]
    assert sorted(reuses) == [False, False, True]
    gradients = []
    for each in (trace.extract(trace.trace(model), operations), fast):
        x = picture(32).double().requires_grad_()
        outputs = {name: value.clone() for name, value in each(x).items()}
        assert all(0 < (value == 6).double().mean() < 1 for value in outputs.values())
        values = [value.square().mean() for value in outputs.values()]
        twice = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in (*values, *values)]
        assert torch.equal(twice[0], twice[2])
        assert torch.equal(twice[1], twice[3])
        gradients.append(twice)
    for expected, actual in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_v2", "features.4"), ("mnasnet0_5", "layers.9")])
def test_optimized_networks_have_the_same_gradient(name: str, layer: str) -> None:
    model = randomize_statistics(initialized_model(name)).double()
    operation = next(each for each in reversed(trace.trace(model).operations) if each.startswith(f"{layer}."))
    gradients = []
    for each in (trace.extract(trace.trace(model), [operation]), optimized(model, operation)):
        x = picture(64).double().requires_grad_()
        (value,) = each(x).values()
        gradients.append(torch.autograd.grad(value.square().mean(), x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[0].norm()


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "mobilenet_v2", "vgg11_bn"])
def test_measured_moments_and_outputs_have_the_values_and_gradient_of_the_network(name: str) -> None:
    model = randomize_statistics(initialized_model(name)).double()
    traced = trace.trace(model)
    whole = Recorder(fx.GraphModule(model, traced.graph), {node: name for name, node in traced.operations.items()})
    whole.run(picture(64).double())
    names = [name for name, value in whole.outputs.items() if value.dim() == 4 and value.shape[2] > 1]
    *measured, last = names[:: max(1, len(names) // 14)]
    gradients = []
    for moments_of_outputs in (True, False):
        x = picture(64).double().requires_grad_()
        if moments_of_outputs:
            outputs = trace.optimize(trace.extract(traced, [*measured, last]))(x)
            means = [torch.stack([value.mean((0, 2, 3)), value.square().mean((0, 2, 3))]) for value in outputs.values()]
        else:
            outputs = trace.optimize(trace.extract(traced, [last], measured=dict.fromkeys([*measured, last], 1)))(x)
            means = [outputs[trace.moments_of(each)] for each in [*measured, last]]
        value = sum((each.sin().sum() for each in means), outputs[last].square().mean())
        gradients.append(torch.autograd.grad(value, x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[0].norm()
    assert gradients[0].norm() > 0
