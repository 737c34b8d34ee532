"""What can be known before the first frame: whether there is a place, room and memory for the film, and the codecs."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from render import api, machine, sources
from render.dream import registry
from render.errors import DiskFullError, MissingError, StorageError
from render.film import ffmpeg, sound
from render.film.checkpoint import LATEST, SPREAD
from render.film.encoder import CODECS, Format
from render.scene.model import Scene

BITS = {"h264": 0.9, "h265": 0.8, "prores": 6.0, "png": 19.0, "jpg": 5.0}
"""Bits a pixel of dreamed films, at the default crf; of h264 and h265 measured 0.5 to 1.2, on four scenes."""
DEFAULT_CRF = {"h264": 18, "h265": 20}
HALVING = 6
"""Steps of crf that halve a film's size (x264's and x265's own rule)."""
SOUND = 40_000
"""Bytes a second of sound, when it is compressed."""
STATE_BYTES = 12
"""Bytes a pixel of the canvas that is kept with each piece."""
FRAME_BYTES = 120
"""Bytes that a frame takes for each pixel of the film, whatever the network takes beside it: copies of the canvas,
gradients, frames that wait."""


def plan(scene: Scene) -> str:
    """What a film takes, in a sentence. Raises RenderError for all that `render` would find before its first frame."""
    form, span = api.form(scene), api.span(scene)
    target = place(Path(str(scene.output.path)))
    codecs(scene, form, span)
    memory(scene, machine.choose().device)
    heard: list[str] = []
    space(scene, form, span, Path(f"{target}.parts"), heard.append)
    film, needed = estimate(scene, form, span)
    free = told_size(_room(target.parent))
    told = f"the film will take about {told_size(film)}, {told_size(needed)} while it is made; {free} are free"
    network = registry.blueprint(scene.network.name, scene.network.training).source
    wanted = [None if scene.network.weights else network, sources.flow_source(scene)]
    absent = sum(source.megabytes for source in wanted if source is not None and not source.here)
    return told + (f"; weights of {absent:.0f} MB are not on this machine yet" if absent else "")


def place(target: Path) -> Path:
    """Where the film will lie: the path, or what a symbolic link there points to.

    Raises StorageError when nothing can be written there.
    """
    try:
        named = target
        if target.is_symlink():
            target = target.resolve()
        folder = _there(target.parent)
        is_folder, in_the_way = folder.is_dir(), target.exists() and not target.is_file()
        kind = "a folder" if target.is_dir() else "no file"
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None
    if target.suffix.lower() != named.suffix.lower():
        raise StorageError(f"{named} is a link to {target}, whose name does not end in {named.suffix}")
    if in_the_way:
        raise StorageError(f"{target} is {kind}, the film cannot be written there")
    if not is_folder:
        raise StorageError(f"cannot write in {folder}: it is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write in {folder}: it is not ours, or read-only; --output names another path")
    return target


def codecs(scene: Scene, form: Format, span: tuple[int, int]) -> None:
    """Raises MissingError when there is no ffmpeg, or it cannot write the film's pictures, or its sound."""
    ffmpeg.version()  # that it is one
    ffmpeg.require_encoder(CODECS[form.codec].encoder)
    heard = None if form.is_pictures else sources.heard(scene, *span)
    if heard is not None and not sound.is_copied(heard):
        ffmpeg.require_encoder(sound.ENCODED[Path(scene.output.path or "").suffix.lower()][0])


def memory(scene: Scene, device: torch.device) -> None:
    """Raises MissingError when a frame cannot fit into the memory, not even in tiles."""
    assert scene.size is not None, "a complete scene knows its size"
    width, height = scene.size
    needed, free = FRAME_BYTES * width * height, machine.free_memory(device)
    if needed > free:
        raise MissingError(
            f"a frame of {width}x{height} takes {told_size(needed)} of memory and more, {told_size(free)} are free; "
            "--scale 0.5 makes a smaller film"
        )


def estimate(scene: Scene, form: Format, span: tuple[int, int], folder: Path | None = None) -> tuple[int, int]:
    """Bytes of the film, about, and of all that there is on the disk just before it is finished.

    Judged by the segments that are in the film's folder, when there are any.
    """
    width, height = form.size
    frames = span[1] - span[0]
    finer = 1.0 if form.crf is None else 2 ** ((DEFAULT_CRF[form.codec] - form.crf) / HALVING)
    deeper = 2 if form.depth == 16 else 1
    pictures = frames * width * height * BITS[form.codec] / 8 * finer * deeper
    if made := [] if folder is None else list(folder.glob(f"[0-9][0-9][0-9][0-9][0-9]{form.suffix}")):
        pictures = _size(made) / len(made) * frames / scene.output.segment
    heard = 0 if form.is_pictures or sources.heard(scene, *span) is None else frames / float(form.fps) * SOUND
    states = min(-(-span[1] // scene.output.segment), SPREAD + LATEST + 1) * STATE_BYTES * width * height
    film = round(pictures + heard)
    return film, 2 * film + states


def space(scene: Scene, form: Format, span: tuple[int, int], folder: Path, warn: Callable[[str], None]) -> None:
    """Warns when the disk of a folder may be too small for the film. Raises DiskFullError when it surely is: when even
    the canvases have no room, whose size is known."""
    film, needed = estimate(scene, form, span, folder)
    room = _room(folder)
    if room < needed:
        told = f"about {told_size(needed)} are needed in {folder} while the film is made, {told_size(room)} are free"
        if room < needed - 2 * film:
            raise DiskFullError(f"{told}; make room, or --output names another disk")
        warn(told)


def full(scene: Scene, form: Format, span: tuple[int, int], folder: Path) -> DiskFullError:
    """What is said when the disk has become full: how much is needed for the rest."""
    _, needed = estimate(scene, form, span, folder)
    more = max(needed - _room(folder), STATE_BYTES * form.size[0] * form.size[1])
    return DiskFullError(
        f"the disk of {folder} is full; about {more} bytes ({told_size(more)}) more are needed there; "
        "make room, then the same command goes on"
    )


def told_size(count: float) -> str:
    """`1.5 GB`, of a number of bytes."""
    power = min(max(int(math.log10(max(count, 1)) // 3), 1), 3)
    return f"{count / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"


def _size(files: Iterable[Path]) -> int:
    """Bytes of files, of which some may be gone by now."""
    found = 0
    for file in files:
        with contextlib.suppress(OSError):
            found += file.stat().st_size
    return found


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if os.path.lexists(each))


def _room(folder: Path) -> int:
    """Bytes that there are for a film: what is free, and what lies in its folder already."""
    try:
        return shutil.disk_usage(_there(folder)).free + (_size(folder.iterdir()) if folder.is_dir() else 0)
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
