"""The timeline on the page: tracks as curves whose keyframes are dragged, and a playhead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import events, run, ui
from nicegui.element import Element

from render.pipeline.scene import Scene
from render.studio.timeline import easings, timeline, values_of

STYLE = Path(__file__).with_name("timeline.css")
EVENTS = ("seek", "move-key", "add-key", "remove-key", "set-easing", "set-constant")
Handler = Callable[[dict[str, Any]], Any]


class _Timeline(Element, component="timeline.js"):
    """The element that timeline.js draws."""


class TimelineView:
    """The timeline of a scene. Handlers get the values of an event as a dict.

    `on_seek` gets `frame`. The others get `track`, a dotted key, and what the function of that name in
    `render.studio.key_edits` takes: `on_move_key` gets `key`, `frame`, `value` and `done`, which is false while a
    keyframe is being dragged; `on_add_key` `frame` and `value`; `on_remove_key` `key`; `on_set_easing` `key` and
    `easing`; `on_set_constant` `value`.
    """

    def __init__(self, **handlers: Handler) -> None:
        ui.add_css(STYLE)
        self._scene: Scene | None = None
        self.element = _Timeline().classes("timeline")
        self.element._props["easings"] = _json(easings())
        for event in EVENTS:
            handler = handlers.pop(f"on_{event.replace('-', '_')}", None)
            if handler is not None:
                self.element.on(event, lambda given, handler=handler: handler(given.args))
        if handlers:
            raise TypeError(f"the timeline has no events {', '.join(handlers)}")
        self.element.on("range", self._range_changed)

    async def display(self, scene: Scene) -> None:
        """Displays the tracks of a scene; what is being dragged stays where it is."""
        self._scene = scene
        text = await run.io_bound(lambda: _json(timeline(scene)))
        if text is not None and self._scene is scene:  # None: the server ends
            self.element._props["timeline"] = text

    def display_sound(self, waveform: list[list[float]]) -> None:
        """Displays a `waveform` of `render.studio.timeline.sound_of`."""
        self.element._props["sound"] = _json(waveform)

    def restore(self) -> None:
        """Displays the scene again, without what was changed on the page: an edit was refused."""
        self.element.run_method("restore")

    def seek(self, frame: int) -> None:
        """Moves the playhead; no event follows."""
        self.element.run_method("seek", frame)

    async def _range_changed(self, given: events.GenericEventArguments) -> None:
        """Sends the curves of expressions between two frames."""
        scene = self._scene
        match given.args:
            case {"first": int(first), "last": int(last), "tracks": [*names]} if scene is not None and first < last:
                known = [name for name in names if isinstance(name, str)]
                values = await run.io_bound(
                    lambda: {name: values_of(scene, name, first=first, last=last) for name in known}
                )
                if scene is self._scene:
                    self.element.run_method("showDetail", first, last, values)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
