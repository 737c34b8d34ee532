"""Editing a scene on a page: its file, draft and problems, and that one page at a time writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nicegui import Client, background_tasks, run, ui

from render.errors import StorageError
from render.studio.completion import complete
from render.studio.editor import Editor
from render.studio.notices import Notices
from render.studio.problems import Checked, check
from render.studio.scene_file import ChangedError, Saved, SceneFile
from render.studio.text_edit import TextEdit, apply_edits

CHECK_SECONDS = 0.05
"""After a keystroke, before the text is checked."""
DRAFT_SECONDS = 0.3
LOOK_SECONDS = 1.0
"""Between looks at the file on the disk."""


@dataclass
class Shared:
    """What all pages of a studio have in common: the folder of drafts, and the page that writes each scene."""

    drafts: Path
    writers: dict[Path, Editing] = field(default_factory=dict)


class Editing:
    """The text of a scene on one page; `on_checked` gets the scene and the problems of every text.

    `build_bar` and `build_panel` put its elements where the page has room for them, before `open`.
    """

    def __init__(
        self, shared: Shared, client: Client, *, notices: Notices, on_checked: Callable[[Checked], None]
    ) -> None:
        self._shared = shared
        self._client = client
        self._notices = notices
        self._on_checked = on_checked
        self._file: SceneFile | None = None
        self._saved: Saved | None = None
        self._revision = 0
        self._checking = asyncio.Lock()
        self._is_writer = False
        self._kept: str | None = None
        self._reader_notice: str | None = None
        self._elsewhere: Saved | None = None

    def build_bar(self) -> None:
        """Builds the button that saves, and what is known about it."""
        self._save = ui.button("Save", on_click=self.save).props("no-caps dense unelevated")
        self._state = ui.label().classes("quiet").props('role="status" aria-live="polite"')

    def build_panel(self) -> None:
        """Builds the editor and the list of problems."""
        self._editor = Editor(on_edit=self._edited, on_save=self.save, complete=self._complete)
        self._problems = ui.element("div").classes("problems").props('role="log" aria-label="Problems"')
        self._set_writer(False)
        self._client.on_connect(self._begin_writing)
        self._client.on_disconnect(self.end_writing)
        ui.timer(LOOK_SECONDS, self._look)

    @property
    def text(self) -> str:
        """The text as it is now."""
        return self._editor.text

    @property
    def path(self) -> Path | None:
        """The scene's file, None before one is open."""
        return None if self._file is None else self._file.path

    @property
    def is_saved(self) -> bool:
        """Whether the file says what the page displays."""
        return self._saved is not None and self._saved.text == self.text

    @property
    def can_write(self) -> bool:
        """Whether this page may change the text."""
        return self._is_writer

    def open(self, path: Path) -> None:
        """Opens a scene file. Raises StorageError."""
        file = SceneFile(path, self._shared.drafts)
        self._saved = file.read()
        self._file = file
        self._read_text()

    def edit(self, edits: Sequence[TextEdit]) -> None:
        """Changes the text; can be undone like typing."""
        if self._is_writer and edits:
            self._set_text(apply_edits(self.text, edits))

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

    async def save(self) -> None:
        """Saves the text, unless the file says something else by now."""
        if self._file is None or self._saved is None or not self._is_writer:
            return
        try:
            self._saved = await run.io_bound(self._file.save, self._editor.text, self._saved)
        except ChangedError:
            self._offer_other(self._file.read())
        except StorageError as error:
            self._notices.add(str(error))
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
            if self._editor.text == self._saved.text:
                self._saved = found
                self._set_text(found.text)
                ui.notify(f"{self._file.path.name} was changed elsewhere, and read again")
            else:
                self._offer_other(found)

    def _offer_draft(self, *, is_older: bool) -> None:
        reason = "; the file has changed since" if is_older else ""
        self._notices.add(
            f"This text was not saved{reason}.",
            {"Keep it": lambda: None, "Use the file": lambda: self._use(self._saved)},
        )

    def _offer_other(self, found: Saved) -> None:
        self._elsewhere = found
        self._notices.add(
            "The file was changed elsewhere, and here as well.",
            {"Use the file": lambda: self._use(found), "Keep this text": lambda: self._keep(found)},
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
        if self._file.path in self._shared.writers:
            self._tell_reader("Another page edits this scene.")
        elif not self._file.begin_writing():
            self._tell_reader("Another studio edits this scene.")
        else:
            self._shared.writers[self._file.path] = self
            self._set_writer(True)
            self._reader_notice = None
            self._notices.clear()
            self._saved = self._file.read_or_none() or self._saved
            self._read_text()

    def _tell_reader(self, sentence: str) -> None:
        if self._reader_notice != sentence:
            self._reader_notice = sentence
            self._notices.add(sentence, {"Edit here": self._take_over})

    def _take_over(self) -> None:
        if self._file is not None:
            other = self._shared.writers.get(self._file.path)
            if other is not None:
                other.end_writing()
            self._reader_notice = ""
            self._begin_writing()

    def end_writing(self) -> None:
        """Lets other pages edit the scene."""
        if self._is_writer and self._file is not None:
            self._keep_draft()
            del self._shared.writers[self._file.path]
            self._file.end_writing()
            self._set_writer(False)

    def _set_writer(self, is_writer: bool) -> None:
        self._is_writer = is_writer
        self._editor.set_read_only(not is_writer)
        self._save.set_enabled(is_writer)

    def _set_text(self, text: str) -> None:
        self._editor.replace(text)
        self._edited(text)

    def _edited(self, text: str) -> None:
        self._revision += 1
        self._show_state()
        background_tasks.create(self._settle(self._revision))

    async def _settle(self, revision: int) -> None:
        """Checks a text, and keeps it as a draft, once no newer one is typed."""
        await asyncio.sleep(CHECK_SECONDS)
        async with self._checking:  # of a long text one check at a time, then that of the newest text
            if revision == self._revision:
                await self._check(revision)
        await asyncio.sleep(DRAFT_SECONDS)
        if revision == self._revision and self._is_writer:
            await run.io_bound(self._keep_draft)

    async def _check(self, revision: int) -> None:
        if self._file is None:
            return
        checked: Checked | None = await run.io_bound(check, self._editor.text, self._file.path)
        if checked is None or revision != self._revision:  # None: the server ends
            return
        self._editor.display(checked.problems)
        self._problems.clear()
        with self._problems:
            for problem in checked.problems:
                button = ui.element("button").classes(problem.severity)
                button.on("click", lambda line=problem.line: self._editor.go_to(line))
                with button:
                    ui.label(f"{problem.line}:{problem.column}  {problem.message}").classes("inline")
        self._problems.set_visibility(bool(checked.problems))
        self._on_checked(checked)

    def _keep_draft(self) -> None:
        """Keeps the text while it is not saved."""
        if self._file is None or self._saved is None:
            return
        self._kept = self._editor.text
        try:
            if self._editor.text == self._saved.text:
                self._file.forget_draft()
            else:
                self._file.keep_draft(self._editor.text, self._saved)
        except StorageError as error:
            self._state.set_text(f"no draft is kept: {error}")

    async def _complete(self, text: str, offset: int) -> Any:
        return None if self._file is None else await run.io_bound(complete, text, offset, self._file.path)

    def _show_state(self) -> None:
        if self._saved is not None:
            self._state.set_text("Saved" if self._editor.text == self._saved.text else "Not saved")
