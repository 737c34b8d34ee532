"""What of a scene a film's frames depend on, and what only its sound does, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from render.pipeline.scene import Scene

SOUND_KEYS = ("audio", "audio_track")
"""The keys of `output` that no frame depends on."""


def portable_scene(scene: Scene) -> dict[str, Any]:
    """The scene as JSON, without the output path, its files by their names alone."""
    written = scene.spec.model_dump(mode="json", exclude_none=True, by_alias=True)
    del written["output"]["path"]
    for keys, name, _ in scene.spec.files():
        section: Any = written
        for key in keys[:-1]:
            section = section[key]
        section[keys[-1]] = PurePath(name).name
    return written


def without_sound(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What the frames alone depend on, of what a film depends on.

    Its sound, and how often the film is in its file, can change without a frame being dreamed. Values of unexpected
    types are kept as they are.
    """
    result = {key: value for key, value in provenance.items() if key != "repeat"}
    scene, files = result.get("scene"), result.get("files")
    if isinstance(scene, dict) and follows_film_sound(scene):
        return result
    if isinstance(scene, dict) and isinstance(scene.get("output"), dict):
        output = {key: value for key, value in scene["output"].items() if key not in SOUND_KEYS}
        result["scene"] = {**scene, "output": output}
    if isinstance(files, dict):
        sounds = {f"output.{key}" for key in SOUND_KEYS}
        result["files"] = {key: checksum for key, checksum in files.items() if key not in sounds}
    return result


def follows_film_sound(scene: Mapping[str, Any]) -> bool:
    """Whether frames of a scene, as JSON, depend on the film's sound: a signal, or beats that are found in it."""
    bpm, signals = scene.get("bpm"), scene.get("signals")
    has_beats = isinstance(bpm, dict) and bpm.get("value") == "auto" and bpm.get("audio", "output") == "output"
    named = signals.values() if isinstance(signals, dict) else ()
    return has_beats or any(isinstance(signal, dict) and signal.get("audio") == "output" for signal in named)
