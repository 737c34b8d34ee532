"""Networks with random weights, for tests that need no trained ones."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import nn

from render.models.architectures import build_on_meta
from render.models.network import Network
from render.models.registry import model_spec
from render.models.variants import VARIANTS

QUICK = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5"),
    *("mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("swin_t", "vgg11"),
}
"""A network of each family, of those that take pictures of any size."""
ONE_SIZE = {"maxvit_t", "vit_b_32"}
"""The same of those that take pictures of one size."""


def marks(name: str) -> list[pytest.MarkDecorator]:
    """Returns the marks of a network's tests: one of each family is not slow."""
    return [] if name in {*VARIANTS, *QUICK, *ONE_SIZE} else [pytest.mark.slow]


def randomize_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Returns the network in evaluation mode, its batch norms with statistics like those after training."""
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


def initialized_model(name: str) -> nn.Module:
    """Returns a torchvision classifier with torchvision's random initial weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of googlenet and inception, about how to initialise
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model


def random_model(name: str) -> nn.Module:
    """Returns a torchvision classifier with random weights and statistics, without gradients for them."""
    return randomize_statistics(initialized_model(name)).requires_grad_(False)


def random_network(name: str, dtype: torch.dtype = torch.float32) -> Network:
    """Returns the network of `random_model`."""
    return Network(name, random_model(name), sha256="", dtype=dtype)


@functools.cache
def model_from_spec(name: str) -> nn.Module:
    """Returns the network as the registry builds it, without weights; built once for all tests."""
    return model_spec(name).build()


def model_on_meta(name: str) -> nn.Module:
    """Returns a torchvision classifier on the meta device: modules and operations without weights."""
    return build_on_meta(functools.partial(initialized_model, name))


def weights_file(folder: Path, name: str, file: str = "weights.pth") -> Path:
    """Writes the state dict of `random_model`."""
    torch.save(random_model(name).state_dict(), folder / file)
    return folder / file
