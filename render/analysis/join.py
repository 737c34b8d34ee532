"""Joins films of a scene's `--frames` to the film of all their frames, without encoding anything again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from render.errors import DiskFullError, StorageError, UsageError
from render.film.assembly import Placement, is_intact, linked_segments, write_film
from render.film.atomic import storage_errors
from render.film.checkpoint import diff_json
from render.film.content import CONTENT_KEY, count_decoded_frames
from render.pipeline.embedded import embedded_metadata
from render.pipeline.identity import portable_scene
from render.pipeline.job import Film
from render.pipeline.load import load
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.preflight import check_target
from render.pipeline.scene import Scene
from render.text import quote


def join(parts: Sequence[Path], target: Path, *, overwrite: bool = False, scene: Scene | None = None) -> Film:
    """Joins films, in the order of their frames, at `target`.

    Cut at multiples of `output.segment_frames` and at cuts of the clip, the result is the film of one run, byte for
    byte. `scene` is the one that the parts were made from, where its files are; by default that of the first part,
    whose files are looked for beside it. Raises StorageError for a part that embeds no scene, or when the target exists
    and not `overwrite`; UsageError for parts that do not belong together, or whose scene or source files have changed.
    """
    metadata = sorted(((embedded_metadata(part), part) for part in parts), key=lambda each: _frames(*each))
    _check_parts(metadata)
    first, last = _frames(*metadata[0])[0], _frames(*metadata[-1])[1]
    if scene is None:
        override = ("--output", "output.path", json.dumps(str(target), ensure_ascii=False))
        scene = load(metadata[0][1], [override])
    elif changes := "; ".join(diff_json(metadata[0][0].get("scene"), portable_scene(scene), name="scene")):
        raise UsageError(f"the scene that the parts were made from has changed: {changes}")
    joined = plan(scene, Options(frames=(first, last), overwrite=overwrite))
    if joined.format.is_pictures:
        raise UsageError("pictures are numbered and need no joining; give them one --output")
    if not joined.format.joins:
        raise UsageError("each .gif has a palette of its own; join parts of another format, such as .webp or .mp4")
    for part_metadata, part in metadata:
        if part_metadata.get("repeat", 1) != 1:
            raise UsageError(f"{part} holds its frames {part_metadata['repeat']} times; render it without --repeat")
    if changes := "; ".join(diff_json(metadata[0][0].get("files"), joined.sources.checksums(), name="files")):
        raise UsageError(f"files that the parts were made from have changed: {changes}")
    _check_target(joined, parts)
    for part_metadata, part in metadata:
        _require_intact(part_metadata, part)
    _concatenate(joined, metadata)
    return Film(joined.target, len(joined.frames), fps=scene.fps, size=joined.format.size, made=True)


def _check_parts(parts: Sequence[tuple[Mapping[str, Any], Path]]) -> None:
    """Raises UsageError for parts of different films, and for frames that are missing or there twice."""
    for (before, previous), (after, part) in pairwise(parts):
        same = {"frames": None, CONTENT_KEY: None}
        if changes := "; ".join(diff_json({**before, **same}, {**after, **same})):
            raise UsageError(f"{part} is part of another film: {changes}")
        end, start = _frames(before, previous)[1], _frames(after, part)[0]
        if end != start:
            raise UsageError(f"{part} begins at frame {start}, where frame {end} is missing or there already")


def _require_intact(metadata: Mapping[str, Any], part: Path) -> None:
    """Raises StorageError for a part that does not hold its frames as they were written."""
    first, last = _frames(metadata, part)
    intact = is_intact(part)
    if intact is None:  # a film of an earlier version, which embeds no checksum
        intact = count_decoded_frames(part) == last - first
    if not intact:
        raise StorageError(f"{part} is damaged, or has lost some of its {last - first} frames; render it again")


def _check_target(joined: Plan, parts: Sequence[Path]) -> None:
    check_target(joined)
    target = joined.target
    with storage_errors(target):
        if target.exists() and any(target.samefile(file) for file in (*parts, *joined.files)):
            raise UsageError(f"{target} is what the film is made from; --output names another path")
        if target.exists() and not joined.options.overwrite:
            raise StorageError(f"{target} exists; --overwrite replaces it, --output names another path")


def _concatenate(joined: Plan, parts: Sequence[tuple[Mapping[str, Any], Path]]) -> None:
    frames = joined.frames
    metadata = {key: value for key, value in parts[0][0].items() if key != CONTENT_KEY}
    placement = Placement(replace=joined.options.overwrite, verify=joined.sources.verify)
    try:
        with linked_segments([part for _, part in parts], joined.target, joined.format) as segments:
            write_film(
                segments,
                joined.target,
                output_format=joined.format,
                metadata={**metadata, "frames": [frames.start, frames.stop]},
                audio=joined.audio,
                placement=placement,
            )
    except DiskFullError:
        size = sum(part.stat().st_size for _, part in parts)
        folder = joined.target.parent
        raise DiskFullError(f"the disk of {folder} is full; the film takes about {size} bytes there") from None


def _frames(metadata: Mapping[str, Any], part: Path) -> tuple[int, int]:
    """The frames of a part: the first, and the one after the last."""
    match metadata.get("frames"):
        case [int(first), int(last)]:
            return first, last
    raise UsageError(f"{quote(part)} does not say which frames it holds")
