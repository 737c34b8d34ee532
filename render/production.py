"""A scene to a finished film: the loop's frames into segments, segments into a file, and on from where it stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from render import api, preflight, sources
from render.dream.ascent import OnStep
from render.errors import DiskFullError, Interrupted, StorageError, UsageError
from render.film import encoder, ffmpeg
from render.film.checkpoint import Checkpoint, forget, left
from render.film.encoder import Format
from render.film.files import storing
from render.identity import identity, unlike
from render.pieces import Maker, Piece, Progress, Warn, cut
from render.scene.model import Scene


@dataclass(frozen=True)
class Film:
    """A finished film. `path` is a pattern for a sequence; `made` is False when it was there already."""

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    made: bool


TOLD = 10
"""Changes that are told, of a film that is made again."""
Watch = Callable[[Progress], None]


def render(
    scene: Scene,
    device: str = "auto",
    precision: str = "auto",
    span: tuple[int, int] | None = None,
    overwrite: bool = False,
    fresh: bool = False,
    watch: Watch | None = None,
    on_step: OnStep | None = None,
    warn: Warn | None = None,
    quiet: bool = False,
) -> Film:
    """Makes the film of a loaded scene at `scene.output.path`, going on after the last whole segment of an earlier run.

    `span` (first, one after last) makes only those frames of it; those of a film that is made again are that film's.
    `overwrite` replaces another film at that path, `fresh` forgets what an earlier run left, `quiet` downloads weights
    without a bar. `watch` hears of every frame, `on_step` of every step, `warn` of what is no error, in a sentence.
    Raises RenderError of every kind; Interrupted on Ctrl-C.
    """
    form = api.form(scene)
    warn = warn or (lambda sentence: None)
    span = span or api.span(scene)
    first, last = span
    if not 0 <= first < last <= scene.length:
        raise UsageError(f"frames {first}:{last} are not within the film, 0:{scene.length}")
    target = preflight.place(Path(str(scene.output.path)))
    preflight.codecs(scene, form, span)
    folder = Path(f"{target}.parts")
    before = _before(scene, folder, encoder.numbered(target, first) if form.is_pictures else target, overwrite, fresh)
    chosen = api.settled(scene, device, precision, quiet, before)
    preflight.memory(scene, chosen.device)
    network = api.network(scene, chosen, quiet)
    if scene.dream.tile == "auto":  # as it was for what is there already, whatever is free today
        network.tile = api.tile(before, network.tile)
    sources.flow_weights(scene, quiet)  # what cannot be fetched is told before the first frame
    known = identity(scene, network, chosen, span)
    # A picture of a sequence is the same whichever frames are made with it.
    carried = {key: value for key, value in known.items() if not form.is_pictures or key != "frames"}
    stands = _stands(scene, target, form, range(*span), carried, overwrite)
    film = Film(target, last - first, scene.fps, form.size, made=not stands)
    if stands:
        forget(folder, known, form.suffix)
        return film
    if scene.film is not None and (changes := list(unlike(scene.film, known))):
        more = f"; and {len(changes) - TOLD} more" * (len(changes) > TOLD)
        warn(f"the film may come out otherwise than it was: {'; '.join(changes[:TOLD])}{more}")
    preflight.space(scene, form, span, folder, warn)
    pieces = cut(first, last, scene.output.segment)
    try:
        with Checkpoint(folder, known, form.suffix, fresh) as checkpoint:
            try:
                maker = Maker(scene, network, form, pieces, checkpoint, on_step, warn)
                with contextlib.closing(maker.made()) as made:
                    for progress in made:
                        if watch is not None:
                            watch(progress)
                segments = [checkpoint.segment(piece.number) for piece in pieces if piece.kept]
                sound = None if form.is_pictures else sources.heard(scene, first, last)
                comment = json.dumps(carried)
                encoder.join(segments, target, form, comment, first, checkpoint.folder, sound)
            except KeyboardInterrupt:
                raise Interrupted(_how_to_go_on(checkpoint, pieces, fresh)) from None
            checkpoint.remove()
    except DiskFullError:
        raise preflight.full(scene, form, span, folder) from None
    return film


def _before(scene: Scene, folder: Path, target: Path, overwrite: bool, fresh: bool) -> dict[str, Any]:
    """How the machine made the film that is begun, is there already, or is made again; nothing for one that is new."""
    found = (None if fresh else left(folder)) or (None if overwrite else _carried(target)) or scene.film or {}
    chosen = found.get("machine")
    return chosen if isinstance(chosen, dict) else {}


def _stands(scene: Scene, target: Path, form: Format, frames: range, carried: dict[str, Any], overwrite: bool) -> bool:
    """Whether this very film is at the target already.

    Raises StorageError when something else is in the way, UsageError when that is what the film is made from.
    """
    files = [encoder.numbered(target, i) for i in frames] if form.is_pictures else [target]
    with storing(target):
        there = [file for file in files if file.exists()]
    for file in there:
        if not file.is_file():
            kind = "a folder" if file.is_dir() else "no file"
            raise StorageError(f"{file} is {kind}, the film cannot be written there")
        if any(file.samefile(read) for read in sources.files(scene)):
            raise UsageError(f"{file} is what the film is made from; --output names another path")
    for file in there if not overwrite else []:
        if _carried(file) != carried:
            raise StorageError(
                f"{file} exists and is another film; --overwrite replaces it, --output names another path"
            )
    return len(there) == len(files) and not overwrite


def _carried(file: Path) -> dict[str, Any] | None:
    if not file.is_file():  # else it may have no end
        return None
    try:
        return encoder.carried(file)
    except ffmpeg.KilledError:
        raise
    except StorageError:
        return None


def _how_to_go_on(checkpoint: Checkpoint, pieces: list[Piece], fresh: bool) -> str:
    kept = [piece for piece in pieces if piece.kept]
    safe = sum(len(piece.frames) for piece in kept if checkpoint.recorded(piece.number))
    total = sum(len(piece.frames) for piece in kept)
    again = "the same command" + " without --fresh" * fresh
    return f"stopped; {safe} of {total} frames are safe in {checkpoint.folder}, {again} goes on from there"
