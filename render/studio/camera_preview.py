"""The whole film with its camera only, as a small MP4 within two seconds: no network, and no torch.

Each frame shows the first one, or the clip's, where the camera has moved it by then; a grid appears where that has
nothing more to show. What the film's border brings in is that of the picture, moved at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from render.choices import Border
from render.dream.chroma import chroma_matrix
from render.film.atomic import storage_errors, unflushed_path
from render.film.encoder import BT709
from render.media import ffmpeg
from render.media.clip import clip_arrays
from render.media.image import load_array
from render.media.image_color import srgb_decode, srgb_encode
from render.motion.camera import Move, compose_moves, inverse_affine
from render.pipeline.camera import camera_path
from render.pipeline.scene import Scene
from render.scene.params import FinishParams
from render.studio.grid import Coordinate, Pixels, coordinates, draw_grid, empty_picture, magnification_of

if TYPE_CHECKING:
    from render.motion.warp import Affine

SIDE = 256
"""Pixels of the preview's longer side, at most."""
STILL_SIDE = 1024
"""Pixels of the longer side of a still, which the camera may come closer to."""
MAX_FRAMES = 300
"""Of a preview; of a longer film it has every second frame, every third, …"""
CLIP_SECONDS = 1.0
"""In which a clip is decoded; from then on its last picture stays."""
GRID_FROM, GRID_TO, GRID_OPACITY = 2.0, 3.0, 0.6
"""Octaves of magnification or minification from which on the grid appears over a still, and its opacity there."""
ENCODING = (
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "fastdecode", "-crf", "20", "-g", "12", "-threads", "2",
    "-movflags", "+faststart", "-f", "mp4",
)  # fmt: skip


@dataclass(frozen=True)
class CameraFilm:
    """A preview: its size (width, height), and the film's frames in it, each `step`-th at `fps`."""

    path: Path
    size: tuple[int, int]
    frames: int
    step: int
    fps: Fraction


