"""`render signals`: what a film's sound, beats, signals and tracks are at every frame, before anything is dreamed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from render.cli.options import OUTPUT, Json, SceneFile, SceneOptions, require_scene
from render.cli.output import print_json, print_line
from render.cli.tracks import print_tracks

if TYPE_CHECKING:
    from render.pipeline.scene import Scene


def signals(
    scene: SceneFile,
    settings: SceneOptions,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The plot, which is replaced; default: SCENE.signals.png.",
            metavar="PNG",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Also write every value at every frame.", metavar="CSV", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file at the path of --csv.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
) -> None:
    """Print and plot the signals and tracks of a scene, with its sound.

    Example:
      render signals configs/music.yaml --song song.mp3
    """
    require_scene(scene)
    from render.analysis.curves import curves_of, table_of
    from render.analysis.plot import plot
    from render.film.atomic import atomic_write
    from render.pipeline.load import load
    from render.pipeline.plan import plan

    loaded = load(scene, settings.overrides(), scale=settings.scale)
    curves = curves_of(plan(loaded))
    picture = output or Path(f"{scene.stem}.signals.png")
    if csv is not None:
        atomic_write(csv, table_of(curves).encode(), replace=overwrite)
    atomic_write(picture, plot(curves))
    if as_json:
        print_json({"plot": str(picture), "csv": None if csv is None else str(csv), **_tempo(loaded)})
        return
    tempo = _tempo(loaded)
    if tempo["bpm"] is not None:
        print_line(f"{tempo['bpm']:.5g} beats per minute, beat 0 at {tempo['offset_s']:.4g} s")
    print_tracks(loaded, as_json=False)
    print_line(f"{picture}: plotted")


def _tempo(scene: Scene) -> dict[str, float | None]:
    """The median tempo of a scene, and the time of its beat 0; None without a tempo."""
    beats = scene.spec.beats
    if beats is None:
        return {"bpm": None, "offset_s": None}
    return {"bpm": beats.median_bpm, "offset_s": float(beats.times[beats.zero])}
