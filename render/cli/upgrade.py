"""The command `upgrade`: rewrites a scene file of an earlier version."""

from __future__ import annotations

import codecs
import difflib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from render.cli.options import require_scene
from render.cli.output import print_line
from render.text import escape


def upgrade(
    scene: Annotated[Path, typer.Argument(help="Scene file (YAML).", metavar="SCENE")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with status 1 when the scene is out of date.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As --check, and print the changes as a diff.")] = False,
) -> None:
    """Rewrite a scene of an earlier version with today's keys.

    Example:
      render upgrade scene.yaml --diff
    """
    require_scene(scene)
    from render.scene.upgrade import upgrade_text
    from render.scene.yaml_tree import read_text

    text = read_text(scene)
    upgraded = upgrade_text(text, name=str(scene))
    if upgraded == text:
        print_line(f"{escape(scene)}: up to date")
        return
    if diff:
        print_line(_unified_diff(text, upgraded, name=str(scene)))
        raise typer.Exit(1)
    if not check:
        _rewrite(scene, upgraded)
    for change in _changes(text, name=str(scene)):
        print_line(change)
    if check:
        print_line(f"{escape(scene)}: out of date; `render upgrade {escape(scene)}` rewrites it")
        raise typer.Exit(1)
    print_line(f"{escape(scene)}: upgraded")


def _changes(text: str, *, name: str) -> Iterator[str]:
    """Yields `scene.yaml:7:3: 'every' was renamed to 'cadence'` for every old key and value."""
    from render.scene.renames import find_renames
    from render.scene.yaml_tree import parse_yaml

    tree = parse_yaml(text, name)
    renames = list(find_renames(tree.plain()))
    for path, rename in renames:
        position = tree.key_position(path)
        yield f"{name}:{position.line}:{position.column}: {rename}"
    if not renames:
        yield f"{name}: old keys of --set in comments"


def _unified_diff(old: str, new: str, *, name: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
    return "\n".join(lines)


def _rewrite(scene: Path, text: str) -> None:
    """Replaces the file that the path or its link names; permissions and the byte order mark are kept.

    Raises StorageError; then the file is unchanged.
    """
    from render.film.atomic import atomic_path, storage_errors

    with storage_errors(scene):
        target = scene.resolve(strict=True)
        has_mark = target.read_bytes().startswith(codecs.BOM_UTF8)
        data = (codecs.BOM_UTF8 if has_mark else b"") + text.encode()
    with atomic_path(target) as temporary, storage_errors(scene):
        temporary.write_bytes(data)
        shutil.copymode(target, temporary)
