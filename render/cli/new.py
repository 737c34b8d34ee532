"""The command `new`: writes a scene to begin with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from render.choices import SCENE_KINDS
from render.cli.options import SCENE, Overwrite
from render.cli.output import print_line
from render.errors import StorageError, UsageError
from render.text import escape, quote, similar_file

SUFFIXES = (".yaml", ".yml")


def new(
    kind: Annotated[
        str,
        typer.Argument(
            help=f"What the scene makes: {', '.join(SCENE_KINDS)}.",
            metavar="KIND",
            autocompletion=lambda: list(SCENE_KINDS),
        ),
    ],
    path: Annotated[Path, typer.Argument(help="Path of the scene file, .yaml.", metavar="PATH")],
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="The picture of a photo, or the clip of footage.", metavar="FILE", rich_help_panel=SCENE),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a scene to begin with, with comments.

    Example:
      render new photo dive.yaml --source me.jpg
    """
    from render.film.atomic import atomic_write
    from render.scene.templates import SOURCES, template_text

    text = template_text(kind, None if source is None else _relative_path(source, path.parent))
    _check_target(path, overwrite=overwrite)
    atomic_write(path, text.encode(), replace=overwrite)
    missing = f" --set {SOURCES[kind]}=PATH" if kind in SOURCES and source is None else ""
    print_line(f"{escape(path)}: written; `render {escape(path)}{missing}` renders it")


def _check_target(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError for a suffix that no scene file has, StorageError when something exists there, or no folder."""
    from render.film.atomic import storage_errors

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a scene file's name ends in {SUFFIXES[0]}, not in {quote(path.suffix)}")
    with storage_errors(path):
        if path.is_dir() or (os.path.lexists(path) and not overwrite):
            raise StorageError(f"{path} exists; --overwrite replaces it")
        if not path.parent.is_dir():
            raise StorageError(f"there is no folder {path.parent} for {path.name}")


def _relative_path(source: Path, folder: Path) -> str:
    """Returns the path of a file as seen from a folder. Raises StorageError when there is no such file."""
    if "%" not in source.name and not os.path.lexists(source):  # the name of a picture sequence is a pattern
        raise StorageError(f"there is no file {source}{similar_file(source)}")
    return os.path.relpath(Path(os.path.realpath(source.parent), source.name), os.path.realpath(folder))
