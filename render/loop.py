"""The loop: a frame is born from the frame before it. The camera moves it, the network dreams it a little further.

source -> camera, or follow -> grade -> dream -> frame
             ^                                     |
             +-------------------------------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from torch import Tensor

from render.dream import gradients
from render.dream.ascent import Ascent, OnStep, dream
from render.dream.grade import grade
from render.dream.gradients import Conditioner
from render.dream.networks import Network
from render.motion.camera import Move, move
from render.motion.follow import follow
from render.scene.dream import Gaussian, Gradient, Laplacian, Natural
from render.scene.model import Now, Scene
from render.sources import Shown, shown
from render.wishes import objective, wishes


def frames(
    scene: Scene, network: Network, start: int = 0, canvas: Tensor | None = None, on_step: OnStep | None = None
) -> Iterator[tuple[int, Tensor]]:
    """The frames of a scene from `start` on: (index, 1x3xHxW float32 RGB in [0, 1] on the network's device).

    `canvas` is the frame before `start`, which is all that a frame depends on beside the scene and its files. `on_step`
    hears of every step of ascent. The tensors are not changed afterwards.
    """
    asked = wishes(scene, network)
    with closing(shown(scene, network.device, start)) as source:
        for index, new in enumerate(source, start):
            now = scene.at(index, begins=new is not None and new.moved is None)
            canvas = born(canvas, new, now, scene)
            canvas = dream(canvas, network, objective(asked, now), ascent(scene, now), (scene.seed, index), on_step)
            yield index, canvas


def born(canvas: Tensor | None, new: Shown | None, now: Now, scene: Scene) -> Tensor:
    """What a frame is dreamed from: its source where a shot begins, else the frame before, moved and graded."""
    if new is None:
        assert canvas is not None, "a film begins with its source"
        canvas = move(canvas, Move(**now.camera._asdict()), scene.camera.border)
    elif new.moved is None or new.before is None or canvas is None or scene.follow is None:
        return new.picture
    else:
        canvas = follow(canvas, new.before, new.picture, new.moved, now.keep, scene.follow.mode)
    return grade(canvas, **now.grade._asdict())


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


def conditioner(gradient: Gradient) -> Conditioner:
    """The conditioner that the scene names."""
    match gradient.chosen:
        case Natural(power=power, color=color, lowest=lowest):
            return gradients.natural(power, color, lowest)
        case Gaussian(sigma=sigma):
            return gradients.gaussian(sigma)
        case Laplacian(levels=levels):
            return gradients.laplacian(levels)
    return gradients.raw()
