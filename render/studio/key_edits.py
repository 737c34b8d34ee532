"""Edits of a scene's text that change its tracks: keyframes are moved, added and removed, values are set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from render.errors import UsageError
from render.pipeline.scene import Scene
from render.scene import defaults, document
from render.scene.clock import NUMBER_PATTERN, Clock, Time, Unit
from render.scene.easings import EASINGS
from render.scene.field_errors import Loc
from render.scene.fields import ShortForm
from render.scene.structure import sections_at
from render.scene.tracks import Keyframe, Track
from render.scene.yaml_tree import parse_yaml
from render.studio.text_edit import NAME, TextEdit, edits_to, flow_text, is_same
from render.text import did_you_mean, quote

END = Time(Fraction(100), "%")
EARLIER = Fraction(1, 10)
"""Frames by which a keyframe may come before its frame, so that its time has few digits; it never comes after it."""
ROUNDING = Fraction(1, 10**6)
"""Frames that are no difference."""
MAX_DECIMALS = 9
_NUMBER = re.compile(rf"\s*({NUMBER_PATTERN})\s*(/\s*s\s*)?")
Edits = tuple[TextEdit, ...]


def move_key(text: str, scene: Scene, track: str, *, key: int, frame: float, value: float) -> Edits:
    """Returns the edits that move a keyframe; its time keeps its unit, and can be between frames only in beats.

    `scene` is that of the text, `track` a dotted key, and `key` a number in the order of the text. Raises UsageError
    when the track has no such keyframe, or another one at the frame.
    """
    found, keys = _keyframes(scene, track, key)
    has_moved = abs(keys[key].time.frames(scene.spec.clock) - Fraction(frame)) > ROUNDING

    def moved(raw: dict[str, Any]) -> Any:
        name, item = list(raw.items())[key]
        new = item
        if keys[key].value != value:
            number = _number(found, value)
            new = {**item, "value": number} if isinstance(item, Mapping) else number
        new_name = name
        if has_moved:
            unit = keys[key].time.unit if name != "end" else _unit([each for each in keys if each != keys[key]], scene)
            new_name = _new_time(scene, unit, frame, keys=[*keys[:key], *keys[key + 1 :]])
        return {new_name if each == name else each: new if each == name else raw[each] for each in raw}

    return _edits(text, scene, track, change=moved)


def add_key(text: str, scene: Scene, track: str, *, frame: float, value: float) -> Edits:
    """Returns the edits that add a keyframe; a constant becomes keyframes that begin with its value.

    The new one has the easing of the next, whose interpolation it divides. Raises UsageError for an expression, and
    when there is a keyframe at the frame.
    """
    path, found = _track(scene, track)
    reason = fixed_by(scene, path)
    if reason is not None:
        raise UsageError(f"{track} {reason}")
    clock = scene.spec.clock
    keys = found.shape if isinstance(found.shape, tuple) else ()
    name, number = _new_time(scene, _unit(keys, scene), frame, keys=keys), _number(found, value)
    times = [key.time.frames(clock) for key in keys]
    later = [i for i, time in enumerate(times) if time > frame]
    ease = keys[min(later, key=times.__getitem__)].ease if later else "linear"

    def added(raw: Any) -> Any:
        if not keys:
            start = time_text(0, _unit((), scene), clock)
            return {start: _number(found, constant(found) or 0.0), name: number}
        items = list(raw.items())
        place = max((i + 1 for i, time in enumerate(times) if time < frame), default=0)
        items.insert(place, (name, number if ease == "linear" else {"value": number, "ease": ease}))
        return dict(items)

    return _edits(text, scene, track, change=added)


def remove_key(text: str, scene: Scene, track: str, *, key: int) -> Edits:
    """Returns the edits that remove a keyframe; of the only one, its value remains as a constant."""
    _keyframes(scene, track, key)

    def removed(raw: dict[str, Any]) -> Any:
        name, item = list(raw.items())[key]
        remaining = {other: raw[other] for other in raw if other != name}
        return remaining or (item["value"] if isinstance(item, Mapping) else item)

    return _edits(text, scene, track, change=removed)


def set_easing(text: str, scene: Scene, track: str, *, key: int, easing: str) -> Edits:
    """Returns the edits that give a keyframe an easing, of the interpolation that ends there. Raises as `move_key`."""
    _, keys = _keyframes(scene, track, key)
    if easing not in EASINGS:
        raise UsageError(f"unknown easing {quote(easing)}{did_you_mean(easing, EASINGS)}")

    def eased(raw: dict[str, Any]) -> Any:
        name, item = list(raw.items())[key]
        written = item if isinstance(item, Mapping) else {"value": item}
        return raw if keys[key].ease == easing else {**raw, name: {**written, "ease": easing}}

    return _edits(text, scene, track, change=eased)


def set_constant(text: str, scene: Scene, track: str, *, value: float) -> Edits:
    """Returns the edits that make a track a constant, whatever it was."""
    _, found = _track(scene, track)
    return _edits(text, scene, track, change=lambda _: _number(found, value))


def set_value(text: str, key: str, value: Any) -> Edits:
    """Returns the edits that set one value; see `set_values`."""
    return set_values(text, {key: value})


def set_values(text: str, values: Mapping[str, Any]) -> Edits:
    """Returns the edits that do in the text what `--set KEY=VALUE` does: replace or insert values at dotted keys.

    Raises SceneError when a key or value is impossible, or the text not YAML; UsageError when the text cannot be
    edited in place.
    """
    overrides = [document.replacement(key, value) for key, value in values.items()]
    return edits_to(text, document.apply_overrides(parse_yaml(text, NAME), overrides).plain())


def append_value(text: str, key: str, value: Any) -> Edits:
    """Returns the edits that append an item to a list, an objective to `objectives`. Raises as `set_values`."""
    items: Any = parse_yaml(text, NAME).plain()
    for step in key.split("."):
        items = items.get(step) if isinstance(items, dict) else None
    return set_value(text, key, [*items, value] if isinstance(items, list) else [value])


def fixed_by(scene: Scene, path: Loc) -> str | None:
    """Returns why a track cannot have keyframes, as the rest of a sentence; None when it can."""
    if scene.spec.camera.look_at is not None and path[:2] in (("camera", "pan"), ("camera", "pivot")):
        return "follows from camera.look_at"
    track = dict(scene.spec.tracks())[path]
    is_expression = not isinstance(track.shape, tuple) and constant(track) is None
    return "is an expression; change it in the text" if is_expression else None


def constant(track: Track) -> float | None:
    """Returns the value of a track that is one number, `1.02` or `"1.8/s"`; None for others."""
    if isinstance(track.shape, float):
        return track.shape
    number = _NUMBER.fullmatch(track.raw) if isinstance(track.raw, str) else None
    return float(number[1]) if number else None


def time_text(frame: float, unit: Unit, clock: Clock) -> str:
    """Returns the time of a frame in a unit with few digits: at the frame, or at most EARLIER before it."""
    place = Fraction(frame)
    exact = _in_unit(place, unit, clock)
    for decimals in range(MAX_DECIMALS + 1):
        scale = 10**decimals
        for number in (round(exact * scale), int(exact * scale)):
            time = Time(Fraction(number, scale), unit)
            if -EARLIER <= time.frames(clock) - place <= ROUNDING:
                return str(time)
    return str(Time(exact, unit))


def _in_unit(place: Fraction, unit: Unit, clock: Clock) -> Fraction:
    """The number of a time in its unit; the inverse of `Time.frames`."""
    match unit:
        case "s":
            return place / clock.fps
        case "%":
            return 100 * place / max(clock.length - 1, 1)
        case "b" | "bar":
            assert clock.beats is not None  # the scene is valid
            beat = float(clock.beats.beat(np.array([float(place / clock.fps)]))[0])
            return Fraction(beat) / (clock.beats.per_bar if unit == "bar" else 1)
    return place


def _unit(keys: Sequence[Keyframe], scene: Scene) -> Unit:
    """The unit of a new time: that of the track's keyframes, or else that of the film's duration."""
    times = [key.time for key in keys if key.time != END] or [scene.spec.duration]
    return times[-1].unit


def _new_time(scene: Scene, unit: Unit, frame: float, *, keys: Sequence[Keyframe]) -> str:
    """Returns the time of a frame at which none of `keys` is: a whole one, unless it is in beats."""
    place = max(float(frame), 0.0) if unit in ("b", "bar") else max(round(frame), 0)
    clock = scene.spec.clock
    if any(abs(key.time.frames(clock) - Fraction(place)) <= 2 * EARLIER for key in keys):
        raise UsageError(f"there is a keyframe at frame {place:g} already")
    return time_text(place, unit, clock)


def _number(track: Track, value: float) -> float | str:
    """A value as it is written in a track: per second with its unit."""
    return f"{flow_text(value)}/s" if track.per_second else value


def _track(scene: Scene, track: str) -> tuple[Loc, Track]:
    """The track of a dotted key. Raises UsageError when there is none."""
    for path, found in scene.spec.tracks():
        if dotted(path) == track:
            return path, found
    raise UsageError(f"the scene has no track {quote(track)}")


def dotted(path: Loc) -> str:
    """Returns a path as a dotted key."""
    return ".".join(map(str, path))


def _keyframes(scene: Scene, track: str, key: int) -> tuple[Track, tuple[Keyframe, ...]]:
    """A track and its keyframes. Raises UsageError unless it has one of this number."""
    _, found = _track(scene, track)
    keys = found.shape if isinstance(found.shape, tuple) else ()
    if not 0 <= key < len(keys):
        raise UsageError(f"{track} has no keyframe {key}; it has {len(keys)}")
    return found, keys


def _edits(text: str, scene: Scene, track: str, *, change: Callable[[Any], Any]) -> Edits:
    """Returns the edits that change a track as it is written; None is changed where it is not written.

    Defaults that the scene would no longer get are written as well.
    """
    path, found = _track(scene, track)
    values = parse_yaml(text, NAME).plain()

    def checked(raw: Any) -> Any:
        if raw is not None and not is_same(raw, found.raw):
            raise UsageError(f"{track} has changed since the scene was read")
        return change(raw)

    for other, value in defaults.decided_with(track, scene.defaults).items():
        values = _changed(values, document.key_path(other), partial(_constantly, value), scene=scene)
    return edits_to(text, _changed(values, path, checked, scene=scene))


def _constantly(value: Any, _: Any) -> Any:
    return value


def _changed(now: Any, path: Loc, change: Callable[[Any], Any], *, scene: Scene, at: Loc = ()) -> Any:
    """Returns the values at a path `at` of the scene with those of the track at `path` below it changed."""
    if not path:
        return change(now)
    step, rest = path[0], path[1:]
    inner = partial(_changed, path=rest, change=change, scene=scene, at=(*at, step))
    if any(issubclass(each, ShortForm) and each.alone == step and each.is_alone(now) for each in sections_at(at)):
        return inner(now)
    if isinstance(step, str):
        mapping = now if isinstance(now, dict) else {}
        return {**mapping, step: inner(mapping.get(step))}
    if now is None:  # a pair of tracks
        now = [track.raw for other, track in scene.spec.tracks() if other[:-1] == at]
    if step == len(now):
        now = [*now, scene.defaults[defaults.ADDED]]
    return [*now[:step], inner(now[step]), *now[step + 1 :]]
