"""The options that say where a job is performed: workers of this machine, or a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.options import DeviceOptions
from render.errors import UsageError

if TYPE_CHECKING:
    from render.jobs.placement import Placement

PLACEMENT = "Worker options"
"""Heading of the options in a command's help."""


@dataclass(frozen=True)
class ClusterOptions:
    """Which Ray cluster does the work, and what a worker takes of it."""

    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Ray cluster that does the work: local, auto, or ray://HOST:PORT.",
            metavar="ADDRESS",
            rich_help_panel=PLACEMENT,
        ),
    ] = None
    cpus: Annotated[
        float | None,
        typer.Option("--cpus", help="Processors of a worker on the cluster.", metavar="N", rich_help_panel=PLACEMENT),
    ] = None
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus",
            help="GPUs of a worker on the cluster; 0.5 puts two workers on one.",
            metavar="N",
            rich_help_panel=PLACEMENT,
        ),
    ] = None

    def placement(self, workers: int | None = None) -> Placement:
        """Returns where a job is performed, by at most `workers` workers. Raises UsageError."""
        from render.jobs.placement import MAX_WORKERS, LocalWorkers

        if workers is not None and not 1 <= workers <= MAX_WORKERS:
            raise UsageError(f"--workers is from 1 to {MAX_WORKERS}, not {workers}")
        if self.cluster is None:
            for option, value in (("--cpus", self.cpus), ("--gpus", self.gpus)):
                if value is not None:
                    raise UsageError(f"{option} is of workers on a cluster, and needs --cluster")
            return LocalWorkers(workers or 1)
        from render.farm.placement import Cluster

        return Cluster(self.cluster, workers=workers, cpus=self.cpus, gpus=self.gpus)


@dataclass(frozen=True)
class PlacementOptions(ClusterOptions):
    """Where a job is performed, and by how many workers."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Worker processes, each with a film at a time; 1, or as many as a cluster holds.",
            metavar="N",
            rich_help_panel=PLACEMENT,
        ),
    ] = None

    def chosen(self) -> Placement:
        """Returns where the job is performed. Raises UsageError."""
        return self.placement(self.workers)


@dataclass(frozen=True)
class FilmDeviceOptions(ClusterOptions, DeviceOptions):
    """Where a single film is rendered."""
