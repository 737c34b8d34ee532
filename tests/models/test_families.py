"""Every family of torchvision dreams: a shallow and a deep layer of each classifier, with random weights.

A member of each family runs always, the others by `./scripts/test -m slow tests/models/test_families.py`. vit and
maxvit are absent: they take pictures of one size only, and octaves have other sizes.
"""

from __future__ import annotations

import pytest
import torch
from torchvision.models import get_model_builder

from render import load
from render.dream import gradients
from render.dream.ascent import AscentSettings, dream
from render.dream.objectives import layer
from render.dream.statistics import ChannelTarget, statistics
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform
from render.errors import SceneError
from render.models.network import Network
from render.models.registry import layer_map, model_names, model_spec
from render.models.variants import VARIANTS
from tests.conftest import photo_tensor
from tests.models.zoo import random_model

QUICK = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5"),
    *("mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("swin_t", "vgg11"),
}
NAMES = [name for name in model_names() if name not in VARIANTS and not name.startswith(("vit_", "maxvit_"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in NAMES]
)
def test_a_step_raises_the_objective_of_a_shallow_and_of_a_deep_layer(name: str) -> None:
    photo = 0.25 + 0.5 * photo_tensor("chelsea", 112, 96)
    model = random_model(name)
    # Differences in the deepest layers of random networks are too small for float32.
    network, exact = (Network(name, model, sha256="", dtype=dtype) for dtype in (torch.float32, torch.float64))
    blocks = layer_map(name).blocks
    settings = AscentSettings(octave_scale=1.4, steps=(1,), step_size=0.002, conditioner=gradients.raw())
    for block in (blocks[min(1, len(blocks) - 1)], blocks[-1]):
        objective = layer(block)
        dreamed = dream(photo, TiledNetwork(network), objective=objective, settings=settings, seed=(0, 0))
        assert 0.0005 < (dreamed - photo).abs().mean() <= 0.00201
        with torch.no_grad():
            before, after = (
                objective(exact.activations(each.double(), [block]), Transform((96, 112))) for each in (photo, dreamed)
            )
        assert after > before > 0, block


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in NAMES]
)
def test_steps_approach_statistics_and_style_and_without_batch_norms_style_alone(name: str) -> None:
    photo, painting = 0.25 + 0.5 * photo_tensor("chelsea", 112, 96), photo_tensor("immunohistochemistry", 128, 96)
    network = Network(name, random_model(name), sha256="")
    norms, blocks = layer_map(name).norms[:4], layer_map(name).blocks[:2]
    with torch.no_grad():
        activations = network.activations(painting, blocks)
    objectives = [statistics({block: ChannelTarget.of(activations[block]) for block in blocks})]
    if norms:
        objectives.append(statistics({norm: ChannelTarget.natural(network.norm_statistics(norm)) for norm in norms}))
    else:
        with pytest.raises(SceneError, match=f"{name} has no batch norms, and so no statistics of photographs"):
            load({"network": name, "objectives": [{"statistics": "natural"}]})
    settings = AscentSettings(octave_scale=1.4, steps=(4,), step_size=0.002, conditioner=gradients.raw())
    for objective in objectives:
        dreamed = dream(photo, TiledNetwork(network), objective=objective, settings=settings, seed=(0, 0))
        with torch.no_grad():
            before, after = (
                float(objective(network.activations(each, objective.layers), Transform((96, 112))))
                for each in (photo, dreamed)
            )
        assert before < after < 0


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow]) for name in NAMES])
def test_folding_does_not_change_the_logits(name: str) -> None:
    photo = photo_tensor("chelsea", 160, 128)
    model = random_model(name)
    network = Network(name, model, sha256="")
    spec = model_spec(name)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (spec.mean, spec.std))
    with torch.no_grad():
        expected = model((photo - mean) / std)
        actual = network.activations(photo, [network.logits])[network.logits]
    assert (actual - expected).abs().max() < 1e-4 * expected.abs().max().clamp_min(1)


def test_each_family_has_a_member_that_always_runs() -> None:
    assert set(NAMES) >= QUICK
    families = {get_model_builder(name).__module__ for name in NAMES}
    assert families == {get_model_builder(name).__module__ for name in QUICK}
