"""Preflight: what can be known before the first frame. Paths, codecs, memory and disk space are checked here."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from render.choices import DEFAULT_CRF, DEFAULT_QUALITY
from render.errors import DiskFullError, MissingError, StorageError
from render.film.checkpoint import LATEST_STATES, SPREAD_STATES
from render.film.encoder import CODECS
from render.film.folder import require_own
from render.film.naming import max_name_bytes, nearest_existing, numbered_path
from render.media import audio, ffmpeg
from render.models.registry import model_spec
from render.pipeline.plan import Plan
from render.pipeline.scene import Scene
from render.system.device import has_only_cpu
from render.system.memory import free_memory
from render.text import format_bytes

BITS_PER_PIXEL = {
    "h264": 0.9, "h265": 0.8, "vp9": 1.0, "prores": 6.0, "gif": 7.0, "webp": 2.7, "png": 19.0, "jpg": 5.0,
}  # fmt: skip
"""Of dreamed films at the default crf or quality; h264 and h265 measured 0.5 to 1.2 on four scenes."""
SEGMENT_BITS_PER_PIXEL = {"gif": 14.0}
"""Of segments that are not of the size of their film."""
CRF_HALVING = {"h264": 6, "h265": 6, "vp9": 12}
"""Steps of crf that halve a film's size (x264's and x265's own rule; libvpx measured)."""
QUALITY_DOUBLING = 14
"""Steps of quality that double a film's size."""
AUDIO_BYTES_PER_SECOND = 40_000
"""Of compressed sound."""
BYTES_PER_VALUE = 4
"""Of the state that is saved with each segment."""
MAX_NEW_FOLDERS = 1
"""Folders that are made for a film, so that a mistyped path makes no tree of them; a sequence's own comes with it."""
FRAME_BYTES_PER_PIXEL = 120
"""Memory of a frame besides the network's: copies of the canvas, gradients, frames in the queue."""

LEAD_IN_BYTES_PER_PIXEL = 12
"""Memory of each dreamed frame before the first one of a loop: three values of 32 bits."""


def preflight(plan: Plan) -> None:
    """Checks the output path, the folder of segments, codecs and memory. Raises StorageError or MissingError."""
    check_target(plan)
    require_own(plan.folder)
    check_codecs(plan)
    check_memory(plan)


@dataclass(frozen=True)
class Requirements:
    """What a film takes: bytes on the disk, finished and at most while it is made, what is free, and a download.

    `note` says how its sound is mixed down, None when it is not.
    """

    film_bytes: int
    peak_bytes: int
    free_bytes: int
    download_megabytes: float
    note: str | None

    def __str__(self) -> str:
        film, peak, free = map(format_bytes, (self.film_bytes, self.peak_bytes, self.free_bytes))
        sentence = f"the film will take about {film}, {peak} while it is made; {free} are free"
        if self.note:
            sentence += f"; {self.note}"
        if self.download_megabytes:
            sentence += f"; weights of {self.download_megabytes:.0f} MB are not on this machine yet"
        return sentence


def requirements(plan: Plan) -> Requirements:
    """What a film takes. Raises RenderError for everything that a run would find before frame 0."""
    preflight(plan)
    check_space(plan, warn=lambda message: None)
    film, peak = estimate_bytes(plan)
    network = plan.scene.spec.network
    sources = [plan.flow_weights]
    if network.weights_file is None:
        sources.append(model_spec(network.name, network.weights).weights_source)
    missing = sum(source.megabytes for source in sources if source is not None and not source.is_downloaded)
    free = _free_space(plan.target.parent)
    return Requirements(film, peak, free_bytes=free, download_megabytes=missing, note=mixdown_note(plan))


def check_target(plan: Plan) -> None:
    """Raises StorageError when nothing can be written at the output path, or where a link there points."""
    requested, target = Path(plan.scene.output.path), plan.target
    try:
        if requested.is_symlink():
            requested.resolve()  # for its errors
        folder = nearest_existing(target.parent)
        is_folder, is_blocked = folder.is_dir(), target.exists() and not target.is_file()
        kind = "a folder" if target.is_dir() else "no file"
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None
    check_name_length(plan)
    written = Path(plan.scene.spec.output.path or requested)  # without the folder of a title
    needed = written.parents[MAX_NEW_FOLDERS + plan.format.is_pictures :]
    if needed and not os.path.lexists(needed[0]):
        existing = nearest_existing(needed[0])
        raise StorageError(f"there is no folder {needed[0]}, only {existing}; make it, or --output names another path")
    if target.suffix.lower() != requested.suffix.lower():
        raise StorageError(f"{requested} is a link to {target}, whose name does not end in {requested.suffix}")
    if is_blocked:
        raise StorageError(f"{target} is {kind}, the film cannot be written there")
    if not is_folder:
        raise StorageError(f"cannot write in {folder}: it is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write in {folder}: it is not ours, or read-only; --output names another path")


def check_name_length(plan: Plan) -> None:
    """Raises StorageError when a name of the film's is longer than its disk allows."""
    last = numbered_path(plan.target, plan.frames.stop - 1) if plan.format.is_pictures else plan.target
    size, limit = len(os.fsencode(last.name)), max_name_bytes(plan.target.parent)
    if size > limit:
        raise StorageError(
            f"cannot write {last}: its name has {size} bytes, {limit} are allowed there; --output names another path"
        )


