"""How a command line is resolved: `render SCENE` is short for `render film SCENE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from render.cli.help import command_help, group_help, subgroup_help
from render.cli.options import expand_options
from render.errors import UsageError
from render.text import closest_match, did_you_mean, quote

DEFAULT_COMMAND = "film"
RENAMED_COMMANDS = {"show": "inspect"}
RENAMED_OPTIONS = {"--fresh": "--restart"}
"""From names of 0.5.0 to today's."""


class Command(TyperCommand):
    """A command whose help is plain text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        formatter.write(command_help(self, ctx))


class SubcommandGroup(TyperGroup):
    """A command that has commands of its own."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command. Raises UsageError for a mistyped one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError(
                f"{ctx.command_path} has no command {quote(args[0])}{did_you_mean(args[0], self.commands)}"
            )
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        formatter.write(subgroup_help(self, ctx))


class CommandGroup(TyperGroup):
    """The commands; an argument that is neither a command nor an option of the group starts the default command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the group's options and the command. Raises UsageError for a mistyped command."""
        own_options = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in self.commands and args[0] not in own_options:
            if not ctx.resilient_parsing:  # shell completion
                self._check_scene_argument(args[0])
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        formatter.write(group_help(self, ctx))

    def _check_scene_argument(self, word: str) -> None:
        """Raises UsageError for what looks like a command: a word that names no file, without a suffix or a folder."""
        if word.startswith("-") or _exists(word) or Path(word).name != word or Path(word).suffix:
            return
        if word in RENAMED_COMMANDS:
            raise UsageError(f"'{word}' was renamed to '{RENAMED_COMMANDS[word]}'")
        command = closest_match(word, self.commands)
        if command:
            raise UsageError(f"{quote(word)} is neither a command nor a scene file; did you mean '{command}'?")


def add_command(app: typer.Typer, function: Callable[..., None], *, section: str) -> None:
    """Adds a function as the command of its name, under a heading of the help."""
    app.command(cls=Command, rich_help_panel=section)(expand_options(function))


def add_group(
    app: typer.Typer, function: Callable[..., None], commands: Sequence[Callable[..., None]], *, section: str
) -> None:
    """Adds a function as a command that has commands of its own; it runs when none of them is named."""
    group = typer.Typer(
        cls=SubcommandGroup,
        name=function.__name__,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=False,
    )
    group.callback()(function)
    for command in commands:
        add_command(group, command, section="Commands")
    app.add_typer(group, rich_help_panel=section)


def is_parse_error(error: Exception) -> bool:
    """Returns whether typer raised an error because it cannot parse the command line.

    Its classes of errors were click's once and are private today; all have this method.
    """
    return hasattr(error, "format_message")


def parse_error_message(error: Any) -> str:
    """Returns what is wrong with the command line, and the command that lists what is possible."""
    option = getattr(error, "option_name", "")
    if option in RENAMED_OPTIONS:
        return f"{option} was renamed to {RENAMED_OPTIONS[option]}"
    possibilities = getattr(error, "possibilities", None)
    if possibilities:
        return f"no such option {quote(option)}{did_you_mean(option, possibilities)}"
    text = error.format_message().removesuffix(".")
    context = getattr(error, "ctx", None)
    hint = f"; `{context.command_path} --help` describes the command" if context else ""
    return f"{text[:1].lower()}{text[1:]}{hint}"


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or with a null character
        return False
