"""The finished frame: what is done to the dreamed picture on its way to the encoder, and feeds back into nothing."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from render.dream.color import adjust
from render.motion.camera import Move, compose_moves, inverse_affine
from render.motion.composite import mixed
from render.motion.warp import warp_affine
from render.pipeline.scene import Scene


def finish(scene: Scene, index: int, picture: Tensor, *, source: Callable[[], Tensor]) -> Tensor:
    """Returns the finished picture (1x3xHxW in [0, 1]) of a dreamed one at a frame; the same where nothing is set.

    `source` returns the frame as it is without any dream.
    """
    params = scene.params(index).finish
    if params.mix < 1 or scene.spec.mix.mode != "normal":
        picture = mixed(source(), picture, amount=params.mix, mode=scene.spec.mix.mode)
    view = compose_moves([Move(**params.view._asdict())], scene.size)
    warped = warp_affine(picture, inverse_affine(view), border=scene.spec.view.border)
    picture = warped if warped is picture else warped.clamp(0, 1)
    return adjust(picture, exposure=params.exposure, saturation=params.saturation, hue=params.hue)
