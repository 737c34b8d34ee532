"""The command line: parses, calls the API, prints. `render SCENE` is short for `render film SCENE`."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from render import __version__
from render.errors import (
    Interrupted,
    MissingError,
    RenderError,
    StorageError,
    UsageError,
    closest,
    is_out_of_memory,
    shown,
)
from render.progress import Display, counted, say

COMMANDS = ("film", "check", "show", "join", "schema", "networks", "layers", "classes", "atlas", "score")
WIDEST = 1000

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Renders dreams of neural networks: one YAML scene, one film. `render SCENE` makes it, and is short for "
    "`render film SCENE`, whose --help lists the options. --version prints the version.",
)

SceneFile = Annotated[
    Path, typer.Argument(help="The scene, a YAML file; or a film, whose scene it is again.", metavar="SCENE")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Overrides a value of the scene; again for more.", metavar="DOTTED.KEY=VALUE"),
]
Scale = Annotated[float, typer.Option(help="Shrinks the scene for a quick look: size, jitter and grain.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


STOPPED = "stopped; the same command goes on"


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C outside the loop is as tidy as inside it, and so is too little memory."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            raise Interrupted(STOPPED) from None
        except Exception as error:
            if isinstance(error, RenderError) or not is_out_of_memory(error):
                raise
            raise MissingError("the memory is not enough; --scale 0.5 makes a smaller film") from None

    return run


@app.command()
@guarded
def film(
    scene: SceneFile,
    output: Annotated[str | None, typer.Option(help="The film's path, instead of the scene's.")] = None,
    sets: Sets = None,
    frames: Annotated[str | None, typer.Option(help="Only frames A to B-1.", metavar="A:B")] = None,
    scale: Scale = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16, of the network.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another film at that path.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Json = False,
) -> None:
    """Make the film of a scene; when an earlier run was stopped, go on where it was."""
    from render.api import load
    from render.production import render
    from render.scene.output import PICTURES

    span = None if frames is None else _span(frames)
    loaded = load(scene, _overrides(sets, output), scale)
    if scale != 1 and output is None:
        loaded = loaded.titled(f"x{scale:g}")
    if span is not None and output is None and loaded.output.codec not in PICTURES:
        loaded = loaded.titled(f"{span[0]}-{span[1]}")
    with _tidily(), Display(quiet, as_json) as display:
        heard = (display.frame, display.step, display.warn)
        made = render(loaded, device, precision, span, overwrite, fresh, *heard, quiet or as_json)
    display.done(made)


@app.command()
@guarded
def check(scene: SceneFile, sets: Sets = None, scale: Scale = 1.0) -> None:
    """Find everything that is wrong with a scene, and with the machine for it, without rendering it."""
    from render import api, preflight

    loaded = api.load(scene, _overrides(sets, None), scale)
    form = api.form(loaded)
    frames = f"{loaded.length} frame{'s' if loaded.length > 1 else ''}"
    size = f"{form.size[0]}x{form.size[1]}"
    say(f"{scene} is right: {frames} of {size} at {loaded.fps} a second, to {loaded.output.path}")
    say(preflight.plan(loaded))


@app.command()
@guarded
def show(
    film: Annotated[Path, typer.Argument(help="A film of render's, or a picture.", metavar="FILM")],
    as_json: Json = False,
) -> None:
    """Print the scene that a film carries; with --json also what it was made with."""
    from render import again

    say(json.dumps(again.carried(film), indent=1) if as_json else again.text(film).rstrip())


@app.command()
@guarded
def join(
    pieces: Annotated[list[Path], typer.Argument(help="Films of --frames of one scene.", metavar="PIECE…")],
    output: Annotated[Path, typer.Option(help="The whole film's path.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at that path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Put films of a scene's --frames together, without encoding anything again."""
    from render.join import join as put_together

    with _tidily():
        made = put_together(pieces, output, overwrite)
    if not quiet:
        say(f"{made.path}: {made.frames} frames")


