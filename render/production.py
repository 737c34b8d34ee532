"""A scene to a finished film: the loop's frames into segments, segments into a file, and on from where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from render import __version__, loop, machine
from render.dream import networks
from render.dream.networks import Network
from render.errors import Interrupted, StorageError, UsageError
from render.film import encoder, ffmpeg
from render.film.checkpoint import Checkpoint
from render.film.encoder import Format, Segment
from render.film.files import replacing, sha256, storing
from render.machine import Machine
from render.scene.model import Scene


@dataclass(frozen=True)
class Progress:
    """What `watch` hears after every frame: its index, the film's first frame and the one after its last, and the
    objective after the frame's last step (None when nothing was asked for)."""

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


Watch = Callable[[Progress], None]


def render(
    scene: Scene,
    device: str = "auto",
    precision: str = "auto",
    span: tuple[int, int] | None = None,
    overwrite: bool = False,
    fresh: bool = False,
    watch: Watch | None = None,
) -> Film:
    """Makes the film of a loaded scene at `scene.output.path`, going on after the last whole segment of an earlier run.

    `span` (first, one after last) makes only those frames of it. `overwrite` replaces another film at that path,
    `fresh` forgets what an earlier run left. Raises RenderError of every kind; Interrupted on Ctrl-C.
    """
    assert scene.size is not None, "a loaded scene knows its size"
    assert scene.output.path is not None, "a loaded scene knows its output"
    assert scene.output.codec is not None, "a loaded scene knows its codec"
    first, last = span or (0, scene.length)
    if not 0 <= first < last <= scene.length:
        raise UsageError(f"frames {first}:{last} are not within the film, 0:{scene.length}")
    form = Format(scene.output.codec, scene.fps, scene.size, scene.output.crf, scene.output.depth)
    form.check()
    chosen = machine.choose(device, precision)
    network = networks.load(scene.network, chosen.device, chosen.dtype)
    target = Path(scene.output.path)
    identity = {**_identity(scene, network, chosen), "frames": [first, last]}
    carried = {key: value for key, value in identity.items() if form.codec != "png" or key != "frames"}
    finished = not overwrite and _stands(target, form, first, last, carried)
    with Checkpoint(Path(f"{target}.parts"), identity, form.suffix, fresh) as checkpoint:
        if not finished:
            pieces = list(_pieces(first, last, scene.output.segment))
            try:
                _dream(scene, network, form, pieces, first, last, checkpoint, watch)
            except KeyboardInterrupt:
                raise Interrupted(_how_to_go_on(checkpoint, pieces, last)) from None
            segments = [checkpoint.segment(n) for n, piece in enumerate(pieces) if piece.start >= first]
            encoder.join(segments, target, form, json.dumps(carried, sort_keys=True), first, checkpoint.folder)
        checkpoint.remove()
    return Film(target, last - first, scene.fps, scene.size, made=not finished)


def _dream(
    scene: Scene,
    network: Network,
    form: Format,
    pieces: list[range],
    first: int,
    last: int,
    checkpoint: Checkpoint,
    watch: Watch | None,
) -> None:
    """Dreams the pieces that are not done yet; those before `first` lead up to it and are not encoded."""
    count, state = checkpoint.done()
    if count == len(pieces):
        return
    canvas = None if state is None else torch.from_numpy(state).to(network.device)
    objective: list[Tensor] = []
    stream = loop.frames(
        scene, network, pieces[count].start, canvas, on_step=lambda octave, step, value: objective.append(value)
    )

    def take(piece: range) -> Iterator[Tensor]:
        for index, frame in islice(stream, len(piece)):
            yield frame
            if watch is not None:
                watch(Progress(index, first, last, float(objective[-1]) if objective else None))
            objective.clear()

    for number, piece in enumerate(pieces[count:], count):
        if piece.start < first:
            for frame in take(piece):
                canvas = frame
        else:
            with replacing(checkpoint.segment(number)) as temporary, Segment(temporary, form) as segment:
                for frame in take(piece):
                    segment.write(frame)
                    canvas = frame
                segment.finish()
        assert canvas is not None
        checkpoint.keep(number, canvas.cpu().numpy())


def _pieces(first: int, last: int, length: int) -> Iterator[range]:
    """The frames between checkpoints: up to `first`, then up to `last`, at most `length` at a time."""
    for start, stop in ((0, first), (first, last)):
        for begin in range(start, stop, length):
            yield range(begin, min(begin + length, stop))


def _identity(scene: Scene, network: Network, chosen: Machine) -> dict[str, Any]:
    """All that the film's bytes depend on, in plain JSON; the film carries it."""
    picture = loop.picture(scene)
    return {
        "scene": scene.model_dump(mode="json", exclude_none=True),
        "source": None if picture is None else sha256(picture),
        "weights": network.sha256,
        "machine": chosen.describe(),
        "versions": {"render": __version__, "torch": torch.__version__, "ffmpeg": ffmpeg.version()},
    }


def _stands(target: Path, form: Format, first: int, last: int, carried: dict[str, Any]) -> bool:
    """Whether this very film is at the target already. Raises StorageError when something else is."""
    files = [encoder.numbered(target, i) for i in range(first, last)] if form.codec == "png" else [target]
    with storing(target):
        there = [file for file in files if file.exists()]
    for file in there:
        if file.is_dir():
            raise StorageError(f"{file} is a folder, the film cannot be written there")
        if _carried(file) != carried:
            raise StorageError(
                f"{file} exists and is another film; --overwrite replaces it, --output names another path"
            )
    return len(there) == len(files)


def _carried(file: Path) -> dict[str, Any] | None:
    try:
        return encoder.carried(file)
    except StorageError:
        return None


def _how_to_go_on(checkpoint: Checkpoint, pieces: list[range], last: int) -> str:
    count, _ = checkpoint.done()
    kept = pieces[count - 1].stop if count else 0
    return f"stopped; {kept} of {last} frames are safe in {checkpoint.folder}, the same command goes on from there"
