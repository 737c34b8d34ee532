"""Names, cutting and folding: the same outputs from less work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.models
from torch import Tensor, fx, nn

from render.dream import graph
from tests.dream.zoo import network, randomised

FAMILIES = ["resnet18", "googlenet", "shufflenet_v2_x0_5", "mobilenet_v3_small", "densenet121", "vgg11_bn", "swin_t"]


def picture(side: int = 96) -> Tensor:
    """Noise, 1x3xHxW, as a normalised picture may be."""
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """A convolution, its batch norm, and what overwrites their outputs."""

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
    """With statistics that a training would have left."""
    model = randomised(Plain())
    assert isinstance(model, Plain)
    return model


def optimised(model: nn.Module, *wanted: str) -> fx.GraphModule:
    return graph.optimised(graph.cut(graph.traced(model), wanted))


def norms(module: nn.Module) -> int:
    return sum(isinstance(each, nn.BatchNorm2d) for each in module.modules())


class Kept(fx.Interpreter):
    """Runs a network and keeps every output before anything overwrites it."""

    def __init__(self, module: fx.GraphModule, names: dict[fx.Node, str]) -> None:
        super().__init__(module)
        self.names, self.kept = names, dict[str, Tensor]()

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.names and isinstance(value, Tensor) and value.is_floating_point():
            self.kept[self.names[n]] = value.clone()
        return value


@pytest.mark.parametrize("name", FAMILIES)
def test_folding_and_cutting_change_no_output(name: str) -> None:
    with torch.no_grad():
        model = randomised(network(name))
        traced = graph.traced(model)
        whole = Kept(fx.GraphModule(model, traced.graph), {node: name for name, node in traced.operations.items()})
        assert torch.equal(whole.run(picture()), model(picture()))
        names = [name for name, value in whole.kept.items() if value.dim() == 4]
        wanted = [*names[:: max(1, len(names) // 12)], list(traced.operations)[-1]]
        for some in (wanted, wanted[-1:]):
            for operation, value in optimised(model, *some)(picture()).items():
                expected = whole.kept[operation]
                assert (value - expected).abs().max() < 1e-4 * expected.abs().max().clamp_min(1), operation


def test_a_norm_after_a_convolution_is_folded() -> None:
    assert norms(optimised(plain(), "deeper")) == 0
    assert norms(optimised(randomised(torchvision.models.resnet18(weights=None)), "fc")) == 0


def test_a_convolution_that_is_asked_for_gives_its_own_output() -> None:
    model = plain()
    found = optimised(model, "conv", "norm", "deeper")(picture())
    with torch.no_grad():
        assert torch.allclose(found["conv"], model.conv(picture()), atol=1e-6)
        assert torch.allclose(found["norm"], model.norm(model.conv(picture())), atol=1e-6)


def test_what_runs_in_place_does_not_change_what_is_asked_for() -> None:
    model = plain()
    found = optimised(model, "norm", "relu", "add", "deeper")(picture())
    with torch.no_grad():
        norm = model.norm(model.conv(picture()))
    assert torch.allclose(found["norm"], norm, atol=1e-5)
    assert found["norm"].min() < 0
    assert torch.allclose(found["relu"], norm.relu(), atol=1e-5)
    assert torch.allclose(found["add"], norm.relu() + 1, atol=1e-5)


def test_nothing_deeper_than_what_is_asked_for_is_left() -> None:
    model = torchvision.models.resnet18(weights=None)
    kept = graph.cut(graph.traced(model), ["layer1.0.relu_1"])
    assert {name for name, _ in kept.named_modules() if "layer" in name} == {
        "layer1", "layer1.0", *(f"layer1.0.{each}" for each in ("conv1", "bn1", "relu", "conv2", "bn2"))
    }  # fmt: skip


def test_the_network_itself_stays_as_it_is() -> None:
    model = plain()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimised(model, "deeper")
    assert norms(model) == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Clamped(nn.Module):
    """ReLU6 in place, read by a convolution alone, by a sum as well, and by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(inputs, 8, 3, padding=1) for inputs in (3, 8, 8))
        self.alone, self.shared, self.last = (nn.ReLU6(inplace=True) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(4 * self.second(self.alone(20 * self.first(x))))
        y: Tensor = self.last(20 * self.third(x) + x)
        return y


def test_activations_that_keep_no_copy_have_the_same_gradient() -> None:
    torch.manual_seed(0)
    model = Clamped().double()
    wanted = ["shared", "last"]
    fast = optimised(model, *wanted)
    free = [inner.free for inner in fast.modules() if isinstance(inner, graph.InPlaceReLU6)]
    assert sorted(free) == [False, False, True]
    gradients = []
    for each in (graph.cut(graph.traced(model), wanted), fast):
        x = picture(32).double().requires_grad_()
        found = {name: value.clone() for name, value in each(x).items()}
        assert all(0 < (value == 6).double().mean() < 1 for value in found.values())
        values = [value.square().mean() for value in found.values()]
        twice = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in (*values, *values)]
        assert torch.equal(twice[0], twice[2])
        gradients.append(twice)
    for slow, quick in zip(*gradients, strict=True):
        torch.testing.assert_close(slow, quick)


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_v2", "features.4"), ("mnasnet0_5", "layers.9")])
def test_optimised_networks_have_the_same_gradient(name: str, layer: str) -> None:
    model = randomised(network(name)).double()
    operation = next(each for each in reversed(graph.traced(model).operations) if each.startswith(f"{layer}."))
    gradients = []
    for each in (graph.cut(graph.traced(model), [operation]), optimised(model, operation)):
        x = picture(64).double().requires_grad_()
        (value,) = each(x).values()
        gradients.append(torch.autograd.grad(value.square().mean(), x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[0].norm()
