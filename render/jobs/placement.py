"""Where the steps of a job are performed: a value that opens the executor, and that a command line can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from render.jobs.executor import Executor, LocalExecutor
from render.jobs.folder import LOGS, JobFolder

MAX_WORKERS = 4096


class Placement(Protocol):
    """Opens the executor of a job. `render.farm` has the one of a cluster."""

    def open(self, folder: JobFolder) -> Executor:
        """Opens the executor of a job whose folder this process has locked. Raises MissingError when it cannot be."""

    def arguments(self) -> list[str]:
        """Returns the options of the command line that name this placement."""


@dataclass(frozen=True)
class LocalWorkers:
    """Worker processes of this machine."""

    count: int = 1

    def open(self, folder: JobFolder) -> Executor:
        """See Placement."""
        return LocalExecutor(self.count, folder.path / LOGS)

    def arguments(self) -> list[str]:
        """See Placement."""
        return ["--workers", str(self.count)]
