"""What is asked for: what may be said together, names resolved, and every mistake shown where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from render.scene.model import Scene
from tests.scene.test_document import load, problems, under_caret


def scene(folder: Path, layer: str, *lines: str) -> Scene:
    """A scene that asks for this."""
    return load(folder, "\n".join([f"layers: [{layer}]", *lines]) + "\n")


def test_a_class_is_named_in_any_case_or_by_index_and_shown_by_its_full_name(tmp_path: Path) -> None:
    made = scene(tmp_path, "{class: [Banana, 340, measuring_cup]}")
    assert made.layers[0].classes == ("banana", "zebra", "measuring cup")
    assert scene(tmp_path, "{class: banana}").layers[0].classes == ("banana",)


def test_one_weight_is_for_all_classes_and_a_list_has_one_for_each(tmp_path: Path) -> None:
    made = scene(tmp_path, "{class: [banana, zebra]}, {layer: blocks.3}", "duration: 5")
    assert made.at(0).weights == ((1, 1), (1,))
    morph = "{class: [banana, zebra], weight: [{0: 1, 4: 0}, {0: 0, 4: {value: 2, ease: linear}}]}"
    made = scene(tmp_path, morph, "duration: 5")
    assert [made.at(i).weights for i in (0, 1, 4)] == [((1, 0),), ((0.75, 0.5),), ((0, 2),)]


def test_a_channel_may_be_one_or_a_list(tmp_path: Path) -> None:
    assert scene(tmp_path, "{layer: blocks.3, channels: 7}").layers[0].channels == (7,)
    assert scene(tmp_path, "{layer: blocks.3, channels: [3, 39]}").layers[0].channels == (3, 39)


def test_a_network_is_a_name_or_a_mapping(tmp_path: Path) -> None:
    made = scene(tmp_path, "{layer: layer3.5.conv2}", "network: resnet50")
    assert (made.network.name, made.network.weights, made.network.training) == ("resnet50", None, None)
    made = scene(tmp_path, "{layer: fc}", "network: {name: resnet50, training: IMAGENET1K_V1}")
    assert made.network.training == "IMAGENET1K_V1"


def test_a_module_of_modules_is_a_layer(tmp_path: Path) -> None:
    assert scene(tmp_path, "{layer: blocks}").layers[0].layer == "blocks"


def test_weights_alone_are_for_the_default_network(tmp_path: Path) -> None:
    made = scene(tmp_path, "{layer: blocks.3}", "network: {weights: w.pth}")
    assert (made.network.name, made.network.weights) == ("efficientnet_lite0", "w.pth")
    made = load(tmp_path, "layers: [{layer: blocks.3}]\n", ["network.weights=w.pth"])
    assert (made.network.name, made.network.weights) == ("efficientnet_lite0", "w.pth")


def test_an_override_adds_to_a_network_that_is_a_name(tmp_path: Path) -> None:
    text = "network: resnet50\nlayers: [{layer: fc}]\n"
    made = load(tmp_path, text, ["network.training=IMAGENET1K_V1"])
    assert (made.network.name, made.network.training) == ("resnet50", "IMAGENET1K_V1")
    assert load(tmp_path, text, ["network.training=IMAGENET1K_V1", "network=resnet18"]).network.training is None


def test_every_file_that_is_named_is_known_by_its_place(tmp_path: Path) -> None:
    made = scene(
        tmp_path,
        "{layer: conv1}, {layer: conv2, guide: g.jpg}, {class: ant, mask: m.png}",
        "source: {image: s.jpg}",
        "network: {name: googlenet, weights: w.pth}",
    )
    assert [(path, name, mark.kind) for path, name, mark in made.files()] == [
        (("source", "image"), "s.jpg", "picture"),
        (("network", "weights"), "w.pth", "weights"),
        (("layers", 1, "guide"), "g.jpg", "picture"),
        (("layers", 2, "mask"), "m.png", "picture"),
    ]


def test_a_scene_says_again_what_it_was_told(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = [
        {"class": ["banana", "zebra"], "weight": [1.0, {"0": 0, "9": 1}]},
        {"layer": "blocks.3", "channels": [7], "neuron": [0.5, 0.25], "mask": "m.png", "weight": "sin(t)"},
    ]
    made = load(tmp_path, json.dumps({"layers": said}))
    assert made.model_dump(mode="json", exclude_none=True, by_alias=True)["layers"] == said


@pytest.mark.parametrize(
    ("layer", "says", "under"),
    [
        ("{class: bananna}", "efficientnet_lite0 knows no class 'bananna'; did you mean 'banana'?", "bananna"),
        ("{class: shark}", "knows no class 'shark'; there are 'great white shark', 'tiger shark'", "shark"),
        ("{class: qqq}", "knows no class 'qqq'; `render classes` lists them", "qqq"),
        ("{class: [ant, 1000]}", "no class 1000: efficientnet_lite0 knows 1000, from 0", "1000"),
        ("{class: 1.5}", "a class is a name, or its index, not '1.5'", "1.5"),
        ("{class: []}", "at least one is needed", "[]"),
        ("{class: ant, layer: blocks.3}", "a class is asked for as a whole", "class"),
        ("{class: ant, channels: 3}", "a class is asked for as a whole", "channels"),
        ("{class: ant, guide: g.jpg}", "a class is asked for as a whole", "guide"),
        ("{class: [ant, bee], weight: [1, 2, 3]}", "3 weights for 2", "[1, 2, 3]"),
        ("{class: [ant, bee], weight: [1, {0s: 1, 2x: 3}]}", "'2x' is not a time", "2x"),
        ("{layer: blocks.3, weight: [1, 2]}", "2 weights for 1", "[1, 2]"),
        ("{layer: blocks.3, channels: [1, 40]}", "no channel 40: blocks.3 has 40 channels, from 0 to 39", "40"),
        ("{layer: blocks.3, channels: [1, -1]}", "a channel is a number from 0 on, not '-1'", "-1"),
        ("{layer: blocks.3, channels: all}", "a channel is a number from 0 on, not 'all'", "all"),
        ("{layer: blocks.3, neuron: [0.5, 0.5]}", "a neuron is a place in one channel: channels: [17]", "neuron"),
        ("{layer: blocks.3, channels: 1, neuron: [0.5, 2]}", "less than or equal to 1", "2"),
        ("{layer: blocks.3, channels: 1, neuron: [0.5]}", "needs 2 values", "[0.5]"),
        ("{layer: classifier, channels: 1, neuron: [0, 0]}", "classifier has no places to choose from", "[0, 0]"),
        ("{layer: blocks.3, channels: 1, guide: g.jpg}", "a guide is matched on all channels", "channels"),
        ("{layer: block.3}", "has no layer 'block.3'; did you mean 'blocks.3'?", "block.3"),
        ("{layer: inception4c}", "has no layer 'inception4c'; `render layers efficientnet_lite0 --all`", "inception4c"),
        ("{layer: blocks.3, guide: ''}", "at least 1 character", "''"),
        ("{klass: ant}", "unknown key 'klass'; did you mean 'class'?", "klass"),
        ("{layer: blocks.3, chanels: 3}", "unknown key 'chanels'; did you mean 'channels'?", "chanels"),
    ],
)
def test_a_wrong_wish_is_shown(layer: str, says: str, under: str, tmp_path: Path) -> None:
    told = problems(tmp_path, f"layers: [{layer}]\n")
    (problem,) = [each for each in told if says in each.message] or told
    assert says in problem.message
    assert under_caret(problem).startswith(under)


@pytest.mark.parametrize(
    ("network", "says", "under"),
    [
        ("googlnet", "unknown network 'googlnet'; did you mean 'googlenet'?", "googlnet"),
        ("resnet", "unknown network 'resnet'; there are 'resnet101', 'resnet152'", "resnet"),
        ("{name: vgg}", "unknown network 'vgg'; there are 'vgg11'", "vgg"),
        ("qqq", "unknown network 'qqq'; `render networks` lists them", "qqq"),
        ("{name: resnet50, weight: my.pth}", "unknown key 'weight'; did you mean 'weights'?", "weight"),
        ("{name: resnet50, training: V1}", "resnet50 has no training 'V1'", "V1"),
        ("{name: resnet50, training: IMAGENET1K_V3}", "did you mean 'IMAGENET1K_V", "IMAGENET1K_V3"),
        ("{name: resnet50, weights: w, training: IMAGENET1K_V1}", "not both", "training"),
        ("3", "a mapping of name, weights, training belongs here", "3"),
    ],
)
def test_a_wrong_network_is_shown(network: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"network: {network}\nlayers: [{{layer: conv1}}]\n")
    assert says in problem.message
    assert under_caret(problem).startswith(under)
