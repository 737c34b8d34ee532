"""Defaults that follow from what a scene requests, and from what it begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from render.scene.fields import Section
from render.scene.model import SceneSpec
from render.scene.objectives import ObjectiveSpec

BY_SIZE = "by size"
"""Of octaves: as many as there are until the shorter side of the coarsest is about COARSEST_SIDE pixels."""
COARSEST_SIDE = 128
OCTAVE_SCALE = 1.4
Raw = Mapping[str, Any]
"""Values by key, `dream.steps`, as they would be written in a scene."""


class Rule(NamedTuple):
    """Values for every scene that all the words describe (see `words`)."""

    words: tuple[str, ...]
    values: Raw


RULES = (
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
            "dream.transforms.scale": [0.9, 1.4],
            "dream.transforms.rotate": 10,
            "dream.transforms.flip": True,
            "dream.gradient": {"natural": {"decay_power": 0.6, "min_frequency": 3}},
        },
    ),
    Rule(("class", "noise"), {"source.noise.grain": 1, "source.noise.contrast": 0.01, "source.noise.color": 1}),
    Rule(
        ("class", "still"),
        {
            "dream.steps": 80,
            "dream.step_size": 0.004,
            "dream.final_step_scale": 0.05,
            "dream.momentum": 0.9,
            "dream.total_variation": 0.4,
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
    Rule(("style",), {"dream.transforms.jitter": 16, "dream.gradient": {"natural": {"decay_power": 0.2}}}),
    Rule(("style", "still"), {"dream.steps": 40, "dream.step_size": 0.01, "dream.final_step_scale": 0.1}),
    Rule(("style", "film"), {"dream.steps": 3, "dream.step_size": 0.008, "dream.first_frame.steps": 30}),
)
"""Later rules override earlier ones."""
GROUPS = (
    ("camera",),
    ("grade",),
    ("source.noise",),
    ("output",),
    ("dream.octaves", "dream.steps", "dream.first_frame"),
)
"""Keys that are one decision: a scene that sets one of them gets no values of rules for the others."""
ADDED = "objectives[]"
"""The key of an objective that is added to those of the scene."""


def words(spec: SceneSpec) -> frozenset[str]:
    """Returns what describes a scene: what it requests, what it begins with, and whether it is a film.

    Of a style, a class and a layer the first that there is counts, since it needs other settings than those after it.
    """
    objectives = spec.objectives
    has_class = any(each.classes or each.tour == "classes" for each in objectives)
    requested = "style" if any(each.style for each in objectives) else "class" if has_class else "layer"
    begins = "clip" if spec.source.video else "picture" if spec.source.image else "noise"
    is_still = begins != "clip" and spec.length == 1
    return frozenset([requested, begins, "still" if is_still else "film"])


def defaults(spec: SceneSpec, *, size: tuple[int, int], has_norms: bool) -> dict[str, Any]:
    """Returns the values of the rules for every key that the spec, of a film of `size` pixels, does not set.

    Without statistics, a style or a mask, outside of which nothing changes, those of photographs are added in a network
    that has batch norms.
    """
    described = words(spec)
    statistics = {each.statistics for each in spec.objectives}
    chosen: dict[str, Any] = {}
    is_masked = any(each.mask for each in spec.objectives)
    if statistics == {None} and "style" not in described and not is_masked and has_norms:
        chosen[ADDED] = {"statistics": "natural"}
    if ADDED in chosen or "natural" in statistics:
        chosen["grade.strength"] = 0
    for rule in RULES:
        if described.issuperset(rule.words):
            chosen.update(rule.values)
    octaves = 1 + math.floor(math.log(max(1, min(size) / COARSEST_SIDE), OCTAVE_SCALE))
    chosen = {key: octaves if value == BY_SIZE else value for key, value in chosen.items()}
    decided = [group for group in GROUPS if any(_is_set(spec, key) for key in group)]
    closed = tuple(key for group in decided for key in group)
    return {
        key: value
        for key, value in chosen.items()
        if key == ADDED or not (key.startswith(closed) or _is_set(spec, key))
    }


def with_defaults(spec: SceneSpec, chosen: Raw) -> SceneSpec:
    """Returns the spec with values for keys that it does not set."""
    nested: dict[str, Any] = {}
    for key, value in chosen.items():
        *path, last = key.split(".")
        section = nested
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value
    changes: dict[str, Any] = {}
    if added := nested.pop(ADDED, None):
        changes["objectives"] = (*spec.objectives, ObjectiveSpec.model_validate(added))
    changes |= {name: _merged(getattr(spec, name), values) for name, values in nested.items()}
    return spec.replaced(**changes)


def _merged(section: Any, values: dict[str, Any]) -> Any:
    return type(section).model_validate(_deep_merged(values, section.model_dump(exclude_unset=True, by_alias=True)))


def _deep_merged(below: Raw, above: Raw) -> dict[str, Any]:
    both = {key for key in below.keys() & above.keys() if isinstance(below[key], dict) and isinstance(above[key], dict)}
    return {**below, **above, **{key: _deep_merged(below[key], above[key]) for key in both}}


def _is_set(spec: SceneSpec, key: str) -> bool:
    """Returns whether a value, or any in a section, is set."""
    value: Any = spec
    for name in key.split("."):
        if name not in value.model_fields_set:
            return False
        value = getattr(value, name)
    return not isinstance(value, Section) or bool(value.model_fields_set)
