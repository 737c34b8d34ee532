"""What a scene asks for, joined to the network: every key does something, and files are read where it says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from render import frames, load, loop
from render.dream.networks import Network
from render.errors import SceneError, StorageError
from render.scene.model import Scene
from render.wishes import objective, wishes
from tests.dream.zoo import weights_file

SCENE = """
size: [96, 64]
duration: 1
seed: 3
source: {noise: {grain: 8}}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 3, jitter: 4, scale: [0.9, 1.1]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a scene, two guides and a mask in it."""
    (tmp_path / "scene.yaml").write_text(SCENE)
    for name in ("coffee", "chelsea"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), getattr(skimage.data, name)()[..., ::-1])
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    return tmp_path


def scene_of(folder: Path, *sets: str) -> Scene:
    return load(folder / "scene.yaml", [("--set", *each.split("=", 1)) for each in sets])  # type: ignore[misc]


def dreamed(folder: Path, network: Network, *sets: str) -> Tensor:
    return next(loop.frames(scene_of(folder, *sets), network))[1]


@pytest.fixture
def base(folder: Path, network: Network) -> Tensor:
    """What the plain scene dreams."""
    return dreamed(folder, network)


@pytest.mark.parametrize(
    "change",
    [
        "layers.0.channels=[3, 17]",
        "layers.0={layer: blocks.4, channels: 3, neuron: [0.2, 0.7]}",
        "layers.0={layer: blocks.4, guide: coffee.png}",
        "layers.0.mask=mask.png",
        "layers.0={class: banana}",
        "layers.0.weight=-1",
        "dream.scale=[1, 1.3]",
        "dream.rotate=20",
        "dream.momentum=0.9",
        "dream.total_variation=1",
        "dream.last_step=0.1",
        "dream.gradient={natural: {lowest: 20}}",
        "dream.gradient={natural: {power: 0.8}}",
    ],
)
def test_every_key_does_something(
    change: str, folder: Path, network: Network, base: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert (dreamed(folder, network, change) - base).abs().max() > 0.005


def test_steps_may_be_told_for_each_octave(folder: Path, network: Network) -> None:
    heard = []
    scene = scene_of(folder, "dream.octaves=2", "dream.steps=[2, 1]")
    list(loop.frames(scene, network, on_step=lambda octave, step, value: heard.append((octave, step))))
    assert heard == [(0, 0), (0, 1), (1, 0)]


def test_a_morph_has_the_weights_of_its_frame(folder: Path, network: Network) -> None:
    morph = "layers.0={class: [banana, zebra], weight: [{0: 1, 4: 0}, {0: 0, 4: 1}]}"
    scene = scene_of(folder, morph, "duration=5")
    asked = wishes(scene, network)
    terms = [[(term.weight, term.layer) for term in objective(asked, scene.at(i)).terms] for i in (0, 1, 4)]
    assert terms == [[(1, "classifier")], [(0.75, "classifier"), (0.25, "classifier")], [(1, "classifier")]]


def test_a_mask_covers_the_film_as_a_source_picture_does(folder: Path, network: Network, base: Tensor) -> None:
    still = next(loop.frames(scene_of(folder, "dream.steps=0"), network))[1]
    file = folder / "scene.yaml"
    file.write_text(SCENE.replace("{layer: blocks.4}", "{layer: blocks.4, mask: mask.png}"))
    masked = dreamed(folder, network)
    assert torch.equal(masked[..., :48], still[..., :48])
    assert (masked - still)[..., 50:].abs().mean() > 0.005


def test_a_guide_is_found_beside_the_scene(
    folder: Path, network: Network, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (folder / "scene.yaml").write_text(SCENE.replace("{layer: blocks.4}", "{layer: blocks.4, guide: coffee.png}"))
    assert dreamed(folder, network).isfinite().all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("layers.0.guide=cofee.png", ["--set:1:16: cannot read the picture cofee.png", "did you mean 'coffee.png'?"]),
        ("layers.0.mask=scene.yaml", ["--set:1:15: scene.yaml is not a picture that can be read"]),
        ("layers.0.guide=cut.png", ["--set:1:16: cut.png is cut off, its end is missing; copy it again"]),
        ("source={image: nothing.png}", ["--set:1:16: cannot read the picture nothing.png: No such file"]),
        (
            "network={name: efficientnet_lite0, weights: wights.pth}",
            ["cannot read the weights wights.pth: No such file", "did you mean 'weights.pth'?"],
        ),
        ("network={name: squeezenet1_1, weights: scene.yaml}", ["scene.yaml is not a file of weights"]),
        (
            "network={name: efficientnet_lite0, weights: weights.pth}",
            ["weights.pth holds weights of another network", "did you mean network: squeezenet1_1?"],
        ),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_shown_where_it_is_named(
    change: str, says: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    weights_file(folder, "squeezenet1_1")
    photo = (folder / "chelsea.png").read_bytes()
    (folder / "cut.png").write_bytes(photo[: len(photo) // 2])
    sets = [change, "layers.0.layer=features.4"] if "squeezenet1_1" in change else [change]
    with pytest.raises(StorageError) as caught:
        scene_of(folder, *sets)
    assert all(part in str(caught.value) for part in says)
    assert "\n    1 | " in str(caught.value)


def test_a_guide_that_the_network_cannot_see_is_shown(folder: Path) -> None:
    cv2.imwrite(str(folder / "line.png"), np.zeros((2, 90, 3), np.uint8))
    weights_file(folder, "squeezenet1_1")
    network = "network: {name: squeezenet1_1, weights: weights.pth}"
    text = SCENE.replace("layers: [{layer: blocks.4}]", f"{network}\nlayers: [{{layer: features.12, guide: line.png}}]")
    (folder / "scene.yaml").write_text(text)
    with pytest.raises(SceneError, match=r"squeezenet1_1 cannot see this guide as far as features.12, at 90x2 pixels"):
        scene_of(folder)


@pytest.mark.parametrize("key", ["layers.0.guide", "layers.0.mask"])
def test_a_name_that_no_file_can_have_is_an_error(key: str, folder: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the picture"):
        scene_of(folder, f"{key}={'x' * 300}.png")


def test_layers_with_one_mask_share_a_gradient(folder: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    scene = scene_of(folder, "layers=[{layer: blocks.4, mask: mask.png}, {layer: blocks.5, mask: mask.png}]")
    assert len(objective(wishes(scene, network), scene.at(0)).by_mask()) == 1


def test_all_files_that_are_wrong_are_told_at_once(folder: Path) -> None:
    wrong = "[{layer: blocks.4, guide: a.png}, {layer: blocks.5, guide: b.png, mask: c.png}]"
    with pytest.raises(StorageError) as caught:
        scene_of(folder, f"layers={wrong}")
    assert [name for name in ("a.png", "b.png", "c.png") if name in str(caught.value)] == ["a.png", "b.png", "c.png"]


def test_a_film_of_weights_of_ones_own_is_made_by_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    weights_file(folder, "squeezenet1_1")
    scene = scene_of(
        folder, "network={name: squeezenet1_1, weights: weights.pth}", "layers.0={layer: features.4, channels: [5]}"
    )
    ((_, frame),) = frames(scene, device="cpu")
    assert frame.isfinite().all()


def test_what_is_wrong_with_a_class_is_shown(folder: Path) -> None:
    with pytest.raises(SceneError, match="did you mean 'banana'"):
        scene_of(folder, "layers.0={class: bananna}")
