"""Loops: the film's end leads to its first frame, whatever the camera, the cadence and the range of frames."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from render import Callbacks, Options, frames, load, render
from render.analysis.metrics import camera_motion, warp_error
from render.errors import Interrupted
from render.media.clip import probe_clip
from render.models.network import Network
from render.motion.propagate import StillInterval, StillPropagator
from render.pipeline import loop
from render.pipeline.closing import loop_propagator
from render.pipeline.inputs import propagator
from render.pipeline.loop import Dreamer, dreamed_alone
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from render.sweep.chain import chain_of
from tests.conftest import engine_of
from tests.production.films import interrupt_at

SCENE = """
size: [64, 48]
duration: 17
seed: 3
source: {noise: {grain: 8}}
camera: {zoom: 1.03, rotate: "1 + sin(tau*t/duration)"}
objectives: [{layer: blocks.2}, {statistics: none}]
dream: {octaves: 1, steps: 2, transforms: {jitter: 4}, first_frame: {steps: 3}}
loop: {blend: 8}
output: {segment_frames: 3}
"""


def scene_of(folder: Path, *settings: str) -> Scene:
    """The scene with settings such as "seed=4"."""
    (folder / "s.yaml").write_text(SCENE)
    return load(folder / "s.yaml", [("--set", *setting.split("=", 1)) for setting in settings])  # type: ignore[misc]  # of two parts


def film(scene: Scene, **options: Any) -> list[torch.Tensor]:
    """The pictures of a scene."""
    return [frame for _, frame in frames(scene, Options(device="cpu", precision="float32", **options))]


@pytest.mark.parametrize(
    "settings",
    [
        ("camera.zoom=1.03",), ("camera.zoom=0.97",), ("camera={rotate: 3}",), ("camera.zoom=1",),
        ("camera={pan: [0.02, 0], border: wrap}",), ("camera.zoom={0: 1.01, 50%: 1.06, end: 1.01}",),
        ("dream.cadence=2",), ("dream.cadence=3", "loop.blend=12"),
        ("duration=4", "loop.blend=100%", "loop.blend=4"),
        ("objectives=[{layer: blocks.2}, {content: source, layer: blocks.1}]",),
    ],
)  # fmt: skip
def test_the_frame_after_the_last_is_the_first(settings: tuple[str, ...], tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, *settings)
    engine = engine_of(scene, network)
    made = list(loop.frames(engine))
    assert [frame.index for frame in made] == list(range(scene.length))
    still = propagator(engine.plan, torch.device("cpu"))
    assert isinstance(still, StillPropagator)
    closing = loop_propagator(still, scene, partial(dreamed_alone, engine, None), device=still.initial().device)
    last = (scene.length - 1) // scene.spec.dream.cadence * scene.spec.dream.cadence
    interval = StillInterval(range(last + 1, scene.length + 1))
    _, _, repeated = next(Dreamer(engine, closing, None).dreamed(iter([interval]), made[last].state))
    error = float((repeated.canvas - made[0].picture).square().mean())
    assert -10 * np.log10(max(error, 1e-12)) > 40
    assert any(not torch.equal(a.picture, b.picture) for a, b in pairwise(made))


def test_the_motion_goes_on_across_the_join(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, "duration=24", "loop.blend=12")
    pictures = [frame.picture for frame in loop.frames(engine_of(scene, network))]
    motions = [motion.short for motion in camera_motion(scene, range(scene.length + 1))][1:]
    errors = [
        warp_error(before, after, motion=motion)
        for before, after, motion in zip(pictures, [*pictures[1:], pictures[0]], motions, strict=True)
        if motion is not None
    ]
    assert errors[-1] < 1.2 * median(errors[:-1])


def test_a_range_in_the_blend_has_the_frames_of_the_film(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    part = film(scene, frames=(11, 16))
    assert all(torch.equal(a, b) for a, b in zip(film(scene)[11:16], part, strict=True))


def test_a_preview_closes_and_a_scaled_film_does(tmp_path: Path) -> None:
    preview = film(scene_of(tmp_path), camera_only=True)
    path_error = float((preview[-1] - preview[0]).square().mean())
    assert path_error < float((preview[8] - preview[0]).square().mean())
    scaled = load(tmp_path / "s.yaml", scale=0.75)
    assert len(film(scaled)) == scaled.length


def loop_of(folder: Path, cadence: int) -> Scene:
    """A loop that most of its frames close."""
    return scene_of(folder, f"dream.cadence={cadence}", "loop.blend=12", f"output.path={folder / 'loop.mp4'}")


@pytest.fixture(scope="module", params=[1, 3])
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, bytes]:
    """A cadence, and the loop that is made with it in one run."""
    return request.param, render(loop_of(tmp_path_factory.mktemp("loop"), request.param)).path.read_bytes()


@pytest.mark.parametrize("frame", [1, *(pytest.param(frame, marks=pytest.mark.slow) for frame in (7, 11)), 14])
def test_an_interrupted_loop_resumes_to_the_same_bytes(
    frame: int, uninterrupted: tuple[int, bytes], tmp_path: Path
) -> None:
    cadence, expected = uninterrupted
    scene = loop_of(tmp_path, cadence)
    with pytest.raises(Interrupted):
        render(scene, callbacks=Callbacks(on_frame=interrupt_at(frame)))
    made = render(scene)
    assert made.path.read_bytes() == expected
    clip = probe_clip(made.path)
    assert clip.duration * clip.fps == scene.length


def test_a_change_in_the_blend_changes_every_frame_of_a_loop(tmp_path: Path) -> None:
    """Cells of a sweep would share frames that differ."""
    steady, changed = (
        chain_of(plan(scene_of(tmp_path, f"dream.step_size={{0: 0.01, 12: {size}, end: 0.01}}")), 2)
        for size in (0.01, 0.02)
    )
    assert steady.links[0] != changed.links[0]
