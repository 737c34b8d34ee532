"""The page of the studio: its panels, and what happens between them. Every browser that opens it has one of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nicegui import Client, background_tasks, run, ui

from render.errors import RenderError, StorageError
from render.studio.completion import complete
from render.studio.editor import Editor
from render.studio.problems import Checked, check
from render.studio.scene_file import ChangedError, Saved, SceneFile
from render.studio.workspace import Workspace

CHECK_SECONDS = 0.05
"""After a keystroke, before the text is checked."""
DRAFT_SECONDS = 0.3
LOOK_SECONDS = 1.0
"""Between looks at the file on the disk."""
STYLE = Path(__file__).with_name("studio.css")


@dataclass
class Studio:
    """What all pages have in common: the folder, the scene that opens first, the folder of drafts, and who writes."""

    workspace: Workspace
    first: str
    drafts: Path
    writers: dict[Path, Page] = field(default_factory=dict)


def register(studio: Studio) -> None:
    """Makes the page of NiceGUI's application; to be called once in a process."""

    @ui.page("/", title="render studio")
    async def index(client: Client, scene: str = "") -> None:
        ui.add_css(STYLE)
        Page(studio, client).open(scene or studio.first)


class Page:
    """One page: a scene's editor and what belongs to it."""

    def __init__(self, studio: Studio, client: Client) -> None:
        self._studio = studio
        self._client = client
        self._name = ""
        self._file: SceneFile | None = None
        self._saved: Saved | None = None
        self._revision = 0
        self._is_writer = False
        self._kept: str | None = None
        self._reader_notice: str | None = None
        self._elsewhere: Saved | None = None
        with ui.element("main").classes("studio"):
            with ui.element("header").classes("bar"):
                ui.label("render studio").classes("brand")
                self._choice = ui.select([], label="Scene", on_change=lambda event: self._chosen(event.value))
                self._choice.props("dense outlined options-dense").classes("min-w-48")
                self._save = ui.button("Save", on_click=self.save).props("no-caps dense unelevated")
                self._state = ui.label().classes("quiet").props('role="status" aria-live="polite"')
            self._notices = ui.element("div").classes("notices")
            with ui.element("section").classes("panel text").props('aria-label="Scene"'):
                self.editor = Editor(on_edit=self._edited, on_save=self.save, complete=self._complete)
                self._problems = ui.element("div").classes("problems").props('role="log" aria-label="Problems"')
            self._picture = ui.element("section").classes("panel picture").props('aria-label="Picture"')
            self._films = ui.element("section").classes("panel films").props('aria-label="Films"')
            self._motion = ui.element("section").classes("panel motion").props('aria-label="Timeline"')
        self._set_writer(False)
        client.on_connect(self._begin_writing)
        client.on_disconnect(self.end_writing)
        ui.timer(LOOK_SECONDS, self._look)

    def open(self, name: str) -> None:
        """Opens a scene of the folder; an empty name opens the first one."""
        names = self._studio.workspace.scenes()
        name = name or next(iter(names), "")
        self._name = name
        self._choice.set_options([*names, *([name] if name and name not in names else [])], value=name or None)
        if not name:
            self._notice("There is no scene in this folder; `render new zoom zoom.yaml` writes one.")
            return
        try:
            path = self._studio.workspace.path(name)
            self._file = SceneFile(path, self._studio.drafts)
            self._saved = self._file.read()
        except RenderError as error:
            self._file = self._saved = None
            self._notice(str(error))
            return
        self._read_text()

    def _read_text(self) -> None:
        """Displays the draft, or else what the file says."""
        if self._file is None or self._saved is None:
            return
        draft = self._file.draft()
        text = self._saved.text if draft is None else draft.text
        if text != self._kept:  # what was typed while the connection was lost stays
            self._kept = text
            self._set_text(text)
        if draft is not None and draft.text != self._saved.text:
            self._offer_draft(is_older=draft.checksum != self._saved.checksum)

    def _chosen(self, name: str | None) -> None:
        if name and name != self._name:
            ui.navigate.to(f"/?scene={quote(name)}")

    async def save(self) -> None:
        """Saves the text, unless the file says something else by now."""
        if self._file is None or self._saved is None or not self._is_writer:
            return
        try:
            self._saved = await run.io_bound(self._file.save, self.editor.text, self._saved)
        except ChangedError:
            self._offer_other(self._file.read())
        except StorageError as error:
            self._notice(str(error))
        else:
            self._notices.clear()
        self._show_state()

    def _look(self) -> None:
        """Notices that the file was changed elsewhere."""
        if self._file is None or self._saved is None:
            return
        self._begin_writing()
        found = self._file.read_or_none()
        if found is None:
            self._state.set_text(f"{self._file.path.name} is gone; Save writes it again")
        elif found not in (self._saved, self._elsewhere):
            if self.editor.text == self._saved.text:
                self._saved = found
                self._set_text(found.text)
                ui.notify(f"{self._file.path.name} was changed elsewhere, and read again")
            else:
                self._offer_other(found)

    def _notice(self, sentence: str, **actions: Any) -> None:
        with self._notices, ui.element("div").classes("notice").props('role="alert"') as notice:
            ui.label(sentence)
            for label, action in actions.items():

                def act(action: Any = action, notice: Any = notice) -> None:
                    self._notices.remove(notice)
                    action()

                ui.button(label.replace("_", " "), on_click=act).props("no-caps dense flat")

    def _offer_draft(self, *, is_older: bool) -> None:
        reason = "; the file has changed since" if is_older else ""
        self._notice(
            f"This text was not saved{reason}.", Keep_it=lambda: None, Use_the_file=lambda: self._use(self._saved)
        )

    def _offer_other(self, found: Saved) -> None:
        self._elsewhere = found
        self._notice(
            "The file was changed elsewhere, and here as well.",
            Use_the_file=lambda: self._use(found),
            Keep_this_text=lambda: self._keep(found),
        )

    def _use(self, found: Saved | None) -> None:
        if found is not None and self._file is not None:
            self._saved = found
            self._file.forget_draft()
            self._set_text(found.text)

    def _keep(self, found: Saved) -> None:
        self._saved = found
        self._show_state()

    def _begin_writing(self) -> None:
        """Becomes the writer of the scene, unless another page is."""
        if self._file is None or self._is_writer or not self._client.has_socket_connection:
            return
        if self._file.path in self._studio.writers:
            self._tell_reader("Another page edits this scene.")
        elif not self._file.begin_writing():
            self._tell_reader("Another studio edits this scene.")
        else:
            self._studio.writers[self._file.path] = self
            self._set_writer(True)
            self._reader_notice = None
            self._notices.clear()
            self._saved = self._file.read_or_none() or self._saved
            self._read_text()

    def _tell_reader(self, sentence: str) -> None:
        if self._reader_notice != sentence:
            self._reader_notice = sentence
            self._notice(sentence, Edit_here=self._take_over)

    def _take_over(self) -> None:
        if self._file is not None:
            other = self._studio.writers.get(self._file.path)
            if other is not None:
                other.end_writing()
            self._reader_notice = ""
            self._begin_writing()

    def end_writing(self) -> None:
        """Lets other pages edit the scene."""
        if self._is_writer and self._file is not None:
            self._keep_draft()
            del self._studio.writers[self._file.path]
            self._file.end_writing()
            self._set_writer(False)

    def _set_writer(self, is_writer: bool) -> None:
        self._is_writer = is_writer
        self.editor.set_read_only(not is_writer)
        self._save.set_enabled(is_writer)

    def _set_text(self, text: str) -> None:
        self.editor.replace(text)
        self._edited(text)

    def _edited(self, text: str) -> None:
        self._revision += 1
        self._show_state()
        background_tasks.create(self._settle(self._revision))

    async def _settle(self, revision: int) -> None:
        """Checks a text, and keeps it as a draft, once no newer one is typed."""
        await asyncio.sleep(CHECK_SECONDS)
        if revision == self._revision:
            await self._check(revision)
        await asyncio.sleep(DRAFT_SECONDS)
        if revision == self._revision and self._is_writer:
            await run.io_bound(self._keep_draft)

    async def _check(self, revision: int) -> None:
        if self._file is None:
            return
        checked: Checked | None = await run.io_bound(check, self.editor.text, self._file.path)
        if checked is None or revision != self._revision:  # None: the server ends
            return
        self.editor.display(checked.problems)
        self._problems.clear()
        with self._problems:
            for problem in checked.problems:
                button = ui.element("button").classes(problem.severity)
                button.on("click", lambda line=problem.line: self.editor.go_to(line))
                with button:
                    ui.label(f"{problem.line}:{problem.column}  {problem.message}").classes("inline")
        self._problems.set_visibility(bool(checked.problems))

    def _keep_draft(self) -> None:
        """Keeps the text while it is not saved."""
        if self._file is None or self._saved is None:
            return
        self._kept = self.editor.text
        try:
            if self.editor.text == self._saved.text:
                self._file.forget_draft()
            else:
                self._file.keep_draft(self.editor.text, self._saved)
        except StorageError as error:
            self._state.set_text(f"no draft is kept: {error}")

    async def _complete(self, text: str, offset: int) -> Any:
        return None if self._file is None else await run.io_bound(complete, text, offset, self._file.path)

    def _show_state(self) -> None:
        if self._saved is not None:
            self._state.set_text("Saved" if self.editor.text == self._saved.text else "Not saved")
