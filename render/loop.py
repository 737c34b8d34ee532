"""The loop: a frame is born from the frame before it. The camera moves it, the network dreams it a little further.

source -> camera -> grade -> dream -> frame
             ^                          |
             +--------------------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from render.dream import gradients
from render.dream.ascent import Ascent, OnStep, dream
from render.dream.grade import grade
from render.dream.gradients import Conditioner
from render.dream.networks import Network
from render.film import source
from render.motion.camera import Move, move
from render.scene import model
from render.scene.model import Now, Scene
from render.wishes import objective, wishes


def frames(
    scene: Scene, network: Network, start: int = 0, canvas: Tensor | None = None, on_step: OnStep | None = None
) -> Iterator[tuple[int, Tensor]]:
    """The frames of a scene from `start` on: (index, 1x3xHxW float32 RGB in [0, 1] on the network's device).

    `canvas` is the frame before `start`, which is all that a frame depends on beside the scene. `on_step` hears of
    every step of ascent. The tensors are not changed afterwards.
    """
    asked = wishes(scene, network)
    for index in range(start, scene.length):
        now = scene.at(index)
        if canvas is None:
            canvas = first_canvas(scene).to(network.device)
        else:
            canvas = move(canvas, Move(**now.camera._asdict()), scene.camera.border)
            canvas = grade(canvas, **now.grade._asdict())
        canvas = dream(canvas, network, objective(asked, now), ascent(scene, now), (scene.seed, index), on_step)
        yield index, canvas


def first_canvas(scene: Scene) -> Tensor:
    """What the film begins from, 1x3xHxW in [0, 1] on the CPU. Raises StorageError."""
    assert scene.size is not None, "a loaded scene knows its size"
    match scene.source.chosen:
        case model.Noise(grain=grain, contrast=contrast, color=color):
            return source.noise(scene.size, grain, contrast, color, scene.seed)
    path = picture(scene)
    assert path is not None, f"a source of no kind: {scene.source}"
    return source.picture(path, scene.size)


def picture(scene: Scene) -> Path | None:
    """The picture that the film begins from, None when it begins from noise."""
    image = scene.source.image
    return None if image is None else scene.locate(image, ("source", "image"))


def ascent(scene: Scene, now: Now) -> Ascent:
    """How a frame is dreamed."""
    how = scene.dream
    return Ascent(
        octave_scale=how.octave_scale,
        steps=now.steps,
        step_size=now.step_size,
        last_step=how.last_step,
        jitter=now.jitter,
        scale=how.scale,
        rotate=how.rotate,
        momentum=how.momentum,
        total_variation=how.total_variation,
        condition=conditioner(how.gradient),
    )


def conditioner(gradient: model.Gradient) -> Conditioner:
    """The conditioner that the scene names."""
    match gradient.chosen:
        case model.Natural(power=power, color=color, lowest=lowest):
            return gradients.natural(power, color, lowest)
        case model.Gaussian(sigma=sigma):
            return gradients.gaussian(sigma)
        case model.Laplacian(levels=levels):
            return gradients.laplacian(levels)
    return gradients.raw()
