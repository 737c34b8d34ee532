"""The command `render sweep`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.batch import Detach, detach, run
from render.cli.options import (
    OUTPUT,
    DeviceOptions,
    DisplayOptions,
    Overwrite,
    SceneFile,
    SceneOptions,
    require_scene,
)
from render.cli.output import plural, print_json_line, print_line
from render.cli.placement import PlacementOptions
from render.text import escape, escape_lines

if TYPE_CHECKING:
    from render.jobs.folder import JobFolder

CELLS = "Cell options"
"""Heading of options in the help of `sweep`."""


@dataclass(frozen=True)
class VaryOptions:
    """What is varied, and what a cell is."""

    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            help="Values of a key: A,B,C, 1:4, or 0.2:0.8:4 (START:STOP:COUNT); may be repeated, all combinations.",
            metavar="KEY=VALUES",
            rich_help_panel=CELLS,
        ),
    ]
    frame: Annotated[
        str, typer.Option(help="The frame of each cell: 48, 2s, 50% or end.", metavar="TIME", rich_help_panel=CELLS)
    ] = "50%"
    films: Annotated[
        bool, typer.Option("--films", help="Also make each cell's film up to that frame.", rich_help_panel=CELLS)
    ] = False
    random: Annotated[
        int | None,
        typer.Option(help="Draw COUNT cells with random values instead.", metavar="COUNT", rich_help_panel=CELLS),
    ] = None
    random_seed: Annotated[
        int, typer.Option(help="Seed of what --random draws.", metavar="NUMBER", rich_help_panel=CELLS)
    ] = 0


@dataclass(frozen=True)
class SheetOptions(VaryOptions):
    """What is varied, and the sheet of it."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Path of the sheet, .png or .jpg; SCENE.sweep.png by default.",
            metavar="PATH",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    columns: Annotated[
        int | None,
        typer.Option(
            help="Cells beside each other, with one key or --random.", metavar="COUNT", rich_help_panel=OUTPUT
        ),
    ] = None
    side: Annotated[
        int,
        typer.Option(
            help="Pixels of a cell's longer side on the sheet, at most.", metavar="PIXELS", rich_help_panel=OUTPUT
        ),
    ] = 384
    overwrite: Overwrite = False


@dataclass(frozen=True)
class CellJobOptions(PlacementOptions):
    """Where the cells are made."""

    detach: Detach = False


def sweep(
    scene: SceneFile,
    sheet: SheetOptions,
    settings: SceneOptions,
    *,
    job: CellJobOptions,
    device: DeviceOptions,
    display: DisplayOptions,
) -> None:
    """Make a labelled sheet of a scene with other values of its keys.

    Example:
      render sweep zoom.yaml --vary dream.step_size=0.005,0.01 --vary seed=1:4
    """
    require_scene(scene)
    placement = job.chosen()
    from render.jobs.sweeps import submit_sweep
    from render.pipeline.plan import Options
    from render.sweep.cells import SweepScene
    from render.sweep.model import SweepOptions

    choice = SweepOptions(
        tuple(sheet.vary),
        frame=sheet.frame,
        films=sheet.films,
        random=sheet.random,
        random_seed=sheet.random_seed,
        columns=sheet.columns,
        side=sheet.side,
    )
    options = Options(device=device.device, precision=device.precision, overwrite=sheet.overwrite)
    source = SweepScene(scene, tuple(settings.overrides()), settings.scale)
    folder = submit_sweep(source, sheet.output or Path(f"{scene.stem}.sweep.png"), choice, options=options)
    if job.detach:
        detach(folder, placement, display=display)
        return
    try:
        with folder.locked():
            run(folder, placement, display=display)
    finally:
        _print_result(folder, display)


def _print_result(folder: JobFolder, display: DisplayOptions) -> None:
    """Prints the command of each cell's film, and what was made; nothing unless a sheet was."""
    from render.jobs.sweeps import sheet_of

    made = sheet_of(folder)
    if made is None:
        return
    sheets, index = [str(sheet) for sheet in made.sheets], str(made.index)
    if display.as_json:
        for cell in made.cells:
            print_json_line({"event": "cell", **cell})
        frames = {"frames": made.frames, "frames_alone": made.frames_alone}
        print_json_line({"event": "sweep", "sheets": sheets, "index": index, "cells": len(made.cells), **frames})
    elif not display.quiet:
        for cell in made.cells:
            state = "" if cell["state"] == "SUCCEEDED" else "   failed"
            print_line(f"{cell['number']:>4}  {escape(cell['label'])}{state}")
            print_line(f"      {escape_lines(cell['command'])}")
        counted = f"{plural(made.frames, 'frame')} dreamed"
        saved = f" instead of {made.frames_alone}" if made.frames_alone > made.frames else ""
        print_line(f"{escape(', '.join(sheets))}: {plural(len(made.cells), 'cell')}, {counted}{saved}")
        print_line(f"{escape(index)}: what each cell is")