@app.command()
@guarded
def schema() -> None:
    """Print the JSON Schema of scenes, for editors."""
    from render.scene.schema import schema_text

    say(schema_text().rstrip())


@app.command()
@guarded
def networks(as_json: Json = False) -> None:
    """List the networks there are, and whether their weights are on this machine."""
    from render.dream import registry

    found = [registry.blueprint(name) for name in registry.names()]
    if as_json:
        rows = [
            {"name": each.name, "parameters": each.parameters, "accuracy": each.accuracy}
            | {"megabytes": each.source.megabytes, "here": each.source.here}
            for each in found
        ]
        say(json.dumps(rows, indent=1))
        return
    _say_table(
        ("network", "parameters", "ImageNet top-1", "download", "here"),
        (
            (
                each.name,
                f"{each.parameters / 1e6:.1f} M",
                f"{each.accuracy:.1f} %",
                f"{each.source.megabytes:.0f} MB",
                "yes" if each.source.here else "",
            )
            for each in found
        ),
    )


@app.command()
@guarded
def layers(
    network: Annotated[str, typer.Argument(metavar="NETWORK")],
    everything: Annotated[bool, typer.Option("--all", help="Also what is inside the blocks.")] = False,
    as_json: Json = False,
) -> None:
    """List the layers of a network that a scene can ask for: its blocks, or with --all whatever has a name."""
    from render.dream.anatomy import anatomy

    found = anatomy(network)
    chosen = [found.layers[name] for name in (found.layers if everything else found.outline)]
    if as_json:
        fields = ("name", "kind", "channels", "stride", "receptive_field")
        say(json.dumps([{field: getattr(layer, field) for field in fields} for layer in chosen], indent=1))
        return
    _say_table(
        ("layer", "kind", "channels", "stride", "receptive field"),
        (
            (layer.name, layer.kind, layer.channels, layer.stride or "", layer.receptive_field or "everything")
            for layer in chosen
        ),
    )


@app.command()
@guarded
def classes(
    network: Annotated[str, typer.Argument(metavar="NETWORK")] = "efficientnet_lite0", as_json: Json = False
) -> None:
    """List the classes that a network knows, by index and name."""
    from render.dream.registry import blueprint

    names = blueprint(network).classes
    if as_json:
        say(json.dumps(names, indent=1))
    else:
        _say_table(("index", "class"), enumerate(names))


