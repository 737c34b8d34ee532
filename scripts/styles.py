"""The style pictures in configs/styles: brush strokes, a mosaic and an engraving, drawn from random numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FOLDER = Path("configs/styles")
SIDE = 512
Picture = NDArray[np.uint8]
Field = NDArray[np.float64]

NIGHT = ("0b1d51", "1f3c88", "3f6fb5", "8fb8de", "f4d35e", "f2a541", "e8ebe4", "14213d")
EARTH = ("b5442c", "e3a857", "f3e3c3", "3d5a5c", "1e2a38", "7c9a92", "d97b4f", "8c2f39")
INK = ("17202a", "f5efe0")


def main() -> None:
    """Draws every style at its path."""
    FOLDER.mkdir(exist_ok=True)
    for name, picture in (("strokes", strokes()), ("mosaic", mosaic()), ("engraving", engraving())):
        cv2.imwrite(str(FOLDER / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])


def strokes(seed: int = 1, count: int = 9000) -> Picture:
    """Short strokes of thick paint along the swirls of a smooth field, long strokes first, small bright ones last."""
    random = np.random.default_rng(seed)
    field = smooth(seed, 96)
    angle = np.arctan2(-np.gradient(field, axis=1), np.gradient(field, axis=0))
    tone = smooth(seed + 1, 80)
    canvas = np.full((SIDE, SIDE, 3), color(NIGHT[0]), np.uint8)
    for i in range(count):
        x, y = random.uniform(0, SIDE, 2)
        width = int(9 - 6 * i / count) + 1
        shade = tone[int(y), int(x)] * (len(NIGHT) - 1) + random.normal(0, 0.7)
        points = follow(angle, x, y, length=int(random.uniform(14, 40)))
        paint = color(NIGHT[int(np.clip(round(shade), 0, len(NIGHT) - 1))]) + random.normal(0, 9, 3)
        cv2.polylines(canvas, [points], False, paint.clip(0, 255).tolist(), width, cv2.LINE_AA)
        ridge = (paint + 26).clip(0, 255).tolist()
        cv2.polylines(canvas, [points - 1], False, ridge, max(1, width // 4), cv2.LINE_AA)
    return canvas


def mosaic(seed: int = 2, count: int = 2200) -> Picture:
    """Tiles of stone in rows along the contours of a smooth field, with dark joints."""
    random = np.random.default_rng(seed)
    field = smooth(seed, 110)
    angle = np.arctan2(np.gradient(field, axis=0), np.gradient(field, axis=1))
    canvas = np.full((SIDE, SIDE, 3), color("2b2622"), np.uint8)
    side = int(np.sqrt(SIDE * SIDE / count))
    for y in range(side // 2, SIDE + side, side):
        for x in range(side // 2, SIDE + side, side):
            row, column = min(y, SIDE - 1), min(x, SIDE - 1)
            turn = float(np.degrees(angle[row, column])) + random.normal(0, 6)
            band = int(field[row, column] * 9) % len(EARTH)
            paint = color(EARTH[band]) + random.normal(0, 12, 3)
            size = (side * random.uniform(0.78, 0.92), side * random.uniform(0.78, 0.92))
            corners = cv2.boxPoints(((float(x), float(y)), size, turn)).astype(np.int32)
            cv2.fillConvexPoly(canvas, corners, paint.clip(0, 255).tolist(), cv2.LINE_AA)
            cv2.line(canvas, corners[0], corners[1], (paint + 30).clip(0, 255).tolist(), 1, cv2.LINE_AA)
    return canvas


def engraving(seed: int = 3) -> Picture:
    """Lines of ink that swell with the tone of a smooth field, crossed where it is dark."""
    tone = smooth(seed, 90)
    bend = smooth(seed + 1, 140) * 60
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    canvas = np.full((SIDE, SIDE), 1.0)
    for turn, dark in ((25, 0.0), (-55, 0.35), (80, 0.6)):
        phase = (x * np.cos(np.radians(turn)) + y * np.sin(np.radians(turn)) + bend) / 6.5
        line = np.abs((phase % 1) - 0.5) * 2
        canvas = np.minimum(canvas, np.clip((line - np.clip(1.1 * (tone - dark), 0, 0.9)) * 6, 0, 1))
    ink, paper = color(INK[0]), color(INK[1])
    grain = np.random.default_rng(seed).normal(0, 4, (SIDE, SIDE, 1))
    return np.asarray((ink + (paper - ink) * canvas[..., None] + grain).clip(0, 255), np.uint8)


def smooth(seed: int, grain: float) -> Field:
    """Smooth random values from 0 to 1, with details of `grain` pixels and of half of that."""
    random = np.random.default_rng(seed)
    total = np.zeros((SIDE, SIDE))
    for octave in range(2):
        layer = cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE)), (0, 0), grain / 2 / 2**octave)
        total += layer / layer.std() / 2**octave
    ranks = total.argsort(None).argsort().reshape(total.shape)
    return np.asarray(ranks / ranks.max())


def follow(angle: Field, x: float, y: float, *, length: int) -> NDArray[np.int32]:
    """Returns the points of a line along a field of directions, in pixels."""
    points = []
    for _ in range(length):
        row, column = int(np.clip(y, 0, SIDE - 1)), int(np.clip(x, 0, SIDE - 1))
        points.append((round(x), round(y)))
        x, y = x + np.cos(angle[row, column]), y + np.sin(angle[row, column])
    return np.array(points, np.int32)


def color(code: str) -> NDArray[np.float64]:
    """Returns the blue, green and red, 0 to 255, of a code such as `0b1d51`."""
    return np.array([int(code[i : i + 2], 16) for i in (4, 2, 0)], float)


if __name__ == "__main__":
    main()
