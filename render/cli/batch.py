"""`render batch`: many scenes, one after the other or side by side, in a job that survives everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.interrupts import interruptible
from render.cli.options import OUTPUT, DeviceOptions, DisplayOptions, SceneOptions
from render.cli.output import print_json_line, print_line, print_message
from render.cli.placement import PlacementOptions
from render.errors import UsageError
from render.text import did_you_mean, escape, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from render.jobs.folder import JobFolder
    from render.jobs.placement import Placement
    from render.jobs.submit import Entry

JOB = "Job options"
Detach = Annotated[
    bool,
    typer.Option("--detach", help="Run in the background, beyond the end of the terminal.", rich_help_panel=JOB),
]
ONLY = ("failed",)


@dataclass(frozen=True)
class JobOptions(PlacementOptions):
    """How a job is run."""

    split_shots: Annotated[
        bool,
        typer.Option(
            "--split-shots", help="Render the shots of a film of footage as tasks, and join them.", rich_help_panel=JOB
        ),
    ] = False
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Try tasks that failed or were cancelled again.", rich_help_panel=JOB),
    ] = False
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help="`failed` tries those again, and nothing else.", metavar="failed", rich_help_panel=JOB
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the job, instead of one that follows from the scenes.",
            metavar="NAME",
            rich_help_panel=JOB,
        ),
    ] = None
    detach: Detach = False


def batch(
    scenes: Annotated[
        list[str],
        typer.Argument(help="Scene files, patterns such as 'shots/*.yaml', films, or lists in YAML.", metavar="SCENE"),
    ],
    settings: SceneOptions,
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace different films at the output paths.", rich_help_panel=OUTPUT)
    ] = False,
    job: JobOptions,
    device: DeviceOptions,
    display: DisplayOptions,
) -> None:
    """Render many scenes; those that fail do not stop the others.

    Example:
      render batch dreams/*.yaml --workers 2 --scale 0.5
    """
    if job.only is not None and job.only not in ONLY:
        raise UsageError(f"--only is 'failed', not {quote(job.only)}{did_you_mean(job.only, ONLY)}")
    placement = job.chosen()
    from render.jobs.batch_list import entries_of
    from render.jobs.submit import Entry

    common = Entry(
        scene=Path(),
        overrides=tuple(settings.overrides()),
        scale=settings.scale,
        device=device.device,
        precision=device.precision,
        overwrite=overwrite,
        is_split=job.split_shots,
    )
    run_entries(entries_of(scenes, common), job, placement=placement, display=display)


def run_entries(entries: Sequence[Entry], job: JobOptions, *, placement: Placement, display: DisplayOptions) -> None:
    """Makes the job of some scenes, or opens it, and runs it. Raises RenderError at its end unless all succeeded."""
    from render.cli.progress import progress_bar
    from render.jobs.folder import Request
    from render.jobs.submit import job_name, make_tasks, open_job, submit

    with progress_bar("scene", quiet=display.quiet or display.as_json) as on_checked:
        made = make_tasks(entries, on_checked=on_checked)
    folder = open_job(job_name(entries) if job.name is None else job.name)
    only: list[str] | None = None
    with folder.locked():
        submitted = submit(folder, made)
        failed = [task.id for task in submitted.tasks if folder.state(task).state == "DEAD"]
        if job.only is not None:
            only = failed
        if only == []:
            print_message(f"no task of job {folder.name} has failed")
            return
        if job.retry or only is not None:
            from render.jobs.control import obey

            obey(folder, Request(action="retry", tasks=() if only is None else tuple(failed)))
        if not job.detach:
            run(folder, placement, only=only, display=display)
    if job.detach:
        detach(folder, placement, only=only or (), display=display)


def run(
    folder: JobFolder, placement: Placement, *, only: Collection[str] | None = None, display: DisplayOptions
) -> None:
    """Runs a job whose folder is locked, and displays it. Raises RenderError at its end unless all succeeded."""
    from render.cli.job_display import open_job_display
    from render.jobs.run import run_job

    with interruptible(), open_job_display(quiet=display.quiet, as_json=display.as_json) as observer:
        run_job(folder, observer, placement=placement, only=only)


def detach(folder: JobFolder, placement: Placement, *, only: Sequence[str] = (), display: DisplayOptions) -> None:
    """Runs a job in the background, and prints its name."""
    from render.jobs.run import start_detached

    start_detached(folder, placement=placement, only=only)
    if display.as_json:
        print_json_line({"event": "detached", "name": folder.name, "process": folder.driver()})
    elif not display.quiet:
        print_line(f"job {escape(folder.name)} runs in the background; `render jobs watch {folder.name}` shows it")
