"""The panel of films: making them, how far they are, their last frames, and finished films to play."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui

from render.film.preview import PICTURES
from render.studio.film_facts import facts, share_done, stage_text
from render.studio.films import FilmState

STYLE = Path(__file__).with_name("films.css")
Act = Callable[[Path], Any]


@dataclass(frozen=True)
class FilmActions:
    """What the panel calls, each with the path of a film but `start`, which gets whether to replace and to start over.

    `url` returns the address of a file.
    """

    start: Callable[[bool, bool], Any]
    stop: Act
    resume: Act
    forget: Act
    sooner: Act
    url: Callable[[Path], str]


class FilmsView:
    """The panel, in the element that is current when it is made."""

    def __init__(self, actions: FilmActions) -> None:
        self._actions = actions
        self._rows: dict[Path, _Row] = {}
        ui.add_css(STYLE)
        with ui.element("div").classes("films-bar"):
            self._start = _button("Make film", self._on_start).props("unelevated")
            self._replace = ui.checkbox("Replace another film").props("dense")
            self._restart = ui.checkbox("Start over").props("dense")
        self._message = ui.label().classes("films-message").props('role="alert"')
        self._message.set_visibility(False)
        self._list = ui.element("ul").classes("films-list").props('aria-label="Films"')
        self._empty = ui.label("No film yet.").classes("quiet films-empty")

    def _on_start(self) -> Any:
        return self._actions.start(bool(self._replace.value), bool(self._restart.value))

    def set_enabled(self, is_enabled: bool) -> None:
        """Enables the button that makes a film, or disables it while the scene is wrong."""
        self._start.set_enabled(is_enabled)

    def show_message(self, sentence: str) -> None:
        """Shows why something could not be done; an empty sentence hides it."""
        self._message.set_text(sentence)
        self._message.set_visibility(bool(sentence))

    def update(self, films: Sequence[FilmState]) -> None:
        """Shows films, in their order; elements of films that were there stay, so that one that plays goes on."""
        paths = {film.path for film in films}
        for path in [path for path in self._rows if path not in paths]:
            self._rows.pop(path).element.delete()
        for index, film in enumerate(films):
            row = self._rows.get(film.path)
            if row is None:
                with self._list:
                    row = self._rows[film.path] = _Row(film.path, self._actions)
            if row.index != index:
                row.element.move(self._list, target_index=index)
            row.index = index
            row.update(film)
        self._empty.set_visibility(not films)


class _Row:
    """A film in the list."""

    def __init__(self, path: Path, actions: FilmActions) -> None:
        self._actions = actions
        self._film: FilmState | None = None
        self._played = ""
        self.index = -1
        with ui.element("li").classes("film") as self.element:
            with ui.element("div").classes("film-head"):
                self._name = ui.label().classes("film-name")
                self._stage = ui.label().classes("film-stage").props('role="status"')
                name = _plain(path.name)
                self._buttons = {
                    label: _button(label, partial(act, path)).props(f'flat aria-label="{label} {name}"')
                    for label, act in (
                        ("Stop", actions.stop),
                        ("Resume", actions.resume),
                        ("Sooner", actions.sooner),
                        ("Remove", actions.forget),
                    )
                }
                self._play = _button("Play", self._on_play).props(f'flat aria-label="Play {name}"')
                self._download = ui.element("a").classes("film-download").props(f'download="{name}"')
                with self._download:
                    ui.label("Download")
            self._progress = ui.element("progress").classes("film-progress").props('max="1" aria-label="Progress"')
            self._facts = ui.label().classes("film-facts quiet")
            self._message = ui.label().classes("film-message")
            with ui.element("div").classes("film-strip") as self._strip:
                self._pictures = [ui.element("img").props('alt=""') for _ in range(PICTURES)]
            self._player = ui.element("div").classes("film-player")

    def update(self, film: FilmState) -> None:
        """Shows the state of the film, if it has changed."""
        if film == self._film:
            return
        self._film = film
        self._name.set_text(film.name)
        self._stage.set_text(stage_text(film))
        self._stage.classes(replace=f"film-stage {film.stage}")
        self._facts.set_text(facts(film))
        self._message.set_text(film.message)
        self._message.set_visibility(bool(film.message))
        share = share_done(film)
        self._progress.set_visibility(share is not None)
        if share is not None:
            self._progress.props(f'value="{share:.4f}"')
        self._show_buttons(film)
        self._show_strip(film)
        if film.finished is None:
            self._player.clear()
            self._played = ""

    def _show_buttons(self, film: FilmState) -> None:
        shown = {
            "Stop": film.is_own and film.stage in ("making", "queued"),
            "Resume": film.is_own and film.stage in ("stopped", "failed"),
            "Sooner": film.is_own and film.stage == "queued",
            "Remove": film.is_own and film.stage in ("stopped", "failed"),
        }
        for label, is_shown in shown.items():
            self._buttons[label].set_visibility(is_shown)
        self._play.set_visibility(film.finished is not None)
        self._download.set_visibility(film.finished is not None)
        if film.finished is not None:
            self._download.props(f'href="{self._actions.url(film.finished.path)}"')

    def _show_strip(self, film: FilmState) -> None:
        """Shows the last frames, the last one first."""
        pictures = () if film.preview is None or film.stage == "finished" else film.preview.pictures[::-1]
        self._strip.set_visibility(bool(pictures) and film.parts is not None)
        for number, element in enumerate(self._pictures):
            is_shown = number < len(pictures) and film.parts is not None
            element.set_visibility(is_shown)
            if is_shown and film.parts is not None:
                picture = pictures[number]
                element.props(f'src="{self._actions.url(film.parts / picture.name)}" alt="Frame {picture.frame}"')

    def _on_play(self) -> None:
        """Shows the finished film, or hides it."""
        if self._film is None or self._film.finished is None:
            return
        url = self._actions.url(self._film.finished.path)
        self._player.clear()
        self._played = "" if self._played == url else url
        if self._played:
            is_picture = self._film.finished.path.suffix.lower() in (".gif", ".webp", ".png", ".jpg", ".jpeg")
            with self._player:
                element = ui.element("img" if is_picture else "video")
                element.props(f'src="{url}"').props('alt="The film"' if is_picture else "controls autoplay playsinline")
        self._play.set_text("Hide" if self._played else "Play")


def _button(label: str, on_click: Callable[[], Any]) -> ui.button:
    return ui.button(label, on_click=on_click).props("no-caps dense")


def _plain(name: str) -> str:
    """Returns a name as it can be in an attribute: quotes and backslashes would end it."""
    return "".join("_" if letter in "\"'\\" or not letter.isprintable() else letter for letter in name)
