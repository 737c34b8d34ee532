"""Help texts: plain, at most 80 columns wide, options and commands under headings.

A docstring's first paragraph describes a command; the rest, its example, ends the help.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import typer

WIDTH = 80
MAX_NAME_WIDTH = 30
"""Columns of the longest name that its description is printed beside; that of a longer one starts below it."""
NO_BREAK = "\xa0"
"""A space at which no line is broken."""
ARGUMENTS, OPTIONS = "Arguments", "Options"

Row = tuple[str, str]
"""Name and description."""
Sections = dict[str, list[Row]]


def group_help(group: Any, ctx: typer.Context) -> str:
    """Returns the help of the program: its commands under their headings, its options, and an example."""
    return _page(
        _summary(group),
        _usage(f"{ctx.command_path} [OPTIONS] SCENE", f"{ctx.command_path} COMMAND [OPTIONS] ..."),
        _section_text(_command_sections(group)),
        _section_text(_parameter_sections(group.get_params(ctx))),
        _example(group),
        f"`{ctx.command_path} COMMAND --help` describes a command and its options.",
    )


def subgroup_help(group: Any, ctx: typer.Context) -> str:
    """Returns the help of a command that has commands of its own."""
    return _page(
        _summary(group),
        _usage(f"{ctx.command_path} [OPTIONS]", f"{ctx.command_path} COMMAND [OPTIONS] ..."),
        _section_text(_command_sections(group)),
        _section_text(_parameter_sections(group.get_params(ctx))),
        _example(group),
        f"`{ctx.command_path} COMMAND --help` describes a command and its options.",
    )


def _command_sections(group: Any) -> Sections:
    """Returns the commands of a group under their headings."""
    sections: Sections = {}
    for name, command in group.commands.items():
        if not command.hidden:
            heading = command.rich_help_panel or "Commands"
            sections.setdefault(heading, []).append((name, _summary(command).removesuffix(".")))
    return sections


def command_help(command: Any, ctx: typer.Context) -> str:
    """Returns the help of a command: its arguments, its options under their headings, and an example."""
    parameters = command.get_params(ctx)
    arguments = " ".join(_argument_usage(each) for each in parameters if _is_argument(each))
    return _page(
        _summary(command),
        _usage(f"{ctx.command_path} [OPTIONS] {arguments}".rstrip()),
        _section_text(_parameter_sections(parameters)),
        _example(command),
    )


def _summary(command: Any) -> str:
    return textwrap.fill((command.help or "").partition("\n\n")[0], WIDTH)


def _example(command: Any) -> str:
    return (command.help or "").partition("\n\n")[2]


def _page(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _usage(*lines: str) -> str:
    return "Usage: " + "\n       ".join(lines)


def _section_text(sections: Sections) -> str:
    """Returns headings and rows, all names in a column of the same width."""
    rows = [row for section in sections.values() for row in section]
    width = max((len(name) for name, _ in rows if len(name) <= MAX_NAME_WIDTH), default=0)
    return "\n\n".join(
        "\n".join([f"{heading}:", *(_row(name, text, width=width) for name, text in section)])
        for heading, section in sections.items()
    )


def _row(name: str, text: str, *, width: int) -> str:
    margin = " " * (width + 4)
    lines = textwrap.wrap(text, WIDTH, initial_indent=margin, subsequent_indent=margin) or [""]
    if len(name) <= width:
        lines[0] = f"  {name:<{width}}  {lines[0].removeprefix(margin)}".rstrip()
    else:
        lines.insert(0, f"  {name}")
    return "\n".join(lines).replace(NO_BREAK, " ")


def _parameter_sections(parameters: Iterable[Any]) -> Sections:
    """Returns arguments and options under their headings; options without one are last."""
    sections: Sections = {}
    for parameter in parameters:
        if not parameter.hidden:
            default = ARGUMENTS if _is_argument(parameter) else OPTIONS
            heading = getattr(parameter, "rich_help_panel", None) or default
            sections.setdefault(heading, []).append((_parameter_name(parameter), _parameter_text(parameter)))
    general = sections.pop(OPTIONS, [])
    return sections | {OPTIONS: general}


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _argument_usage(parameter: Any) -> str:
    name = _parameter_name(parameter)
    return name if parameter.required else f"[{name}]"


def _parameter_name(parameter: Any) -> str:
    """Returns `-h, --help`, `--output PATH`, `SCENE` or `PART...`."""
    metavar = parameter.metavar or parameter.name.upper()
    if _is_argument(parameter):
        return metavar if parameter.nargs == 1 else f"{metavar}..."
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {metavar}"


def _parameter_text(parameter: Any) -> str:
    """Returns the description without its last period, with the default or that there is none."""
    text = (parameter.help or "").removesuffix(".")
    if parameter.required and not _is_argument(parameter):
        return f"{text} [required]"
    default = parameter.default
    has_default = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"{text} [default:{NO_BREAK}{default}]" if has_default else text
