"""The editor of a scene's text: problems underlined, completion, and edits by other parts of the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from nicegui import events, ui
from nicegui.element import Element

from render.studio.problems import TextProblem

LIGHT: Literal["githubLight"] = "githubLight"
DARK: Literal["githubDark"] = "githubDark"


class _Extension(Element, component="editor.js"):
    """What editor.js adds to an editor."""

    def __init__(self, editor: ui.codemirror) -> None:
        super().__init__()
        self._props["editor"] = str(editor.id)


class Editor:
    """The text of a scene. `on_edit` gets it whenever the user changes it, `complete` a text and an offset in it."""

    def __init__(
        self,
        *,
        on_edit: Callable[[str], None],
        on_save: Callable[[], Awaitable[None]],
        complete: Callable[[str, int], Awaitable[Any]],
    ) -> None:
        self._on_edit = on_edit
        self._complete = complete
        self.element = ui.codemirror(
            on_change=self._edited, language="YAML", theme=LIGHT, indent="  ", keymap={"Mod-s": on_save}
        ).classes("editor")
        self._extension = _Extension(self.element)
        self._extension.on("complete", self._requested)
        self._extension.on("scheme", self._scheme_changed)
        self._is_own_change = False

    @property
    def text(self) -> str:
        """The text."""
        return str(self.element.value or "")

    def replace(self, text: str) -> None:
        """Replaces the text; what is equal at both ends stays, so that the cursor does, and it can be undone."""
        self._is_own_change = True
        self.element.value = text
        self._is_own_change = False

    def set_read_only(self, is_read_only: bool) -> None:
        """Lets the user write, or not."""
        self.element.set_enabled(not is_read_only)

    def display(self, problems: Sequence[TextProblem]) -> None:
        """Underlines the problems of the text; hovering over one displays what it is."""
        self._extension.run_method("display", [asdict(problem) for problem in problems], len(self.text))

    def go_to(self, line: int) -> None:
        """Scrolls to a line."""
        self.element.reveal_line(line)

    def _edited(self, event: events.ValueChangeEventArguments[str]) -> None:
        if not self._is_own_change:
            self._on_edit(str(event.value or ""))

    async def _requested(self, event: events.GenericEventArguments) -> None:
        found = await self._complete(self.text, int(event.args["offset"]))
        self._extension.run_method("answer", event.args["id"], None if found is None else asdict(found))

    def _scheme_changed(self, event: events.GenericEventArguments) -> None:
        self.element.theme = DARK if event.args else LIGHT
