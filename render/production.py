"""A scene to a finished film: the loop's frames into segments, segments into a file, and on from where it stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor

from render import __version__, api, loop, sources
from render.dream.ascent import OnStep
from render.dream.networks import Network
from render.errors import Interrupted, StorageError, UsageError
from render.film import clip, encoder, ffmpeg
from render.film.checkpoint import Checkpoint, forget, left
from render.film.encoder import Format, Segment
from render.film.files import replacing, sha256, storing
from render.machine import Machine
from render.scene.model import Scene
from render.threads import Behind


@dataclass(frozen=True)
class Progress:
    """What `watch` hears after every frame: its index, the film's first frame and the one after its last, and the
    objective before the last step of the last dreamed frame (None when nothing was asked for)."""

    index: int
    first: int
    last: int
    objective: float | None


@dataclass(frozen=True)
class Film:
    """A finished film. `path` is a pattern for a sequence; `made` is False when it was there already."""

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    made: bool


@dataclass(frozen=True)
class Piece:
    """The frames between two checkpoints; those before the film's first lead up to it and are not `kept`."""

    number: int
    frames: range
    kept: bool


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
    quiet: bool = False,
) -> Film:
    """Makes the film of a loaded scene at `scene.output.path`, going on after the last whole segment of an earlier run.

    `span` (first, one after last) makes only those frames of it. `overwrite` replaces another film at that path,
    `fresh` forgets what an earlier run left, `quiet` downloads weights without a bar. `watch` hears of every frame,
    `on_step` of every step. Raises RenderError of every kind; Interrupted on Ctrl-C.
    """
    if scene.size is None or scene.output.path is None or scene.output.codec is None:
        raise UsageError("the scene is not complete; load() makes it so")
    first, last = span or (0, scene.length)
    if not 0 <= first < last <= scene.length:
        raise UsageError(f"frames {first}:{last} are not within the film, 0:{scene.length}")
    form = Format(scene.output.codec, scene.fps, scene.size, scene.output.crf, scene.output.depth)
    form.check()
    target = Path(scene.output.path)
    folder = Path(f"{target}.parts")
    before = _before(folder, encoder.numbered(target, first) if form.is_pictures else target, overwrite, fresh)
    chosen = api.settled(scene, device, precision, quiet, before.get("precision"))
    network = api.network(scene, chosen, quiet)
    if scene.dream.tile == "auto":  # as it was for what is there already, whatever is free today
        network.tile = before.get("tile", network.tile)
    sources.flow_weights(scene, quiet)  # what cannot be fetched is told before the first frame
    identity = {**_identity(scene, network, chosen), "frames": [first, last]}
    # A picture of a sequence is the same whichever frames are made with it.
    carried = {key: value for key, value in identity.items() if not form.is_pictures or key != "frames"}
    stands = _stands(scene, target, form, range(first, last), carried, overwrite)
    film = Film(target, last - first, scene.fps, scene.size, made=not stands)
    if stands:
        forget(folder, identity, form.suffix)
        return film
    pieces = _pieces(first, last, scene.output.segment)
    with Checkpoint(folder, identity, form.suffix, fresh) as checkpoint:
        try:
            with contextlib.closing(_dream(scene, network, pieces, form, checkpoint, on_step)) as dreamed:
                for progress in dreamed:
                    if watch is not None:
                        watch(progress)
            segments = [checkpoint.segment(piece.number) for piece in pieces if piece.kept]
            comment = json.dumps(carried, sort_keys=True)
            sound = None if form.is_pictures else sources.heard(scene, first, last)
            encoder.join(segments, target, form, comment, first, checkpoint.folder, sound)
        except KeyboardInterrupt:
            raise Interrupted(_how_to_go_on(checkpoint, pieces, fresh)) from None
        checkpoint.remove()
    return film


