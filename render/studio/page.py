"""The page of the studio: its panels, and what happens between them. Every browser that opens it has one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nicegui import Client, ui

from render.errors import RenderError
from render.studio.editing import Editing, Shared
from render.studio.notices import Notices
from render.studio.problems import Checked
from render.studio.workspace import Workspace

STYLE = Path(__file__).with_name("studio.css")


@dataclass
class Studio:
    """What all pages have in common: the folder, the scene that opens first, and who writes which scene."""

    workspace: Workspace
    first: str
    shared: Shared


def register(studio: Studio) -> None:
    """Makes the page of NiceGUI's application; to be called once in a process."""

    @ui.page("/", title="render studio")
    async def index(client: Client, scene: str = "") -> None:
        ui.add_css(STYLE)
        Page(studio, client).open(scene or studio.first)


class Page:
    """One page."""

    def __init__(self, studio: Studio, client: Client) -> None:
        self._studio = studio
        self._name = ""
        with ui.element("main").classes("studio"):
            bar = ui.element("header").classes("bar")
            self._notices = Notices()
            self._editing = Editing(studio.shared, client, notices=self._notices, on_checked=self._checked)
            with bar:
                ui.label("render studio").classes("brand")
                self._choice = ui.select([], label="Scene", on_change=lambda event: self._chosen(event.value))
                self._choice.props("dense outlined options-dense").classes("min-w-48")
                self._editing.build_bar()
            with _panel("text", "Scene"):
                self._editing.build_panel()
            self._picture = _panel("picture", "Picture")
            self._films = _panel("films", "Films")
            self._motion = _panel("motion", "Timeline")

    def open(self, name: str) -> None:
        """Opens a scene of the folder; an empty name opens the first one."""
        names = self._studio.workspace.scenes()
        self._name = name or next(iter(names), "")
        self._choice.set_options([*names, *({self._name} - {*names, ""})], value=self._name or None)
        if not self._name:
            self._notices.add("There is no scene in this folder; `render new zoom zoom.yaml` writes one.")
            return
        try:
            self._editing.open(self._studio.workspace.path(self._name))
        except RenderError as error:
            self._notices.add(str(error))

    def _chosen(self, name: str | None) -> None:
        if name and name != self._name:
            ui.navigate.to(f"/?scene={quote(name)}")

    def _checked(self, checked: Checked) -> None:
        """Displays what a text says."""


def _panel(kind: str, label: str) -> ui.element:
    return ui.element("section").classes(f"panel {kind}").props(f'aria-label="{label}"')
