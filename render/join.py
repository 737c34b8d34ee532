"""Films of a scene's `--frames`, put together: the film of all their frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from render import again, api, preflight, sources
from render.errors import StorageError, UsageError, shown
from render.film import encoder
from render.film.checkpoint import Checkpoint, differences
from render.film.files import storing
from render.production import Film


def join(pieces: Sequence[Path], target: Path, overwrite: bool = False) -> Film:
    """The film of the pieces, in the order of their frames, at `target`; nothing is encoded again.

    Cut at multiples of `output.segment`, it is the film of one run, byte for byte. Raises StorageError for a piece that
    is none of ours, or a film at the target unless `overwrite`; UsageError for pieces that do not belong together.
    """
    found = sorted(((again.carried(piece), piece) for piece in pieces), key=lambda each: _span(*each))
    carried, first_piece = found[0]
    scene = api.load(first_piece, [("--output", "output.path", json.dumps(str(target), ensure_ascii=False))])
    form = api.form(scene)
    if form.is_pictures:
        raise UsageError("pictures are numbered and need no joining; give them one --output")
    for (before, _), (after, piece) in pairwise(found):
        if changes := list(differences({**before, "frames": None}, {**after, "frames": None})):
            raise UsageError(f"{piece} is of another film: {'; '.join(changes)}")
        if _span(before, piece)[1] != _span(after, piece)[0]:
            begins, ends = after["frames"][0], before["frames"][1]
            raise UsageError(f"{piece} begins at frame {begins}, where frame {ends} is missing or there already")
    target = preflight.place(target)
    with storing(target):
        if target.exists() and not overwrite:
            raise StorageError(f"{target} exists; --overwrite replaces it, --output names another path")
    first, last = carried["frames"][0], found[-1][0]["frames"][1]
    whole = {**carried, "frames": [first, last]}
    with Checkpoint(Path(f"{target}.join"), whole, form.suffix, fresh=True) as work:
        try:
            segments = [work.segment(number) for number in range(len(found))]
            for segment, (_, piece) in zip(segments, found, strict=True):
                with storing(segment):
                    segment.symlink_to(piece.absolute())
            sound = sources.heard(scene, first, last)
            encoder.join(segments, target, form, json.dumps(whole), first, work.folder, sound)
        finally:
            work.remove()
    return Film(target, last - first, scene.fps, form.size, made=True)


def _span(carried: dict[str, Any], piece: Path) -> tuple[int, int]:
    """The frames of a piece: the first, and one after the last."""
    match carried.get("frames"):
        case [int(first), int(last)]:
            return first, last
    raise UsageError(f"{shown(piece)} does not say which frames it holds")