def check_codecs(plan: Plan) -> None:
    """Raises MissingError when there is no ffmpeg, or it cannot encode the film's pictures or its sound.

    Raises StorageError when the sound has channels that the film cannot hold, and that cannot be mixed down.
    """
    ffmpeg.version()  # raises when it is no ffmpeg
    suffix = Path(plan.scene.output.path).suffix.lower()
    ffmpeg.require_encoder(CODECS[plan.format.codec].encoder)
    if plan.audio is not None and not audio.can_copy(plan.audio, suffix):
        ffmpeg.require_encoder(audio.ENCODERS[suffix][0])
        audio.channel_filter(plan.audio.track, suffix)


def mixdown_note(plan: Plan) -> str | None:
    """Says that the film's sound is mixed down, when it is."""
    if plan.audio is None or not audio.is_mixed_down(plan.audio, Path(plan.scene.output.path).suffix.lower()):
        return None
    track = plan.audio.track
    return f"the sound of {track.path} ({track.layout}) is mixed down to stereo"


def check_memory(plan: Plan) -> None:
    """Raises MissingError when a frame does not fit into the memory, not even in tiles."""
    width, height = plan.scene.size
    is_cpu = plan.options.device in ("auto", "cpu") and has_only_cpu()
    needed = (FRAME_BYTES_PER_PIXEL + _lead_in_bytes_per_pixel(plan.scene)) * width * height
    free = free_memory(None if is_cpu else plan.device.torch_device)  # selecting a device imports torch
    if needed > free:
        raise MissingError(
            f"a frame of {width}x{height} takes {format_bytes(needed)} of memory and more, {format_bytes(free)} are "
            "free; --scale 0.5 makes a smaller film"
        )


def _lead_in_bytes_per_pixel(scene: Scene) -> int:
    """Memory of the dreamed frames before the first one of a loop."""
    return LEAD_IN_BYTES_PER_PIXEL * math.ceil(len(scene.spec.lead_in) / scene.spec.dream.cadence)


def check_space(plan: Plan, *, warn: Callable[[str], None]) -> None:
    """Warns when the disk may be too small for the film.

    Raises DiskFullError when it certainly is: when even the saved states, whose size is known, do not fit.
    """
    _, peak = estimate_bytes(plan)
    free = _free_space(plan.folder)
    if free < peak:
        message = (
            f"about {format_bytes(peak)} are needed in {plan.folder} while the film is made, {format_bytes(free)} are "
            "free"
        )
        if free < _states_bytes(plan):
            raise DiskFullError(f"{message}; make room, or --output names another disk")
        warn(message)


def estimate_bytes(plan: Plan) -> tuple[int, int]:
    """Estimates the film's bytes, and the most that is on the disk, just before it is finished.

    Based on the segments in the film's folder, when there are any.
    """
    form, frames, scene = plan.format, len(plan.frames), plan.scene
    width, height = form.size
    segment_frames = scene.output.segment_frames
    scale = 2.0 if form.bit_depth == 16 else 1.0
    if form.crf is not None:
        scale *= 2 ** ((DEFAULT_CRF[form.codec] - form.crf) / CRF_HALVING[form.codec])
    if form.quality is not None:
        scale *= 2 ** ((form.quality - DEFAULT_QUALITY[form.codec]) / QUALITY_DOUBLING)
    segment_bits = SEGMENT_BITS_PER_PIXEL.get(form.codec, BITS_PER_PIXEL[form.codec])
    pictures = frames * width * height * segment_bits / 8 * scale
    if segments := list(plan.folder.glob(f"[0-9][0-9][0-9][0-9][0-9]{form.suffix}")):
        count = max(frames / segment_frames, len(segments))  # there are more where the clip has cuts
        pictures = _total_size(segments) / len(segments) * count
    sound = 0 if plan.audio is None else frames / float(form.fps) * AUDIO_BYTES_PER_SECOND
    film = round((pictures * BITS_PER_PIXEL[form.codec] / segment_bits + sound) * plan.repeat)
    written = 2 * film if form.codec == "gif" else film  # a GIF is written once more with its comment
    return film, written + round(pictures + sound * plan.repeat) + _states_bytes(plan)


def disk_full(plan: Plan) -> DiskFullError:
    """The error for a disk that became full, with how much the rest of the film needs."""
    _, peak = estimate_bytes(plan)
    missing = max(peak - _free_space(plan.folder), _state_bytes(plan.scene))
    return DiskFullError(
        f"the disk of {plan.folder} is full; about {missing} bytes ({format_bytes(missing)}) more are needed there; "
        "make room, then run the same command to resume"
    )


def _states_bytes(plan: Plan) -> int:
    """Bytes of the states that are saved at most."""
    segments = -(-plan.frames.stop // plan.scene.output.segment_frames)
    return min(segments, SPREAD_STATES + LATEST_STATES + 1) * _state_bytes(plan.scene)


def _state_bytes(scene: Scene) -> int:
    """Bytes of the state that is saved with each segment: the canvas, and of a clip its progress."""
    width, height = scene.size
    return BYTES_PER_VALUE * (3 if scene.clip is None else 4) * width * height


def _total_size(files: Iterable[Path]) -> int:
    """Bytes of files, some of which may be deleted meanwhile; links count for nothing."""
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            status = file.lstat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def _free_space(folder: Path) -> int:
    """Bytes that a film may use: what is free, and what its folder holds already."""
    try:
        own = _total_size(folder.iterdir()) if folder.is_dir() else 0
        return shutil.disk_usage(nearest_existing(folder)).free + own
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