@app.command()
@guarded
def atlas(
    network: Annotated[str, typer.Argument(metavar="NETWORK")],
    output: Annotated[Path | None, typer.Option(help="The sheet, .png or .jpg; default: NETWORK.atlas.png.")] = None,
    image: Annotated[Path | None, typer.Option(help="Dream of this picture, not of noise.")] = None,
    layers: Annotated[str | None, typer.Option(help="These layers, not the network's blocks.", metavar="A,B,…")] = None,
    channels: Annotated[str | None, typer.Option(help="Channels of one layer.", metavar="LAYER:0-31")] = None,
    weights: Annotated[Path | None, typer.Option(help="A state dict of your own.")] = None,
    side: Annotated[int, typer.Option(help="Pixels of each picture, along its longer side.")] = 192,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16, of the network.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at that path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Make a labelled sheet of what each layer of a network dreams, or each channel of a layer."""
    from render.atlas import atlas as make

    if layers is not None and channels is not None:
        raise UsageError("either --layers or --channels")
    target = output or Path(f"{network}.atlas.png")
    wanted = None if layers is None else [name.strip() for name in layers.split(",")]
    with counted(quiet, "picture") as watch:
        made = make(network, target, image, wanted, channels, weights, side, device, precision, overwrite, watch, quiet)
    if not quiet:
        say(f"{target}: {made} picture{'s' if made > 1 else ''}")


@app.command()
@guarded
def score(
    film: Annotated[Path, typer.Argument(help="A film, or the pattern of a sequence.", metavar="FILM")],
    source: Annotated[Path | None, typer.Option(help="The clip that it follows.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but the table.")] = False,
    as_json: Json = False,
) -> None:
    """Measure a film: how steady it is, how much of what was asked for it shows, how sharp and how even it is."""
    from render.score import score as measure

    with counted(quiet or as_json, "frame") as watch:
        found, beside = measure(film, source, device, watch, quiet or as_json)
    if as_json:
        say(json.dumps({"film": found.numbers(), "source": beside and beside.numbers()}, indent=1))
        return
    of_source = dict(beside.rows()) if beside else {}
    _say_table(
        ("", "film", "source") if beside else ("", "film"),
        ((name, f"{value:.5g}", *([f"{of_source[name]:.5g}"] if beside else [])) for name, value in found.rows(beside)),
    )


def main() -> NoReturn:
    """The program `render`. Exit status: 0 done, 2 scene or command line, 3 machine, 4 files, 130 interrupted."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        say(f"render {__version__}")
        sys.exit(0)
    if not arguments:
        arguments = ["--help"]
    if arguments[0] not in (*COMMANDS, "--help", "-h"):
        arguments.insert(0, "film")
    _open_streams()
    _hear(_stop)
    as_json = "--json" in arguments
    try:
        _check_command(arguments)
        app(arguments, prog_name="render")
    except RenderError as error:
        _report(as_json, error.status, str(error))
    except SystemExit as leave:  # typer has said what is wrong with the command line
        if leave.code not in (0, None) and as_json:
            _report(True, UsageError.status, "the command line is wrong; standard error says how")
        raise
    sys.exit(0)


def _open_streams() -> None:
    """Standard input, output and error, where we were started without them; or the film's file might become one.

    What cannot be written in the language of the terminal is written as escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say_table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Prints columns as wide as they need to be, whatever the terminal; numbers stand on the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numbers = [all(cell[:1].isdigit() or not cell for cell in column) for column in zip(*cells, strict=True)]
    table = Table(box=None, pad_edge=False)
    for head, number in zip(heads, numbers or [False] * len(heads), strict=True):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console = Console(width=WIDEST, highlight=False)
    with console.capture() as text:
        console.print(table)
    say("\n".join(line.rstrip() for line in text.get().splitlines()))


def _report(as_json: bool, status: int, message: str) -> NoReturn:
    if as_json:
        with contextlib.suppress(StorageError):  # nobody reads; the status is what is left to say
            say(json.dumps({"event": "error", "status": status, "message": message}))
    else:
        print(f"render: {message}", file=sys.stderr)
    sys.exit(status)


def _check_command(arguments: list[str]) -> None:
    """A mistyped command would be taken for a scene; say so when no such file is there."""
    word = arguments[1] if arguments[0] == "film" and len(arguments) > 1 else ""
    meant = None if word.startswith("-") else closest(word, COMMANDS)
    if meant and not Path(word).exists():
        raise UsageError(f"{shown(word)} is neither a command nor a scene file; did you mean '{meant}'?")


def _stop(number: int, frame: object) -> NoReturn:
    """Ends at once, while there is nothing to tidy; an exception could be swallowed by an import under way."""
    os.write(2, f"render: {STOPPED}\n".encode())
    os._exit(Interrupted.status)


@contextlib.contextmanager
def _tidily() -> Iterator[None]:
    """Meanwhile the first Ctrl-C or SIGTERM ends tidily, by KeyboardInterrupt; the next one at once."""
    _hear(_interrupt)
    yield
    _hear(_stop)


def _interrupt(number: int, frame: object) -> NoReturn:
    _hear(lambda *_: os._exit(Interrupted.status))
    raise KeyboardInterrupt


def _hear(handler: Callable[[int, Any], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _overrides(sets: list[str] | None, output: str | None) -> list[tuple[str, str, str]]:
    overrides = []
    for item in sets or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set needs dotted.key=value, not {shown(item)}")
        overrides.append(("--set", key, value))
    if output is not None:
        overrides.append(("--output", "output.path", json.dumps(output, ensure_ascii=False)))
    return overrides


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text)
    if found is None:
        raise UsageError(f"--frames needs A:B, two frame numbers, not {shown(text)}")
    return int(found[1]), int(found[2])
