"""Six photos in six styles by configs/paint.yaml, and how near efficientnet_lite2 finds them to the styles.

The distance is that of lite2's own moments, over the first half of its batch norms, to those of the style, relative to
the untouched photo's. A content is legible if the class that lite2 gives the photo is among the first five afterwards.
With --footage, clips in a style by configs/stylize.yaml, beside each of their frames alone: the same distance, and
E_warp beyond that of the clip itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import skimage
import torch
import torch.nn.functional as F
from torch import Tensor

from render import Options, frames, load
from render.analysis.contact_sheet import Cell, cell, save_sheet
from render.analysis.metrics import Metrics
from render.dream.statistics import ChannelTarget, statistics
from render.dream.transforms import Transform
from render.media.image import image_size, load_fitted
from render.models.network import Network, load_network
from render.models.registry import layer_map
from scripts.made_clips import MADE_CLIPS
from scripts.steady import REAL_CLIPS, Footage, load_footage, pixels
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
CLIP_FRAMES = 24
SETTLED = 8
"""Frames of a clip that are not counted."""
MAX_SHARE = 0.2
"""E_warp in a style, relative to that of each frame alone, both beyond the clip's."""


def main() -> None:
    """Paints, measures and prints; exits with status 1 if a style is too far, a content is lost, or a film flickers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write the pictures as a labelled sheet")
    parser.add_argument("--footage", action="store_true", help="clips instead of photos")
    options = parser.parse_args()
    judge = load_network(JUDGE)
    cells: list[Cell] = []
    is_good = footage(judge, cells) if options.footage else photos(judge, cells)
    if options.sheet is not None:
        save_sheet(cells, options.sheet, columns=4)
    sys.exit(not is_good)


def photos(judge: Network, cells: list[Cell]) -> bool:
    """Prints a row for each of PAIRS, adds it to a sheet, and returns whether all are good."""
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
    return is_good


def footage(judge: Network, cells: list[Cell]) -> bool:
    """Prints a row for each clip of scripts/steady, adds it to a sheet, and returns whether all are good."""
    is_good = True
    style = STYLES / "strokes.jpg"
    columns = f"{'clip':<18}{'distance alone':>15}{'followed':>10}"
    print(f"{columns}{'E_warp of clip':>16}{'alone':>10}{'followed':>10}{'share':>8}")
    for name in (*REAL_CLIPS, *MADE_CLIPS):
        clip = load_footage(name, CLIP_FRAMES)
        with TemporaryDirectory() as folder:
            for i, frame in enumerate(clip.frames):
                cv2.imwrite(f"{folder}/{i:04}.png", np.rint(255 * pixels(frame)[..., ::-1]).astype(np.uint8))
            alone = stylized(folder, [("follow.persistence", "0"), ("dream.steps", "20")])
            followed = stylized(folder, [])
        own, of_alone, of_followed = (e_warp(each, clip) for each in (clip.frames, alone, followed))
        untouched = distance(judge, clip.frames[-1], style)
        ratios = [distance(judge, each[-1], style) / untouched for each in (alone, followed)]
        share = (of_followed - own) / (of_alone - own)
        is_good &= share <= MAX_SHARE
        values = f"{own:>16.5f}{of_alone:>10.5f}{of_followed:>10.5f}{share:>8.1%}"
        print(f"{name:<18}{ratios[0]:>15.2f}{ratios[1]:>10.2f}{values}", flush=True)
        cells += [cell(clip.frames[-1], name), cell(followed[-1], "followed")]
    return is_good


def stylized(folder: str, sets: list[tuple[str, str]]) -> list[Tensor]:
    """Returns the frames that configs/stylize.yaml makes of a folder of pictures."""
    scene = load("configs/stylize.yaml", [("--set", *each) for each in (("source.video", f"{folder}/%04d.png"), *sets)])
    return [frame.clone() for _, frame in frames(scene, Options(device="cpu"))]


def e_warp(film: list[Tensor], clip: Footage) -> float:
    """Returns the mean E_warp of a film along the motion of its clip, without the frames before SETTLED."""
    metrics = Metrics()
    for frame, motion in zip(film, clip.metric_motions, strict=True):
        metrics.add(frame, motion, objective=0.0)
    return fmean(metrics.e_warp[SETTLED:])


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
