"""Variations on the page: a grid of stills of the scene with other values, one of which is adopted by a click."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element

from render.errors import RenderError
from render.studio.child import MESSAGE, Answer
from render.studio.variations import Choice, Key, grid_choice, surprise

STYLE = Path(__file__).with_name("tiles.css")
MAX_KEYS = 3
DEFAULT_FRAME = 8
"""The frame of the stills: far enough into the film that a motion can be recognised, and soon dreamed."""
MAX_SEED = 10**6


class _Row:
    """A key and its values."""

    def __init__(self, find: Callable[[str], Key | None]) -> None:
        self._find = find
        with ui.element("div").classes("tools"):
            self.key = ui.select([], label="Key", with_input=True, clearable=True, on_change=self._chosen)
            self.key.props("dense outlined options-dense").classes("grow")
            self.values = ui.input("Values").props("dense outlined").classes("grow")

    def set_names(self, names: Sequence[str]) -> None:
        """Offers names of keys, and keeps the one that is chosen while it is there."""
        self.key.set_options(list(names), value=self.key.value if self.key.value in names else None)

    def _chosen(self) -> None:
        key = self._find(str(self.key.value or ""))
        self.values.value = "" if key is None else key.values
        self.values.props["hint"] = "" if key is None else f"now {key.value}"


class VariationsView:
    """Chooses keys and values, and displays the cells of their grid as they are made.

    `make` yields the answers of `variations_process` to a choice, and `url` says where a page finds a file. `on_adopt`
    gets the values of a cell by key.
    """

    def __init__(
        self,
        *,
        make: Callable[[Choice], AsyncGenerator[Answer]],
        url: Callable[[Path], str],
        on_adopt: Callable[[dict[str, Any]], object],
    ) -> None:
        self._make, self._url, self._on_adopt = make, url, on_adopt
        self._keys: dict[str, Key] = {}
        self._task: asyncio.Task[Any] | None = None
        self._cells: list[tuple[Element, Element]] = []
        ui.add_css(STYLE)
        with ui.element("div").classes("pictures"):
            self._rows = [_Row(self._keys_get) for _ in range(MAX_KEYS)]
            with ui.element("div").classes("tools"):
                self._frame = ui.number("Frame", value=DEFAULT_FRAME, min=0, precision=0).props("dense outlined")
                self._frame.classes("w-24")
                ui.button("Make grid", on_click=self._make_grid).props("no-caps dense unelevated")
                ui.button("Surprise me", on_click=self._surprise).props("no-caps dense outline")
                self._stop = ui.button("Stop", on_click=self.stop).props("no-caps dense flat")
            self._status = ui.label().classes("status").props('role="status"')
            self._grid = ui.element("div").classes("tiles wide")
        self._stop.set_visibility(False)

    def display(self, keys: Sequence[Key], length: int) -> None:
        """Offers the keys of a scene of a number of frames."""
        self._keys = {key.name: key for key in keys}
        for row in self._rows:
            row.set_names(list(self._keys))
        self._frame.max = length - 1
        if self._frame.value is not None and self._frame.value >= length:
            self._frame.value = length - 1

    def stop(self) -> None:
        """Makes no more cells; those that are there stay."""
        if self._task is not None:
            self._task.cancel()

    def _keys_get(self, name: str) -> Key | None:
        return self._keys.get(name)

    def _chosen_rows(self) -> list[tuple[str, str]]:
        return [(row.key.value, str(row.values.value or "")) for row in self._rows if row.key.value]

    def _frame_text(self) -> str:
        return str(int(self._frame.value or 0))

    def _make_grid(self) -> None:
        rows = self._chosen_rows()
        if not rows:
            self._say("Choose a key, or let the values surprise you.", is_wrong=False)
            return
        self._begin(grid_choice(rows, self._frame_text()))

    def _surprise(self) -> None:
        keys = list(self._keys.values())
        self._begin(surprise(keys, self._chosen_rows(), self._frame_text(), seed=secrets.randbelow(MAX_SEED)))

    def _begin(self, choice: Choice) -> None:
        self.stop()
        self._task = background_tasks.create(self._run(choice))

    async def _run(self, choice: Choice) -> None:
        """Displays the answers to a choice."""
        task = asyncio.current_task()
        self._grid.clear()
        self._cells = []
        self._say("Looking at the values…", is_wrong=False)
        self._stop.set_visibility(True)
        done = 0
        try:
            async with aclosing(self._make(choice)) as answers:
                async for answer in answers:
                    if "cells" in answer:
                        self._build(answer["cells"])
                    elif "cell" in answer:
                        done += 1
                        self._fill(answer)
                    else:
                        self._say(str(answer[MESSAGE]), is_wrong=True)
                        return
                    self._say(f"{done} of {len(self._cells)}", is_wrong=False)
            self._say(f"{len(self._cells)} variations; a click adopts one.", is_wrong=False)
        except RenderError as error:
            self._say(str(error), is_wrong=True)
        finally:
            if self._task is task:
                self._stop.set_visibility(False)

    def _build(self, cells: Sequence[dict[str, Any]]) -> None:
        with self._grid:
            for cell in cells:
                values = cell["values"]
                with ui.element("div").classes("tile") as tile:
                    button = ui.element("button").on("click", lambda values=values: self._on_adopt(dict(values)))
                    button.props["type"] = "button"
                    button.props["aria-label"] = f"Adopt {cell['label']}"
                    with button:
                        with ui.element("span").classes("image"):
                            image = ui.element("img").props('alt=""')
                        ui.label(cell["label"].replace(", ", "\n")).classes("name whitespace-pre-line")
                self._cells.append((tile, image))

    def _fill(self, answer: Answer) -> None:
        tile, image = self._cells[answer["cell"]]
        if "file" in answer:
            image.props["src"] = self._url(Path(answer["file"]))
        else:
            tile.classes("failed").tooltip(str(answer[MESSAGE]))

    def _say(self, sentence: str, *, is_wrong: bool) -> None:
        self._status.set_text(sentence)
        self._status.classes(add="wrong" if is_wrong else "", remove="" if is_wrong else "wrong")
