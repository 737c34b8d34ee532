"""The timeline of a scene as plain JSON: every track with its curve and keyframes, cuts, beats, and the sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from render.analysis.curves import Values, beats_of, waveform_of
from render.errors import RenderError
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from render.scene.clock import Clock, Curve
from render.scene.easings import EASINGS
from render.scene.field_errors import Loc
from render.scene.objectives import ObjectiveSpec
from render.scene.tracks import Keyframe, Track, ValueRange
from render.studio.key_edits import dotted, fixed_by

MAX_POINTS = 1000
"""Points of a curve: of a longer film, the lowest and the highest value in each of half as many parts."""
WAVEFORM_POINTS = 4000
EASING_POINTS = 65
MAX_TITLE = 40
AXES = ("x", "y")
PER_UNIT = 200
"""The range of a track has at least this many steps, to which dragged values are rounded."""
SMALL_RANGE = 50
"""Of values that have a natural range, such as fractions and stops."""


def timeline(scene: Scene) -> dict[str, Any]:
    """Returns what is known of a film without decoding anything.

    `tracks` are those of the scene, and its signals; `values` are evenly spaced over the film, at most MAX_POINTS, in
    the unit of the text: per second where the track is. `keys` are in the order of the text. `low` and `high` are the
    range that is displayed, `minimum` and `maximum` the allowed one, and `step` is what values are rounded to. `note`
    says why a track is not editable. `cuts` are those that the scene lists.
    """
    beats, bars = beats_of(scene)
    return {
        "frames": scene.length,
        "fps": float(scene.fps),
        "tracks": [*_tracks(scene), *_signals(scene)],
        "cuts": sorted(scene.spec.cuts),
        "beats": _rounded(beats, 4),
        "bars": _rounded(bars, 4),
        "waveform": [],
        "problem": None,
    }


def sound_of(scene: Scene) -> dict[str, Any]:
    """Returns the `waveform` of a film: the lowest and highest sample in equal parts of it; slow the first time.

    `problem` says why it cannot be read.
    """
    try:
        sound = waveform_of(scene)
    except RenderError as error:
        return {"waveform": [], "problem": str(error)}
    if sound is None:
        return {"waveform": [], "problem": None}
    seconds, lows, highs = sound
    parts = (seconds * float(scene.fps) / scene.length * WAVEFORM_POINTS).astype(np.int64).clip(0, WAVEFORM_POINTS - 1)
    peaks = np.zeros((WAVEFORM_POINTS, 2))
    np.minimum.at(peaks[:, 0], parts, lows)
    np.maximum.at(peaks[:, 1], parts, highs)
    return {"waveform": np.round(peaks, 3).tolist(), "problem": None}


def cuts_of(scene: Scene) -> dict[str, Any]:
    """Returns the `cuts` of a film, those that are found in its clip among them; slow the first time."""
    try:
        return {"cuts": sorted(plan(scene).shots - {0}), "problem": None}
    except RenderError as error:
        return {"cuts": [], "problem": str(error)}


def values_of(scene: Scene, track: str, *, first: float, last: float) -> list[float]:
    """Returns the values of a track, evenly spaced from one frame to another; none for a track that does not exist."""
    clock = scene.spec.clock
    points = int(min(max(2, 4 * (last - first)), MAX_POINTS))
    frames = np.linspace(max(first, 0.0), min(last, scene.length - 1.0), points)
    for path, found in scene.spec.tracks():
        if dotted(path) == track:
            return _significant(_curve(scene, path, found, clock=clock)(frames))
    name = track.removeprefix("signals.")
    return _significant(clock.signals[name](frames)) if name in clock.signals else []


def easings() -> dict[str, list[float]]:
    """Returns every easing at evenly spaced times; the last one is shortly before the end, where `hold` jumps."""
    times = np.linspace(0, 1 - 1e-9, EASING_POINTS)
    return {name: _rounded(ease(times), 4) for name, ease in EASINGS.items()}


def _tracks(scene: Scene) -> Iterator[dict[str, Any]]:
    clock = scene.spec.clock
    for path, track in scene.spec.tracks():
        note = fixed_by(scene, path)
        keys = track.shape if isinstance(track.shape, tuple) else ()
        if isinstance(track.shape, float) and note is None:
            values = np.array([track.shape])
        else:  # the page draws keyframes itself
            frames = np.linspace(0, scene.length - 1, min(scene.length, MAX_POINTS) if keys else scene.length)
            values = _curve(scene, path, track, clock=clock)(frames)
        group, label = _title(scene, path)
        yield {
            "name": dotted(path),
            "group": group,
            "label": label,
            "unit": "/s" if track.per_second else "",
            **_range(track.bounds, np.append(values, [key.value for key in keys])),
            "is_geometric": track.bounds.geometric,
            "is_editable": note is None,
            "note": note,
            "values": _points(values),
            "keys": [
                {"frame": _frame(key, clock), "value": key.value, "easing": key.ease, "time": str(key.time)}
                for key in keys
            ],
        }


def _frame(key: Keyframe, clock: Clock) -> float:
    return round(float(key.time.frames(clock)), 6)


def _signals(scene: Scene) -> Iterator[dict[str, Any]]:
    """The signals that are measured; those that are tracks are among the tracks."""
    frames = np.arange(scene.length, dtype=np.float64)
    for name, spec in scene.spec.signals.items():
        if spec.value is None:
            yield {
                "name": f"signals.{name}",
                "group": "signals",
                "label": name,
                "unit": "",
                **_range(ValueRange(0, 1), np.array([0.0, 1.0])),
                "is_geometric": False,
                "is_editable": False,
                "note": "is a signal",
                "values": _points(scene.spec.clock.signals[name](frames)),
                "keys": [],
            }


def _curve(scene: Scene, path: Loc, track: Track, *, clock: Clock) -> Curve:
    """The values of a track by frames, in the unit of the text."""
    look_at = scene.spec.camera.look_at
    moved = {} if look_at is None else look_at.values(clock)
    if path in moved:
        return lambda frames: np.interp(frames, np.arange(clock.length), moved[path])
    return track.curve(clock)


def _range(bounds: ValueRange, values: Values) -> dict[str, float]:
    """The displayed range of some values, the allowed one, and the step of values."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        spread = _spread(bounds, low)
        low, high = max(low - spread, bounds.low), min(high + spread, bounds.high)
    step = 10.0 ** math.floor(math.log10((high - low) / PER_UNIT))
    return {"low": low, "high": high, "minimum": bounds.low, "maximum": bounds.high, "step": step}


