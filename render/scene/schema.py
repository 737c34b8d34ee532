"""The JSON Schema of scenes, generated from the model, for completion and checks in editors."""

from __future__ import annotations

import json
from typing import Any

from render.scene.model import SceneSpec
from render.scene.tracks import EASING_SCHEMA, track_schema


def scene_schema() -> dict[str, Any]:
    """Returns the JSON Schema; tracks (`Motion` is one that may be per second) and easings are defined once."""
    shared = {"Track": track_schema(motion=False), "Motion": track_schema(motion=True), "Easing": EASING_SCHEMA}
    schema: dict[str, Any] = _with_references(SceneSpec.model_json_schema(), shared)
    schema["$defs"] |= shared
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def schema_text() -> str:
    """Returns the schema as it is committed, `configs/scene.schema.json`."""
    return json.dumps(scene_schema(), indent=2) + "\n"


def _with_references(schema: Any, definitions: dict[str, Any]) -> Any:
    """Returns the schema with every occurrence of a definition replaced by a reference to it."""
    if isinstance(schema, list):
        return [_with_references(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for name, definition in definitions.items():
        if definition.items() <= schema.items():
            further = {key: value for key, value in schema.items() if key not in definition}
            return {"$ref": f"#/$defs/{name}"} | further
    return {key: _with_references(value, definitions) for key, value in schema.items()}
