"""The command `render sweep`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.options import (
    OUTPUT,
    DeviceOptions,
    DisplayOptions,
    Overwrite,
    SceneFile,
    SceneOptions,
    require_scene,
)
from render.cli.output import plural, print_json_line, print_line, print_message
from render.cli.signals import interruptible
from render.errors import RenderError
from render.text import escape, escape_lines

if TYPE_CHECKING:
    from render.pipeline.plan import Options
    from render.sweep.cells import Grid, SweepOptions, SweepScene
    from render.sweep.index import CellResult
    from render.sweep.sweep import Sweep

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
class SheetOptions:
    """The sheet, and where it is written."""

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


def sweep(
    scene: SceneFile,
    cells: VaryOptions,
    settings: SceneOptions,
    *,
    sheet: SheetOptions,
    device: DeviceOptions,
    display: DisplayOptions,
) -> None:
    """Make a labelled sheet of a scene with other values of its keys.

    Example:
      render sweep zoom.yaml --vary dream.step_size=0.005,0.01 --vary seed=1:4
    """
    require_scene(scene)
    from render.pipeline.plan import Options
    from render.sweep.cells import SweepOptions, SweepScene

    choice = SweepOptions(
        cells.vary,
        frame=cells.frame,
        films=cells.films,
        random=cells.random,
        random_seed=cells.random_seed,
        columns=sheet.columns,
        side=sheet.side,
    )
    is_silent = display.quiet or display.as_json
    options = Options(device=device.device, precision=device.precision, overwrite=sheet.overwrite, quiet=is_silent)
    target = sheet.output or Path(f"{scene.stem}.sweep.png")
    source = SweepScene(scene, tuple(settings.overrides()), settings.scale)
    finished = _sweep(source, target, choice=choice, options=options, display=display)
    _print_result(finished, display)
    if finished.failed:
        raise _failure(finished)


def _sweep(
    source: SweepScene, target: Path, *, choice: SweepOptions, options: Options, display: DisplayOptions
) -> Sweep:
    from render.cli.progress import progress_bar
    from render.sweep.sweep import Reports
    from render.sweep.sweep import sweep as make_sweep

    def on_cell(result: CellResult, grid: Grid) -> None:
        if display.as_json:
            print_json_line({"event": "cell", **result.as_json(grid)})

    def on_warning(message: str) -> None:
        if display.as_json:
            print_json_line({"event": "warning", "message": message})
        elif not display.quiet:
            print_message(message)

    with interruptible(), progress_bar("frame", quiet=display.quiet or display.as_json) as on_frame:
        reports = Reports(on_frame=on_frame, on_cell=on_cell, on_warning=on_warning)
        return make_sweep(source, target, choice=choice, options=options, reports=reports)


def _print_result(finished: Sweep, display: DisplayOptions) -> None:
    """Prints the command of each cell's film, and what was made."""
    sheets, index = [str(sheet) for sheet in finished.sheets], str(finished.index)
    frames = {"frames": finished.dreamed, "frames_alone": finished.alone}
    if display.as_json:
        print_json_line({"event": "sweep", "sheets": sheets, "index": index, "cells": len(finished.results), **frames})
    elif not display.quiet:
        for result in finished.results:
            state = "" if result.error is None else "   failed"
            print_line(f"{result.cell.number:>4}  {escape(finished.grid.label(result.cell))}{state}")
            print_line(f"      {escape_lines(result.command)}")
        counted = f"{plural(finished.dreamed, 'frame')} dreamed"
        saved = f" instead of {finished.alone}" if finished.alone > finished.dreamed else ""
        print_line(f"{escape(', '.join(sheets))}: {plural(len(finished.results), 'cell')}, {counted}{saved}")
        print_line(f"{escape(index)}: what each cell is")


def _failure(finished: Sweep) -> RenderError:
    """The error that tells of failed cells, with the exit status of the first."""
    failed = finished.failed
    first = failed[0].error
    label = finished.grid.label(failed[0].cell)
    others = "" if len(failed) == 1 else f" (the first of {len(failed)} that failed)"
    error = RenderError(
        f"{len(failed)} of {len(finished.results)} cells failed; {label}{others}: {first}; "
        "the same command makes the missing ones"
    )
    error.status = RenderError.status if first is None else first.status
    return error
