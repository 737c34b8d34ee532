"""Films of a scene's `--frames`, put together: the film of all their frames."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from render import again, api, preflight, sources
from render.errors import DiskFullError, StorageError, UsageError, shown
from render.film import encoder
from render.film.checkpoint import differences
from render.film.files import storing
from render.identity import checksums
from render.production import Film


def join(pieces: Sequence[Path], target: Path, overwrite: bool = False) -> Film:
    """The film of the pieces, in the order of their frames, at `target`; nothing is encoded again.

    Cut at multiples of `output.segment`, it is the film of one run, byte for byte. Raises StorageError for a piece that
    is none of ours, or a film at the target unless `overwrite`; UsageError for pieces that do not belong together, or
    whose sound is another by now.
    """
    found = sorted(((again.carried(piece), piece) for piece in pieces), key=lambda each: _span(*each))
    carried, first_piece = found[0]
    scene = api.load(first_piece, [("--output", "output.path", json.dumps(str(target), ensure_ascii=False))])
    form = api.form(scene)
    if form.is_pictures:
        raise UsageError("pictures are numbered and need no joining; give them one --output")
    for (before, _), (after, piece) in pairwise(found):
        if changes := "; ".join(differences({**before, "frames": None}, {**after, "frames": None})):
            raise UsageError(f"{piece} is of another film: {changes}")
        if _span(before, piece)[1] != _span(after, piece)[0]:
            begins, ends = after["frames"][0], before["frames"][1]
            raise UsageError(f"{piece} begins at frame {begins}, where frame {ends} is missing or there already")
    if changes := "; ".join(differences(carried.get("files"), checksums(scene), "files")):
        raise UsageError(f"what the pieces were made from has changed: {changes}")
    target = preflight.place(target)
    with storing(target):
        if target.exists() and any(target.samefile(read) for read in (*pieces, *sources.files(scene))):
            raise UsageError(f"{target} is what the film is made from; --output names another path")
        if target.exists() and not overwrite:
            raise StorageError(f"{target} exists; --overwrite replaces it, --output names another path")
    first, last = carried["frames"][0], found[-1][0]["frames"][1]
    try:
        with _work(target) as work:
            segments = [work / f"{number:05d}{form.suffix}" for number in range(len(found))]
            for segment, (_, piece) in zip(segments, found, strict=True):
                with storing(segment):
                    segment.symlink_to(piece.absolute())
            comment = json.dumps({**carried, "frames": [first, last]})
            encoder.join(segments, target, form, comment, first, work, sources.heard(scene, first, last))
    except DiskFullError:
        size = sum(piece.stat().st_size for piece in pieces)
        raise DiskFullError(f"the disk of {target.parent} is full; the film takes about {size} bytes there") from None
    return Film(target, last - first, scene.fps, form.size, made=True)


@contextmanager
def _work(target: Path) -> Iterator[Path]:
    """A folder for scraps, on the target's disk."""
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{target.name}.join.", dir=target.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _span(carried: dict[str, Any], piece: Path) -> tuple[int, int]:
    """The frames of a piece: the first, and one after the last."""
    match carried.get("frames"):
        case [int(first), int(last)]:
            return first, last
    raise UsageError(f"{shown(piece)} does not say which frames it holds")
