"""The loop: a frame is born from the frame before it. The camera moves it, the network dreams it a little further.

source -> camera, or follow -> grade -> dream -> frame
             ^                                     |
             +-------------------------------------+
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from torch import Tensor

from render.dream.ascent import OnStep, dream
from render.dream.grade import grade
from render.dream.networks import Network
from render.motion import between
from render.motion.camera import Move, move
from render.motion.flow import chained
from render.motion.follow import carried, follow
from render.scene.model import Now, Scene
from render.sources import Shown, shown
from render.wishes import ascent, objective, wishes


def frames(
    scene: Scene, network: Network, start: int = 0, canvas: Tensor | None = None, on_step: OnStep | None = None
) -> Generator[tuple[int, Tensor, Tensor]]:
    """The frames of a scene from `start` on: (index, picture, canvas), 1x3xHxW float32 RGB in [0, 1] on the network's
    device.

    The canvas is the last dreamed picture, all that the frames after it depend on beside the scene and its files; to
    go on from `start` it takes the one of the frame before. `on_step` hears of every step of ascent. The tensors are
    not changed afterwards.
    """
    asked = wishes(scene, network)
    passed: list[Shown] = []  # since the last dreamed frame
    with closing(shown(scene, network.device, start)) as source:
        for new in source:
            passed.append(new)
            if not new.is_dreamed:
                continue
            now = scene.at(new.index, new.begins)
            earlier, canvas = canvas, born(canvas, passed, now, scene)
            canvas = dream(canvas, network, objective(asked, now), ascent(scene, now), (scene.seed, new.index), on_step)
            for at, missed in enumerate(passed[:-1]):
                if missed.index >= start:
                    assert earlier is not None, "what is not dreamed is between two that are"
                    yield missed.index, faded(earlier, canvas, passed, at, scene), earlier
            yield new.index, canvas, canvas
            passed = []


def born(canvas: Tensor | None, passed: Sequence[Shown], now: Now, scene: Scene) -> Tensor:
    """What a frame is dreamed from: its source where a shot begins, else the last dreamed one, moved and graded.

    `passed` is what the source has shown since that one, this frame's own picture last.
    """
    begun, new = passed[0], passed[-1]
    if new.begins and new.picture is not None:
        return new.picture
    assert canvas is not None, "a film begins with its source"
    if new.picture is None or begun.before is None or scene.follow is None:
        canvas = move(canvas, moves(scene, passed), scene.camera.border)
    else:
        moved = chained([each.back for each in reversed(passed) if each.back is not None])
        canvas = follow(canvas, begun.before, new.picture, moved, now.keep, scene.follow.mode)
    return grade(canvas, **now.grade._asdict())


def faded(earlier: Tensor, later: Tensor, passed: Sequence[Shown], at: int, scene: Scene) -> Tensor:
    """The frame at a place in what has `passed` between two dreamed ones: both, moved there, fading into each other."""
    begun, here, new = passed[0], passed[at], passed[-1]
    if here.picture is None or begun.before is None or new.picture is None or scene.follow is None:
        return between.by_camera(earlier, later, moves(scene, passed), at + 1, scene.camera.border)
    mode = scene.follow.mode
    back = chained([each.back for each in reversed(passed[: at + 1]) if each.back is not None])
    onward = chained([each.onward for each in passed[at + 1 :] if each.onward is not None])
    ends = carried(earlier, begun.before, mode), carried(later, new.picture, mode)
    return between.by_flow(*ends, here.picture, back, onward, (at + 1) / len(passed), mode)


def moves(scene: Scene, passed: Sequence[Shown]) -> list[Move]:
    """What the camera did to come to each of them."""
    return [Move(**scene.at(each.index).camera._asdict()) for each in passed]
