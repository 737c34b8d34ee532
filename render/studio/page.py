"""The page of the studio: its panels, and what happens between them. Every browser that opens it has one of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nicegui import Client, background_tasks, run, ui

from render.errors import RenderError, UsageError
from render.pipeline.scene import Scene
from render.studio import key_edits
from render.studio.atlas import located_network, objective_edits
from render.studio.atlas_view import AtlasView
from render.studio.camera_view import CameraView
from render.studio.child import Answer, Child
from render.studio.dream_messages import SceneText
from render.studio.dream_preview import DreamPreview
from render.studio.dream_view import DreamView
from render.studio.editing import Editing, Shared
from render.studio.films_panel import FilmsPanel, FilmWatch
from render.studio.key_edits import Edits
from render.studio.media import Media
from render.studio.notices import Notices
from render.studio.painter import Painter
from render.studio.problems import Checked, check
from render.studio.timeline import sound_of
from render.studio.timeline_view import TimelineView
from render.studio.variations import Choice, Request, variable_keys
from render.studio.variations_view import VariationsView
from render.studio.workspace import Workspace

CAMERA, DREAM, ATLAS, VARIATIONS = "Camera", "Dream", "Atlas", "Variations"
"""Tabs of the picture."""
STYLE = Path(__file__).with_name("studio.css")


@dataclass
class Studio:
    """What all pages have in common: the folder, the scene that opens first, who writes which scene, and the files that
    pages show, some of them in a temporary folder, `previews`."""

    workspace: Workspace
    first: str
    shared: Shared
    media: Media
    previews: Path
    dream: DreamPreview
    watch: FilmWatch
    painter: Painter = field(default_factory=lambda: Painter(Child("render.studio.atlas_process")))


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
        self._scene: Scene | None = None
        self._is_valid = False
        self._frame = 0
        self._variation = Child("render.studio.variations_process")
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
            with _panel("picture", "Picture"):
                self._build_picture(client)
            with _panel("films", "Films"):
                FilmsPanel(studio.watch, studio.media, scene=self._saved_scene)
            with _panel("motion", "Timeline"):
                self._timeline = TimelineView(
                    on_seek=lambda given: self._seek(int(given["frame"])),
                    on_move_key=partial(self._change_track, key_edits.move_key),
                    on_add_key=partial(self._change_track, key_edits.add_key),
                    on_remove_key=partial(self._change_track, key_edits.remove_key),
                    on_set_easing=partial(self._change_track, key_edits.set_easing),
                    on_set_constant=partial(self._change_track, key_edits.set_constant),
                )

    def _build_picture(self, client: Client) -> None:
        """Builds the tabs of the picture."""
        with ui.tabs(on_change=self._activate).props("dense no-caps align=left") as self._tabs:
            for name in (CAMERA, DREAM, ATLAS, VARIATIONS):
                ui.tab(name)
        with ui.tab_panels(self._tabs, value=CAMERA, keep_alive=True).classes("views"):
            with ui.tab_panel(CAMERA):
                self._camera = CameraView(self._studio.media, self._studio.previews, on_seek=self._played)
            with ui.tab_panel(DREAM):
                DreamView(
                    self._studio.media,
                    self._studio.dream,
                    scene=self._scene_text,
                    frame=lambda: self._frame,
                    on_seek=self._played,
                )
            with ui.tab_panel(ATLAS):
                self._atlas = AtlasView(self._studio.painter, url=self._studio.media.url, on_choose=self._choose)
            with ui.tab_panel(VARIATIONS):
                self._variations = VariationsView(make=self._vary, url=self._studio.media.url, on_adopt=self._adopt)
        client.on_connect(self._activate)
        client.on_disconnect(self._rest)

    async def _activate(self) -> None:
        """Makes the pictures of the tab that is open."""
        await self._atlas.set_active(self._tabs.value == ATLAS)

    async def _rest(self) -> None:
        """Makes no more pictures: nobody looks at them."""
        await self._atlas.set_active(False)
        self._variations.stop()

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
        """Displays the film of a text that is a scene; of one that is none, the film before it."""
        self._is_valid = checked.scene is not None
        if checked.scene is not None:
            self._scene = checked.scene
            background_tasks.create(self._display(checked.scene))

    async def _display(self, scene: Scene) -> None:
        await self._timeline.display(scene)
        await self._camera.display(scene)
        await self._atlas.display(located_network(scene))
        keys = await run.io_bound(variable_keys, scene)
        if keys is not None:  # None: the server ends
            self._variations.display(keys, scene.length)
        if self._scene is scene and (found := await run.io_bound(sound_of, scene)) is not None:
            self._timeline.display_sound(found["waveform"])

    async def _change_track(self, change: Callable[..., Edits], given: dict[str, Any]) -> None:
        """Changes the text as the user changed a track; a change that the text cannot have is taken back."""
        if not given.pop("done", True):
            return
        text, path = self._editing.text, self._editing.path
        try:
            if path is None or not self._editing.can_write:
                raise UsageError("this page cannot edit the scene")
            checked = await run.io_bound(check, text, path)
            if checked is None or checked.scene is None or self._editing.text != text:
                raise UsageError("the text has problems, or has changed meanwhile")
            edits = change(text, checked.scene, given.pop("track"), **given)
        except RenderError as error:
            self._notices.add(str(error))
            self._timeline.restore()
        else:
            self._editing.edit(edits)

    def _choose(self, objective: dict[str, Any], is_replacing: bool) -> None:
        """Puts an objective into the scene."""
        self._change_text(partial(objective_edits, objective=objective, is_replacing=is_replacing))

    def _adopt(self, values: dict[str, Any]) -> None:
        """Gives keys of the scene the values of a variation."""
        self._change_text(partial(key_edits.set_values, values=values))

    def _change_text(self, change: Callable[[str], Edits]) -> None:
        try:
            if not self._editing.can_write:
                raise UsageError("this page cannot edit the scene")
            self._editing.edit(change(self._editing.text))
        except RenderError as error:
            self._notices.add(str(error))

    def _vary(self, choice: Choice) -> AsyncGenerator[Answer]:
        """Yields the stills of variations of the text as it is now. Raises UsageError when there is none."""
        path = self._editing.path
        if path is None or self._scene is None or not self._is_valid:
            raise UsageError("the text has problems")
        self._studio.workspace.require_inside(self._scene)
        request = Request(path, self._editing.text, folder=self._studio.workspace.folder, choice=choice)
        return self._variation.request(request.as_json())

    def _played(self, frame: int) -> None:
        self._frame = frame
        self._timeline.seek(frame)

    def _seek(self, frame: int) -> None:
        self._frame = frame
        self._camera.seek(frame)

    def _saved_scene(self) -> Path:
        """Returns the path of the scene, which is what the page displays. Raises UsageError."""
        path = self._editing.path
        if path is None or self._scene is None or not self._is_valid:
            raise UsageError("the text has problems")
        if not self._editing.is_saved:
            raise UsageError("the text is not saved: a film is made of the file")
        self._studio.workspace.require_inside(self._scene)
        return path

    def _scene_text(self) -> SceneText | None:
        """Returns what the preview process needs of the text; None when it has problems."""
        path = self._editing.path
        if path is None or self._scene is None or not self._is_valid:
            return None
        try:
            self._studio.workspace.require_inside(self._scene)
        except UsageError as error:
            self._notices.add(str(error))
            return None
        return SceneText(text=self._editing.text, path=str(path), folder=str(self._studio.workspace.folder))


def _panel(kind: str, label: str) -> ui.element:
    return ui.element("section").classes(f"panel {kind}").props(f'aria-label="{label}"')
