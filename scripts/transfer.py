"""Classes drawn by configs/class.yaml on efficientnet_lite0, and classified by efficientnet_lite2."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from render import Options, frames, load
from render.analysis.contact_sheet import Cell, cell, save_sheet
from render.models.network import Network, load_network
from render.models.registry import model_spec

BLOG_CLASSES = (
    "hartebeest",
    "measuring cup",
    "ant",
    "starfish",
    "anemone fish",
    "banana",
    "parachute",
    "screw",
    "dumbbell",
)
"""The classes that Mordvintsev, Olah & Tyka drew in "Inceptionism", 2015."""
OTHER_CLASSES = range(16, 1000, 33)
"""Thirty indices of ImageNet, evenly spaced rather than chosen."""
MIN_BLOG, MIN_OTHERS = 8, 27
"""Correct classes below which the script fails."""
JUDGE = "efficientnet_lite2"


def main() -> None:
    """Draws, classifies and prints; exits with status 1 if too few classes are correct."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blog", action="store_true", help="only the nine classes of the blog")
    parser.add_argument("--sheet", type=Path, help="write the nine as a labelled sheet")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    correct = compare(BLOG_CLASSES, judge, title="the blog's classes", sheet=options.sheet)
    is_enough = correct >= MIN_BLOG
    if not options.blog:
        others = [judge.classes[index] for index in OTHER_CLASSES]
        is_enough &= compare(others, judge, title="every 33rd class") >= MIN_OTHERS
    sys.exit(not is_enough)


def compare(names: Sequence[str], judge: Network, *, title: str, sheet: Path | None = None) -> int:
    """Draws each class and prints how the judge classifies it; returns how many it classifies correctly."""
    print(f"{'drawn':<28}{'by ' + JUDGE:<28}{'probability':>12}{'rank':>6}{'seconds':>9}")
    cells: list[Cell] = []
    ranks = []
    for name in names:
        start = time.perf_counter()
        picture = draw(name)
        seconds = time.perf_counter() - start
        scores = logits(judge, picture)
        index = judge.classes.index(name)
        ranks.append(int((scores > scores[index]).sum()) + 1)
        top = judge.classes[int(scores.argmax())]
        print(f"{name:<28}{top:<28}{float(scores.softmax(0)[index]):>12.2f}{ranks[-1]:>6}{seconds:>9.1f}", flush=True)
        cells.append(cell(picture, name))
    if sheet is not None:
        save_sheet(cells, sheet, columns=3)
    first, five = sum(rank == 1 for rank in ranks), sum(rank <= 5 for rank in ranks)
    print(f"{title}: {first} of {len(ranks)} correct, {five} among the first five\n")
    return first


def draw(name: str) -> Tensor:
    """Returns the picture that configs/class.yaml makes of a class."""
    scene = load("configs/class.yaml", [("--set", "objectives", f"[{{class: {name!r}}}]")])
    ((_, picture),) = frames(scene, Options(device="cpu"))
    return picture


def logits(judge: Network, picture: Tensor) -> Tensor:
    """Returns the judge's logits of a picture, resized to the size that the judge was trained on."""
    side = model_spec(judge.name).input_side
    resized = F.interpolate(picture, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        return judge.activations(resized, [judge.logits])[judge.logits][0]


if __name__ == "__main__":
    main()
