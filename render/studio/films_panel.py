"""The films of the folder on a page: what its buttons do, and one look at the disk for all pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import run, ui

from render.errors import RenderError, StorageError
from render.studio.films import FilmOptions, Films, FilmState
from render.studio.films_view import FilmActions, FilmsView
from render.studio.media import Media

LOOK_SECONDS = 0.2


@dataclass
class FilmWatch:
    """The films of the folder as they were last seen, by whichever page looked."""

    films: Films
    states: Sequence[FilmState] = ()
    message: str = ""
    is_looking: bool = False

    async def look(self) -> None:
        """Looks at the folder, unless another page does."""
        if self.is_looking:
            return
        self.is_looking = True
        try:
            self.states = await run.io_bound(self.films.look) or ()
            self.message = ""
        except StorageError as error:
            self.message = str(error)
        finally:
            self.is_looking = False


class FilmsPanel:
    """The panel of films. `scene` returns the saved scene that `Make film` makes; it raises RenderError for none."""

    def __init__(self, watch: FilmWatch, media: Media, *, scene: Callable[[], Path]) -> None:
        self._watch = watch
        self._scene = scene
        self._said = ""
        films = watch.films
        self._view = FilmsView(
            FilmActions(
                start=self._start,
                stop=lambda film: self._act(films.stop, film),
                resume=lambda film: self._act(films.resume, film),
                forget=lambda film: self._act(films.forget, film),
                sooner=lambda film: self._act(self._put_first, film),
                url=media.url,
            )
        )
        ui.timer(LOOK_SECONDS, self._look)

    async def _start(self, replace: bool, restart: bool) -> None:
        try:
            scene = self._scene()
        except RenderError as error:
            self._view.show_message(str(error))
        else:
            await self._act(self._watch.films.start, scene, FilmOptions(overwrite=replace, restart=restart))

    def _put_first(self, film: Path) -> None:
        waiting = [state.path for state in self._watch.states if state.stage == "queued" and state.path != film]
        self._watch.films.order([film, *waiting])

    async def _act(self, act: Callable[..., object], *arguments: Any) -> None:
        try:
            await run.io_bound(act, *arguments)
        except RenderError as error:
            self._view.show_message(str(error))
        else:
            self._view.show_message("")
        await self._look()

    async def _look(self) -> None:
        await self._watch.look()
        self._view.update(self._watch.states)
        if self._watch.message != self._said:
            self._said = self._watch.message
            self._view.show_message(self._said)
