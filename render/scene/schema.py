"""The JSON Schema of scenes, generated from the model, which makes editors complete and check them."""

from __future__ import annotations

import json
from typing import Any

from render.scene.model import Scene
from render.scene.tracks import track_schema


def schema_text() -> str:
    """The schema as it is committed, `configs/scene.schema.json`."""
    tracks = {"Track": track_schema(motion=False), "Motion": track_schema(motion=True)}
    schema = _shared(Scene.model_json_schema(), tracks)
    schema["$defs"] |= tracks
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | schema, indent=2) + "\n"


def _shared(schema: Any, parts: dict[str, Any]) -> Any:
    """The schema with each of the parts, wherever it stands, said once."""
    if isinstance(schema, list):
        return [_shared(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for name, part in parts.items():
        if part.items() <= schema.items():
            return {"$ref": f"#/$defs/{name}"} | {key: value for key, value in schema.items() if key not in part}
    return {key: _shared(value, parts) for key, value in schema.items()}
