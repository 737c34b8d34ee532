"""A page with a timeline that edits the text below it: `python -m tests.studio.timeline_page PORT SCENE`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui

from render.errors import RenderError
from render.pipeline.load import load_text
from render.studio import key_edits
from render.studio.text_edit import apply_edits
from render.studio.timeline import sound_of
from render.studio.timeline_view import TimelineView


class Page:
    """The timeline, the text of its scene, and the events that it emitted."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text()
        self.scene = load_text(self.text, path)
        self.view = TimelineView(
            on_seek=partial(self.log, "seek"),
            on_move_key=self.moved,
            on_add_key=partial(self.edit, "add-key", key_edits.add_key),
            on_remove_key=partial(self.edit, "remove-key", key_edits.remove_key),
            on_set_easing=partial(self.edit, "set-easing", key_edits.set_easing),
            on_set_constant=partial(self.edit, "set-constant", key_edits.set_constant),
        )
        self.view.element.style("height: 460px; width: 100%")
        ui.button("jump", on_click=lambda: self.view.seek(24)).props('id="jump"')
        self.shown = ui.element("pre").props('id="text"')
        self.events = ui.element("pre").props('id="events"')

    async def start(self) -> None:
        self.view.display_sound(sound_of(self.scene)["waveform"])
        await self.display()

    async def display(self) -> None:
        self.scene = load_text(self.text, self.path)
        self.shown.clear()
        with self.shown:
            ui.label(self.text).style("white-space: pre")
        await self.view.display(self.scene)

    def log(self, event: str, values: dict[str, Any]) -> None:
        with self.events:
            ui.label(json.dumps([event, values]))

    async def moved(self, values: dict[str, Any]) -> None:
        if values.pop("done"):
            await self.edit("move-key", key_edits.move_key, values)
        else:
            self.log("drag-key", values)

    async def edit(self, event: str, function: Callable[..., Any], values: dict[str, Any]) -> None:
        self.log(event, dict(values))
        try:
            self.text = apply_edits(self.text, function(self.text, self.scene, values.pop("track"), **values))
        except RenderError as error:
            self.log("refused", {"message": str(error)})
            self.view.restore()
        else:
            await self.display()


def main(port: int, path: Path) -> None:
    @ui.page("/")
    async def index() -> None:
        ui.query(".nicegui-content").style("padding: 0; gap: 0")
        page = Page(path)
        await ui.context.client.connected()
        await page.start()

    ui.run(host="127.0.0.1", port=port, show=False, reload=False, favicon="🎞", show_welcome_message=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
