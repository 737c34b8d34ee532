"""The JSON Schema of scenes, generated from the model, which makes editors complete and check them."""

from __future__ import annotations

import json

from render.scene.model import Scene


def schema_text() -> str:
    """The schema as it is committed, `configs/scene.schema.json`."""
    schema = Scene.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Scene"}
    return json.dumps(head | schema, indent=2) + "\n"
