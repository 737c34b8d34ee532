"""Every family of torchvision's runs: a shallow and a deep layer of each classifier dream, with random weights.

A member of each family runs always, the others by `./scripts/test -m slow tests/dream/test_families.py`. Not here are
vit and maxvit, which only see pictures of one size: an octave is of another.
"""

from __future__ import annotations

import pytest
import torch

from render.dream import gradients, registry
from render.dream.anatomy import anatomy
from render.dream.ascent import Ascent, dream
from render.dream.efficientnet_lite import VARIANTS
from render.dream.networks import Network
from render.dream.objectives import layer
from render.dream.views import View
from tests.conftest import photo_tensor
from tests.dream.zoo import built, randomised
from tests.dream.zoo import network as random_network

QUICK = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn"),
    "wide_resnet50_2",
}
NAMES = [name for name in registry.names() if name not in VARIANTS and not name.startswith(("vit_", "maxvit_"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in NAMES]
)
def test_a_shallow_and_a_deep_layer_dream(name: str) -> None:
    photo = 0.25 + 0.5 * photo_tensor("chelsea", 112, 96)
    model = randomised(random_network(name)).requires_grad_(False)
    # Random weights hand little of a picture on to the deepest layers, less than float32 tells apart.
    network, exact = (Network(name, model, "", torch.device("cpu"), dtype) for dtype in (torch.float32, torch.float64))
    outline = anatomy(name).outline
    ascent = Ascent(octave_scale=1.4, steps=(1,), step_size=0.002, jitter=0, condition=gradients.raw())
    for wanted in (outline[min(1, len(outline) - 1)], outline[-1]):
        wish = layer(wanted)
        dreamed = dream(photo, network, wish, ascent, (0, 0))
        assert 0.0005 < (dreamed - photo).abs().mean() <= 0.00201
        with torch.no_grad():
            before, after = (
                wish(exact.activations(each.double(), [wanted]), View((96, 112))) for each in (photo, dreamed)
            )
        assert after > before > 0, wanted


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow]) for name in NAMES])
def test_folded_and_cut_it_says_what_it_said(name: str) -> None:
    photo = photo_tensor("chelsea", 160, 128)
    model = randomised(random_network(name)).requires_grad_(False)
    network = Network(name, model, "", torch.device("cpu"), torch.float32)
    blueprint = registry.blueprint(name)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (blueprint.mean, blueprint.std))
    with torch.no_grad():
        expected = model((photo - mean) / std)
        found = network.activations(photo, [network.logits])[network.logits]
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max().clamp_min(1)


def test_each_family_has_a_member_that_always_runs() -> None:
    assert set(NAMES) >= QUICK
    kinds = {type(built(name)) for name in NAMES}
    assert kinds == {type(built(name)) for name in QUICK}
