"""Defaults that follow from what a scene requests, and from what it begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from render.scene.dream import MAX_OCTAVES
from render.scene.fields import Section
from render.scene.model import SceneSpec
from render.scene.objectives import ObjectiveSpec
from render.scene.output import CODEC_KEYS

BY_SIZE = "by size"
"""A number of octaves: the most of which the coarsest has a shorter side of at least COARSEST_SIDE pixels."""
COARSEST_SIDE = 128
Settings = Mapping[str, Any]
"""Values by dotted key, `dream.steps`, as they are written in a scene."""
WORDS = {
    "style": "an objective is a style",
    "class": "an objective is a class or a tour of classes, and none is a style",
    "layer": "no objective is a class or a style",
    "statistics": "an objective is `statistics: natural`, in the scene or added to it, or `statistics: source`",
    "noise": "the source is noise",
    "picture": "the source is a picture",
    "clip": "the source is a clip",
    "still": "there is one frame, and the source is no clip",
    "film": "there are more frames, or the source is a clip",
    "one size": "the network sees pictures of one size only, as transformers do",
}
"""What describes a scene, and when."""


class Rule(NamedTuple):
    """Settings of every scene that all the words describe."""

    words: tuple[str, ...]
    settings: Settings


RULES = (
    Rule(("statistics",), {"grade.strength": 0}),
    Rule(("style",), {"grade.strength": 0}),
    Rule(("still",), {"dream.octaves": BY_SIZE, "output.codec": "png"}),
    Rule(("noise", "film"), {"camera.zoom": 1.02}),
    Rule(("picture", "film"), {"camera.zoom": 1.01}),
    Rule(("layer",), {"dream.transforms.jitter": 16}),
    Rule(
        ("layer", "noise"),
        {
            "dream.steps": 3,
            "dream.step_size": 0.008,
            "dream.first_frame.octaves": BY_SIZE,
            "dream.first_frame.steps": 40,
        },
    ),
    Rule(("layer", "picture", "still"), {"dream.steps": 12, "dream.step_size": 0.012}),
    Rule(("layer", "picture", "film"), {"dream.steps": 2, "dream.step_size": 0.005}),
    Rule(("layer", "clip"), {"dream.steps": 2, "dream.step_size": 0.006, "dream.first_frame.steps": 12}),
    Rule(
        ("class",),
        {
            "dream.transforms.jitter": 20,
            "dream.transforms.scale": [0.7, 1.2],
            "dream.transforms.rotate": 10,
            "dream.transforms.flip": True,
            "dream.gradient": {"natural": {"decay_power": 0.6, "min_frequency": 3}},
        },
    ),
    Rule(("class", "noise"), {"source.noise.grain": 1, "source.noise.contrast": 0.01, "source.noise.color": 1}),
    Rule(
        ("class", "still"),
        {
            "dream.transforms.scale": [0.8, 1.2],
            "dream.steps": 100,
            "dream.gradient": {"natural": {"decay_power": 0.75, "color_correlation": 0.9, "min_frequency": 2}},
            "dream.step_size": 0.006,
            "dream.final_step_scale": 0.2,
            "dream.momentum": 0.9,
            "dream.total_variation": 0.5,
        },
    ),
    Rule(
        ("class", "film"),
        {
            "dream.octaves": 2,
            "dream.steps": 5,
            "dream.step_size": 0.012,
            "dream.momentum": 0.6,
            "dream.total_variation": 0.2,
        },
    ),
    Rule(("class", "noise", "film"), {"dream.first_frame.octaves": BY_SIZE, "dream.first_frame.steps": 40}),
    Rule(("class", "picture", "film"), {"dream.step_size": 0.006}),
    Rule(("class", "clip"), {"dream.step_size": 0.006, "dream.first_frame.steps": 12}),
    Rule(
        ("style",),
        {"dream.transforms.jitter": 16, "dream.gradient": {"natural": {"decay_power": 0.35, "color_correlation": 0.5}}},
    ),
    Rule(("style", "still"), {"dream.steps": 60, "dream.step_size": 0.01, "dream.final_step_scale": 0.1}),
    Rule(("style", "film"), {"dream.steps": 3, "dream.step_size": 0.008, "dream.first_frame.steps": 30}),
    Rule(("one size",), {"dream.octaves": 1, "dream.first_frame.octaves": 1}),
)
"""Later rules override earlier ones."""
GROUPS = (
    ("camera",),
    ("grade",),
    ("source.noise",),
    tuple(f"output.{key}" for key in sorted(CODEC_KEYS)),
    ("dream.octaves", "dream.steps", "dream.first_frame"),
)
"""Keys and sections that are one decision: a scene that sets any of a group decides all of it."""
ADDED = "objectives[]"
"""The key of an objective that is added to those of the scene."""


def words(spec: SceneSpec) -> frozenset[str]:
    """Returns those of WORDS that describe a scene, whatever its network is."""
    objectives = spec.objectives
    has_class = any(each.classes or each.tour == "classes" for each in objectives)
    requested = "style" if any(each.style for each in objectives) else "class" if has_class else "layer"
    source = "clip" if spec.source.video else "picture" if spec.source.image else "noise"
    length = "still" if spec.is_still else "film"
    statistics = {"statistics"} if any(each.statistics in ("natural", "source") for each in objectives) else set()
    return frozenset({requested, source, length, *statistics})


def defaults(spec: SceneSpec, *, size: tuple[int, int], has_norms: bool, sees_one_size: bool = False) -> dict[str, Any]:
    """Returns the settings of all rules for a scene of a `size` in pixels but those that it decides itself.

    In a network that has batch norms, an objective may be among them, under the key ADDED. `sees_one_size` says that
    it cannot see octaves.
    """
    chosen: dict[str, Any] = {}
    described = words(spec) | ({"one size"} if sees_one_size else set())
    if has_norms and _lacks_statistics(spec):
        chosen[ADDED] = {"statistics": "natural"}
        described |= {"statistics"}
    for rule in RULES:
        if described.issuperset(rule.words):
            chosen.update(rule.settings)
    octaves = 1 + math.floor(math.log(max(1, min(size) / COARSEST_SIDE), spec.dream.octave_scale))
    octaves = min(octaves, MAX_OCTAVES)
    chosen = {key: octaves if value == BY_SIZE else value for key, value in chosen.items()}
    return {key: value for key, value in chosen.items() if not _is_decided(spec, key)}


def decided_with(key: str, chosen: Settings) -> Settings:
    """Returns those of the `chosen` settings, besides that of `key`, that a scene no longer gets when it sets `key`."""
    group = _group(key)
    return {other: value for other, value in chosen.items() if other != key and other.startswith(group)}


def with_defaults(spec: SceneSpec, chosen: Settings) -> SceneSpec:
    """Returns the spec with settings of `defaults`, none of which it decides."""
    changes: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for key, value in chosen.items():
        if key == ADDED:
            changes["objectives"] = (*spec.objectives, ObjectiveSpec.model_validate(value))
            continue
        name, *path, last = key.split(".")
        if name not in sections:
            sections[name] = getattr(spec, name).model_dump(exclude_unset=True, by_alias=True)
        section = sections[name]
        for step in path:
            section = section.setdefault(step, {})
        section[last] = value
    for name, section in sections.items():
        changes[name] = type(getattr(spec, name)).model_validate(section)
    return spec.replaced(**changes)


def _lacks_statistics(spec: SceneSpec) -> bool:
    """Returns whether no objective is about statistics, as a style is, or masked: outside of a mask nothing changes."""
    return not any(each.statistics or each.style or each.mask for each in spec.objectives)


def _is_decided(spec: SceneSpec, key: str) -> bool:
    """Returns whether a scene sets a key or any other of its group."""
    return any(_is_set(spec, each) for each in _group(key))


def _group(key: str) -> tuple[str, ...]:
    """Returns the keys and sections that are one decision with a key."""
    return next((group for group in GROUPS if key.startswith(group)), (key,))


def _is_set(spec: SceneSpec, key: str) -> bool:
    """Returns whether a scene sets a value, or any value of a section."""
    value: Any = spec
    for name in key.split("."):
        if name not in value.model_fields_set:
            return False
        value = getattr(value, name)
    return not isinstance(value, Section) or bool(value.model_fields_set)