def _dream(
    scene: Scene,
    network: Network,
    pieces: list[Piece],
    form: Format,
    checkpoint: Checkpoint,
    on_step: OnStep | None,
) -> Generator[Progress]:
    """Dreams the pieces that are not done yet; they are kept meanwhile, a few frames behind."""
    count, state = checkpoint.done()
    if count == len(pieces):
        return
    canvas = None if state is None else torch.from_numpy(state).to(network.device)
    if count:  # tiles may have been halved on the way
        network.tile = checkpoint.noted(count - 1).get("tile", network.tile)
    objective: float | None = None
    values: list[Tensor] = []

    def heard(octave: int, step: int, value: Tensor) -> None:
        values.append(value)
        if on_step is not None:
            on_step(octave, step, value)

    first = next(piece.frames.start for piece in pieces if piece.kept)
    start, last = pieces[count].frames.start, pieces[-1].frames.stop
    stream = loop.frames(scene, network, start, canvas, heard)
    with contextlib.closing(stream), Behind(partial(_keep, pieces[count:], form, checkpoint)) as behind:
        for index, picture, after in islice(stream, last - start):
            behind.give((picture, after, network.tile))
            objective = float(values[-1]) if values else objective
            values.clear()
            yield Progress(index, first, last, objective)


def _keep(
    pieces: list[Piece], form: Format, checkpoint: Checkpoint, frames: Iterator[tuple[Tensor, Tensor, int | None]]
) -> None:
    """Keeps each piece once its frames, (picture, canvas, side of the tiles), have come."""
    for piece in pieces:
        with contextlib.ExitStack() as stack:
            if piece.kept:
                temporary = stack.enter_context(replacing(checkpoint.segment(piece.number)))
                segment = stack.enter_context(Segment(temporary, form))
            for picture, after, tiled in islice(frames, len(piece.frames)):
                canvas, tile = after, tiled
                if piece.kept:
                    segment.write(picture)
            if piece.kept:
                segment.finish()
        checkpoint.keep(piece.number, canvas.cpu().numpy(), {"tile": tile})


def _pieces(first: int, last: int, length: int) -> list[Piece]:
    """Up to `first`, then up to `last`, at most `length` frames at a time."""
    starts = [*range(0, first, length), *range(first, last, length)]
    stops = [*starts[1:], last]
    return [Piece(n, range(*ends), ends[0] >= first) for n, ends in enumerate(zip(starts, stops, strict=True))]


def _identity(scene: Scene, network: Network, chosen: Machine) -> dict[str, Any]:
    """All that the film's bytes depend on, in plain JSON; the film carries it."""
    written = scene.model_dump(mode="json", exclude_none=True, by_alias=True)
    del written["output"]["path"]  # a film is the same under any name
    flow = sources.flow_weights(scene)
    return {
        "scene": written,
        "files": {".".join(map(str, path)): clip.checksum(scene.locate(name, path)) for path, name, _ in scene.files()},
        "weights": network.sha256 if flow is None else {"network": network.sha256, "flow": sha256(flow)},
        "machine": {**chosen.describe(), "tile": network.tile},
        "versions": {
            "render": __version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "scenedetect": version("scenedetect-headless"),
            "ffmpeg": ffmpeg.version(),
        },
    }


def _before(folder: Path, target: Path, overwrite: bool, fresh: bool) -> dict[str, Any]:
    """What the machine chose for the film that is begun, or there already; nothing for one that is not gone on with."""
    found = (None if fresh else left(folder)) or (None if overwrite else _carried(target)) or {}
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
        if file.is_dir():
            raise StorageError(f"{file} is a folder, the film cannot be written there")
        if any(file.samefile(read) for read in sources.files(scene)):
            raise UsageError(f"{file} is what the film is made from; --output names another path")
    for file in there if not overwrite else []:
        if _carried(file) != carried:
            raise StorageError(
                f"{file} exists and is another film; --overwrite replaces it, --output names another path"
            )
    return len(there) == len(files) and not overwrite


def _carried(file: Path) -> dict[str, Any] | None:
    try:
        return encoder.carried(file)
    except StorageError:
        return None


def _how_to_go_on(checkpoint: Checkpoint, pieces: list[Piece], fresh: bool) -> str:
    count, _ = checkpoint.done()
    kept = pieces[count - 1].frames.stop if count else 0
    last = pieces[-1].frames.stop
    again = "the same command" + " without --fresh" * fresh
    return f"stopped; {kept} of {last} frames are safe in {checkpoint.folder}, {again} goes on from there"
