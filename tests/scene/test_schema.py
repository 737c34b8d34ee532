"""The JSON Schema that editors read: current, valid, and of one mind with the renderer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from render.scene import yaml
from render.scene.easings import EASINGS
from render.scene.model import Scene
from render.scene.schema import schema_text

CONFIGS = Path(__file__).parents[2] / "configs"
SCHEMA = json.loads(schema_text())
LAYER = "layers: [{layer: blocks.10}]\n"


def accepted(text: str) -> bool:
    """Whether the schema accepts a scene."""
    return Draft202012Validator(SCHEMA).is_valid(yaml.parse(text, "s").plain())


def test_the_committed_schema_is_the_one_that_render_schema_prints() -> None:
    assert (CONFIGS / "scene.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_config_is_valid_and_says_where_its_schema_is(config: Path) -> None:
    Draft202012Validator(SCHEMA).validate(yaml.read(config).plain())
    modeline = config.read_text(encoding="utf-8").splitlines()[0]
    assert modeline == "# yaml-language-server: $schema=scene.schema.json"


@pytest.mark.parametrize(
    "text",
    [
        "camera: {zoom: 1, rotate: t, pan: [0, '0.1/s'], shear: ['0/s', 0], pivot: [t, {0s: 1}]}",
        "camera: {zoom: {0s: 1, 24: 2, 50%: {value: 3, ease: out_bounce}, end: {value: 1}}}",
        "camera: {rotate: {0.5s: 12/s, 2 s: {value: -3/s, ease: hold}}}",
        "fps: 30000/1001\nduration: 10s\nsize: [64, 64]\nseed: 0",
        "fps: 29.97\nduration: 240",
        "source: noise\ndream: {gradient: raw, first: {steps: 3}}",
        "source: {noise: {grain: 8}}\ndream: {gradient: {natural: {power: 0.4}}, step_size: {0s: 0, end: 0.1}}",
        "source: {image: p.jpg}\noutput: {path: f/%d.png, depth: 16, segment: 5}",
        "grade: {strength: {0s: 0, 1s: 1}, mean: '0.5', contrast: 0.2}\noutput: {codec: h265, crf: 1}",
    ],
)
def test_what_the_renderer_accepts_the_schema_accepts(text: str) -> None:
    Scene.model_validate(yaml.parse(LAYER + text, "s").plain())
    assert accepted(LAYER + text)


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
        "camera: {pan: [0]}",
        "size: [64]",
        "size: [64, 64, 3]",
        "seed: -1",
        "source: nose",
        "source: {noise: {}, image: p.jpg}",
        "source: {}",
        "dream: {gradient: {natural: {power: 2}}}",
        "dream: {octaves: 0}",
        "output: {codec: prors}",
        "output: {depth: 12}",
        "layers: []",
        "layers: [{weight: 1}]",
        "layers: [{layer: blocks.10, weight: {0s: 1/s}}]",
    ],
)
def test_what_the_schema_refuses_the_renderer_refuses(text: str) -> None:
    text = text if text.startswith("layers") else LAYER + text
    assert not accepted(text)
    with pytest.raises(ValidationError):
        Scene.model_validate(yaml.parse(text, "s").plain())


def test_a_scene_without_layers_is_refused() -> None:
    assert not accepted("fps: 24")


def words(schema: Any, key: str) -> list[Any]:
    """Every value of a key in the schema, however deep."""
    below = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    here = [schema[key]] if isinstance(schema, dict) and key in schema else []
    return here + [found for part in below for found in words(part, key)]


def explained(part: Any) -> bool:
    """Whether an editor has words to show for a part of the schema."""
    return bool(
        part.get("description") or SCHEMA["$defs"].get(str(part.get("$ref")).rsplit("/")[-1], {}).get("description")
    )


def test_an_editor_can_complete_easings_and_explain_every_key() -> None:
    assert list(EASINGS) in words(SCHEMA, "enum")
    silent = {key for keys in words(SCHEMA, "properties") for key in keys if not explained(keys[key])}
    assert silent <= {"value", "ease"}
