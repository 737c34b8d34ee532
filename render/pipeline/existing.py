"""What exists at the output path: this film, its frames with another sound or in another container, or another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from render.errors import StorageError, UsageError
from render.film.assembly import is_intact
from render.film.atomic import ExistsError, storage_errors
from render.film.content import CONTENT_KEY
from render.film.naming import numbered_path, same_frames_paths
from render.pipeline.identity import without_sound
from render.pipeline.plan import Plan, embedded_elsewhere


def is_finished(plan: Plan, metadata: Mapping[str, Any]) -> bool:
    """Whether this very film is at the target, by what it embeds and by the packets and checksums of what is there.

    Raises StorageError when something else is in the way, ExistsError when that is a file, UsageError when the target
    is what the film is made from.
    """
    target = plan.target
    files = [numbered_path(target, i) for i in plan.frames] if plan.format.is_pictures else [target]
    with storage_errors(target):
        existing = [file for file in files if file.exists()]
    for file in existing:
        if not file.is_file():
            kind = "a folder" if file.is_dir() else "no file"
            raise StorageError(f"{file} is {kind}, the film cannot be written there")
        if any(file.samefile(source) for source in plan.files):
            raise UsageError(f"{file} is what the film is made from; --output names another path")
    if plan.options.overwrite:
        return False
    for file in existing:
        _require_this_film(file, metadata)
    return len(existing) == len(files)


def reusable_film(plan: Plan, metadata: Mapping[str, Any]) -> Path | None:
    """A finished film of the same frames: the one that is replaced, with another sound, or one in another file."""
    if not plan.format.joins:
        return None
    for film in same_frames_paths(plan.target, plan.format.codec):
        embedded = _embedded(film)
        has_same_frames = embedded is not None and without_sound(embedded) == without_sound(metadata)
        is_same_film = film == plan.target and embedded == metadata
        if has_same_frames and not is_same_film and is_intact(film):
            return film
    return None


def _require_this_film(file: Path, metadata: Mapping[str, Any]) -> None:
    """Raises ExistsError when a file is not the film with this metadata, or is damaged."""
    embedded = _embedded(file)
    if embedded == metadata:
        if not is_intact(file):
            raise ExistsError(
                f"{file} is this film, but it has lost frames or is damaged; --overwrite makes it again, --output "
                "names another path"
            )
        return
    if embedded is not None and without_sound(embedded) == without_sound(metadata):
        is_repeated = embedded.get("repeat") != metadata.get("repeat")
        difference = "repeated another number of times" if is_repeated else "with another sound"
        raise ExistsError(
            f"{file} is this film {difference}; --overwrite replaces the {'film' if is_repeated else 'sound'} and "
            "dreams nothing again, --output names another path"
        )
    raise ExistsError(f"{file} exists and is another film; --overwrite replaces it, --output names another path")


def _embedded(file: Path) -> dict[str, Any] | None:
    """The metadata of a film without its content."""
    embedded = embedded_elsewhere(file)
    return None if embedded is None else {key: value for key, value in embedded.items() if key != CONTENT_KEY}
