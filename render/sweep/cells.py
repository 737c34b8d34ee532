"""The cells of a sweep: every combination of the values, or random ones, each a scene that is loaded and checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from render.errors import SceneError, UsageError
from render.pipeline.load import load, load_text
from render.pipeline.scene import Scene
from render.scene.clock import Time, parse_time
from render.scene.document import Override
from render.scene.field_errors import MAX_PROBLEMS, FieldError
from render.scene.yaml_tree import parse_yaml
from render.sweep.model import MAX_CELLS, OPTION, SweepOptions
from render.sweep.variations import Value, Variation, parse_variations
from render.text import Problem, quote


class Place(NamedTuple):
    """Where a cell is: page, row and column, counted from 0."""

    page: int
    row: int
    column: int


@dataclass(frozen=True)
class Cell:
    """A cell: its number, its place on the sheet, a value for each key, its scene, and the frame that it is.

    `overrides` are those that load its scene from the file of the sweep.
    """

    number: int
    place: Place
    values: tuple[Value, ...]
    overrides: tuple[Override, ...]
    scene: Scene
    frame: int


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep in their order, the keys that they vary, and the shape of a page."""

    variations: tuple[Variation, ...]
    cells: tuple[Cell, ...]
    columns: int
    rows: int
    pages: int
    has_headings: bool
    """Whether a column has one value of the first key, and a row one of the second."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order in which they were given."""
        return tuple(variation.key for variation in self.variations)

    def label(self, cell: Cell) -> str:
        """Returns `dream.step_size=0.01, seed=3`."""
        return label(self.keys, cell.values)


def label(keys: Sequence[str], values: Sequence[Value]) -> str:
    """Returns `dream.step_size=0.01, seed=3`."""
    return ", ".join(f"{key}={value.label}" for key, value in zip(keys, values, strict=True))


def plain_value(value: Value) -> Any:
    """Returns a value as plain data. Raises SceneError when it is not YAML."""
    return parse_yaml(value.text, OPTION, before=" ").plain()


@dataclass(frozen=True)
class SweepScene:
    """The scene that a sweep varies: its file, or a film, and what is changed in every cell, as `load` takes it.

    `text` is the file's text at a time; None reads it. `files` are those of `load`.
    """

    path: Path
    overrides: tuple[Override, ...] = ()
    scale: float = 1.0
    text: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def load(self, overrides: Sequence[Override]) -> Scene:
        """Returns the scene with overrides in the place of its own. Raises as `load`."""
        if self.text is None:
            return load(self.path, overrides, scale=self.scale, files=self.files)
        return load_text(self.text, self.path, overrides, scale=self.scale, files=self.files)


def find_cells(source: SweepScene, options: SweepOptions) -> Grid:
    """Finds the cells of a sweep and checks every scene, as `load` does with the overrides and then the cell's own.

    Raises SceneError with everything that is wrong in `--vary` and in the scenes, UsageError for too many cells and for
    a frame that no film has, and what `load` raises.
    """
    variations = parse_variations(options.vary)
    combinations = _combinations(variations, options)
    time = _parse_frame(options.frame)
    columns, rows, pages = _shape(variations, len(combinations), options)
    keys = [variation.key for variation in variations]
    scenes = _Loader(source, keys)
    scenes.check(combinations)
    cells = []
    for number, values in enumerate(combinations):
        scene = scenes.load(values)
        at, column = divmod(number, columns)
        page, row = divmod(at, rows)
        place = Place(page, row, column)
        frame = _frame(scene, time, label(keys, values))
        cells.append(Cell(number, place, values, overrides=scenes.overrides(values), scene=scene, frame=frame))
    has_headings = options.random is None and len(variations) > 1
    return Grid(tuple(variations), tuple(cells), columns=columns, rows=rows, pages=pages, has_headings=has_headings)


def _combinations(variations: Sequence[Variation], options: SweepOptions) -> list[tuple[Value, ...]]:
    """The values of each cell; those of the first key change fastest. Raises UsageError, SceneError."""
    if options.random is not None:
        numbers = range(options.random)
        return [
            tuple(variation.drawn(number, seed=options.random_seed) for variation in variations) for number in numbers
        ]
    for variation in variations:
        variation.require_counts()
    counts = [variation.count for variation in variations]
    total = math.prod(counts)
    if total > MAX_CELLS:
        product = f" ({' x '.join(map(str, counts))})" if len(counts) > 1 else ""
        raise UsageError(
            f"{total} cells{product}; a sweep has at most {MAX_CELLS}. Vary fewer values, or draw some of them with "
            "--random 16"
        )
    combinations = []
    for number in range(total):
        values, rest = [], number
        for variation in variations:
            rest, index = divmod(rest, variation.count)
            values.append(variation.value(index))
        combinations.append(tuple(values))
    return combinations


