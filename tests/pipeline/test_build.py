"""From a scene to objectives and settings: every key has an effect, and files are read where it names them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from render import Options, frames, load
from render.dream.objectives import Objective
from render.dream.transforms import Transform
from render.errors import SceneError, StorageError
from render.media.image import load_image
from render.models.network import Network
from render.pipeline import loop
from render.pipeline.build import CLASS_BALANCE, FIRST_NORM_WEIGHT, build_objectives, frame_objective
from render.pipeline.scene import Scene
from tests.conftest import engine_of
from tests.models.zoo import weights_file

SCENE = """
size: [96, 64]
duration: 1
seed: 3
source: {noise: {grain: 8}}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 3, transforms: {jitter: 4, scale: [0.9, 1.1]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a scene, three photos and a mask."""
    (tmp_path / "scene.yaml").write_text(SCENE)
    for name in ("coffee", "chelsea", "rocket"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), getattr(skimage.data, name)()[..., ::-1])
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    return tmp_path


def scene_of(folder: Path, *sets: str) -> Scene:
    return load(folder / "scene.yaml", [("--set", *each.split("=", 1)) for each in sets])  # type: ignore[misc]  # split gives two parts


def dreamed(folder: Path, network: Network, *sets: str) -> Tensor:
    return next(loop.frames(engine_of(scene_of(folder, *sets), network))).picture


@pytest.fixture
def base(folder: Path, network: Network) -> Tensor:
    """The frame of the plain scene."""
    return dreamed(folder, network)


@pytest.mark.parametrize(
    "change",
    [
        "objectives.0.channels=[3, 17]",
        "objectives.0={layer: blocks.4, channels: 3, position: [0.2, 0.7]}",
        "objectives.0={layer: blocks.4, guide: coffee.png}",
        "objectives.0.mask=mask.png",
        "objectives.0={class: banana}",
        "objectives.0={statistics: natural}",
        "objectives=[{layer: blocks.4}, {statistics: natural, depth: [0, 0.1]}]",
        "objectives.0={style: coffee.png}",
        "objectives.0={style: coffee.png, layers: [blocks.2, blocks.5]}",
        "objectives=[{layer: blocks.4}, {content: source, layer: blocks.2}]",
        "objectives=[{layer: blocks.4}, {statistics: source}]",
        "objectives.0={tour: classes}",
        "objectives.0={tour: channels, layer: blocks.4, seed: 4}",
        "objectives.0.weight=-1",
        "dream.transforms.scale=[1, 1.3]",
        "dream.transforms.rotate=20",
        "dream.transforms.flip=true",
        "dream.transforms.border=wrap",
        "dream.momentum=0.9",
        "dream.total_variation=1",
        "dream.final_step_scale=0.1",
        "dream.gradient={natural: {min_frequency: 20}}",
        "dream.gradient={natural: {decay_power: 0.8}}",
    ],
)
def test_every_key_has_an_effect(
    change: str, folder: Path, network: Network, base: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert (dreamed(folder, network, change) - base).abs().max() > 0.005


def test_each_octave_may_have_its_own_steps(folder: Path, network: Network) -> None:
    steps = []
    scene = scene_of(folder, "dream.octaves=2", "dream.steps=[2, 1]")
    run = loop.frames(engine_of(scene, network), on_step=lambda octave, step, value: steps.append((octave, step)))
    list(run)
    assert steps == [(0, 0), (0, 1), (1, 0)]


def test_a_morph_has_the_weights_of_its_frame(folder: Path, network: Network) -> None:
    morph = "objectives.0={class: [banana, zebra], weight: [{0: 1, 4: 0}, {0: 0, 4: 1}]}"
    scene = scene_of(folder, morph, "duration=5")
    built = build_objectives(scene, network)
    terms = [[(term.weight, term.layer) for term in frame_objective(built, scene.params(i)).terms] for i in (0, 1, 4)]
    assert terms == [[(1, "classifier")], [(0.75, "classifier"), (0.25, "classifier")], [(1, "classifier")]]


@pytest.mark.parametrize(
    ("tour", "ordinary"),
    [
        (
            "{tour: classes, classes: [ant, bee], hold: 1, fade: 2}",
            "{class: [ant, bee], weight: [{1: 1, 3: 0, 4: 0, 6: 1}, {1: 0, 3: 1, 4: 1, 6: 0}]}",
        ),
        (
            "{tour: channels, layer: blocks.4, channels: [3, 17], hold: 1, fade: 2, mask: mask.png, weight: 0.5}",
            "{layer: blocks.4, channels: 3, mask: mask.png, weight: {1: 0.5, 3: 0, 4: 0, 6: 0.5}}, "
            "{layer: blocks.4, channels: 17, mask: mask.png, weight: {1: 0, 3: 0.5, 4: 0.5, 6: 0}}",
        ),
    ],
)
def test_a_tour_dreams_what_ordinary_objectives_do(
    tour: str, ordinary: str, folder: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    films = []
    for objectives in (tour, ordinary):
        scene = scene_of(folder, f"objectives=[{objectives}, {{statistics: natural, depth: [0, 0.1]}}]", "duration=7")
        films.append([frame.picture for frame in loop.frames(engine_of(scene, network))])
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(*films, strict=True))
    assert (films[0][1] - films[0][6]).abs().max() > 0.05


def test_statistics_balance_every_frame_of_a_tour(folder: Path, network: Network) -> None:
    def terms(tour: str) -> list[list[float]]:
        scene = scene_of(folder, f"objectives=[{tour}, {{statistics: natural, depth: [0, 0.02]}}]", "duration=6")
        built = build_objectives(scene, network)
        return [[term.weight for term in frame_objective(built, scene.params(i)).terms] for i in range(4)]

    balanced = -2 * CLASS_BALANCE * FIRST_NORM_WEIGHT
    of_classes = terms("{tour: classes, hold: 1, fade: 2, weight: -2}")
    assert of_classes == [[-2, balanced], [-2, balanced], [-1, -1, balanced], [-2, balanced]]
    of_layer = terms("{layer: blocks.4}")[0][-1]
    of_channels = terms("{tour: channels, layer: blocks.4, hold: 1, fade: 2}")
    assert [frame[-1] for frame in of_channels] == pytest.approx([of_layer] * 4)


def test_the_weight_of_statistics_is_relative_to_that_of_all_others(folder: Path, network: Network) -> None:
    def weights(*objectives: str, at: int = 0) -> list[float]:
        written = ", ".join((*objectives, "{statistics: natural, depth: [0, 0.04]}"))
        scene = scene_of(folder, f"objectives=[{written}]", "duration=5")
        return [term.weight for term in frame_objective(build_objectives(scene, network), scene.params(at)).terms]

    alone = [-FIRST_NORM_WEIGHT, -1]
    assert weights() == alone
    assert weights("{class: ant}") == [1, *(CLASS_BALANCE * each for each in alone)]
    assert weights("{class: [ant, bee], weight: [2, -1]}")[2:] == [3 * CLASS_BALANCE * each for each in alone]
    assert weights("{class: ant, weight: {0: 1, 4: 0}}", at=4) == alone
    one, two = (weights(f"{{layer: blocks.4, weight: {weight}}}") for weight in (1, 2))
    assert two == pytest.approx([2 * weight for weight in one])
    deep = weights("{layer: blocks.15}")
    assert 3 < one[1] / deep[1] < 30  # as the mean squares of the two layers


def test_the_first_norm_counts_whatever_the_depth(folder: Path, network: Network) -> None:
    scene = scene_of(folder, "objectives=[{statistics: natural, depth: [0.9, 1]}]")
    (built,) = build_objectives(scene, network)
    first, *others = built.objective.terms
    assert (first.layer, first.weight) == ("stem.norm", -FIRST_NORM_WEIGHT)
    assert {term.weight for term in others} == {-1}


def test_a_mask_covers_the_film_as_a_source_picture_does(folder: Path, network: Network, base: Tensor) -> None:
    still = dreamed(folder, network, "dream.steps=0")
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
    ("change", "messages"),
    [
        (
            "objectives.0.guide=cofee.png",
            ["--set:1:20: cannot read the picture cofee.png", "did you mean 'coffee.png'?"],
        ),
        ("objectives.0.mask=scene.yaml", ["--set:1:19: scene.yaml is not a picture that can be read"]),
        ("objectives.0.guide=cut.png", ["--set:1:20: cut.png is truncated; copy it again"]),
        ("source={image: nothing.png}", ["--set:1:16: cannot read the picture nothing.png: No such file"]),
        (
            "network={name: efficientnet_lite0, weights_file: wights.pth}",
            ["cannot read the weights wights.pth: No such file", "did you mean 'weights.pth'?"],
        ),
        ("network={name: squeezenet1_1, weights_file: scene.yaml}", ["scene.yaml is not a file of weights"]),
        (
            "network={name: efficientnet_lite0, weights_file: weights.pth}",
            ["weights.pth holds weights of another network", "did you mean network: squeezenet1_1?"],
        ),
    ],
)
def test_an_unusable_file_is_an_error_where_the_scene_names_it(
    change: str, messages: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    weights_file(folder, "squeezenet1_1")
    photo = (folder / "chelsea.png").read_bytes()
    (folder / "cut.png").write_bytes(photo[: len(photo) // 2])
    sets = [change, "objectives.0.layer=features.4"] if "squeezenet1_1" in change else [change]
    with pytest.raises(StorageError) as caught:
        scene_of(folder, *sets)
    assert all(part in str(caught.value) for part in messages)
    assert "\n    1 | " in str(caught.value)


def test_a_guide_that_the_network_cannot_see_is_an_error(folder: Path) -> None:
    cv2.imwrite(str(folder / "line.png"), np.zeros((2, 90, 3), np.uint8))
    weights_file(folder, "squeezenet1_1")
    network = "network: {name: squeezenet1_1, weights_file: weights.pth}"
    text = SCENE.replace(
        "objectives: [{layer: blocks.4}, {statistics: none}]",
        f"{network}\nobjectives: [{{layer: features.12, guide: line.png}}]",
    )
    (folder / "scene.yaml").write_text(text)
    with pytest.raises(
        SceneError, match=r"squeezenet1_1 cannot see this picture as far as features.12, at 90x2 pixels"
    ):
        scene_of(folder)


@pytest.mark.parametrize("key", ["objectives.0.guide", "objectives.0.mask"])
def test_an_impossible_file_name_is_an_error(key: str, folder: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the picture"):
        scene_of(folder, f"{key}={'x' * 300}.png")


def test_layers_with_one_mask_share_a_gradient(folder: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    scene = scene_of(folder, "objectives=[{layer: blocks.4, mask: mask.png}, {layer: blocks.5, mask: mask.png}]")
    assert len(frame_objective(build_objectives(scene, network), scene.params(0)).by_mask()) == 1


def test_all_unusable_files_are_reported_together(folder: Path) -> None:
    wrong = "[{layer: blocks.4, guide: a.png}, {layer: blocks.5, guide: b.png, mask: c.png}]"
    with pytest.raises(StorageError) as caught:
        scene_of(folder, f"objectives={wrong}")
    assert [name for name in ("a.png", "b.png", "c.png") if name in str(caught.value)] == ["a.png", "b.png", "c.png"]


def test_weights_of_the_user_make_a_film(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    weights_file(folder, "squeezenet1_1")
    scene = scene_of(
        folder,
        "network={name: squeezenet1_1, weights_file: weights.pth}",
        "objectives.0={layer: features.4, channels: [5]}",
    )
    ((_, frame),) = frames(scene, Options(device="cpu"))
    assert frame.isfinite().all()


def test_an_unknown_class_is_an_error_with_a_suggestion(folder: Path) -> None:
    with pytest.raises(SceneError, match="did you mean 'banana'"):
        scene_of(folder, "objectives.0={class: bananna}")


def test_the_statistics_of_the_source_are_those_of_each_frames_own(folder: Path, network: Network) -> None:
    scene = scene_of(folder, "objectives=[{layer: blocks.4}, {statistics: source, depth: [0, 0.2]}]")
    built = build_objectives(scene, network)
    values = {}
    for name in ("coffee", "chelsea"):
        picture = load_image(folder / f"{name}.png", (96, 64))
        objective = frame_objective(built, scene.params(0), source=lambda picture=picture: picture)  # type: ignore[misc]
        relative = Objective(tuple(term for term in objective.terms if term.layer != "blocks.4"))
        activations = network.activations(picture, relative.layers)
        values[name] = float(relative(activations, Transform((64, 96))))
        assert len(relative.terms) == 10
        assert values[name] == pytest.approx(0, abs=1e-3 * abs(relative.terms[0].weight))
    without = frame_objective(built, scene.params(0))
    assert without.layers == {"blocks.4"}


def test_a_dark_picture_stays_dark_with_the_statistics_of_the_source(folder: Path, network: Network) -> None:
    sets = [f"source={{image: {folder}/rocket.png}}", "dream.steps=24", "dream.step_size=0.02"]
    rocket = float(load_image(folder / "rocket.png", (96, 64)).mean())

    def brightening(kind: str) -> float:
        return float(dreamed(folder, network, *sets, f"objectives=[{{layer: blocks.10}}, {kind}]").mean()) - rocket

    natural, source = brightening("{statistics: natural}"), brightening("{statistics: source}")
    assert natural > 0.05
    assert abs(source) < 0.3 * natural


def test_a_mask_restricts_the_statistics_of_the_source(folder: Path, network: Network) -> None:
    masked = f"objectives=[{{statistics: source, mask: {folder}/mask.png}}]"
    picture, plain = (dreamed(folder, network, masked, f"dream.steps={steps}") for steps in (3, 0))
    changed = (picture - plain).abs().amax((0, 1, 2)) > 1e-6
    assert not changed[:48].any()
    assert changed[48:].any()
