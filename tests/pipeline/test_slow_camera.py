"""A slow camera over a clip: after ten seconds the clip and its dream are at their exact places."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.pipeline.inputs import clip_views
from tests.footage import clip_of, dream_at_end, scene_of
from tests.media.clips import LOSSLESS, write_clip
from tests.motion.dots import centre, dot

CAMERA = {
    "pan": '["0.004/s", "-0.003/s"]',
    "zoom": "1.02/s",
    "rotate": "1/s",
    "shear": '["0.01/s", "0.004/s"]',
}
FPS = ["12", "24", "30000/1001", "48", "60"]
CASES = [
    ("12", tuple(CAMERA)),
    *(pytest.param(fps, (kind,), marks=pytest.mark.slow) for kind in CAMERA for fps in FPS),
]


@pytest.mark.parametrize(("fps", "moves"), CASES)
def test_dots_of_a_clip_and_of_its_dream_move_to_their_exact_places(
    fps: str, moves: tuple[str, ...], tmp_path: Path
) -> None:
    length = round(10 * Fraction(fps)) + 1
    write_clip(tmp_path / "c.mp4", np.repeat(clip_of(dot(40, 52)), length, axis=0), *LOSSLESS, fps=fps)
    scene = scene_of(tmp_path, *((f"camera.{move}", CAMERA[move]) for move in moves))
    *_, last = clip_views(scene)
    dream = dream_at_end(scene, 0.1 * dot(80, 40))
    for values, place in ((last.picture, [40, 52, 1]), (dream - last.picture, [80, 40, 1])):
        assert centre(values) == pytest.approx(tuple((last.camera @ place)[:2]), abs=0.02)
