"""The JSON Schema for editors: it is current and valid, and agrees with the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from render.scene.easings import EASINGS
from render.scene.model import SceneSpec
from render.scene.schema import schema_text
from render.scene.yaml_tree import parse_yaml, read_yaml

CONFIGS = Path(__file__).parents[2] / "configs"
SCHEMA = json.loads(schema_text())
OBJECTIVES = "objectives: [{layer: blocks.10}]\n"


def accepted(text: str) -> bool:
    """Returns whether the schema accepts a scene."""
    return Draft202012Validator(SCHEMA).is_valid(parse_yaml(text, "s").plain())


def test_the_committed_schema_is_that_of_the_model() -> None:
    assert (CONFIGS / "scene.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_config_is_valid_and_names_its_schema(config: Path) -> None:
    Draft202012Validator(SCHEMA).validate(read_yaml(config).plain())
    modeline = config.read_text(encoding="utf-8").splitlines()[0]
    assert modeline == "# yaml-language-server: $schema=scene.schema.json"


@pytest.mark.parametrize(
    "text",
    [
        "camera: {zoom: 1, rotate: t, pan: [0, '0.1/s'], shear: ['0/s', 0], pivot: [t, {0s: 1}]}",
        "camera: {zoom: {0s: 1, 24: 2, 50%: {value: 3, ease: out_bounce}, end: {value: 1}}}",
        "camera: {look_at: {point: [0, 0.6], by: end, ease: out_back}}",
        "camera: {rotate: {0.5s: 12/s, 2 s: {value: -3/s, ease: hold}}}",
        "fps: 30000/1001\nduration: 10s\nsize: [64, 64]\nseed: 0",
        "fps: 29.97\nduration: 240",
        "source: noise\ndream: {gradient: raw, first_frame: {steps: 3}}",
        "source: {noise: {grain: 8}}\ndream: {gradient: {natural: {decay_power: 0.4}}, step_size: {0s: 0, end: 0.1}}",
        "source: {image: p.jpg}\noutput: {path: f/%d.png, bit_depth: 16, segment_frames: 5}",
        "objectives: [{tour: classes, classes: [ant, 3], hold: 48, fade: 0}, {tour: channels, layer: a, seed: 2}]",
        "grade: {strength: {0s: 0, 1s: 1}, mean: '0.5', contrast: 0.2}\noutput: {codec: h265, crf: 1}",
    ],
)
def test_a_scene_that_the_model_accepts_is_accepted_by_the_schema(text: str) -> None:
    text = text if text.startswith("objectives") else OBJECTIVES + text
    SceneSpec.model_validate(parse_yaml(text, "s").plain())
    assert accepted(text)


@pytest.mark.parametrize(
    "text",
    [
        "camera: {zom: 1}",
        "zoom: 1",
        "camera: {zoom: {2x: 1}}",
        "camera: {zoom: {}}",
        "camera: {zoom: {0s: {ease: hold}}}",
        "camera: {zoom: {0s: {value: 1, ease: in_sin}}}",
        "camera: {border: miror}",
        "camera: {look_at: {point: [0.3, 0.6]}}",
        "camera: {look_at: {point: [0.3, 1.1], by: 3s}}",
        "camera: {look_at: {point: [0.3, 0.6], by: 3s, ease: in_sin}}",
        "camera: {pan: [0]}",
        "size: [64]",
        "size: [64, 64, 3]",
        "seed: -1",
        "source: nose",
        "source: {noise: {}, image: p.jpg}",
        "source: {}",
        "dream: {gradient: {natural: {decay_power: 2}}}",
        "dream: {octaves: 0}",
        "output: {codec: prors}",
        "output: {bit_depth: 12}",
        "objectives: []",
        "camera: {zoom: 101}",
        "camera: {pan: [0, -101]}",
        "grade: {strength: 1.5}",
        "dream: {tile_size: 64}",
        "dream: {tile_size: automatic}",
        "dream: {steps: []}",
        "dream: {steps: [1, -1]}",
        "follow: {cuts: never}",
        "objectives: [{weight: 1}]",
        "objectives: [{tour: layers}]",
        "objectives: [{tour: classes, order: sorted}]",
        "objectives: [{tour: classes, hold: [1s]}]",
        "objectives: [{layer: blocks.10, weight: {0s: 1/s}}]",
    ],
)
def test_a_scene_that_the_schema_rejects_is_rejected_by_the_model(text: str) -> None:
    text = text if text.startswith("objectives") else OBJECTIVES + text
    assert not accepted(text)
    with pytest.raises(ValidationError):
        SceneSpec.model_validate(parse_yaml(text, "s").plain())


def test_the_schema_rejects_a_scene_without_objectives() -> None:
    assert not accepted("fps: 24")


def values_of(schema: Any, key: str) -> list[Any]:
    """Returns every value of a key in the schema, at any depth."""
    if isinstance(schema, list):
        return [value for part in schema for value in values_of(part, key)]
    if not isinstance(schema, dict):
        return []
    return ([schema[key]] if key in schema else []) + values_of(list(schema.values()), key)


def test_the_schema_lists_all_easings() -> None:
    assert list(EASINGS) in values_of(SCHEMA, "enum")


def test_every_key_of_a_section_has_a_description() -> None:
    properties = values_of(SCHEMA, "properties")
    without = {key for keys in properties for key, part in keys.items() if not part.get("description")}
    assert len(properties) > 15
    assert without == {"value", "ease"}
