"""The program `render`: its commands, and what becomes of their errors.

A new command is a function in a module of this package and one entry in COMMANDS; its docstring and annotations are
its help. Modules that import torch, pydantic or rich are imported inside the commands, to keep `render --help` fast.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from render import __version__
from render.cli import batch, film_commands, job_commands, network_commands, new, signals, studio, sweep, upgrade
from render.cli.group import CommandGroup, add_command, add_group, is_parse_error, parse_error_message
from render.cli.interrupts import stop_at_once
from render.cli.output import OutputClosed, exit_with_error, open_streams, print_line
from render.errors import MissingError, RenderError, UsageError

COMMANDS = {
    "Films": (
        new.new,
        film_commands.film,
        film_commands.check,
        signals.signals,
        film_commands.inspect,
        film_commands.join,
        sweep.sweep,
        upgrade.upgrade,
    ),
    "Jobs": (batch.batch, job_commands.jobs),
    "Networks": (network_commands.networks, network_commands.layers, network_commands.classes, network_commands.atlas),
    "Measure": (film_commands.score,),
    "Editors": (studio.studio, film_commands.schema),
}
"""The commands under the headings of the help, in its order; `jobs` has commands of its own."""
SUBCOMMANDS = {job_commands.jobs: job_commands.COMMANDS}
OUT_OF_MEMORY = "not enough memory; --scale 0.5 renders a smaller film"

app = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _section, _functions in COMMANDS.items():
    for _function in _functions:
        if _function in SUBCOMMANDS:
            add_group(app, _function, SUBCOMMANDS[_function], section=_section)
        else:
            add_command(app, _function, section=_section)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print_line(f"render {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Render films of what a neural network dreams: one YAML scene, one film.

    Example:
      render configs/zoom.yaml --scale 0.5
    """
    if ctx.invoked_subcommand is None:
        print_line(ctx.get_help())


def main() -> NoReturn:
    """Runs the program. Exit status: 0 done, 2 scene or command line, 3 machine, 4 files, 130 interrupted."""
    open_streams()
    stop_at_once()
    arguments = sys.argv[1:]
    as_json = "--json" in arguments
    try:
        status = app(arguments, prog_name="render", standalone_mode=False)
    except OutputClosed as error:
        sys.exit(error.status)
    except RenderError as error:
        exit_with_error(error.status, str(error), as_json=as_json)
    except Exception as error:
        if is_parse_error(error):
            exit_with_error(UsageError.status, parse_error_message(error), as_json=as_json)
        from render.system.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        exit_with_error(MissingError.status, OUT_OF_MEMORY, as_json=as_json)
    sys.exit(status or 0)
