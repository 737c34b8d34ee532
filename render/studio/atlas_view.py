"""The atlas on the page: pictures of layers, channels and classes that fill in, and are chosen by a click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import run, ui
from nicegui.element import Element

from render.errors import RenderError
from render.scene.objectives import NetworkSpec
from render.studio.atlas import PAGE, Tile, channel_tiles, class_tiles, layer_tiles, page_of
from render.studio.painter import Outcome, Painter, Picture

STYLE = Path(__file__).with_name("tiles.css")
LAYERS, CLASSES = "Layers", "Classes"


class AtlasView:
    """What a network can dream. Pictures are made while it is active, and `url` says where a page finds a file.

    `on_choose` gets an objective, and whether it is to replace the only one of the scene.
    """

    def __init__(
        self, painter: Painter, *, url: Callable[[Path], str], on_choose: Callable[[dict[str, Any], bool], object]
    ) -> None:
        self._painter, self._url, self._on_choose = painter, url, on_choose
        self._network: NetworkSpec | None = None
        self._layer: str | None = None
        self._page = 0
        self._is_active = False
        self._revision = 0
        self._images: dict[str, tuple[Element, Element]] = {}
        ui.add_css(STYLE)
        with ui.element("div").classes("pictures"):
            with ui.element("div").classes("tools"):
                self._kind = ui.toggle([LAYERS, CLASSES], value=LAYERS, on_change=lambda: self._open(None))
                self._kind.props('no-caps dense unelevated aria-label="What the atlas lists"')
                self._search = ui.input("Search", on_change=self._searched)
                self._search.props("dense outlined clearable debounce=200").classes("grow")
                self._replaces = ui.checkbox("Replace the objective").props("dense")
            with ui.element("div").classes("tools"):
                self._back = ui.button("All layers", on_click=lambda: self._open(None))
                self._back.props('no-caps dense flat icon="arrow_back"')
                self._heading = ui.label()
                self._previous = self._turner("Previous page", "chevron_left", -1)
                self._count = ui.label().classes("quiet")
                self._next = self._turner("Next page", "chevron_right", 1)
            self._status = ui.label().classes("status").props('role="status"')
            self._grid = ui.element("div").classes("tiles")

    async def display(self, network: NetworkSpec) -> None:
        """Displays a network, with the path of its weights."""
        if network != self._network:
            self._network = network
            self._layer, self._page = None, 0
            await self._refresh()

    async def set_active(self, is_active: bool) -> None:
        """Makes pictures from now on, or none."""
        self._is_active = is_active
        if is_active:
            await self._refresh()
        else:
            self._painter.forget(self)

    def _turner(self, label: str, icon: str, step: int) -> ui.button:
        button = ui.button(icon=icon, on_click=lambda: self._turn(step))
        return button.props(f'dense flat round aria-label="{label}"')

    async def _turn(self, step: int) -> None:
        self._page += step
        await self._refresh()

    async def _searched(self) -> None:
        self._page = 0
        await self._refresh()

    async def _open(self, layer: str | None) -> None:
        """Lists the channels of a layer, or all layers or classes."""
        self._layer, self._page = layer, 0
        if self._search.value:
            self._search.value = ""  # refreshes
        else:
            await self._refresh()

    def _tiles(self) -> Sequence[Tile]:
        """What is listed. Raises RenderError."""
        assert self._network is not None
        search = str(self._search.value or "")
        if self._kind.value == CLASSES:
            return class_tiles(self._network, search)
        if self._layer is not None:
            return channel_tiles(self._network, self._layer, search)
        return layer_tiles(self._network, search)

    async def _refresh(self) -> None:
        self._revision += 1
        revision = self._revision
        if self._network is None or not self._is_active:
            return
        try:
            tiles = await run.io_bound(self._tiles)
        except RenderError as error:
            self._say(str(error), is_wrong=True)
            return
        if tiles is not None and revision == self._revision:  # None: the server ends
            self._build(tiles)

    def _build(self, tiles: Sequence[Tile]) -> None:
        pages = max(1, -(-len(tiles) // PAGE))
        self._page = min(self._page, pages - 1)
        listed = page_of(tiles, self._page)
        self._say("" if tiles else "Nothing has this name.", is_wrong=False)
        self._back.set_visibility(self._layer is not None)
        thing = "channels of " + self._layer if self._layer is not None else str(self._kind.value).lower()
        self._heading.set_text(f"{len(tiles)} {thing}")
        self._count.set_text(f"{self._page + 1} of {pages}")
        for element in (self._previous, self._count, self._next):
            element.set_visibility(pages > 1)
        self._previous.set_enabled(self._page > 0)
        self._next.set_enabled(self._page + 1 < pages)
        self._grid.clear()
        self._images.clear()
        assert self._network is not None
        network = self._network.model_dump(exclude_none=True)
        pictures = [Picture(network, tile.objective) for tile in listed]
        with self._grid:
            for tile, picture in zip(listed, pictures, strict=True):
                self._images[picture.key] = self._add(tile)
        self._painter.want(self, pictures, self._painted)

    def _add(self, tile: Tile) -> tuple[Element, Element]:
        """Builds a tile; returns it and its picture."""
        with ui.element("div").classes("tile") as element:
            button = ui.element("button").on("click", lambda: self._choose(tile))
            button.props["type"] = "button"
            button.props["aria-label"] = f"Use {tile.name} in the scene"
            with button:
                with ui.element("span").classes("image square"):
                    image = ui.element("img").props('alt=""')
                ui.label(tile.name).classes("name")
            layer = tile.layer
            if layer is not None:
                more = ui.element("button").classes("more").on("click", lambda: self._open(layer))
                more.props["type"] = "button"
                more.props["aria-label"] = f"Channels of {layer}"
                with more:
                    ui.label(f"{tile.note} ›")
        return element, image

    def _choose(self, tile: Tile) -> None:
        self._on_choose(dict(tile.objective), bool(self._replaces.value))

    def _painted(self, picture: Picture, outcome: Outcome) -> None:
        if picture.key not in self._images:
            return
        element, image = self._images[picture.key]
        if outcome.file is not None:
            image.props["src"] = self._url(outcome.file)
        else:
            element.classes("failed")
            self._say(outcome.message, is_wrong=True)

    def _say(self, sentence: str, *, is_wrong: bool) -> None:
        self._status.set_text(sentence)
        self._status.classes(add="wrong" if is_wrong else "", remove="" if is_wrong else "wrong")