def camera_film(scene: Scene, still: Path | None, target: Path, *, on_grid: bool = False) -> CameraFilm:
    """Writes the film of a scene's camera as an MP4.

    It shows the picture `still`, by default the scene's own picture or clip, or a grid where it has none. Raises
    StorageError when something cannot be read or written, MissingError without an ffmpeg.
    """
    size = preview_size(scene.size)
    step = -(-scene.length // MAX_FRAMES)
    indices = range(0, scene.length, step)
    fps = scene.fps / step
    background = _background(scene, still, size=size, on_grid=on_grid)
    with storage_errors(target), unflushed_path(target) as file, ffmpeg.Writer(_arguments(size, fps, file)) as writer:
        for picture in _pictures(scene, size, background=background, step=step):
            writer.write(picture.data.cast("B"))
        writer.finish()
    return CameraFilm(target, size, len(indices), step=step, fps=fps)


def preview_size(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """Returns the (width, height), both even, of a preview with about `side` pixels on its longer side."""
    scale = min(1.0, side / max(size))
    width, height = (max(2, round(each * scale / 2) * 2) for each in size)
    return width, height


@dataclass(frozen=True)
class View:
    """What a frame shows; `reads` leads from its pixels to those of the first frame."""

    index: int
    reads: Affine


Background = Callable[[View], Pixels]
"""Draws what a view shows, HxWx3."""


def _pictures(scene: Scene, size: tuple[int, int], *, background: Background, step: int) -> Iterator[Pixels]:
    """Yields every `step`-th frame, HxWx3, with what is done to finished frames."""
    path = replace(camera_path(scene), size=size)
    for index, camera in enumerate(islice(path.from_start(), scene.length)):
        if index % step == 0:
            finish = scene.params(index).finish
            view = compose_moves([Move(**finish.view._asdict())], size)
            yield np.ascontiguousarray(_colored(background(View(index, inverse_affine(view @ camera))), finish))


def _background(scene: Scene, still: Path | None, *, size: tuple[int, int], on_grid: bool) -> Background:
    border = scene.spec.camera.border
    still = still or scene.paths.get(("source", "image"))
    if not on_grid and still is not None:
        return _Still(still, size, border).draw
    if not on_grid and scene.clip is not None:
        return _Footage(scene, size, border).draw
    empty = empty_picture(size)
    return lambda view: draw_grid(empty, view.reads)


class _Still:
    """A picture in sizes that halve, so that it can be seen from afar and from near."""

    def __init__(self, path: Path, size: tuple[int, int], border: Border) -> None:
        self._size, self._border = size, border
        self._factor = max(1, STILL_SIDE // max(size))
        level = _bytes(load_array(path, (size[0] * self._factor, size[1] * self._factor)))
        self._levels = [level]
        while min(level.shape[:2]) >= 4:
            half = level.shape[1] // 2, level.shape[0] // 2
            level = cv2.resize(level, half, interpolation=cv2.INTER_AREA).astype(np.uint8)
            self._levels.append(level)

    def draw(self, view: View) -> Pixels:
        """Returns what a view shows."""
        octaves = math.log2(magnification_of(view.reads))
        number = round(math.log2(self._factor) - octaves)
        level = self._levels[min(max(number, 0), len(self._levels) - 1)]
        picture = _read(level, view.reads, size=self._size, border=self._border)
        strength = min(max((abs(octaves) - GRID_FROM) / (GRID_TO - GRID_FROM), 0.0), 1.0)
        return draw_grid(picture, view.reads, opacity=GRID_OPACITY * strength) if strength > 0 else picture


class _Footage:
    """A scene's clip, decoded as its frames are drawn."""

    def __init__(self, scene: Scene, size: tuple[int, int], border: Border) -> None:
        assert scene.clip is not None
        self._size, self._border = size, border
        fit, frames = scene.spec.source.fit or "cover", range(scene.length)
        self._frames = enumerate(
            clip_arrays(scene.clip, size, fps=scene.fps, frames=frames, fit=fit, start=scene.spec.start)
        )
        self._picture = np.zeros((size[1], size[0], 3), np.uint8)
        self._last = -1
        self._until = time.monotonic() + CLIP_SECONDS

    def draw(self, view: View) -> Pixels:
        """Returns what a view shows; views come in the order of their frames."""
        frame = None
        while self._last < view.index and (self._last < 0 or time.monotonic() < self._until):
            self._last, frame = next(self._frames)
        if frame is not None:
            self._picture = _bytes(frame)
        return _read(self._picture, view.reads, size=self._size, border=self._border)


def _read(level: Pixels, reads: Affine, *, size: tuple[int, int], border: Border) -> Pixels:
    """Reads a picture of any size, which is the first frame's, at the places of each pixel."""
    places = [_folded(each, side, border) for each, side in zip(coordinates(reads, size), size, strict=True)]
    factors = [np.float32(pixels / side) for pixels, side in zip(level.shape[1::-1], size, strict=True)]
    x, y = ((place + 0.5) * factor - 0.5 for place, factor in zip(places, factors, strict=True))
    mode = cv2.BORDER_CONSTANT if border == "black" else cv2.BORDER_REPLICATE
    return cv2.remap(level, x, y, cv2.INTER_LINEAR, borderMode=mode).astype(np.uint8, copy=False)


def _folded(place: Coordinate, side: int, border: Border) -> Coordinate:
    """Returns equivalent places within the picture, as a film's border has them; of a black one just outside."""
    if border in ("wrap", "mirror") and (place.min() < 0 or place.max() > side - 1):
        period = np.float32(side if border == "wrap" else max(2 * side - 2, 1))
        place = place - period * np.floor(place / period)
        return place if border == "wrap" else np.minimum(place, period - place)
    return np.clip(place, -2, side + 1)


def _colored(picture: Pixels, finish: FinishParams) -> Pixels:
    """Returns a picture with a frame's exposure, saturation and hue."""
    if finish.exposure != 0:
        levels = np.linspace(0, 1, 256).astype(np.float32)
        table = _bytes(srgb_encode(srgb_decode(levels) * np.float32(2.0**finish.exposure)))
        picture = cv2.LUT(picture, table).astype(np.uint8)
    if finish.saturation != 1 or finish.hue % 360 != 0:
        matrix = np.array(chroma_matrix(finish.saturation, finish.hue))
        picture = cv2.transform(picture, matrix).astype(np.uint8)
    return picture


def _bytes(values: NDArray[np.float32]) -> Pixels:
    pixels: Pixels = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _arguments(size: tuple[int, int], fps: Fraction, target: Path) -> list[str]:
    return [
        *ffmpeg.QUIET, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-",
        "-vf", BT709.format(pixels="yuv420p"), *ENCODING, str(target.absolute()),
    ]  # fmt: skip
