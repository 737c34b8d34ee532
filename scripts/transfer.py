"""Are classes really drawn? Made by configs/class.yaml on efficientnet_lite0, judged by efficientnet_lite2."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from render import load, loop, machine
from render.api import network
from render.dream import networks, registry
from render.dream.networks import Network
from render.sheet import Cell, cell, save

BLOG = (
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
OTHERS = range(16, 1000, 33)
"""Thirty indices of ImageNet, evenly spread and not chosen."""
ENOUGH_OF_BLOG, ENOUGH_OF_OTHERS = 8, 27
"""With fewer the script fails."""
JUDGE = "efficientnet_lite2"


def main() -> None:
    """Draws, judges, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blog", action="store_true", help="only the nine classes of the blog")
    parser.add_argument("--sheet", type=Path, help="write the nine as a labelled sheet")
    options = parser.parse_args()
    judge = networks.load(JUDGE)
    right = compare("the blog's classes", BLOG, judge, options.sheet)
    enough = right >= ENOUGH_OF_BLOG
    if not options.blog:
        enough &= compare("every 33rd class", [judge.classes[index] for index in OTHERS], judge) >= ENOUGH_OF_OTHERS
    sys.exit(not enough)


def compare(title: str, names: tuple[str, ...] | list[str], judge: Network, sheet: Path | None = None) -> int:
    """Draws each class and prints what the judge sees in it; how many it sees first of all."""
    print(f"{'drawn':<28}{JUDGE + ' sees':<28}{'probability':>12}{'rank':>6}{'seconds':>9}")
    cells: list[Cell] = []
    ranks = []
    for name in names:
        begun = time.perf_counter()
        picture = drawn(name)
        seconds = time.perf_counter() - begun
        scores = seen(judge, picture)
        index = judge.classes.index(name)
        ranks.append(int((scores > scores[index]).sum()) + 1)
        top = judge.classes[int(scores.argmax())]
        print(f"{name:<28}{top:<28}{float(scores.softmax(0)[index]):>12.2f}{ranks[-1]:>6}{seconds:>9.1f}", flush=True)
        cells.append(cell(picture, name))
    if sheet is not None:
        save(cells, sheet, columns=3)
    first, five = sum(rank == 1 for rank in ranks), sum(rank <= 5 for rank in ranks)
    print(f"{title}: right {first} of {len(ranks)}, among the first five {five}\n")
    return first


def drawn(name: str) -> Tensor:
    """The picture that configs/class.yaml makes of a class."""
    scene = load("configs/class.yaml", [("--set", "layers", f"[{{class: {name!r}}}]")])
    _, picture, _ = next(loop.frames(scene, network(scene, machine.choose("cpu"))))
    return picture


def seen(judge: Network, picture: Tensor) -> Tensor:
    """The judge's logits for a picture, at the size it was trained on."""
    side = registry.blueprint(judge.name).side
    resized = F.interpolate(picture, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        return judge.activations(resized, [judge.logits])[judge.logits][0]


if __name__ == "__main__":
    main()
