"""A tour of thirty classes on efficientnet_lite0, each named at the end of its turn by efficientnet_lite2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from render import Options, frames, load
from render.analysis.contact_sheet import Cell, cell, save_sheet
from render.models.network import load_network
from scripts.transfer import JUDGE, logits

CLASSES = range(21, 1000, 33)
"""Thirty indices of ImageNet, evenly spaced rather than chosen."""
TURN_FRAMES = 48
"""Two seconds: the frames of each class, of which the last ones fade to the next."""
MIN_NAMED = 24
SIDE = 256


def main() -> None:
    """Dreams, classifies and prints; exits with status 1 if too few classes are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write the end of each turn as a labelled sheet")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    names = [judge.classes[index] for index in CLASSES]
    scene = load(
        {
            "size": [SIDE, SIDE],
            "duration": len(names) * TURN_FRAMES,
            "objectives": [{"tour": "classes", "classes": names, "hold": 36, "fade": 12}],
        }
    )
    cells: list[Cell] = []
    correct = 0
    for index, frame in frames(scene, Options(device="cpu")):
        turn, position = divmod(index, TURN_FRAMES)
        if position != 36:  # the last frame at which the class has the whole weight
            continue
        scores = logits(judge, frame).softmax(0)
        top = judge.classes[int(scores.argmax())]
        probability = float(scores[judge.classes.index(names[turn])])
        correct += top == names[turn]
        print(f"{names[turn]:<28}{top:<28}{probability:>8.2f}", flush=True)
        cells.append(cell(frame, names[turn]))
    if options.sheet is not None:
        save_sheet(cells, options.sheet, columns=6)
    print(f"{correct} of {len(names)} named")
    sys.exit(correct < MIN_NAMED)


if __name__ == "__main__":
    main()
