"""Commands about films and their scenes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from render.cli.interrupts import interruptible
from render.cli.options import (
    OUTPUT,
    SCENE,
    Device,
    DisplayOptions,
    Json,
    Overwrite,
    Quiet,
    SceneFile,
    SceneOptions,
    parse_frames,
    require_scene,
)
from render.cli.output import (
    film_summary,
    plural,
    print_json,
    print_json_line,
    print_line,
    print_message,
    print_table,
)
from render.cli.placement import FilmDeviceOptions
from render.cli.tracks import print_tracks
from render.errors import SceneError, UsageError
from render.text import escape

if TYPE_CHECKING:
    from render.analysis.metrics import Metrics


@dataclass(frozen=True)
class OutputOptions:
    """Where a film is written, and what happens to files of earlier runs."""

    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Path of the film, instead of the scene's.", metavar="PATH", rich_help_panel=OUTPUT
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a different film at the output path.", rich_help_panel=OUTPUT)
    ] = False
    repeat: Annotated[
        int | None,
        typer.Option(
            help="Write the film N times into its file, as NAME.repeatN.mp4.", metavar="N", rich_help_panel=OUTPUT
        ),
    ] = None
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Discard the segments of an unfinished run.", rich_help_panel=OUTPUT),
    ] = False
    camera_only: Annotated[
        bool,
        typer.Option(
            "--camera-only", help="Play the motion and dream nothing, as NAME.camera.mp4.", rich_help_panel=SCENE
        ),
    ] = False


def film(
    scene: SceneFile,
    settings: SceneOptions,
    *,
    frames: Annotated[
        str | None, typer.Option(help="Render only frames A to B-1.", metavar="A:B", rich_help_panel=SCENE)
    ] = None,
    file: OutputOptions,
    device: FilmDeviceOptions,
    display: DisplayOptions,
) -> None:
    """Render the film of a scene, or resume it.

    Example:
      render film scene.yaml --set camera.zoom=1.03 --scale 0.5
    """
    require_scene(scene)
    from render.cli.progress import open_display
    from render.pipeline.load import load
    from render.pipeline.plan import Options

    span = None if frames is None else parse_frames(frames)
    if device.cluster is not None:
        _render_on_cluster(scene, settings, span=span, file=file, device=device, display=display)
        return
    loaded = load(scene, settings.overrides(file.output), scale=settings.scale)
    if file.output is None:
        loaded = loaded.titled_by(scale=settings.scale, frames=span, repeat=file.repeat)
    options = Options(
        device=device.device,
        precision=device.precision,
        frames=span,
        repeat=file.repeat,
        overwrite=file.overwrite,
        restart=file.restart,
        quiet=display.quiet or display.as_json,
        camera_only=file.camera_only,
    )
    from render.pipeline.job import render  # imports torch, which a wrong scene need not wait for
    from render.pipeline.segments import Callbacks, FrameProgress

    with interruptible() as raise_again, open_display(quiet=display.quiet, as_json=display.as_json) as progress:
        for problem in loaded.warnings:
            progress.problem(problem)

        def on_frame(frame: FrameProgress) -> None:
            progress.frame(frame)
            raise_again()

        callbacks = Callbacks(on_frame=on_frame, on_step=progress.step, on_warning=progress.warning)
        finished = render(loaded, options, callbacks)
    progress.film(finished)


def _render_on_cluster(
    scene: Path,
    settings: SceneOptions,
    *,
    span: tuple[int, int] | None,
    file: OutputOptions,
    device: FilmDeviceOptions,
    display: DisplayOptions,
) -> None:
    """Renders a film as a job of its own, whose shots are rendered side by side."""
    for option, is_set in (
        ("--restart", file.restart),
        ("--camera-only", file.camera_only),
        ("--repeat", file.repeat is not None),
    ):
        if is_set:
            raise UsageError(f"{option} is not for --cluster; without it, it works on this machine")
    from render.cli.batch import JobOptions, run_entries
    from render.jobs.submit import Entry

    entry = Entry(
        scene=scene,
        overrides=tuple(settings.overrides()),
        scale=settings.scale,
        frames=span,
        output=file.output,
        device=device.device,
        precision=device.precision,
        overwrite=file.overwrite,
        is_split=True,
    )
    run_entries([entry], JobOptions(retry=True), placement=device.placement(), display=display)


def check(
    scene: SceneFile,
    settings: SceneOptions,
    tracks: Annotated[
        bool, typer.Option("--tracks", help="Print what changes over the film, and the turns of tours.")
    ] = False,
    *,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Print the defaults that follow from what the scene requests.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report everything that is wrong with a scene, rendering nothing.

    Example:
      render check scene.yaml --set dream.steps=8
    """
    require_scene(scene)
    from render.pipeline.load import load
    from render.pipeline.plan import plan
    from render.pipeline.preflight import requirements

    try:
        loaded = load(scene, settings.overrides(), scale=settings.scale)
    except SceneError as error:
        for problem in error.problems if as_json else ():
            print_json_line({"event": "problem", **problem.as_json()})
        raise
    needed = requirements(plan(loaded))
    for problem in loaded.warnings:
        if as_json:
            print_json_line({"event": "warning", **problem.as_json()})
        else:
            print_message(str(problem))
    if as_json:
        width, height = loaded.size
        film = {"path": loaded.output.path, "frames": loaded.length, "fps": str(loaded.fps)}
        print_json_line({"event": "check", **film, "width": width, "height": height, **asdict(needed)})
    else:
        summary = film_summary(loaded.length, loaded.size, fps=loaded.fps)
        print_line(f"{escape(scene)}: OK, {summary} -> {escape(loaded.output.path)}")
        print_line(str(needed))
    if defaults:
        _print_defaults(loaded.defaults, as_json=as_json)
    if tracks:
        print_tracks(loaded, as_json=as_json)


