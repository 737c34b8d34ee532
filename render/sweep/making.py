"""Makes the cells of a sweep in a process, one after the other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from render.errors import StorageError, UsageError
from render.film.checkpoint import diff_json
from render.pipeline.engine import Engine, open_engine
from render.pipeline.existing import is_finished
from render.pipeline.job import run
from render.pipeline.memo import Memo
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.preflight import check_memory
from render.pipeline.provenance import provenance, provenance_diff
from render.pipeline.scene import Scene
from render.pipeline.segments import Callbacks
from render.sweep.chain import chain_of
from render.sweep.files import with_output
from render.sweep.model import CellWork
from render.sweep.shared import SharedFrames
from render.sweep.stills import embedded, is_current, pixels_of, write_still
from render.sweep.store import Store
from render.system.memory import free_memory

MAX_MEMO_BYTES = 2**30
"""Of flow and features that cells have in common, and at most a quarter of the free memory."""
MAX_CHANGES = 3
"""Changes that an error lists."""
MADE_FROM = ("files", "weights", "machine", "versions")
"""The parts of the provenance that are not the scene."""


class ChangedError(UsageError):
    """What the cells of a sweep are made from, or with, has changed."""


@dataclass(frozen=True)
class Reports:
    """What a cell reports to: the index of each frame that it dreams, and warnings."""

    on_frame: Callable[[int], None] = lambda index: None
    on_warning: Callable[[str], None] = lambda message: None


class CellMaker:
    """Makes cells of the sweep whose common frames are in a folder; what one computes, the next ones have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._memo = Memo(min(MAX_MEMO_BYTES, free_memory() // 4))
        self._first: Plan | None = None

    def make(self, scene: Scene, still: Path, work: CellWork, *, options: Options, reports: Reports) -> bool:
        """Makes a cell's film, and its still on the way; or its still alone. Returns False when they were there.

        Raises RenderError of every kind; ChangedError when the cell would not be what the sweep began with.
        """
        scene = with_output(scene, Path(work.film))
        options = still_options(options, work.frame)
        if work.made_from is not None:
            machine = work.made_from["machine"]
            options = replace(options, precision=machine["precision"], machine=machine)
        engine = self._open(plan(scene, options))
        _require_unchanged(engine, work)
        if is_made(engine, still, work):
            return False
        chain = chain_of(engine.plan, work.frame)
        shared = SharedFrames(Store(self.folder), chain, work, memo=self._memo, on_frame=reports.on_frame)
        if work.has_film:
            _make_film(engine, shared, still, reports=reports)
        if not is_current(still, provenance(engine)):
            _make_still(engine, shared, still, reports=reports)
        return True

    def _open(self, planned: Plan) -> Engine:
        """The engine of a plan, which shares what those before it know. Raises as `open_engine`."""
        if self._first is None:
            self._first = planned
        planned = planned.sharing(self._first)
        check_memory(planned)
        return open_engine(planned)


def _make_film(engine: Engine, shared: SharedFrames, still: Path, *, reports: Reports) -> None:
    frame = shared.work.frame

    def on_picture(film: Engine, index: int, picture: Tensor) -> None:
        if index == frame:
            write_still(pixels_of(picture), still, {**provenance(film), "frames": [frame, frame + 1]})

    source = shared.source(on_picture=on_picture)
    run(_film_plan(engine.plan, frame), Callbacks(on_warning=reports.on_warning), source=source)


def _make_still(engine: Engine, shared: SharedFrames, still: Path, *, reports: Reports) -> None:
    tile_size = engine.network.tile_size
    pixels = pixels_of(shared.picture(engine))
    if engine.network.tile_size != tile_size:
        size = engine.network.tile_size
        reports.on_warning(f"memory is short; {still} was dreamed in tiles of {size} pixels")
    engine.plan.sources.verify()
    write_still(pixels, still, provenance(engine))


def is_made(engine: Engine, still: Path, work: CellWork) -> bool:
    """Whether a cell's files are there. Raises StorageError for a file of somebody in their place.

    Raises ChangedError for a still that was made from something else.
    """
    metadata = provenance(engine)
    may_replace = engine.plan.options.overwrite
    if not is_current(still, metadata):
        if os.path.lexists(still) and not may_replace:
            _require_replaceable(still, metadata)
        return False
    if not work.has_film:
        return True
    planned = _film_plan(engine.plan, work.frame)
    planned = replace(planned, options=replace(planned.options, overwrite=False))
    try:
        return is_finished(planned, {**metadata, "frames": [0, work.frame + 1]})
    except StorageError:
        if not may_replace:
            raise
        return False


def _film_plan(still: Plan, frame: int) -> Plan:
    return plan(still.scene, replace(still.options, frames=(0, frame + 1))).sharing(still)


def still_options(options: Options, frame: int) -> Options:
    """Returns the options of a plan of one frame."""
    return replace(options, frames=(frame, frame + 1), restart=False)


def made_from(engine: Engine) -> dict[str, Any]:
    """Returns what a cell is made from and with, besides its scene, as plain JSON."""
    everything = provenance(engine)
    return {key: everything[key] for key in MADE_FROM}


def _require_unchanged(engine: Engine, work: CellWork) -> None:
    if work.made_from is None:
        return
    changes = list(provenance_diff(work.made_from, _plain(provenance(engine))))
    if changes:
        raise ChangedError(f"the sweep was begun otherwise: {_listed(changes)}; the same command begins again")


def _require_replaceable(still: Path, metadata: Mapping[str, Any]) -> None:
    """Raises an error when what is in the place of a still is not this one, damaged.

    It is a StorageError for a file of somebody, and a ChangedError for a still that was made from something else.
    """
    found = embedded(still)
    if found is None:
        raise StorageError(f"{still} exists and is not this cell; --overwrite replaces it")
    changes = list(diff_json(found, _plain(metadata)))
    if changes:
        raise ChangedError(
            f"{still} was made otherwise: {_listed(changes)}; --overwrite makes it again, --output with another path "
            "keeps both"
        )


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metadata as JSON has it."""
    plain: dict[str, Any] = json.loads(json.dumps(metadata))
    return plain


def _listed(changes: list[str]) -> str:
    more = f"; and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
    return f"{'; '.join(changes[:MAX_CHANGES])}{more}"
