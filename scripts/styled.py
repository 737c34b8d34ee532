"""Six photos in six styles by configs/paint.yaml, and how near efficientnet_lite2 finds them to the styles.

The distance is that of lite2's own moments, over the first half of its batch norms, to those of the style, relative to
the untouched photo's. A content is legible if the class that lite2 gives the photo is among the first five afterwards.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import skimage
import torch
import torch.nn.functional as F
from torch import Tensor

from render import Options, frames, load
from render.analysis.contact_sheet import Cell, cell, save_sheet
from render.dream.statistics import ChannelTarget, statistics
from render.dream.transforms import Transform
from render.media.image import image_size, load_fitted
from render.models.network import Network, load_network
from render.models.registry import layer_map
from scripts.transfer import JUDGE, logits

PHOTOS = Path(skimage.__file__).parent / "data"
STYLES = Path("configs/styles")
PAIRS = (
    (PHOTOS / "chelsea.png", STYLES / "strokes.jpg"),
    (PHOTOS / "coffee.png", STYLES / "mosaic.jpg"),
    (PHOTOS / "motorcycle_left.png", STYLES / "engraving.jpg"),
    (PHOTOS / "chelsea.png", PHOTOS / "ihc.png"),
    (PHOTOS / "coffee.png", PHOTOS / "gravel.png"),
    (PHOTOS / "motorcycle_left.png", PHOTOS / "brick.png"),
)
SIDE = 384
MAX_RATIO = 0.35


def main() -> None:
    """Paints, measures and prints; exits with status 1 if a style is too far, or a content is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write the pictures as a labelled sheet")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    cells: list[Cell] = []
    is_good = True
    print(f"{'photo':<18}{'style':<12}{'distance':>9}  {'class of the photo':<24}{'rank':>5}")
    for content, style in PAIRS:
        untouched, painted = load_fitted(content, SIDE), paint(content, style)
        ratio = distance(judge, painted, style) / distance(judge, untouched, style)
        top = int(logits(judge, untouched).argmax())
        scores = logits(judge, painted)
        rank = int((scores > scores[top]).sum()) + 1
        is_good &= ratio <= MAX_RATIO and rank <= 5
        print(f"{content.stem:<18}{style.stem:<12}{ratio:>9.2f}  {judge.classes[top]:<24}{rank:>5}", flush=True)
        cells += [
            cell(F.interpolate(load_fitted(style, SIDE), untouched.shape[2:]), style.stem),
            cell(painted, content.stem),
        ]
    if options.sheet is not None:
        save_sheet(cells, options.sheet, columns=4)
    sys.exit(not is_good)


def paint(content: Path, style: Path) -> Tensor:
    """Returns what configs/paint.yaml makes of a photo."""
    sets = [("source.image", f'"{content}"'), ("objectives.0.style", f'"{style.resolve()}"')]
    scene = load("configs/paint.yaml", [("--set", *each) for each in sets], scale=SIDE / max(image_size(content)))
    ((_, picture),) = frames(scene, Options(device="cpu"))
    return picture


def distance(judge: Network, picture: Tensor, style: Path) -> float:
    """Returns the distance of the judge's moments for a picture to those for a style."""
    norms = layer_map(judge.name).norms
    norms = norms[: len(norms) // 2]
    with torch.no_grad():
        of_style = judge.activations(load_fitted(style, SIDE), norms)
        targets = {name: ChannelTarget.of(of_style[name]) for name in norms}
        return -float(
            statistics(targets)(judge.activations(picture, norms), Transform((picture.shape[2], picture.shape[3])))
        )


if __name__ == "__main__":
    main()
