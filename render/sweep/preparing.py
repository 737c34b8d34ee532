"""Before the cells of a sweep are made: how each is made, which frames they have in common, and who waits for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from render.errors import DiskFullError, Interrupted, RenderError
from render.film.metadata import is_valid_machine
from render.pipeline.catalogue import requested_layers
from render.pipeline.engine import Engine, open_engine
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.preflight import check_memory
from render.sweep.cells import Cell, Grid
from render.sweep.chain import Chain, chain_of
from render.sweep.files import SweepFiles, with_output
from render.sweep.making import ChangedError, is_made, made_from, still_options
from render.sweep.model import CellWork
from render.sweep.stills import embedded

STOPPING = (DiskFullError, Interrupted, ChangedError)
"""Errors of a cell that every other cell would have as well."""


@dataclass
class Prepared:
    """A cell, how it is made, and the number of the cell that makes its first frames, None when it shares none."""

    cell: Cell
    work: CellWork
    after: int | None = None


@dataclass
class _Shared:
    """What other cells need of a cell."""

    states: set[int] = field(default_factory=set)
    pictures: set[int] = field(default_factory=set)


def prepare(grid: Grid, files: SweepFiles, options: Options, *, films: bool) -> list[Prepared]:
    """Returns the cells in the order in which they are made: those of a network, and those with common frames together.

    Each is made on the machine that the first of its network was found to be made on. Raises ChangedError when a still
    that exists was made from, or with, something else, and StorageError for a full disk.
    """
    groups: dict[object, list[Cell]] = {}
    for cell in grid.cells:
        groups.setdefault(_network(cell), []).append(cell)
    return [each for cells in groups.values() for each in _Preparation(files, options, films).prepare(cells)]


class _Preparation:
    """The preparation of cells of one network."""

    def __init__(self, files: SweepFiles, options: Options, films: bool) -> None:
        self._files, self._options, self._films = files, options, films
        self._engines: dict[object, Engine] = {}
        self._first: Plan | None = None

    def prepare(self, cells: Sequence[Cell]) -> list[Prepared]:
        """Returns the cells in their order. Raises STOPPING."""
        if self._options.precision == "auto":
            self._options = replace(self._options, precision=self._recorded_precision(cells))
        prepared, chains = {}, {}
        for cell in cells:
            film = self._files.film(cell)
            work = CellWork(cell.frame, str(film), has_film=self._films and cell.scene.length > 1)
            prepared[cell.number] = Prepared(cell, work)
            try:
                engine = self._engine(cell)
                prepared[cell.number].work = replace(work, made_from=made_from(engine))
                if not is_made(engine, self._files.still(cell), work):
                    chains[cell.number] = chain_of(engine.plan, cell.frame)
            except STOPPING:
                raise
            except RenderError:  # the cell fails with it when it is made
                pass
        order = _order(chains)
        _share(prepared, chains, order)
        return [prepared[number] for number in [*sorted(set(prepared) - set(order)), *order]]

    def _recorded_precision(self, cells: Sequence[Cell]) -> str:
        """The precision in which a still was made, auto when there is none."""
        for cell in cells:
            machine = (embedded(self._files.still(cell)) or {}).get("machine")
            if is_valid_machine(machine):
                return str(machine["precision"])
        return "auto"

    def _engine(self, cell: Cell) -> Engine:
        """The engine of a cell; of those with the same layers and size only one is opened."""
        scene = with_output(cell.scene, self._files.film(cell))
        planned = plan(scene, still_options(self._options, cell.frame))
        self._first = self._first or planned
        check_memory(planned)
        key = (scene.size, scene.spec.dream.tile_size, frozenset(requested_layers(scene.spec)))
        if key not in self._engines:
            self._engines[key] = open_engine(planned.sharing(self._first))
            precision = self._engines[key].device.precision
            self._options = replace(self._options, precision=precision)  # that of the others too
        opened = self._engines[key]
        planned = plan(scene, still_options(self._options, cell.frame)).sharing(self._first)
        return replace(opened, plan=planned)


def _share(prepared: Mapping[int, Prepared], chains: Mapping[int, Chain], order: Sequence[int]) -> None:
    """Lets each cell wait for the one that dreams the last frame that it has in common with cells before it."""
    owners: dict[str, int] = {}
    shared = {number: _Shared() for number in order}
    for number in order:
        chain, work = chains[number], prepared[number].work
        common = [i for i, link in enumerate(chain.links) if chain.dreamed[i] and link in owners]
        if common:
            last = common[-1]
            prepared[number].after = owners[chain.links[last]]
            shared[owners[chain.links[last]]].states.add(last)
            frames = range(last + 1) if work.has_film else [work.frame]
            for frame in frames:
                if chain.next_dreamed(frame) <= last:
                    shared[owners[chain.links[chain.next_dreamed(frame)]]].pictures.add(frame)
        for i, link in enumerate(chain.links):
            if chain.dreamed[i]:
                owners.setdefault(link, number)
        prepared[number].work = replace(work, frames_alone=chain.dreamed.count(True))
    for number, needed in shared.items():
        states, pictures = tuple(sorted(needed.states)), tuple(sorted(needed.pictures))
        prepared[number].work = replace(prepared[number].work, states=states, pictures=pictures)


def _order(chains: Mapping[int, Chain]) -> list[int]:
    """Returns the cells so that those with frames in common follow each other."""
    ranks: dict[str, int] = {}
    for number in sorted(chains):
        for link in chains[number].links:
            ranks.setdefault(link, len(ranks))
    return sorted(chains, key=lambda number: [ranks[link] for link in chains[number].links])


def _network(cell: Cell) -> tuple[object, ...]:
    """What network a cell needs."""
    network = cell.scene.spec.network
    return network.name, network.weights, cell.scene.paths.get(("network", "weights_file"))
