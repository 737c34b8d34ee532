"""Classes drawn by configs/class.yaml on efficientnet_lite0, and classified by efficientnet_lite2."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
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
OTHER_CLASSES = range(16, 976, 16)
"""Sixty indices of ImageNet, evenly spaced rather than chosen."""
MIN_PROBABILITY = 0.8
"""Mean probability of the classes below which the script fails."""
JUDGE = "efficientnet_lite2"


def main() -> None:
    """Draws, classifies and prints; exits with status 1 if the mean probability is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blog", action="store_true", help="only the nine classes of the blog")
    parser.add_argument("--sheet", type=Path, help="write all pictures as a labelled sheet")
    parser.add_argument("--pictures", type=Path, help="write each picture into this folder")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    others = () if options.blog else (judge.classes[index] for index in OTHER_CLASSES)
    cells: list[Cell] = []
    probabilities: list[float] = []
    correct = 0
    print(f"{'drawn':<28}{'by ' + JUDGE:<28}{'probability':>12}{'seconds':>9}")
    for number, name in enumerate((*BLOG_CLASSES, *others)):
        start = time.perf_counter()
        picture = draw(name)
        seconds = time.perf_counter() - start
        scores = logits(judge, picture).softmax(0)
        top = judge.classes[int(scores.argmax())]
        probabilities.append(float(scores[judge.classes.index(name)]))
        correct += top == name
        print(f"{name:<28}{top:<28}{probabilities[-1]:>12.2f}{seconds:>9.1f}", flush=True)
        cells.append(cell(picture, name))
        if options.pictures is not None:
            pixels = (255 * picture[0].permute(1, 2, 0)).round().byte().numpy()
            cv2.imwrite(str(options.pictures / f"{number:02}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if options.sheet is not None:
        save_sheet(cells, options.sheet, columns=3 if options.blog else 10)
    mean = sum(probabilities) / len(probabilities)
    print(f"{correct} of {len(cells)} named, mean probability {mean:.2f}")
    sys.exit(mean < MIN_PROBABILITY)


def draw(name: str) -> Tensor:
    """Returns the picture that configs/class.yaml makes of a class."""
    scene = load("configs/class.yaml", [("--set", "size", "[256, 256]"), ("--set", "objectives.0.class", repr(name))])
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
