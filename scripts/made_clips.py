"""Clips made of scikit-image's photos, with motion that is hard to follow: water, rain, a hand, a crowd."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = (192, 144)
NOISE = 1.5
"""Standard deviation of a camera's noise, of 255."""
STREET = "stereo_motorcycle"

Picture = NDArray[np.float32]
"""HxWx3, 0 to 255."""
Scene = Callable[[int, np.random.Generator], Iterator[Picture]]
"""From a number of frames and random numbers to a clip."""


def made_clip(name: str, count: int) -> list[Tensor]:
    """Returns the frames of one of MADE_CLIPS, 1x3xHxW in [0, 1] in steps of 1/255."""
    random = np.random.default_rng(0)
    return [as_frame(picture + random.normal(0, NOISE, picture.shape)) for picture in MADE_CLIPS[name](count, random)]


def uncovered_clip(count: int, covered: int) -> list[Tensor]:
    """Returns the frames of a still photo, whose right half another photo covers in the first `covered` ones."""
    random = np.random.default_rng(0)
    ground, covering = photo("astronaut"), photo("astronaut")
    covering[:, SIZE[0] // 2 :] = photo("chelsea", (SIZE[0] // 2, SIZE[1]))
    pictures = (covering if index < covered else ground for index in range(count))
    return [as_frame(picture + random.normal(0, NOISE, picture.shape)) for picture in pictures]


def as_frame(picture: NDArray[np.floating]) -> Tensor:
    """A picture in 8 bits, as a frame."""
    levels = np.clip(np.rint(picture), 0, 255).astype(np.float32) / 255
    return torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0).contiguous()


def photo(name: str, size: tuple[int, int] = SIZE) -> Picture:
    """A photo of scikit-image's, the first where it is a pair, at a size (width, height)."""
    picture = getattr(skimage.data, name)()
    picture = picture[0] if isinstance(picture, tuple) else picture
    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


class Waves:
    """Waves of deep water that travel in all directions, over a grid of SIZE; their slopes, (right, down)."""

    def __init__(self, random: np.random.Generator, *, steepness: float) -> None:
        self.columns, self.rows = (axis.astype(np.float32) for axis in np.meshgrid(*map(np.arange, SIZE)))
        self._steepness = steepness
        self._waves = np.stack([random.uniform(9, 36, 12), *random.uniform(0, 2 * np.pi, (2, 12))], -1)

    def slopes(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The slopes at a frame."""
        x, y = np.zeros_like(self.columns), np.zeros_like(self.columns)
        for length, angle, phase in self._waves:
            number = 2 * np.pi / length
            across = np.cos(angle) * self.columns + np.sin(angle) * self.rows
            slope = self._steepness * np.cos(number * across - 0.9 * np.sqrt(number) * frame + phase)
            x += (np.cos(angle) * slope).astype(np.float32)
            y += (np.sin(angle) * slope).astype(np.float32)
        return x, y


def shallows(count: int, random: np.random.Generator) -> Iterator[Picture]:
    """Gravel below clear water, whose waves bend it, shade it and glitter; above it the still bank."""
    height = SIZE[1]
    bed, bank = photo("gravel") * np.array([0.45, 0.7, 0.75], np.float32), photo("coffee")
    waves = Waves(random, steepness=0.13)
    for frame in range(count):
        x, y = waves.slopes(frame)
        picture = cv2.remap(bed, waves.columns + 4 * x, waves.rows + 4 * y, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        picture = picture * (1 + 0.5 * x)[..., None] + (400 * np.clip(x + y - 0.8, 0, 1))[..., None]
        picture[: height // 3] = bank[: height // 3]
        yield picture


def lake(count: int, random: np.random.Generator) -> Iterator[Picture]:
    """A yard at a lake, whose waves reflect it and the light."""
    yard = photo(STREET)
    shore = SIZE[1] // 2
    waves = Waves(random, steepness=0.05)
    for frame in range(count):
        x, y = waves.slopes(frame)
        columns, rows = waves.columns + 12 * x, 2 * shore - waves.rows + 25 * y
        picture = 0.75 * cv2.remap(yard, columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        picture = picture + (600 * np.clip(x + y - 0.25, 0, 1))[..., None] * np.array([0.9, 0.95, 1], np.float32)
        picture[:shore] = yard[:shore]
        yield picture


def rain(count: int, random: np.random.Generator) -> Iterator[Picture]:
    """Rain in front of a still yard: bright streaks, new ones in every frame."""
    width, height = SIZE
    yard = photo(STREET)
    for _ in range(count):
        streaks = np.zeros((height, width), np.float32)
        for x, y, length in zip(
            random.uniform(0, width, 90), random.uniform(-8, height, 90), random.uniform(5, 14, 90), strict=True
        ):
            start, end = (round(8 * x), round(8 * y)), (round(8 * (x - 0.15 * length)), round(8 * (y + length)))
            cv2.line(streaks, start, end, 0.35, 1, cv2.LINE_AA, 3)
        yield yard + streaks[..., None] * (230 - yard)


def handheld(count: int, random: np.random.Generator) -> Iterator[Picture]:
    """A pan over a photo by a hand that shakes."""
    large = photo("astronaut", (400, 400))
    shake = np.cumsum(random.normal(0, 1, (count, 3)), axis=0)
    shake -= np.linspace(0, 1, count)[:, None] * shake[-1]
    for frame in range(count):
        x, y = 40 + 2.5 * frame + 0.9 * shake[frame, 0], 90 + 0.9 * shake[frame, 1]
        turn = np.radians(0.35 * shake[frame, 2])
        cosine, sine = np.cos(turn), np.sin(turn)
        matrix = np.array([[cosine, -sine, x], [sine, cosine, y]], np.float32)
        shaken = cv2.warpAffine(large, matrix, SIZE, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        yield np.asarray(shaken, np.float32)


def crowd(count: int, random: np.random.Generator) -> Iterator[Picture]:
    """Many small textured ovals that walk before a still photo, and one another."""
    width, height = SIZE
    ground, texture = photo("chelsea"), photo("astronaut", (256, 256))
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = random.uniform((0, 20), (width, height), (36, 2))
    speeds = random.choice((-1, 1), 36) * random.uniform(0.7, 3.5, 36)
    corners = random.integers(0, 256 - 24, (36, 2))
    for frame in range(count):
        picture = ground.copy()
        for (x, y), speed, (left, top) in zip(places, speeds, corners, strict=True):
            centre_x = (x + speed * frame + 12) % (width + 24) - 12
            centre_y = y + 1.2 * np.sin(0.8 * frame + x)
            shape = ((columns - centre_x) / 5) ** 2 + ((rows - centre_y) / 9) ** 2
            opacity = np.clip(3 * (1.2 - shape), 0, 1)[..., None]
            map_x = np.asarray(columns - centre_x + left + 12, np.float32)
            map_y = np.asarray(rows - centre_y + top + 12, np.float32)
            walker = cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR)
            picture += opacity * (walker - picture)
        yield picture


MADE_CLIPS: dict[str, Scene] = {"shallows": shallows, "lake": lake, "rain": rain, "handheld": handheld, "crowd": crowd}
