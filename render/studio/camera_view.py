"""The film's camera on the page: the whole film, as it moves, within seconds after an edit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from nicegui import events, run, ui

from render.errors import RenderError
from render.pipeline.scene import Scene
from render.scene.model import SceneSpec
from render.studio.camera_preview import CameraFilm, camera_film
from render.studio.media import Media

NOT_SHOWN = frozenset({"network", "objectives", "dream", "follow", "mix", "output"})
"""The keys of a scene that its camera's film does not show."""


class CameraView:
    """A player of the camera's film. `folder` is for its files; `on_seek` gets the frame that is played."""

    def __init__(self, media: Media, folder: Path, *, on_seek: Callable[[int], None]) -> None:
        self._media = media
        self._folder = folder
        self._on_seek = on_seek
        self._scene: Scene | None = None
        self._film: CameraFilm | None = None
        self._is_busy = False
        with ui.element("div").classes("player"):
            self._video = ui.video("", controls=True, autoplay=False, muted=True, loop=True)
            self._video.props('aria-label="The camera\'s film"')
            self._video.on("timeupdate", self._played, js_handler="(event) => emit(event.target.currentTime)")
            self._note = ui.label("").classes("quiet").props('role="status"')
        self._grid = ui.switch("Grid", on_change=self.refresh).props("dense")

    async def display(self, scene: Scene) -> None:
        """Makes the film of a scene, or of the newest one that was given while another film was made."""
        if self._scene is not None and is_same_camera(self._scene, scene):
            return
        self._scene = scene
        await self.refresh()

    async def refresh(self) -> None:
        """Makes the film again."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            made: Scene | None = None
            on_grid: bool | None = None
            while self._scene is not None and (self._scene is not made or on_grid != self._grid.value):
                made, on_grid = self._scene, bool(self._grid.value)
                await self._make(made, on_grid=on_grid)
        finally:
            self._is_busy = False

    async def _make(self, scene: Scene, *, on_grid: bool) -> None:
        target = self._folder / f"{uuid.uuid4().hex}.mp4"
        try:
            film = await run.io_bound(camera_film, scene, None, target, on_grid=on_grid)
        except RenderError as error:
            self._note.set_text(str(error))
            return
        if film is None:  # the server ends
            return
        previous, self._film = self._film, film
        self._note.set_text(f"{scene.length} frames, camera only" + (f", every {film.step}." if film.step > 1 else ""))
        self._video.set_source(self._media.url(film.path))
        if previous is not None:
            previous.path.unlink(missing_ok=True)

    def seek(self, frame: int) -> None:
        """Moves the player to a frame."""
        if self._film is not None and self._scene is not None:
            self._video.seek(frame / float(self._scene.fps))

    def _played(self, event: events.GenericEventArguments) -> None:
        if isinstance(event.args, int | float) and self._scene is not None:
            self._on_seek(min(int(event.args * float(self._scene.fps)), self._scene.length - 1))


def is_same_camera(a: Scene, b: Scene) -> bool:
    """Returns whether two scenes differ at most in what their camera's film does not show."""
    keys = SceneSpec.model_fields.keys() - NOT_SHOWN
    return a.size == b.size and all(getattr(a.spec, key) == getattr(b.spec, key) for key in keys)