def _first_uses(combinations: Sequence[tuple[Value, ...]]) -> list[int]:
    """The numbers of a few cells that have all values: whatever is wrong with a value is wrong in one of them."""
    seen: set[tuple[int, str]] = set()
    numbers = []
    for number, values in enumerate(combinations):
        used = {(position, value.text) for position, value in enumerate(values)}
        if used - seen:
            seen |= used
            numbers.append(number)
    return numbers


def _shape(variations: Sequence[Variation], total: int, options: SweepOptions) -> tuple[int, int, int]:
    """Columns, rows and pages. Raises UsageError for columns that the keys decide."""
    if options.random is None and len(variations) > 1:
        columns, rows = variations[0].count, variations[1].count
        if options.columns is not None:
            raise UsageError(
                f"with several keys a column is a value of the first, {variations[0].key}; --columns is for one key, "
                "or for --random"
            )
        return columns, rows, total // (columns * rows)
    columns = min(options.columns or max(1, round(math.sqrt(total * 1.5))), total)
    return columns, math.ceil(total / columns), 1


class _Loader:
    """Loads the scenes of cells, each once, and collects what is wrong with them."""

    def __init__(self, source: SweepScene, keys: Sequence[str]) -> None:
        self._source, self._keys = source, keys
        self._scenes: dict[tuple[Value, ...], Scene] = {}

    def overrides(self, values: Sequence[Value]) -> tuple[Override, ...]:
        """Returns all overrides of a cell."""
        own = ((OPTION, key, value.text) for key, value in zip(self._keys, values, strict=True))
        return (*self._source.overrides, *own)

    def load(self, values: tuple[Value, ...]) -> Scene:
        """Returns the scene of a cell; the cells that have it share it. Raises as `load`."""
        if values not in self._scenes:
            self._scenes[values] = self._source.load(self.overrides(values))
        return self._scenes[values]

    def check(self, combinations: Sequence[tuple[Value, ...]]) -> None:
        """Raises SceneError with the problems of all cells, each once; one that needs several values names its cell.

        What is wrong in every one of a few cells that have all values, an unknown key, is raised without the others.
        What cannot be read (StorageError) is raised at once.
        """
        few = _first_uses(combinations)
        found = self._problems(combinations, few)
        if found and all(len(failing) == len(few) for _, failing in found.values()):
            raise SceneError([problem for problem, _ in found.values()])
        found = self._problems(combinations, range(len(combinations)))
        if found:
            raise SceneError([self._named(problem, failing, combinations) for problem, failing in found.values()])

    def _problems(
        self, combinations: Sequence[tuple[Value, ...]], numbers: Iterable[int]
    ) -> dict[object, tuple[Problem, list[int]]]:
        """The problems of some cells, each with the numbers of the cells that have it."""
        found: dict[object, tuple[Problem, list[int]]] = {}
        for number in numbers:
            try:
                self.load(combinations[number])
            except SceneError as error:
                for problem in error.problems:
                    place = problem.position
                    key = problem.message, place and (place.name, place.line, place.column)
                    found.setdefault(key, (problem, []))[1].append(number)
            if len(found) >= MAX_PROBLEMS:
                break
        return found

    def _named(self, problem: Problem, failing: Sequence[int], combinations: Sequence[tuple[Value, ...]]) -> Problem:
        """The problem, with the values of its first cell unless all cells with one of these values have it."""
        values = combinations[failing[0]]
        of_one_value = any(
            all(number in failing for number, other in enumerate(combinations) if other[position] == value)
            for position, value in enumerate(values)
        )
        if len(self._keys) == 1 or of_one_value:
            return problem
        return Problem(f"with {label(self._keys, values)}: {problem.message}", problem.position)


def _parse_frame(text: str) -> Time:
    try:
        return parse_time(text)
    except FieldError as error:
        raise UsageError(f"--frame: {error}") from None


def _frame(scene: Scene, time: Time, name: str) -> int:
    """The frame of a time in a scene. Raises UsageError when its film ends before."""
    frame = math.floor(time.frames(scene.spec.clock))
    if frame >= scene.length:
        last = scene.length - 1
        raise UsageError(f"--frame {quote(time)} is after the last frame, {last}, of the film with {name}")
    return frame
