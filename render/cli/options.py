"""Arguments and options that several commands share.

A command takes a group of options as one parameter: a frozen dataclass whose fields are typer options. `expand_options`
makes a parameter of each field, for typer.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from render.choices import CONTAINERS, DEVICES, PRECISIONS
from render.errors import StorageError, UsageError
from render.text import quote, similar_file

SCENE, OUTPUT, DEVICE = "Scene options", "Output options", "Device options"
"""Headings of options in a command's help."""


SceneFile = Annotated[
    Path, typer.Argument(help="Scene file (YAML), or a film, which embeds its scene.", metavar="SCENE")
]
Network = Annotated[str, typer.Argument(help="Name of a network; `render networks` lists them.", metavar="NETWORK")]
Device = Annotated[
    str,
    typer.Option(
        help="Where the network runs: auto, cpu, cuda or mps.",
        metavar="DEVICE",
        autocompletion=lambda: list(DEVICES),
        rich_help_panel=DEVICE,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a file at the output path.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@dataclass(frozen=True)
class SceneOptions:
    """What is changed in a scene."""

    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Replace a value of the scene, named by its dotted key; may be repeated.",
            metavar="KEY=VALUE",
            rich_help_panel=SCENE,
        ),
    ] = None
    song: Annotated[
        str | None,
        typer.Option(help="The film's sound, and that of its signals.", metavar="FILE", rich_help_panel=SCENE),
    ] = None
    scale: Annotated[
        float,
        typer.Option(help="Scale size, jitter and grain; 0.5 for a preview.", metavar="FACTOR", rich_help_panel=SCENE),
    ] = 1.0

    def overrides(self, output: str | None = None) -> list[tuple[str, str, str]]:
        """Returns the overrides that `load` takes, with `output` as the film's path. Raises UsageError."""
        overrides = []
        for item in self.sets or ():
            key, equals, value = item.partition("=")
            if not equals:
                raise UsageError(f"--set needs KEY=VALUE, such as camera.zoom=1.02, not {quote(item)}")
            overrides.append(("--set", key, value))
        if self.song is not None:
            overrides.append(("--song", "output.audio", json.dumps(self.song, ensure_ascii=False)))
        if output is not None:
            overrides.append(("--output", "output.path", json.dumps(output, ensure_ascii=False)))
        return overrides


@dataclass(frozen=True)
class DeviceOptions:
    """Where and in which number format a network runs."""

    device: Device = "auto"
    precision: Annotated[
        str,
        typer.Option(
            help="Number format of the network: auto, float32 or bfloat16.",
            metavar="FORMAT",
            autocompletion=lambda: ["auto", *PRECISIONS],
            rich_help_panel=DEVICE,
        ),
    ] = "auto"


@dataclass(frozen=True)
class DisplayOptions:
    """What is printed."""

    quiet: Quiet = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False


def require_scene(path: Path) -> None:
    """Raises StorageError for a missing scene file or film: at once, before the modules that read it are imported."""
    if not os.path.lexists(path):
        is_film = path.suffix.lower() in CONTAINERS
        kind, pattern = ("film", f"*{path.suffix}") if is_film else ("scene file", "*.y*ml")
        raise StorageError(f"there is no {kind} {path}{similar_file(path, pattern)}")


def parse_frames(text: str) -> tuple[int, int]:
    """Parses `A:B`, the first frame and the one after the last. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text)
    if match is None:
        raise UsageError(f"--frames needs A:B, two frame numbers, not {quote(text)}")
    return int(match[1]), int(match[2])


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Returns the command with its dataclass parameters replaced by a parameter for each of their fields."""
    types = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: group for name, group in types.items() if is_dataclass(group)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _field_parameters(groups[name])
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=types[name]))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    _set_signature(run, parameters)
    return run


def _field_parameters(group: Any) -> list[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
        )
        for field in fields(group)
    ]


def _set_signature(function: Any, parameters: Sequence[inspect.Parameter]) -> None:
    """Sets what typer reads: the signature and the annotations."""
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