def _print_defaults(defaults: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        for key, value in defaults.items():
            print_json_line({"event": "default", "key": key, "value": value})
    elif defaults:
        print_line("")
        print_table(("key", "default"), ((key, json.dumps(value)) for key, value in defaults.items()))
    else:
        print_line("no default follows from the scene")


def inspect(
    film: Annotated[Path, typer.Argument(help="A film or a picture that render made.", metavar="FILM")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with versions, files, weights and device.")
    ] = False,
) -> None:
    """Print the scene that a film embeds.

    Example:
      render inspect zoom.mp4 > zoom.yaml
    """
    from render.pipeline.embedded import embedded_metadata, embedded_scene

    if as_json:
        print_json(embedded_metadata(film))
    else:
        print_line(embedded_scene(film).rstrip())


def join(
    parts: Annotated[list[Path], typer.Argument(help="Films of --frames of one scene.", metavar="PART")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Path of the whole film.", metavar="PATH", rich_help_panel=OUTPUT)
    ],
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Join films rendered with --frames, without encoding them again.

    Example:
      render join zoom.0-48.mp4 zoom.48-120.mp4 --output zoom.mp4
    """
    from render.analysis.join import join as join_films

    with interruptible():
        joined = join_films(parts, output, overwrite=overwrite)
    if not quiet:
        print_line(f"{escape(joined.path)}: {plural(joined.frames, 'frame')}")


def score(
    film: Annotated[Path, typer.Argument(help="A film, or the pattern of a sequence of pictures.", metavar="FILM")],
    source: Annotated[Path | None, typer.Option(help="The clip that the film follows.", metavar="CLIP")] = None,
    *,
    device: Device = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but the table and errors.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how steady, sharp and even a film is.

    Example:
      render score stylize.mp4 --source clip.mp4
    """
    from render.cli.progress import progress_bar
    from render.media.clip import probe_clip

    for clip in filter(None, (film, source)):
        probe_clip(clip)  # before torch is imported, which a missing file need not wait for
    from render.analysis.metrics import measure

    is_silent = quiet or as_json
    with progress_bar("frame", quiet=is_silent) as on_progress:
        of_film, of_source = measure(film, source, device=device, quiet=is_silent, on_progress=on_progress)
    if as_json:
        print_json({"film": of_film.as_json(), "source": None if of_source is None else of_source.as_json()})
    else:
        _print_metrics(of_film, of_source)


def _print_metrics(of_film: Metrics, of_source: Metrics | None) -> None:
    from render.analysis.metrics import what_is_good

    rows: list[Any] = [(name, f"{value:.5g}", what_is_good(name)) for name, value in of_film.summary(of_source)]
    if of_source is None:
        print_table(("", "film", ""), rows)
        return
    source_values = {name: f"{value:.5g}" for name, value in of_source.summary()}
    rows = [(name, value, source_values.get(name, ""), good) for name, value, good in rows]
    print_table(("", "film", "source", ""), rows)


def schema() -> None:
    """Print the JSON Schema of scenes, for editors.

    Example:
      render schema > scene.schema.json
    """
    from render.scene.schema import schema_text

    print_line(schema_text().rstrip())
