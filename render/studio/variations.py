"""Variations of a scene: which of its keys can be varied, with which values, and what of them is requested."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from render.models.registry import layer_map
from render.pipeline.scene import Scene
from render.scene.defaults import ADDED
from render.scene.field_errors import Loc
from render.scene.fields import Section, TrackField
from render.scene.tracks import Track
from render.studio.key_edits import constant, dotted
from render.studio.text_edit import flow_text

WITHOUT = ("size", "fps", "duration", "start", "network", "output", "tile_size", "reference_side")
"""Keys that say how a film is made or how long it is, and not what it looks like."""
CELLS = 9
"""Values that are proposed for a number."""
NEAR = 3
"""Whole numbers below and above the value of the scene that are drawn in any case."""
OPEN = 0.01
"""From a bound that a number may not reach."""
FACTOR = 3.0
"""What is drawn is at most so much larger or smaller than the value of the scene."""
AT_REST = {"camera.rotate": 2.0, "camera.pan": 0.01, "camera.shear": 0.01, "hue": 180.0}
"""For numbers that are 0: the largest one that is drawn; 1 for others."""
SEEDS = (0, 9999)
SURPRISING = (
    *("objectives", "camera.zoom", "camera.rotate", "camera.pan", "source.noise", "seed"),
    *("dream.octave", "dream.step", "dream.gradient", "dream.transforms"),
)
"""Beginnings of the keys that are varied when none is chosen."""
SURPRISES = 3
"""Keys that are varied then."""
SIDE = 192
MAX_ITEMS = 4
"""Of a list of numbers, each of which can be varied."""


@dataclass(frozen=True)
class Key:
    """A key that can be varied, by its dotted name, and its value in the scene as text.

    `low` and `high` are between which values are drawn, around the value of the scene and within what the key allows;
    `words` are all its values where it is no number.
    """

    name: str
    value: str
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    unit: str = ""
    words: tuple[str, ...] = ()

    @property
    def values(self) -> str:
        """Values for a grid, in the language of `--vary`."""
        if self.words:
            return ",".join(self.words)
        if not self.is_whole:
            return f"{self._text(self.low)}:{self._text(self.high)}:{CELLS}"
        step = max(1, math.ceil((self.high - self.low) / (CELLS - 1)))
        return ",".join(str(number) for number in range(round(self.low), round(self.high) + 1, step))

    @property
    def span(self) -> str:
        """What is drawn from, in the language of `--vary`."""
        if self.words:
            return ",".join(self.words)
        if self.is_whole:
            return f"{self.low:.0f}:{self.high:.0f}"
        return f"{self._text(self.low)}:{self._text(self.high)}"

    def _text(self, number: float) -> str:
        """A number that is not whole in the language: the ends of a range are drawn from as they are written."""
        text = f"{number:.4g}"
        text = text if "." in text or "e" in text else f"{text}.0"
        return f"{text}{self.unit}"


def variable_keys(scene: Scene) -> list[Key]:
    """Returns the keys of a scene whose value is a number or one of a few words, tracks that are constants included."""
    network = scene.spec.network
    blocks = tuple(layer_map(network.name, network.weights).blocks)
    items = {f"{key}." for key in scene.defaults}  # of lists that are not written in the scene
    if ADDED in scene.defaults:
        items.add(f"objectives.{len(scene.spec.objectives) - 1}.")
    keys = [key for key in _keys(scene.spec, ()) if not key.name.startswith(tuple(items))]
    layers = [
        Key(f"objectives.{index}.layer", objective.layer, words=blocks)
        for index, objective in enumerate(scene.spec.objectives)
        if objective.layer is not None and objective.channels is None
    ]
    return [*layers, *keys]


def _keys(section: Section, path: Loc) -> Iterator[Key]:
    for name, field in type(section).model_fields.items():
        value, here = getattr(section, name), (*path, field.alias or name)
        if name in WITHOUT:
            continue
        if isinstance(value, Section):
            yield from _keys(value, here)
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for index, item in enumerate(value):
                yield from _keys(item, (*here, index))
        elif isinstance(value, tuple) and len(value) <= MAX_ITEMS and name in section.model_fields_set:
            yield from _items(value, field, here)
        elif (key := _key(value, field, here)) is not None:
            yield key


def _items(values: tuple[Any, ...], field: FieldInfo, path: Loc) -> Iterator[Key]:
    """The items of a pair of numbers; a list of one number is that number."""
    item = FieldInfo.from_annotation(get_args(field.annotation)[0])
    for index, value in enumerate(values):
        key = _key(value, item, path if len(values) == 1 else (*path, index))
        if key is not None:
            yield key


def _key(value: Any, field: FieldInfo, path: Loc) -> Key | None:
    name = dotted(path)
    match value:
        case bool():
            return Key(name, flow_text(value), words=("false", "true"))
        case str() if (words := _words(field.annotation)) and value in words:
            return Key(name, value, words=words)
        case Track():
            number = constant(value)
            bounds = next((mark for mark in field.metadata if isinstance(mark, TrackField)), None)
            if number is None or bounds is None:
                return None
            low, high = _around(number, bounds.low, bounds.high, name=name, is_ratio=bounds.geometric)
            return Key(name, flow_text(value.raw), low=low, high=high, unit="/s" if value.per_second else "")
        case int():
            low, high = SEEDS if path[-1] == "seed" else _whole_around(value, *_bounds(field))
            return Key(name, str(value), low=low, high=high, is_whole=True)
        case float():
            low, high = _around(value, *_bounds(field), name=name)
            return Key(name, flow_text(value), low=low, high=high)
    return None


def _words(annotation: Any) -> tuple[str, ...]:
    """The words of an annotation, `Literal["mirror", "edge"]` or with None."""
    if get_origin(annotation) is Literal:
        return tuple(word for word in get_args(annotation) if isinstance(word, str))
    return tuple(word for inner in get_args(annotation) for word in _words(inner))


def _bounds(field: FieldInfo) -> tuple[float, float]:
    """The smallest and the largest number of a field."""
    low, high = -math.inf, math.inf
    for mark in field.metadata:
        match mark:
            case annotated_types.Ge(ge=float(bound) | int(bound)):
                low = bound
            case annotated_types.Gt(gt=float(bound) | int(bound)):
                low = bound + OPEN
            case annotated_types.Le(le=float(bound) | int(bound)):
                high = bound
            case annotated_types.Lt(lt=float(bound) | int(bound)):
                high = bound - OPEN
    return low, high


def _around(value: float, low: float, high: float, *, name: str, is_ratio: bool = False) -> tuple[float, float]:
    """Numbers around a value, within bounds."""
    if is_ratio:  # a zoom of 1.02 is as much as one of 0.98
        ratio = max(value, 1 / value, 1.01) ** 2
        return max(low, 1 / ratio), min(high, ratio)
    if value == 0:
        size = next((size for key, size in AT_REST.items() if name.startswith(key)), 1.0)
        return max(low, -size), min(high, size)
    ends = sorted((value / FACTOR, value * FACTOR))
    return max(low, ends[0]), min(high, ends[1])


def _whole_around(value: int, low: float, high: float) -> tuple[float, float]:
    return max(low, min(value // 2, value - NEAR)), min(high, max(2 * value, value + NEAR))


@dataclass(frozen=True)
class Choice:
    """What is varied: texts of `--vary`, the frame that the stills are, and how many are drawn at random with a seed,
    None for every combination."""

    vary: tuple[str, ...]
    frame: str
    random: int | None = None
    random_seed: int = 0


def grid_choice(rows: Sequence[tuple[str, str]], frame: str) -> Choice:
    """Returns the choice of every combination of the values of keys."""
    return Choice(tuple(f"{key}={values.strip()}" for key, values in rows), frame)


def surprise(keys: Sequence[Key], rows: Sequence[tuple[str, str]], frame: str, *, seed: int) -> Choice:
    """Returns the choice of random values of keys; of some of the scene's keys when there are no rows.

    A key whose values are those that are proposed is drawn from its whole range.
    """
    by_name = {key.name: key for key in keys}
    if rows:
        spans = [
            (name, by_name[name].span if name in by_name and by_name[name].values == values else values.strip())
            for name, values in rows
        ]
    else:
        likely = [key for key in keys if key.name.startswith(SURPRISING)]
        drawn = random.Random(seed).sample(likely, min(SURPRISES, len(likely)))
        spans = [(key.name, key.span) for key in drawn]
    return Choice(tuple(f"{name}={span}" for name, span in spans), frame, random=CELLS, random_seed=seed)


@dataclass(frozen=True)
class Request:
    """A grid of stills: a choice for the text of a scene at a path.

    `folder` is the folder that the scene may read from. `side` is the longest side of a still in pixels, where the
    network can see it.
    """

    path: Path
    text: str
    folder: Path
    choice: Choice
    side: int = SIDE

    def as_json(self) -> dict[str, Any]:
        """Returns the request as plain JSON."""
        return {**asdict(self), "path": str(self.path), "folder": str(self.folder)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        """Returns the request of plain JSON."""
        choice = Choice(**{**data["choice"], "vary": tuple(data["choice"]["vary"])})
        return cls(**{**data, "path": Path(data["path"]), "folder": Path(data["folder"]), "choice": choice})

    @property
    def key(self) -> str:
        """A name that only the same request has."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()
