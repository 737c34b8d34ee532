"""Objectives and networks: which keys can be combined, how names are resolved, and the position of every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from render.scene.model import SceneSpec
from tests.scene.test_document import load, problems, under_caret


def load_objectives(folder: Path, objectives: str, *lines: str) -> SceneSpec:
    """Returns a spec with these objectives and lines."""
    return load(folder, "\n".join([f"objectives: [{objectives}]", *lines]) + "\n")


def test_a_class_in_any_case_or_by_index_is_resolved_to_its_full_name(tmp_path: Path) -> None:
    spec = load_objectives(tmp_path, "{class: [Banana, 340, measuring_cup]}")
    assert spec.objectives[0].classes == ("banana", "zebra", "measuring cup")
    assert load_objectives(tmp_path, "{class: banana}").objectives[0].classes == ("banana",)


def test_one_weight_applies_to_all_classes_and_a_list_has_one_per_class(tmp_path: Path) -> None:
    spec = load_objectives(tmp_path, "{class: [banana, zebra]}, {layer: blocks.3}", "duration: 5")
    assert spec.params(0).weights == ((1, 1), (1,))
    morph = "{class: [banana, zebra], weight: [{0: 1, 4: 0}, {0: 0, 4: {value: 2, ease: linear}}]}"
    spec = load_objectives(tmp_path, morph, "duration: 5")
    assert [spec.params(i).weights for i in (0, 1, 4)] == [((1, 0),), ((0.75, 0.5),), ((0, 2),)]


def test_channels_are_a_number_or_a_list(tmp_path: Path) -> None:
    assert load_objectives(tmp_path, "{layer: blocks.3, channels: 7}").objectives[0].channels == (7,)
    assert load_objectives(tmp_path, "{layer: blocks.3, channels: [3, 39]}").objectives[0].channels == (3, 39)


def test_a_network_is_a_name_or_a_mapping(tmp_path: Path) -> None:
    spec = load_objectives(tmp_path, "{layer: layer3.5.conv2}", "network: resnet50")
    assert (spec.network.name, spec.network.weights, spec.network.weights_file) == ("resnet50", None, None)
    spec = load_objectives(tmp_path, "{layer: fc}", "network: {name: resnet50, weights: IMAGENET1K_V1}")
    assert spec.network.weights == "IMAGENET1K_V1"


def test_a_module_of_modules_is_a_layer(tmp_path: Path) -> None:
    assert load_objectives(tmp_path, "{layer: blocks}").objectives[0].layer == "blocks"


def test_a_weights_file_without_a_name_is_for_the_default_network(tmp_path: Path) -> None:
    spec = load_objectives(tmp_path, "{layer: blocks.3}", "network: {weights_file: w.pth}")
    assert (spec.network.name, spec.network.weights_file) == ("efficientnet_lite0", "w.pth")
    spec = load(tmp_path, "objectives: [{layer: blocks.3}]\n", ["network.weights_file=w.pth"])
    assert (spec.network.name, spec.network.weights_file) == ("efficientnet_lite0", "w.pth")


def test_an_override_adds_to_a_network_that_is_a_name(tmp_path: Path) -> None:
    text = "network: resnet50\nobjectives: [{layer: fc}]\n"
    spec = load(tmp_path, text, ["network.weights=IMAGENET1K_V1"])
    assert (spec.network.name, spec.network.weights) == ("resnet50", "IMAGENET1K_V1")
    assert load(tmp_path, text, ["network.weights=IMAGENET1K_V1", "network=resnet18"]).network.weights is None


def test_every_named_file_is_listed_with_its_path_in_the_scene(tmp_path: Path) -> None:
    spec = load_objectives(
        tmp_path,
        "{layer: conv1}, {layer: conv2, guide: g.jpg}, {class: ant, mask: m.png}",
        "source: {image: s.jpg}",
        "network: {name: googlenet, weights_file: w.pth}",
    )
    assert [(path, name, mark.kind) for path, name, mark in spec.files()] == [
        (("source", "image"), "s.jpg", "picture"),
        (("network", "weights_file"), "w.pth", "weights"),
        (("objectives", 1, "guide"), "g.jpg", "picture"),
        (("objectives", 2, "mask"), "m.png", "picture"),
    ]


def test_objectives_are_serialised_as_they_are_written(tmp_path: Path) -> None:
    objectives: list[dict[str, Any]] = [
        {"class": ["banana", "zebra"], "weight": [1.0, {"0": 0, "9": 1}]},
        {"layer": "blocks.3", "channels": [7], "position": [0.5, 0.25], "mask": "m.png", "weight": "sin(t)"},
    ]
    spec = load(tmp_path, json.dumps({"objectives": objectives}))
    assert spec.model_dump(mode="json", exclude_none=True, by_alias=True)["objectives"] == objectives


@pytest.mark.parametrize(
    ("objective", "says", "under"),
    [
        ("{class: bananna}", "efficientnet_lite0 has no class 'bananna'; did you mean 'banana'?", "bananna"),
        ("{class: shark}", "has no class 'shark'; there are 'great white shark', 'tiger shark'", "shark"),
        ("{class: qqq}", "has no class 'qqq'; `render classes` lists them", "qqq"),
        ("{class: [ant, 1000]}", "no class 1000: efficientnet_lite0 has 1000, from 0", "1000"),
        ("{class: 1.5}", "a class is a name or an index, not '1.5'", "1.5"),
        ("{class: []}", "at least one value is needed", "[]"),
        ("{class: ant, layer: blocks.3}", "'class' cannot be combined with 'layer'", "class"),
        ("{class: ant, channels: 3}", "'channels' cannot be combined with 'class'", "channels"),
        ("{class: ant, guide: g.jpg}", "'guide' cannot be combined with 'class'", "guide"),
        ("{statistics: natural, layer: blocks.3}", "'statistics' cannot be combined with 'layer'", "statistics"),
        ("{statistics: natural, class: ant}", "'statistics' cannot be combined with 'class'", "statistics"),
        ("{statistics: natural, channels: 3}", "'channels' cannot be combined with 'statistics'", "channels"),
        ("{layer: blocks.3, depth: [0, 0.5]}", "'depth' cannot be combined with 'layer'", "depth"),
        ("{statistics: natural, depth: [0.5, 0.1]}", "the smaller depth comes first", "[0.5, 0.1]"),
        ("{statistics: natural, depth: [0, 2]}", "objectives.0.depth.1 must be at most 1, not '2'", "2"),
        ("{statistics: natural, weight: [1, 2]}", "2 weights for 1 statistics", "[1, 2]"),
        ("{style: p.jpg, layer: blocks.3}", "'style' cannot be combined with 'layer'", "style"),
        ("{style: p.jpg, guide: g.jpg}", "'guide' cannot be combined with 'style'", "guide"),
        ("{style: p.jpg, layers: [blocks.3, block.4]}", "has no layer 'block.4'; did you mean 'blocks.4'?", "block.4"),
        ("{style: p.jpg, layers: [blocks.3, classifier]}", "classifier has no positions, and so no", "classifier"),
        ("{style: p.jpg, layers: blocks.3, depth: [0, 0.2]}", "'depth' cannot be combined with 'layers'", "depth"),
        ("{statistics: natural, layers: blocks.3}", "'layers' cannot be combined with 'statistics'", "layers"),
        ("{content: source}", "'content' needs the layer that is held: layer: blocks.7", "content"),
        ("{content: source, layer: blocks.3, channels: 2}", "'channels' cannot be combined with 'content'", "channels"),
        ("{content: source, class: ant}", "'class' cannot be combined with 'content'", "class"),
        ("{content: sources, layer: blocks.3}", "'source'", "sources"),
        ("{statistics: unnatural}", "'natural'", "unnatural"),
        ("{tour: clases}", "unknown value 'clases'; did you mean 'classes'?", "clases"),
        ("{tour: classes, classes: [ant, bananna]}", "has no class 'bananna'; did you mean 'banana'?", "bananna"),
        ("{tour: classes, classes: [954, 1000]}", "no class 1000: efficientnet_lite0 has 1000, from 0", "1000"),
        ("{tour: classes, classes: [ant, bee, Ant]}", "'ant' is listed twice", "Ant"),
        ("{tour: classes, classes: ant}", "a tour needs at least 2 classes", "ant"),
        ("{tour: classes, class: [ant, bee]}", "the list of a tour is 'classes', not 'class'", "class:"),
        ("{tour: classes, layer: blocks.3}", "'layer' cannot be combined with 'tour: classes'", "layer"),
        ("{tour: channels}", "'tour: channels' needs their layer: layer: blocks.12", "tour"),
        ("{tour: channels, layer: block.3}", "has no layer 'block.3'; did you mean 'blocks.3'?", "block.3"),
        ("{tour: channels, layer: blocks.3, channels: [3, 40]}", "no channel 40: blocks.3 has 40 channels", "40"),
        ("{tour: channels, layer: blocks.3, channels: [3, 5, 3]}", "'3' is listed twice", "3]"),
        ("{tour: channels, layer: blocks.3, classes: ant}", "cannot be combined with 'tour: channels'", "classes"),
        ("{tour: channels, layer: blocks.3, guide: g.jpg}", "'guide' cannot be combined with 'tour'", "guide"),
        ("{classes: [ant, bee]}", "'classes' needs 'tour: classes'; without a tour it is 'class'", "classes"),
        ("{class: ant, hold: 2s}", "'hold' cannot be combined with 'class'", "hold"),
        ("{tour: classes, hold: 2x}", "'2x' is not a time", "2x"),
        ("{tour: classes, hold: end}", "'end' is not a time: 10s, 64b, or a number of frames", "end"),
        ("{tour: classes, hold: 0, fade: 0s}", "a turn, hold + fade, is shorter than a frame", "0,"),
        ("{tour: classes, order: listed, seed: 3}", "a listed order has no seed; order: random has one", "seed"),
        ("{tour: classes, weight: [1, 2]}", "2 weights for 1 tour", "[1, 2]"),
        ("{class: [ant, bee], weight: [1, 2, 3]}", "3 weights for 2 classes", "[1, 2, 3]"),
        ("{class: [ant, bee], weight: [1, {0s: 1, 2x: 3}]}", "'2x' is not a time", "2x"),
        ("{layer: blocks.3, weight: [1, 2]}", "2 weights for 1 layer", "[1, 2]"),
        ("{layer: blocks.3, channels: [1, 40]}", "no channel 40: blocks.3 has 40 channels, from 0 to 39", "40"),
        ("{layer: blocks.3, channels: [1, -1]}", "objectives.0.channels.1 must be at least 0, not '-1'", "-1"),
        ("{layer: blocks.3, channels: all}", "objectives.0.channels must be a whole number, not 'all'", "all"),
        ("{layer: blocks.3, position: [0.5, 0.5]}", "a position needs exactly one channel: channels: [17]", "position"),
        (
            "{layer: blocks.3, channels: 1, position: [0.5, 2]}",
            "objectives.0.position.1 must be at most 1, not '2'",
            "2",
        ),
        ("{layer: blocks.3, channels: 1, position: [0.5]}", "needs 2 values", "[0.5]"),
        (
            "{layer: classifier, channels: 1, position: [0, 0]}",
            "classifier has no positions; remove 'position'",
            "[0, 0]",
        ),
        ("{layer: blocks.3, channels: 1, guide: g.jpg}", "a guide is compared on all channels", "channels"),
        ("{layer: block.3}", "has no layer 'block.3'; did you mean 'blocks.3'?", "block.3"),
        ("{layer: inception4c}", "has no layer 'inception4c'; `render layers efficientnet_lite0 --all`", "inception4c"),
        ("{layer: blocks.3, guide: ''}", "must be at least 1 character(s) long", "''"),
        ("{klass: ant}", "unknown key 'klass'; did you mean 'class'?", "klass"),
        ("{layer: blocks.3, chanels: 3}", "unknown key 'chanels'; did you mean 'channels'?", "chanels"),
    ],
)
def test_a_wrong_objective_is_reported_at_its_position(objective: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = [each for each in problems(tmp_path, f"objectives: [{objective}]\n") if says in each.message]
    assert under_caret(problem).startswith(under)


def test_all_unknown_classes_of_a_list_are_reported(tmp_path: Path) -> None:
    for objective in ("{class: [bananna, ant, zebr]}", "{tour: classes, classes: [bananna, ant, zebr]}"):
        reported = problems(tmp_path, f"objectives: [{objective}]\n")
        assert [under_caret(each).split(",")[0].rstrip("]}") for each in reported] == ["bananna", "zebr"]


@pytest.mark.parametrize(
    ("network", "says", "under"),
    [
        ("googlnet", "unknown network 'googlnet'; did you mean 'googlenet'?", "googlnet"),
        ("resnet", "unknown network 'resnet'; there are 'resnet101', 'resnet152'", "resnet"),
        ("{name: vgg}", "unknown network 'vgg'; there are 'vgg11'", "vgg"),
        ("qqq", "unknown network 'qqq'; `render networks` lists them", "qqq"),
        ("{name: resnet50, weight: my.pth}", "unknown key 'weight'; did you mean 'weights'?", "weight"),
        ("{name: resnet50, weights: V1}", "resnet50 has no weights 'V1'", "V1"),
        ("{name: resnet50, weights: IMAGENET1K_V3}", "did you mean 'IMAGENET1K_V", "IMAGENET1K_V3"),
        ("{name: resnet50, weights_file: w, weights: IMAGENET1K_V1}", "cannot be combined", "weights: IMAGENET1K_V1"),
        ("3", "network.name must be text", "3"),
    ],
)
def test_a_wrong_network_is_reported_at_its_position(network: str, says: str, under: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"network: {network}\nobjectives: [{{layer: conv1}}]\n")
    assert says in problem.message
    assert under_caret(problem).startswith(under)
