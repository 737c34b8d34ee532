"""Networks with random weights, as the tests need them where no trained ones can be had."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import torch
import torchvision.models
from torch import nn

from render.dream import registry


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, its batch norms with statistics as a training leaves them."""
    random = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(0.2 * torch.randn(module.running_mean.shape, generator=random))
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=random))
            module.weight.data.copy_(0.5 + torch.rand(module.weight.shape, generator=random))
            module.bias.data.copy_(0.2 * torch.randn(module.bias.shape, generator=random))
    return model.eval()


def network(name: str) -> nn.Module:
    """A torchvision classifier with random weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of googlenet and inception, about how to initialise
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model


@functools.cache
def built(name: str) -> nn.Module:
    """The network as our registry builds it, without weights; built once for all tests."""
    return registry.blueprint(name).build()


def weightless(name: str) -> nn.Module:
    """A torchvision classifier on the meta device: its modules and operations, in no time."""
    return registry._hollow(functools.partial(network, name))


def weights_file(folder: Path, name: str, file: str = "weights.pth") -> Path:
    """A state dict of that classifier."""
    torch.save(randomised(network(name)).state_dict(), folder / file)
    return folder / file
