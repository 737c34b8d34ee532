"""The dream on the page: small frames from the playhead on, each as it is finished, and two settings side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nicegui import background_tasks, ui
from nicegui.element import Element

from render.studio.dream_messages import Begun, SceneText
from render.studio.dream_preview import DreamPreview, PreviewError
from render.studio.media import Media

SIDES = (128, 192, 256, 384, 512)
"""Pixels of the longer side that can be chosen."""
SOURCES = {"start": "from the first frame on", "memory": "from a frame in memory on", "film": "from the film on"}


class _Picture(Element, component="picture.js"):
    """A picture that is zoomed and moved, and that displays the values of its pixels."""

    def display(self, address: str, label: str) -> None:
        """Displays the picture at an address of the page."""
        self._props["src"] = address
        self._props["label"] = label


class DreamView:
    """The dream of the text. `scene` returns it, None while there is none; `frame` the playhead's frame.

    `on_seek` gets each frame that arrives. One preview process serves all pages; a page that begins ends another's.
    """

    def __init__(
        self,
        media: Media,
        preview: DreamPreview,
        *,
        scene: Callable[[], SceneText | None],
        frame: Callable[[], int],
        on_seek: Callable[[int], None],
    ) -> None:
        self._media = media
        self._preview = preview
        self._scene = scene
        self._frame = frame
        self._on_seek = on_seek
        self._other: SceneText | None = None
        self._run = 0
        with ui.row().classes("tools"):
            self._dream = ui.button("Dream", on_click=self.begin).props("no-caps dense unelevated")
            self._stop = ui.button("Stop", on_click=self.stop).props("no-caps dense flat")
            self._side = ui.select(list(SIDES), value=256, label="Pixels").props("dense outlined options-dense")
            self._compare = ui.switch("Compare with this text", on_change=self._keep).props("dense")
            self._state = ui.label().classes("quiet").props('role="status" aria-live="polite"')
        with ui.element("div").classes("pictures"):
            self._pictures = [_Picture(), _Picture()]
        self._pictures[0].display("", "The dream")
        self._pictures[1].set_visibility(False)
        self._stop.set_enabled(False)

    def begin(self) -> None:
        """Dreams from the playhead on."""
        scene = self._scene()
        if scene is None:
            self._state.set_text("The text has problems.")
            return
        self._run += 1
        scenes = [scene] if self._other is None else [scene, self._other]
        background_tasks.create(self._dream_all(scenes, self._run))

    def stop(self) -> None:
        """Ends the dream after the frame that is being dreamed."""
        self._run += 1
        self._stop.set_enabled(False)

    def _keep(self) -> None:
        """Compares from now on with the text as it is."""
        self._other = self._scene() if self._compare.value else None
        if self._compare.value and self._other is None:
            self._compare.value = False
        self._pictures[1].set_visibility(self._other is not None)
        if self._other is not None:
            self._pictures[1].display("", "The text that was kept")

    async def _dream_all(self, scenes: list[SceneText], run: int) -> None:
        self._stop.set_enabled(True)
        self._state.set_text("The network is loaded …")
        frames = self._preview.frames(scenes, self._frame(), side=int(self._side.value or 256))
        try:
            async for event in frames:
                if run != self._run or self._dream.is_deleted:
                    break
                if isinstance(event, Begun):
                    self._state.set_text(f"Dreams {SOURCES[event.source]}, frame {event.frame} …")
                    continue
                what = f"frame {event.frame} of {event.length}"
                value = "" if event.objective is None else f", objective {event.objective:.4g}"
                address = self._media.url(Path(self._preview.folder, event.file))
                self._pictures[event.scene].display(address, f"{'AB'[event.scene]}, {what}{value}")
                if event.scene == 0 and not event.is_lead:
                    self._on_seek(event.frame)
                self._state.set_text(f"Leads up: {what}" if event.is_lead else what.capitalize())
        except PreviewError as error:
            self._state.set_text(str(error))
        finally:
            await frames.aclose()
            if run == self._run:
                self._stop.set_enabled(False)
