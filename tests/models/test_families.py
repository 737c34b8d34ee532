"""Every family of torchvision dreams, with random weights: layers, statistics, a style, and the content of a picture.

A member of each family runs always, the others by `./scripts/test -m slow tests/models/test_families.py`. vit and
maxvit take pictures of one size only; where others are needed, they are absent.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import skimage.data
import torch
from torch import nn
from torchvision.models import get_model_builder

from render import load
from render.dream import gradients
from render.dream.ascent import AscentSettings, dream
from render.dream.objectives import layer
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform
from render.errors import SceneError
from render.models.network import Network
from render.models.registry import layer_map, model_names, model_spec
from render.models.trace import extract, trace
from render.models.variants import VARIANTS
from render.pipeline.build import build_objectives
from render.pipeline.catalogue import MODELS, objective_layers
from render.scene.objectives import NetworkSpec, ObjectiveSpec
from tests.conftest import photo_tensor
from tests.models.zoo import ONE_SIZE, QUICK, marks, model_from_spec, random_model

NAMES = [name for name in model_names() if name not in VARIANTS and not name.startswith(("vit_", "maxvit_"))]
ALL = [*NAMES, *(name for name in model_names() if name not in {*VARIANTS, *NAMES})]
"""Those of NAMES come first, so that pytest runs all tests of a `model` one after the other."""


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """The name of a network, and the network with random weights."""
    return request.param, random_model(request.param)


@pytest.mark.parametrize("model", [pytest.param(name, marks=marks(name)) for name in NAMES], indirect=True)
def test_a_step_raises_the_objective_of_a_shallow_and_of_a_deep_layer(model: tuple[str, nn.Module]) -> None:
    photo = 0.25 + 0.5 * photo_tensor("chelsea", 112, 96)
    name, module = model
    # Differences in the deepest layers of random networks are too small for float32.
    network, exact = (Network(name, module, sha256="", dtype=dtype) for dtype in (torch.float32, torch.float64))
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
    ("model", "dtype"),
    [
        *(pytest.param(name, torch.float32, marks=marks(name)) for name in ALL),
        *((name, torch.bfloat16) for name in ("mobilenet_v3_small", "resnet18", "swin_t")),
    ],
    indirect=["model"],
    scope="module",
)
def test_a_step_approaches_natural_statistics_a_style_and_the_content_of_a_picture(
    model: tuple[str, nn.Module], dtype: torch.dtype, tmp_path: Path
) -> None:
    name, module = model
    layers, side = layer_map(name), layer_map(name).input_side
    width, height = (side, side) if side else (96, 80)
    for file in ("chelsea", "immunohistochemistry"):  # the style need not have the size of the film
        size = (width, height) if file == "chelsea" else (104, 88)
        cv2.imwrite(str(tmp_path / f"{file}.png"), cv2.resize(getattr(skimage.data, file)(), size))
    scene = {
        "network": name,
        "source": {"image": str(tmp_path / "chelsea.png")},
        "objectives": [
            *([{"statistics": "natural"}] if layers.norms else []),
            {"style": str(tmp_path / "immunohistochemistry.png")},
            {"content": "source", "layer": layers.blocks[len(layers.blocks) // 4]},
        ],
        "dream": {"octaves": 1},
    }
    network = Network(name, module, sha256="", dtype=dtype)
    settings = AscentSettings(octave_scale=1.4, steps=(1,), step_size=0.002, conditioner=gradients.raw())
    photo, source = 0.25 + 0.5 * photo_tensor("chelsea", width, height), photo_tensor("coffee", width, height)
    for built in build_objectives(load(scene), network):
        objective = built.objective.of_source(source)
        dreamed = dream(photo, TiledNetwork(network), objective=objective, settings=settings, seed=(0, 0))
        assert dreamed.isfinite().all()
        assert 0.0005 < (dreamed - photo).abs().mean() <= 0.00201
        if side or dtype == torch.bfloat16:  # slow, or too coarse for the difference of one step
            continue
        with torch.no_grad():
            objective = objective.given(network.activations(source, objective.source_layers))
            before, after = (
                float(objective(network.activations(each, objective.layers), Transform((height, width))))
                for each in (photo, dreamed)
            )
        assert before < after < 0


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in ALL])
def test_the_layers_of_statistics_and_of_a_style_are_known_without_weights(name: str) -> None:
    layers, traced = layer_map(name), trace(model_from_spec(name))
    norms = [each for each, module in traced.model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert sorted(layers.norms) == sorted(norms)
    assert MODELS[name].has_norms == bool(norms)
    objectives = [ObjectiveSpec(style="painting.jpg")]
    if norms:
        objectives.append(ObjectiveSpec(statistics="natural"))
    else:
        with pytest.raises(SceneError, match=f"{name} has no batch norms, and so no statistics of photographs"):
            load({"network": name, "objectives": [{"statistics": "natural"}]})
    names = [objective_layers(objective, NetworkSpec(name=name)) for objective in objectives]
    assert all(names)
    infos = [layers.layers[each] for each in set().union(*names)]
    picture = torch.empty(1, 3, *2 * (layers.input_side or 224,), device="meta")
    outputs = extract(traced, [info.operation for info in infos])(picture)
    assert all(outputs[info.operation].shape[info.axis] == info.channels for info in infos)


@pytest.mark.parametrize("model", [pytest.param(name, marks=[pytest.mark.slow]) for name in NAMES], indirect=True)
def test_folding_does_not_change_the_logits(model: tuple[str, nn.Module]) -> None:
    photo = photo_tensor("chelsea", 160, 128)
    name, module = model
    network = Network(name, module, sha256="")
    spec = model_spec(name)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (spec.mean, spec.std))
    with torch.no_grad():
        expected = module((photo - mean) / std)
        actual = network.activations(photo, [network.logits])[network.logits]
    assert (actual - expected).abs().max() < 1e-4 * expected.abs().max().clamp_min(1)


def test_each_family_has_a_member_that_always_runs() -> None:
    assert set(NAMES) >= QUICK
    families = {get_model_builder(name).__module__ for name in ALL}
    assert families == {get_model_builder(name).__module__ for name in QUICK | ONE_SIZE}
