"""Making the cells of a sweep: one after the other, those that have frames in common together."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from render.dream.tiled import TiledNetwork
from render.errors import DiskFullError, Interrupted, MissingError, RenderError, StorageError, UsageError
from render.film.checkpoint import diff_json
from render.film.metadata import is_valid_machine
from render.pipeline.catalogue import requested_layers
from render.pipeline.engine import Engine, open_engine
from render.pipeline.existing import is_finished
from render.pipeline.job import run
from render.pipeline.memo import Memo
from render.pipeline.plan import Plan
from render.pipeline.preflight import check_memory
from render.pipeline.provenance import provenance
from render.pipeline.segments import Callbacks
from render.sweep.cells import Cell
from render.sweep.chain import Chain, chain_of
from render.sweep.shared import SharedFrames, frames_to_dream
from render.sweep.stills import embedded, is_current, pixels_of, read_pixels, write_still
from render.sweep.store import Store
from render.system.memory import free_memory, is_out_of_memory

MAX_MEMO_BYTES = 2**30
"""Of flow and features that cells have in common, and at most a quarter of the free memory."""
MAX_CHANGES = 3
"""Changes that an error lists."""


@dataclass(frozen=True)
class Task:
    """A cell to be made: its still at a path, by the plan of that one frame; and its film, by the plan of it.

    `film_plan` is None for a cell that has no film.
    """

    cell: Cell
    still: Path
    plan: Plan
    film_plan: Plan | None = None

    @property
    def network(self) -> tuple[object, ...]:
        """What network it needs."""
        network = self.cell.scene.spec.network
        return network.name, network.weights, self.cell.scene.paths.get(("network", "weights_file"))

    def with_precision(self, precision: str) -> Task:
        """Returns the task in a precision."""
        plans = (None if plan is None else _in_precision(plan, precision) for plan in (self.plan, self.film_plan))
        plan, film_plan = plans
        return self if plan is None else replace(self, plan=plan, film_plan=film_plan)


@dataclass(frozen=True)
class Made:
    """A cell that is done, or that failed with an error. `precision` is None when no network was loaded.

    `is_new` is False when it was there already.
    """

    cell: Cell
    precision: str | None
    error: RenderError | None = None
    is_new: bool = True


class ChangedError(UsageError):
    """What the cells of an unfinished sweep are made from, or with, has changed."""


STOPPING = (DiskFullError, Interrupted, ChangedError)
"""Errors of a cell that every other cell would have as well."""


class Maker:
    """Makes cells. `dreamed` is the number of frames dreamed so far, `alone` that of the same cells each by itself.

    `on_frame` is called with the first and with the number that is expected in all, `on_warning` with a sentence.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        store: Store,
        *,
        on_frame: Callable[[int, int], None] = lambda done, total: None,
        on_warning: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._store, self._on_frame, self._on_warning = store, on_frame, on_warning
        self._memo = Memo(min(MAX_MEMO_BYTES, free_memory() // 4))
        self._engines = _Engines()
        self._twins: dict[object, Path] = {}
        self._groups: dict[object, list[Task]] = {}
        for task in tasks:
            self._groups.setdefault(task.network, []).append(task)
        self.dreamed = self.alone = 0
        self._before = self._expected = 0
        """Frames dreamed of earlier groups, and expected in all."""

    def make(self) -> Iterator[Made]:
        """Yields each cell once it is done or has failed. Raises STOPPING errors and KeyboardInterrupt."""
        has_failed = False
        for made in self._make_groups():
            has_failed |= made.error is not None
            yield made
        if not has_failed:
            self._store.keep(lambda key: False)

    def _make_groups(self) -> Iterator[Made]:
        for tasks in self._groups.values():  # one network after the other
            pending: dict[int, tuple[Task, Engine]] = {}
            for task in tasks:
                try:
                    opened, engine, is_done = self._opened(task)
                except STOPPING:
                    raise
                except RenderError as error:
                    yield Made(task.cell, None, error)
                else:
                    if is_done:
                        yield Made(task.cell, engine.device.precision, is_new=False)
                    else:
                        pending[task.cell.number] = (opened, engine)
            yield from self._make(pending)

    def _opened(self, task: Task) -> tuple[Task, Engine, bool]:
        """The task in its precision, its engine, and whether it is done."""
        with _memory_errors():
            task, engine = self._engines.open(task)
        metadata = _still_metadata(engine, task.cell.frame)
        may_replace = task.plan.options.overwrite
        if not is_current(task.still, metadata):
            if os.path.lexists(task.still) and not may_replace:
                _require_replaceable(task.still, metadata)
            return task, engine, False
        if task.film_plan is None:
            return task, engine, True
        plan = replace(task.film_plan, options=replace(task.film_plan.options, overwrite=False))
        try:
            return task, engine, is_finished(plan, {**metadata, "frames": [0, task.cell.frame + 1]})
        except StorageError:
            if not may_replace:
                raise
            return task, engine, False

    def _make(self, pending: Mapping[int, tuple[Task, Engine]]) -> Iterator[Made]:
        """Makes cells of one network."""
        chains: dict[int, Chain] = {}
        for number, (task, engine) in pending.items():
            try:
                chains[number] = chain_of(task.plan, task.cell.frame)
            except StorageError as error:
                yield Made(task.cell, engine.device.precision, error)
        self._before = self.dreamed
        together, alone = frames_to_dream(chains.values())
        self._expected = self.dreamed + together
        self.alone += alone
        has_films = any(task.film_plan is not None for task, _ in pending.values())
        shared = SharedFrames(self._store, chains, films=has_films, memo=self._memo, on_frame=self._count)
        for number in shared.order():
            (task, engine), failure = pending[number], None
            try:
                with _memory_errors():
                    self._make_cell(task, engine, chains[number], shared=shared)
            except STOPPING:
                raise
            except RenderError as error:
                failure = error
            else:
                shared.finish(number)
            yield Made(task.cell, engine.device.precision, failure)

    def _make_cell(self, task: Task, engine: Engine, chain: Chain, *, shared: SharedFrames) -> None:
        """Makes a cell's film, and its still on the way; or its still alone."""
        frame, number = task.cell.frame, task.cell.number
        if task.film_plan is not None:

            def on_picture(film: Engine, index: int, picture: Tensor) -> None:
                if index == frame:
                    write_still(pixels_of(picture), task.still, _still_metadata(film, frame))

            run(
                task.film_plan,
                Callbacks(on_warning=self._on_warning),
                source=shared.source(number, on_picture=on_picture),
            )
        metadata = _still_metadata(engine, frame)
        if is_current(task.still, metadata):
            return
        twin = (task.network, chain.picture(frame), engine.network.tile_size)
        if twin in self._twins:
            pixels = read_pixels(self._twins[twin])
        else:
            tile_size = engine.network.tile_size
            pixels = pixels_of(shared.picture(number, engine, frame=frame))
            if engine.network.tile_size != tile_size:
                size = engine.network.tile_size
                self._on_warning(f"memory is short; {task.still} was dreamed in tiles of {size} pixels")
                metadata = _still_metadata(engine, frame)
        task.plan.sources.verify()
        write_still(pixels, task.still, metadata)
        self._twins[twin] = task.still

    def _count(self, dreamed: int) -> None:
        self.dreamed = self._before + dreamed
        self._on_frame(self.dreamed, max(self._expected, self.dreamed))


class _Engines:
    """The engines of tasks: of those with the same network, layers and size only one is opened."""

    def __init__(self) -> None:
        self._precisions: dict[object, str] = {}
        self._opened: dict[object, tuple[Engine, int | None]] = {}

    def open(self, task: Task) -> tuple[Task, Engine]:
        """Returns a task in the precision of its network, and its engine. Raises as `open_engine` and `preflight`."""
        check_memory(task.plan)
        if task.network not in self._precisions:
            self._opened.clear()  # of the network before
            recorded = _recorded_precision(task.still) if task.plan.options.precision == "auto" else None
            opened = open_engine((task if recorded is None else task.with_precision(recorded)).plan)
            self._precisions[task.network] = opened.device.precision
        task = task.with_precision(self._precisions[task.network])
        scene = task.plan.scene
        key = (task.network, scene.size, scene.spec.dream.tile_size, frozenset(requested_layers(scene.spec)))
        if key not in self._opened:
            opened = open_engine(task.plan)
            self._opened[key] = (opened, opened.network.tile_size)
        opened, tile_size = self._opened[key]
        network = TiledNetwork(opened.network.network, tile_size=tile_size)
        return task, replace(opened, plan=task.plan, network=network)


def _in_precision(plan: Plan, precision: str) -> Plan:
    return replace(plan, options=replace(plan.options, precision=precision)).sharing(plan)


def _recorded_precision(still: Path) -> str | None:
    """The precision in which a still was made; None when there is none."""
    machine = (embedded(still) or {}).get("machine")
    return machine.get("precision") if is_valid_machine(machine) else None


def _still_metadata(engine: Engine, frame: int) -> dict[str, Any]:
    return {**provenance(engine), "frames": [frame, frame + 1]}


def _require_replaceable(still: Path, metadata: Mapping[str, Any]) -> None:
    """Raises an error when what is in the place of a still is not this one, damaged.

    It is a StorageError for a file of somebody, and a ChangedError for a still that was made from something else.
    """
    found = embedded(still)
    if found is None:
        raise StorageError(f"{still} exists and is not this cell; --overwrite replaces it")
    changes = list(diff_json(found, json.loads(json.dumps(metadata))))
    if changes:
        more = f"; and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
        raise ChangedError(
            f"{still} was made otherwise: {'; '.join(changes[:MAX_CHANGES])}{more}; --overwrite makes it again, "
            "--output with another path keeps both"
        )


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Raises MissingError for an error of the block that means that the memory ran out."""
    try:
        yield
    except RenderError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise MissingError("not enough memory; --scale 0.5 makes smaller films") from None
