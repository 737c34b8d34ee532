"""A Ray cluster as the place where a job is performed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec

from render.errors import MissingError, UsageError
from render.farm.executor import RayExecutor
from render.farm.messages import Settings
from render.jobs.executor import Executor
from render.jobs.folder import LOGS, JobFolder
from render.system.device import available_cores, thread_counts
from render.text import quote

LOCAL, AUTO = "local", "auto"
"""A cluster on this machine for the job alone; the cluster that this machine is part of, or that RAY_ADDRESS names."""
ADDRESS = r"(ray://)?[A-Za-z0-9.:\[\]_-]+:[0-9]{1,5}"
WORKER_BYTES = 2**30
"""Memory of a worker besides its frames: torch, the network and what it keeps of a small picture."""
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Cluster:
    """Workers on a Ray cluster, as many as fit and at most `workers`.

    `address` is `local`, `auto`, `ray://HOST:PORT` or `HOST:PORT`. Each worker takes `cpus` processors and `gpus` GPUs.
    By default that is one GPU and 2 processors where the cluster has GPUs, else as many processors as a film uses
    threads on this machine, so that it has the same bytes. Raises UsageError for values out of range.
    """

    address: str
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.address not in (LOCAL, AUTO) and not re.fullmatch(ADDRESS, self.address):
            raise UsageError(f"--cluster is local, auto, ray://HOST:PORT or HOST:PORT, not {quote(self.address)}")
        if self.cpus is not None and not 0 < self.cpus <= 1024:
            raise UsageError(f"--cpus is above 0 and at most 1024, not {self.cpus:g}")
        if self.gpus is not None and not (0 <= self.gpus <= 1 or self.gpus in range(17)):
            raise UsageError(f"--gpus is from 0 to 1, or a whole number up to 16, not {self.gpus:g}")
        if find_spec("ray") is None:
            raise MissingError("--cluster needs Ray: pip install 'render-dreams[farm]'")

    def open(self, folder: JobFolder) -> Executor:
        """See Placement. Raises MissingError also for a cluster that cannot be reached, or that nothing fits on."""
        return RayExecutor(self._settings(folder), folder.path / LOGS)

    def arguments(self) -> list[str]:
        """See Placement."""
        options = {"--cluster": self.address, "--workers": self.workers, "--cpus": self.cpus, "--gpus": self.gpus}
        return [each for option, value in options.items() if value is not None for each in (option, str(value))]

    def _settings(self, folder: JobFolder) -> Settings:
        tasks = folder.job().tasks
        threads = int(self.cpus) if self.cpus is not None else int(os.environ.get(THREADS, "0"))
        return Settings(
            address=self.address,
            workers=self.workers,
            cpus=self.cpus,
            gpus=0.0 if all(task.device == "cpu" for task in tasks) else self.gpus,
            memory=WORKER_BYTES + max((task.resources.memory for task in tasks), default=0),
            default_cpus=float(threads or thread_counts(available_cores())[0]),
            threads=threads or None,
        )
