"""Sentences over the panels of the page, with buttons for what can be done about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import ui


class Notices:
    """The place of notices, built where it is created."""

    def __init__(self) -> None:
        self._element = ui.element("div").classes("notices")

    def add(self, sentence: str, actions: Mapping[str, Callable[[], None]] | None = None) -> None:
        """Displays a notice until one of its actions, by label, is chosen."""
        with self._element, ui.element("div").classes("notice").props('role="alert"') as notice:
            ui.label(sentence)
            for label, action in {**(actions or {}), **({} if actions else {"Close": lambda: None})}.items():

                def act(action: Callable[[], None] = action) -> None:
                    self._element.remove(notice)
                    action()

                ui.button(label, on_click=act).props("no-caps dense flat")

    def clear(self) -> None:
        """Removes all notices."""
        self._element.clear()
