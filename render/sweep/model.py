"""What a sweep and its cells are, as plain values: they are part of a job's files, and go to workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from render.errors import UsageError

OPTION = "--vary"
MAX_CELLS = 400
"""Of a sweep; the pictures of a sheet are looked at."""
DEFAULT_FRAME = "50%"
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class SweepOptions:
    """What a sweep varies, and what its cells are.

    `vary` are texts `KEY=VALUES` (see `variations`). A cell is the frame at `frame` (48, 2s, 50% or end), and with
    `films` also the film up to it. `random` makes this number of cells with values that are drawn, by `random_seed`,
    instead of all combinations. `columns` is the number of cells beside each other where the keys do not decide it.
    `side` is the longest side, in pixels, of a picture on the sheet. Raises UsageError for values out of range.
    """

    vary: tuple[str, ...]
    frame: str = DEFAULT_FRAME
    films: bool = False
    random: int | None = None
    random_seed: int = 0
    columns: int | None = None
    side: int = 384

    def __post_init__(self) -> None:
        if not self.vary:
            raise UsageError(f"a sweep needs {OPTION} KEY=VALUES, such as {OPTION} camera.zoom=1.01,1.02")
        if self.random is not None and not 1 <= self.random <= MAX_CELLS:
            raise UsageError(f"--random draws from 1 to {MAX_CELLS} cells, not {self.random}")
        if not 0 <= self.random_seed <= MAX_SEED:
            raise UsageError(f"a seed is from 0 to {MAX_SEED}, not {self.random_seed}")
        if self.columns is not None and not 1 <= self.columns <= MAX_CELLS:
            raise UsageError(f"a sheet has from 1 to {MAX_CELLS} columns, not {self.columns}")
        if not 16 <= self.side <= 4096:
            raise UsageError(f"a picture on a sheet has from 16 to 4096 pixels a side, not {self.side}")


@dataclass(frozen=True)
class CellWork:
    """How a cell is made: the frame of its still, its film's path, whether it has one, and what it stores for others.

    `states` are the frames after which other cells part from it, `pictures` the frames whose pictures others have too.
    `frames_alone` is the number of frames that the cell would dream by itself. `made_from` is what the cell is made
    from and with, besides its scene: files, weights, machine and versions, as `provenance` says; None when that could
    not be found out. `store` is the folder of the frames in common.
    """

    frame: int
    film: str
    has_film: bool
    states: tuple[int, ...] = ()
    pictures: tuple[int, ...] = ()
    frames_alone: int = 0
    made_from: dict[str, Any] | None = None
    store: str = ""


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell: the precision that it was made in, and why it has no still; empty when it has one."""

    precision: str
    message: str = ""
