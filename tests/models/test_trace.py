"""Cutting and folding a network's graph: the same outputs and gradients from less work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from torch import Tensor, fx, nn

from render.models import trace
from render.models.moments import with_moments
from render.models.registry import layer_map
from tests.models.zoo import initialized_model, random_model, randomize_statistics

FAMILIES = ["resnet18", "googlenet", "shufflenet_v2_x0_5", "mobilenet_v3_small", "densenet121", "vgg11_bn", "swin_t"]
SLOW_FAMILIES = [
    *("alexnet", "convnext_tiny", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5"),
    *("regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32"),
]


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
    reuses = [inner.reuses_gradient for inner in fast.modules() if isinstance(inner, trace.ReLU6)]
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


class Functional(fx.Interpreter):
    """Runs a network whose operations overwrite nothing, and records every output."""

    def __init__(self, traced: trace.TracedModel) -> None:
        super().__init__(fx.GraphModule(traced.model, traced.graph))
        self.names, self.outputs = {node: name for name, node in traced.operations.items()}, dict[str, Tensor]()

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        return fx.node.map_aggregate(super().fetch_args_kwargs_from_env(n), _cloned)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.names and isinstance(value, Tensor) and value.requires_grad:
            self.outputs[self.names[n]] = value
        return value


def _cloned(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def moments(activation: Tensor, axis: int) -> Tensor:
    channels = activation.movedim(axis, 0).flatten(1)
    return torch.stack([channels.mean(1), channels.square().mean(1)])


def assert_measured(traced: trace.TracedModel, x: Tensor, *, outputs: list[str], measured: dict[str, int]) -> None:
    """Asserts that outputs, moments and their gradient are those of the network whose operations overwrite nothing."""
    x.requires_grad_()
    reference = Functional(traced)
    reference.run(x)
    expected = {name: reference.outputs[name] for name in outputs}
    expected |= {trace.moments_of(name): moments(reference.outputs[name], axis) for name, axis in measured.items()}
    actual = trace.optimize(trace.extract(traced, outputs, measured=measured))(x)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-8)
    gradients = []
    for values in (actual.values(), expected.values()):
        relative = [value.square().sum() / value.detach().square().sum() for value in values]
        gradients.append(torch.autograd.grad(torch.stack(relative).sum(), x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[1].norm()


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "densenet121", "mobilenet_v3_small", "mobilenet_v2"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW_FAMILIES),
    ],
)
def test_measured_moments_and_outputs_have_the_values_and_gradient_of_the_network(name: str) -> None:
    traced = trace.trace(random_model(name).double())
    x = picture(layer_map(name).input_side or 75).double().requires_grad_()
    reference = Functional(traced)
    reference.run(x)
    axes = {
        layer.operation: layer.axis
        for layer in layer_map(name).layers.values()
        if layer.operation in reference.outputs and layer.channels > 1 and (layer.stride or layer.axis == 2)
    }
    operations = list(axes)[:: max(1, len(axes) // 14)]
    assert_measured(traced, x, outputs=operations[-1:], measured={each: axes[each] for each in operations})
    for each in operations[1:-1:8]:
        assert_measured(traced, x, outputs=[each, operations[-1]], measured={each: axes[each]})


@pytest.mark.parametrize("shape", [(1, 4, 9, 7), (1, 4)])
def test_moments_are_means_over_all_positions(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    rows = x.movedim(1, -1).reshape(-1, 4)
    assert torch.allclose(with_moments(x, 1)[1], torch.stack([rows.mean(0), rows.square().mean(0)]))
    assert with_moments(torch.empty(shape, device="meta"), 1)[1].shape == (2, 4)


class Odd(Plain):
    """A network whose operations are used in ways that torchvision's networks do not combine."""

    def __init__(self, run: Callable[[Odd, Tensor], Tensor]) -> None:
        super().__init__()
        self.again, self.run = nn.Conv2d(4, 4, 1), run
        self.relu6, self.dropout = nn.ReLU6(inplace=True), nn.Dropout(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def functional(net: Odd, x: Tensor) -> Tensor:
    x = F.relu(2 * F.hardtanh_(net.conv(x), -1, 1), inplace=True)
    x = net.again(x).add_(1)
    x += 1
    return net.deeper(x)  # type: ignore[no-any-return]


def reused(net: Odd, x: Tensor) -> Tensor:
    x = net.relu6(net.norm(net.conv(x)))
    for _ in range(2):
        x = net.relu6(net.norm(net.again(x)))
    return net.relu(net.deeper(x))  # type: ignore[no-any-return]


def viewed(net: Odd, x: Tensor) -> Tensor:
    x = net.conv(x)
    x = net.again(F.relu_(x.view(x.shape).transpose(2, 3)))
    left, right = net.relu(net.dropout(x)).chunk(2, 1)
    return net.deeper(torch.cat([right, left], 1))  # type: ignore[no-any-return]


def residual(net: Odd, x: Tensor) -> Tensor:
    x = net.relu(net.conv(x))
    y = net.again(x)
    y += x
    y = net.again(net.relu6(y))
    y += x
    return net.deeper(y)  # type: ignore[no-any-return]


def by_keyword(net: Odd, x: Tensor) -> Tensor:
    return net.deeper(input=net.relu(input=net.norm(input=net.conv(input=x))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("run", [functional, reused, viewed, residual, by_keyword])
def test_an_operation_of_an_odd_network_can_be_an_output_measured_or_both(run: Callable[[Odd, Tensor], Tensor]) -> None:
    torch.manual_seed(1)
    traced = trace.trace(randomize_statistics(Odd(run)).double())
    reference = Functional(traced)
    expected = reference.run(picture(12).double().requires_grad_())
    assert torch.equal(expected, traced.model(picture(12).double()))
    last = list(traced.operations)[-1]
    for name in [each for each, value in reference.outputs.items() if value.dim() == 4]:
        for outputs, measured in (([name, last], {}), ([last], {name: 1}), ([name, last], {name: 1, last: 1})):
            assert_measured(traced, picture(12).double(), outputs=outputs, measured=measured)