def _spread(bounds: ValueRange, value: float) -> float:
    """How far from a constant its values may be moved within the displayed range."""
    if bounds.geometric:
        return 0.1 * value
    if math.isfinite(bounds.period):
        return bounds.period / 4
    width = bounds.high - bounds.low
    return width / 10 if width <= SMALL_RANGE else max(abs(value) / 2, min(width / 2000, 1.0))


def _title(scene: Scene, path: Loc) -> tuple[str, str]:
    """The group of a track, and its name within the group."""
    group = str(path[0]) if len(path) > 1 else "picture"
    match path:
        case ("objectives", int(number), "weight"):
            title = _objective_title(scene.spec.objectives[number])
            return group, title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…"
        case ("objectives", int(number), "weight", int(item)):
            return group, str((scene.spec.objectives[number].classes or ("",))[item])
        case ("signals", str(name), "value"):
            return group, name
        case ("mix", "amount"):
            return "picture", "mix"
        case (*names, int(axis)):
            return group, " ".join([*(str(name) for name in names[1:]), AXES[axis]])
    return group, " ".join(str(name).replace("_", " ") for name in (path[1:] or path))


def _objective_title(objective: ObjectiveSpec) -> str:
    channels = ", ".join(map(str, objective.channels or ()))
    if objective.tour is not None:
        return f"tour of {objective.tour}"
    if objective.statistics is not None:
        return f"statistics {objective.statistics}"
    if objective.style is not None:
        return f"style {Path(objective.style).name}"
    if objective.classes is not None:
        return ", ".join(map(str, objective.classes))
    kind = "" if objective.content is None else "content "
    return f"{kind}{objective.layer}{f' · {channels}' if channels else ''}"


def _points(values: Values) -> list[float]:
    """At most MAX_POINTS of the values at all frames; of more, the extremes of each part in the order they have."""
    if len(values) <= MAX_POINTS:
        return _significant(values)
    edges = np.linspace(0, len(values), MAX_POINTS // 2 + 1).astype(np.int64)[:-1]
    lows, highs = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    is_rising = values[edges] <= (lows + highs) / 2
    pairs = np.where(is_rising[:, None], np.stack((lows, highs), 1), np.stack((highs, lows), 1))
    return _significant(pairs.ravel())


def _significant(values: Values) -> list[float]:
    """Values with as many digits as a plot can have."""
    return [float(f"{value:.6g}") for value in values.tolist()]


def _rounded(values: Values, decimals: int) -> list[float]:
    rounded: list[float] = np.round(values, decimals).tolist()
    return rounded
